//! The event: its envelope on the wire, and the forms it has before and after.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::payload::{self, MAX_ID_BYTES};
use crate::trace::Trace;

/// The newest envelope version that is understood, and the one that is written.
pub const SCHEMA_VERSION: u32 = 1;

/// The event types that entities publish; any other is a custom one.
pub mod event_type {
    /// A row was inserted.
    pub const CREATED: &str = "created";
    /// A row was updated.
    pub const UPDATED: &str = "updated";
    /// A row was deleted.
    pub const DELETED: &str = "deleted";

    /// Whether it is one of these.
    pub(crate) fn is_of_row(event_type: &str) -> bool {
        matches!(event_type, CREATED | UPDATED | DELETED)
    }
}

/// An event as it travels; field by field the body of the message.
#[derive(Clone, Debug, Serialize)]
pub struct Envelope<P = Json> {
    /// Unique; a UUIDv7 where JSB made it, any string from others.
    pub event_id: String,
    /// The version of the envelope's form.
    pub schema_version: u32,
    /// `created`, `updated`, `deleted`, or a custom type.
    pub event_type: String,
    /// The app that published the event.
    pub producer: String,
    /// The row's key, as text.
    pub resource_id: String,
    /// When it happened, by the producer's clock.
    #[serde(serialize_with = "in_microseconds")]
    pub occurred_at: DateTime<Utc>,
    /// The trace that the event belongs to.
    pub trace_id: String,
    /// The entity's name on the wire, for example `organization`.
    pub resource_type: String,
    /// The row's columns, or whatever a custom event carries.
    pub payload: P,
}

fn in_microseconds<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&payload::format_time(*time))
}

/// The envelope of an outbox row, whose payload is sent as it was stored.
pub(crate) type StoredEnvelope = Envelope<Box<RawValue>>;

/// An event that is about to be recorded; the relay adds the producer.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub(crate) event_id: String,
    pub(crate) event_type: String,
    pub(crate) resource_type: String,
    pub(crate) resource_id: String,
    pub(crate) occurred_at: DateTime<Utc>,
    pub(crate) trace: Trace,
    pub(crate) payload: Json,
}

impl NewEvent {
    /// An event of type `event_type` about the thing `resource_type`/`resource_id`.
    ///
    /// ```
    /// let event = jsb_runtime::NewEvent::new("report", "42", "finished", serde_json::json!({"pages": 7}));
    /// ```
    pub fn new(
        resource_type: impl Into<String>,
        resource_id: impl Into<String>,
        event_type: impl Into<String>,
        payload: Json,
    ) -> Self {
        Self {
            event_id: Uuid::now_v7().to_string(),
            event_type: event_type.into(),
            resource_type: resource_type.into(),
            resource_id: resource_id.into(),
            occurred_at: crate::clock::now(),
            trace: crate::trace::next(),
            payload,
        }
    }

    /// The id that the event travels and is recorded under, a UUIDv7: for logs on both sides.
    pub fn event_id(&self) -> &str {
        &self.event_id
    }

    /// Refuses an event that the other side could not keep.
    pub(crate) fn check(&self) -> Result<(), EnvelopeError> {
        if self.resource_id.is_empty() {
            return Err(EnvelopeError::EmptyKey);
        }
        for (id, name) in [
            (&self.resource_type, "resource_type"),
            (&self.resource_id, "resource_id"),
            (&self.event_type, "event_type"),
        ] {
            usable_id(Some(id.clone()), name)?;
        }
        // The other side would take what stands before the dot for a resource.
        if self.event_type.contains('.') {
            return Err(EnvelopeError::DottedType(self.event_type.clone()));
        }
        if payload::nests_deeper(&self.payload, payload::MAX_NESTING + 1) {
            return Err(EnvelopeError::TooDeep);
        }
        Ok(())
    }
}

