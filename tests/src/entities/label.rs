//! A string key, a field under another name on the wire, and a column that stays local.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A label.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "labels")]
#[syncable(resource = "label")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    #[syncable(rename = "title")]
    pub caption: String,
    #[syncable(skip)]
    pub drawer: Option<String>,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
