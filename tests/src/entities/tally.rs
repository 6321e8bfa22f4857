//! The plainest row: a UUID key and a number. What is said of versions is tried on it.

use jsb_runtime::prelude::*;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use serde::Serialize;
use serde_json::json;

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

/// What travels of one.
pub fn payload(id: impl Serialize, value: impl Serialize, updated_at: impl Serialize) -> serde_json::Value {
    json!({"id": id, "value": value, "remark": "", "updated_at": updated_at})
}

/// None.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}
