//! A composite key.

use jsb_runtime::prelude::*;
use sea_orm::entity::prelude::*;

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "memberships")]
#[syncable(resource = "membership")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub group: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub member: i64,
    pub role: String,
    pub updated_at: DateTimeUtc,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
