//! A parent with interleaved keys and a unique column, in the dense format.

use jsb_runtime::prelude::*;
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use serde_json::json;

/// An organization.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Syncable)]
#[sea_orm(table_name = "organizations")]
#[syncable(resource = "organization", keys = "interleaved")]
#[allow(missing_docs, reason = "the columns say it")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub name: String,
    #[sea_orm(unique)]
    pub domain: String,
    pub active: bool,
    #[syncable(skip)]
    pub internal_note: Option<String>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
    #[sea_orm(has_many)]
    pub users: HasMany<super::user::Entity>,
}

/// A new one, which is named like its domain.
pub fn new(domain: impl Into<String>) -> ActiveModel {
    let domain = domain.into();
    ActiveModel {
        name: Set(domain.clone()),
        domain: Set(domain),
        active: Set(true),
        created_at: Set(chrono::Utc::now()),
        ..Default::default()
    }
}

/// Saves a new one.
pub async fn saved(db: &DatabaseConnection, domain: &str) -> Model {
    new(domain).insert(db).await.expect("an organization")
}

/// What travels of one, which is named like its domain.
pub fn payload(id: i64, domain: &str, updated_at: &str) -> serde_json::Value {
    json!({
        "id": id, "name": domain, "domain": domain, "active": true, "created_at": "2026-01-01T00:00:00Z",
        "updated_at": updated_at,
    })
}
