//! The HTTP interface: two resources that sync, and the state of their syncing.

mod body;
mod crud;
mod error;
mod organizations;
mod resource;
mod row;
mod status;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;
use jsb_runtime::Bridge;
use sea_orm::DatabaseConnection;

use crate::entities::{organization, user};
pub(crate) use error::ApiError;

const MAX_BODY_BYTES: usize = 1024 * 1024;

/// All routes of one system.
pub(crate) fn router(db: DatabaseConnection, bridge: Arc<Bridge>) -> Router {
    let rows = crud::routes::<organization::Entity>().merge(crud::routes::<user::Entity>());
    let status = Router::new().route("/sync_status", get(status::sync_status)).with_state((db.clone(), bridge.clone()));
    rows.with_state(db.clone())
        .merge(status)
        .merge(health_router(db, bridge))
        .fallback(async || ApiError::NotFound("page"))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
}

/// That the process lives, which no other page may hold up.
pub(crate) fn live_router() -> Router {
    Router::new().route("/live", get(status::live)).method_not_allowed_fallback(method_not_allowed)
}

/// What a system answers that waits for its provisioner.
pub(crate) fn waiting_router(problem: String) -> Router {
    Router::new().fallback(async move || status::waiting(&problem))
}

/// What a process without the API answers to whoever watches over it.
pub(crate) fn health_router(db: DatabaseConnection, bridge: Arc<Bridge>) -> Router {
    Router::new().route("/health", get(status::health)).with_state((db, bridge))
}

async fn method_not_allowed() -> ApiError {
    ApiError::Refused(StatusCode::METHOD_NOT_ALLOWED, "method not allowed".to_owned())
}
