//! The body of a create or an update: `{"organization": {"name": ..}}`.

use std::marker::PhantomData;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use sea_orm::IntoActiveModel;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::error::{ApiError, Complaints};
use super::resource::Resource;

/// A client that sends slowly must not keep what it has sent in memory for long.
const BODY_ARRIVES_WITHIN: Duration = Duration::from_secs(10);

/// A text that a row may have, and how long it may be.
pub(crate) struct Text {
    field: &'static str,
    longest: usize,
}

impl Text {
    /// A text of a unique index: PostgreSQL takes up to about 2,700 bytes into one, and this is the customary limit.
    pub(crate) const fn unique(field: &'static str) -> Self {
        Self { field, longest: 255 }
    }

    /// Any other: all of a row's texts together must find room in one message of NATS.
    pub(crate) const fn long(field: &'static str) -> Self {
        Self { field, longest: 65_535 }
    }
}

/// A field that a row cannot be without.
pub(crate) struct Required {
    field: &'static str,
    complaint: (&'static str, &'static str),
}

impl Required {
    /// A text that must have something in it.
    pub(crate) const fn text(field: &'static str) -> Self {
        Self { field, complaint: (field, "can't be blank") }
    }

    /// The key of a parent row; a complaint is about the parent.
    pub(crate) const fn parent(field: &'static str, parent: &'static str) -> Self {
        Self { field, complaint: (parent, "must exist") }
    }
}

/// The wrapped fields, not yet checked.
pub(crate) struct Body<R> {
    fields: Map<String, Value>,
    resource: PhantomData<R>,
}

impl<R: Resource, S: Send + Sync> FromRequest<S> for Body<R> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = timeout(BODY_ARRIVES_WITHIN, Json::<Map<String, Value>>::from_request(request, state)).await;
        let Json(mut body) = body.map_err(|_| {
            ApiError::Refused(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time".to_owned())
        })??;
        match body.remove(R::NAME) {
            Some(Value::Object(fields)) => Ok(Self { fields, resource: PhantomData }),
            _ => Err(ApiError::bad_request(format!("the body must be {{\"{}\": {{..}}}}", R::NAME))),
        }
    }
}

impl<R: Resource> Body<R> {
    /// A new row, in which no required field may be missing.
    pub(crate) fn into_new_row(self) -> Result<R::ActiveModel, ApiError> {
        self.check(|required| self.fields.get(required).is_none_or(is_blank))?;
        self.into_row()
    }

    /// The changes to a row, in which a required field may be missing but not blank.
    pub(crate) fn into_changes(self) -> Result<R::ActiveModel, ApiError> {
        self.check(|required| self.fields.get(required).is_some_and(is_blank))?;
        self.into_row()
    }

    fn check(&self, is_missing: impl Fn(&str) -> bool) -> Result<(), ApiError> {
        let mut complaints = Complaints::new();
        let mut complain = |field, complaint| complaints.entry(field).or_default().push(complaint);

        for Required { field, complaint: (about, complaint) } in R::REQUIRED {
            if is_missing(field) {
                complain(*about, (*complaint).to_owned());
            }
        }
        for Text { field, longest } in R::TEXTS {
            if self.fields.get(*field).is_some_and(|value| is_longer(value, *longest)) {
                complain(*field, format!("is too long (maximum is {longest} characters)"));
            }
        }

        if complaints.is_empty() { Ok(()) } else { Err(ApiError::Invalid(complaints)) }
    }

    fn into_row(self) -> Result<R::ActiveModel, ApiError> {
        // SQLite would keep a NUL, and PostgreSQL on the other side could never store it.
        if R::TEXTS.iter().any(|text| self.fields.get(text.field).is_some_and(has_nul)) {
            return Err(ApiError::bad_request("text must not contain NUL characters"));
        }
        let fields: R::Fields = serde_json::from_value(Value::Object(self.fields))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(fields.into_active_model())
    }
}

fn is_blank(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn is_longer(value: &Value, longest: usize) -> bool {
    value.as_str().is_some_and(|text| text.chars().count() > longest)
}

fn has_nul(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\0'))
}
