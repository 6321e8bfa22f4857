//! A row that each side deletes for itself.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A keepsake.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "keepsakes")]
#[syncable(resource = "keepsake", delete = "ignore")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
