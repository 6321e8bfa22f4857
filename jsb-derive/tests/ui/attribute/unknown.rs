use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(resource = "row", ondelete = "ignore")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: Uuid,
    #[syncable(ignore)]
    pub note: Option<String>,
    #[syncable(resource = "remark")]
    pub remark: String,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