/// Why a message's body is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The body is no JSON object of the envelope's form.
    #[error("the body is not an event: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A field that cannot be done without is missing.
    #[error("the event has no `{0}`")]
    Missing(&'static str),
    /// The key of what is about to be recorded is empty.
    #[error("the key, which is the event's `resource_id`, is empty")]
    EmptyKey,
    /// An identifier is too long to be stored as a key.
    #[error("the event's `{0}` is longer than {MAX_ID_BYTES} bytes or holds a NUL character")]
    UnusableId(&'static str),
    /// An event type holds a dot.
    #[error("the event type `{0}` holds a dot, which ends the name of a resource")]
    DottedType(String),
    /// The payload is nested deeper than what is read on the other side.
    #[error("the payload is nested deeper than {} levels", payload::MAX_NESTING)]
    TooDeep,
}

/// The body as foreign producers write it: some fields may be missing, others unknown, ids may be numbers.
#[derive(Deserialize)]
struct Body {
    event_id: Option<Id>,
    schema_version: Option<u32>,
    event_type: Option<String>,
    producer: Option<String>,
    resource_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient_time")]
    occurred_at: Option<DateTime<Utc>>,
    trace_id: Option<String>,
    resource_type: Option<String>,
    #[serde(default)]
    payload: Json,
}

/// An id, which foreign producers may write as a number. By hand, since serde's untagged enum copies what it tries.
struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = Id;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string or a number")
            }

            fn visit_str<E>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Id, E> {
                Ok(Id(Json::from(number).to_string()))
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}

fn lenient_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| payload::parse_time(&text).map_err(serde::de::Error::custom)).transpose()
}

impl Envelope {
    /// Reads a body; `message_id` (the `Nats-Msg-Id` header) and `source` (from the subject) stand in for what the body lacks.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`] when the body is no event.
    pub fn read(body: &[u8], message_id: Option<&str>, source: &str) -> Result<Self, EnvelopeError> {
        let body: Body = serde_json::from_slice(body)?;
        let (event_type, prefix) = split_type(body.event_type.unwrap_or_default());
        let event_id = body.event_id.map(|id| id.0).or_else(|| message_id.map(str::to_owned));
        let resource_id = body.resource_id.map(|id| id.0).or_else(|| id_of_payload(&body.payload));
        Ok(Self {
            event_id: usable_id(event_id, "event_id")?,
            schema_version: body.schema_version.unwrap_or(SCHEMA_VERSION),
            event_type: usable_id(Some(event_type), "event_type")?,
            producer: body.producer.unwrap_or_else(|| source.to_owned()),
            resource_id: usable_id(resource_id, "resource_id")?,
            occurred_at: body.occurred_at.unwrap_or_else(crate::clock::now),
            trace_id: body.trace_id.unwrap_or_else(|| crate::trace::next().trace_id()),
            resource_type: usable_id(body.resource_type.or(prefix), "resource_type")?,
            payload: body.payload,
        })
    }

    /// Whether it says what became of a row, as entities' events do.
    pub(crate) fn is_of_row(&self) -> bool {
        event_type::is_of_row(&self.event_type)
    }

    /// Whether it says that its row was deleted.
    pub(crate) fn deletes(&self) -> bool {
        self.event_type == event_type::DELETED
    }
}

/// `user.created` is read as type `created` of resource `user`.
fn split_type(event_type: String) -> (String, Option<String>) {
    match event_type.rsplit_once('.') {
        Some((resource, kind)) => (kind.to_owned(), Some(resource.to_owned())),
        None => (event_type, None),
    }
}

fn id_of_payload(payload: &Json) -> Option<String> {
    match payload.get("id")? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn usable_id(id: Option<String>, name: &'static str) -> Result<String, EnvelopeError> {
    let id = id.filter(|id| !id.is_empty()).ok_or(EnvelopeError::Missing(name))?;
    if id.len() > MAX_ID_BYTES || id.contains('\0') { Err(EnvelopeError::UnusableId(name)) } else { Ok(id) }
}

/// How the row that an event speaks of is named: in the inbox, in locks, and to operators.
pub(crate) fn row_name(resource_type: &str, resource_id: &str) -> String {
    format!("{resource_type}/{resource_id}")
}

/// The resource and the id of a row by its name; a resource has no `/` in its own.
pub(crate) fn named_row(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or_default()
}

/// An event as a handler gets it: the envelope, with its payload decoded.
#[derive(Clone, Debug)]
pub struct Event<P = Json> {
    envelope: Arc<Envelope>,
    /// The decoded payload.
    pub payload: P,
    stale: bool,
}

impl<P> Event<P> {
    pub(crate) fn new(envelope: Arc<Envelope>, payload: P, stale: bool) -> Self {
        Self { envelope, payload, stale }
    }

    /// Whether a newer state of this row is here already, since this event was retried, replayed or overtaken.
    pub fn is_stale(&self) -> bool {
        self.stale
    }
}

impl<P> Deref for Event<P> {
    type Target = Envelope;

    fn deref(&self) -> &Envelope {
        &self.envelope
    }
}
