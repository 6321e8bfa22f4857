//! A unique text in a narrow column.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A number plate.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "plates")]
#[syncable(resource = "plate")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    #[sea_orm(unique)]
    pub plate: String,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
