//! Every answer that is not a success, as JSON and without internals.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sea_orm::DbErr;
use serde_json::json;

/// What is wrong with each field.
pub(crate) type Complaints = BTreeMap<&'static str, Vec<&'static str>>;

/// Why a request was not served.
#[derive(Debug)]
pub(crate) enum ApiError {
    NotFound(&'static str),
    Refused(StatusCode, String),
    Invalid(Complaints),
    Database(DbErr),
}

impl ApiError {
    pub(crate) fn bad_request(reason: impl Into<String>) -> Self {
        Self::Refused(StatusCode::BAD_REQUEST, reason.into())
    }

    pub(crate) fn invalid(field: &'static str, complaint: &'static str) -> Self {
        Self::Invalid(BTreeMap::from([(field, vec![complaint])]))
    }
}

impl From<DbErr> for ApiError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::JsonDataError(_) => Self::bad_request("the body must be a JSON object"),
            other => Self::Refused(other.status(), other.body_text()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = match self {
            Self::NotFound(what) => (StatusCode::NOT_FOUND, json!({ "error": format!("{what} not found") })),
            Self::Refused(status, reason) => (status, json!({ "error": reason })),
            Self::Invalid(complaints) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "errors": complaints })),
            Self::Database(error) => {
                tracing::error!(%error, "request failed");
                let (status, reason) = match error {
                    DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => {
                        (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be reached")
                    }
                    _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal server error"),
                };
                (status, json!({ "error": reason }))
            }
        };
        (status, Json(body)).into_response()
    }
}
