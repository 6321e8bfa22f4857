//! Whether `C: ConnectionTrait` is a transaction nobody knows, so such code must ask for `TransactionTrait`.

use jsb_runtime::prelude::*;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(resource = "row")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: Uuid,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

async fn save<C: ConnectionTrait>(row: Model, db: &C) -> Result<ActiveModel, DbErr> {
    row.into_active_model().save(db).await
}

fn main() {}
