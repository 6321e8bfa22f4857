//! `/sync_status`, `/health` and `/live`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jsb_runtime::Bridge;
use sea_orm::{DatabaseConnection, EntityTrait, PaginatorTrait, QueryOrder};
use serde::Serialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::row::timestamp;
use crate::entities::{organization, user};

type SystemState = State<(DatabaseConnection, Arc<Bridge>)>;

/// What is here, and how far its way to the other side is.
#[derive(Serialize)]
pub(crate) struct SyncStatus {
    organizations_count: u64,
    users_count: u64,
    last_organization_sync: Option<String>,
    last_user_sync: Option<String>,
    jetstream_connected: bool,
    inbox_events_count: u64,
    processed_events_count: u64,
    failed_events_count: u64,
    parked_events_count: u64,
    dead_events_count: u64,
    outbox_events_count: u64,
    sent_events_count: u64,
    pending_events_count: u64,
    unpublishable_events_count: u64,
}

pub(crate) async fn sync_status(State((db, bridge)): SystemState) -> Result<Json<SyncStatus>, ApiError> {
    let organizations = organization::Entity::find();
    let users = user::Entity::find();
    let newest_organization = organizations.clone().order_by_desc(organization::Column::UpdatedAt);
    let newest_user = users.clone().order_by_desc(user::Column::UpdatedAt);
    let bridge = bridge.status().await?;

    Ok(Json(SyncStatus {
        organizations_count: organizations.count(&db).await?,
        users_count: users.count(&db).await?,
        last_organization_sync: newest_organization.one(&db).await?.map(|row| timestamp(row.updated_at)),
        last_user_sync: newest_user.one(&db).await?.map(|row| timestamp(row.updated_at)),
        jetstream_connected: bridge.jetstream_connected,
        inbox_events_count: bridge.inbox_events,
        processed_events_count: bridge.processed_events,
        failed_events_count: bridge.failed_events,
        parked_events_count: bridge.parked_events,
        dead_events_count: bridge.dead_events,
        outbox_events_count: bridge.outbox_events,
        sent_events_count: bridge.sent_events,
        pending_events_count: bridge.pending_events,
        unpublishable_events_count: bridge.unpublishable_events,
    }))
}

/// Saves need only the database, so an outage of NATS is reported but is no failure.
pub(crate) async fn health(State((_, bridge)): SystemState) -> (StatusCode, Json<Value>) {
    match bridge.health().await {
        Ok(health) => {
            let body = json!({
                "status": "ok",
                "database": true,
                "jetstream_connected": health.jetstream_connected,
                "parked_events": health.parked_events,
                "problems": health.problems,
            });
            (StatusCode::OK, Json(body))
        }
        Err(error) => {
            tracing::warn!(%error, "health check failed");
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "unavailable", "database": false })))
        }
    }
}

/// Nothing is saved before the bridge runs.
pub(crate) fn waiting(problem: &str) -> (StatusCode, Json<Value>) {
    let body = json!({ "status": "waiting", "problems": [problem], "error": "waiting for the provisioner" });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body))
}

/// That this process answers is all it says: restarting it would not bring back a database.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
