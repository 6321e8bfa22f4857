//! Every answer that is not a success, as JSON and without internals.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use sea_orm::{DbErr, RuntimeErr, sqlx};
use serde_json::json;

/// What is wrong with each field.
pub(crate) type Complaints = BTreeMap<&'static str, Vec<String>>;

/// A reason may quote what the client sent, which may be long.
const MAX_REASON_CHARACTERS: usize = 300;

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

    /// What went wrong here is not the client's business.
    pub(crate) fn internal() -> Self {
        Self::Refused(StatusCode::INTERNAL_SERVER_ERROR, "internal server error".to_owned())
    }

    pub(crate) fn invalid(field: &'static str, complaint: &'static str) -> Self {
        Self::Invalid(BTreeMap::from([(field, vec![complaint.to_owned()])]))
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
            Self::Refused(status, reason) => (status, json!({ "error": cut(reason) })),
            Self::Invalid(complaints) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "errors": complaints })),
            Self::Database(error) => {
                tracing::error!(%error, "request failed");
                return for_the_client(&error).into_response();
            }
        };
        (status, Json(body)).into_response()
    }
}

/// What may be said of an error of the database to somebody who cannot see into it.
fn for_the_client(error: &DbErr) -> ApiError {
    if is_away(error) {
        return ApiError::Refused(StatusCode::SERVICE_UNAVAILABLE, "the database cannot be reached".to_owned());
    }
    ApiError::internal()
}

fn is_away(error: &DbErr) -> bool {
    use sqlx::Error as E;
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => match &**error {
            E::Io(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed => true,
            // PostgreSQL is starting, stopping, or has ended the connection.
            E::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
            _ => false,
        },
        _ => false,
    }
}

fn cut(mut reason: String) -> String {
    if let Some((end, _)) = reason.char_indices().nth(MAX_REASON_CHARACTERS) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}
