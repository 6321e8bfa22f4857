//! What handlers saw; local, not synced.

use sea_orm::entity::prelude::*;

/// One run of one handler.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sightings")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub handler: String,
    pub event_id: String,
    pub event_type: String,
    pub resource_id: String,
    pub number: i64,
    pub stale: bool,
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
