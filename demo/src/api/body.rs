//! The body of a create or an update: `{"organization": {"name": ..}}`.

use std::marker::PhantomData;

use axum::Json;
use axum::extract::{FromRequest, Request};
use sea_orm::IntoActiveModel;
use serde_json::{Map, Value};

use super::error::{ApiError, Complaints};
use super::resource::Resource;

/// PostgreSQL indexes a unique value only up to about 2,700 bytes, so a limit is needed, and this is the customary one.
const MAX_UNIQUE_LENGTH: usize = 255;

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
        let Json(mut body) = Json::<Map<String, Value>>::from_request(request, state).await?;
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
        let mut complain = |(field, complaint)| complaints.entry(field).or_default().push(complaint);

        R::REQUIRED
            .iter()
            .filter(|required| is_missing(required.field))
            .for_each(|required| complain(required.complaint));
        if self.fields.get(R::UNIQUE).is_some_and(is_too_long) {
            complain((R::UNIQUE, "is too long (maximum is 255 characters)"));
        }

        if complaints.is_empty() { Ok(()) } else { Err(ApiError::Invalid(complaints)) }
    }

    fn into_row(self) -> Result<R::ActiveModel, ApiError> {
        // SQLite would keep a NUL, and PostgreSQL on the other side could never store it.
        if self.fields.values().any(has_nul) {
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

fn is_too_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.chars().count() > MAX_UNIQUE_LENGTH)
}

fn has_nul(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains('\0'))
}
