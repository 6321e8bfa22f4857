use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(resource = "row", keys = "interleaved")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: u64,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
