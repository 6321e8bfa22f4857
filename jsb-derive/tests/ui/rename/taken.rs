use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "rows")]
#[syncable(resource = "row")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: Uuid,
    #[syncable(rename = "label")]
    pub name: String,
    #[syncable(rename = "title")]
    pub heading: String,
    #[syncable(rename = "title")]
    pub headline: String,
    pub label: String,
    #[syncable(rename = "Full Name")]
    pub first_name: String,
    #[sea_orm(column_name = "Full Name")]
    pub full_name: String,
    #[syncable(rename = "kind")]
    pub category: String,
    #[sea_orm(enum_name = "Kind")]
    pub sort: String,
    pub updated_at: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

fn main() {}
