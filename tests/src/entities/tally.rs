//! The plainest row: a UUID key and a number. What is said of versions is tried on it.

use jsb_runtime::prelude::*;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;

/// A number under a key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "tallies")]
#[syncable(resource = "tally")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub value: i64,
    #[sea_orm(default_value = "none")]
    pub remark: String,
    pub updated_at: DateTimeUtc,
}

/// A new one of this value.
pub fn new(value: i64) -> ActiveModel {
    ActiveModel { id: Set(Uuid::now_v7()), value: Set(value), ..Default::default() }
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
