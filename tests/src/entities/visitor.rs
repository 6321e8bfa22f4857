//! A column that each side keeps for itself, and writes more often than what travels.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A visitor, and when this side saw them last.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "visitors")]
#[syncable(resource = "visitor")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    #[syncable(skip)]
    pub seen_at: Option<DateTimeUtc>,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
