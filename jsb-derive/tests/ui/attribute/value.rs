use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(resource = 1, keys = "shared", delete = ignore, behavior)]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    #[syncable(skip = true)]
    pub note: Option<String>,
    #[syncable(rename(remark))]
    pub remark: String,
    #[syncable(version = "utc")]
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

fn main() {}
