//! A dead letter, as it is read back.

use std::collections::BTreeMap;
use std::mem;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::dlq::header;
use crate::event::{Envelope, EnvelopeError};
use crate::jetstream::StoredMessage;
use crate::message::{EVENT_ID, Message, header_named};
use crate::{event, subject};

/// A message of a DLQ: an event that could not be applied, and why.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Letter {
    /// Its place in the stream, by which it is named.
    pub sequence: u64,
    /// The event's id.
    pub event_id: String,
    /// The entity's name on the wire, where the body is an event.
    pub resource_type: Option<String>,
    /// The row's key, where the body is an event.
    pub resource_id: Option<String>,
    /// `created`, `updated`, `deleted` or a custom type, where the body is an event.
    pub event_type: Option<String>,
    /// Why the event is dead, such as `max_attempts`.
    pub reason: String,
    /// What kind of error the last one was.
    pub error_class: String,
    /// The last error.
    pub error: String,
    /// How often the server had delivered the event.
    pub deliveries: u32,
    /// The subject that the event came on.
    pub original_subject: String,
    /// The event's place in the stream.
    pub original_sequence: u64,
    /// When the letter was stored.
    pub dead_since: DateTime<Utc>,
    /// Whether the body is only a reference, since the original one had no room beside its reasons.
    pub is_reference: bool,
    /// All headers, the original ones among them.
    #[serde(skip)]
    pub headers: BTreeMap<String, String>,
    /// The original body, or the reference.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// What `x-dlq-context` says; others may leave out what they like.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Context {
    event_id: String,
    error_class: String,
    error_message: String,
    original_subject: String,
    sequence: u64,
}

impl Letter {
    /// The row that it speaks of, as `resource/id`; `None` where its body is no event.
    pub fn row(&self) -> Option<String> {
        Some(event::row_name(self.resource_type.as_ref()?, self.resource_id.as_ref()?))
    }

    /// Reads a message of a DLQ; `incoming` is the subject that its app consumes.
    pub(crate) fn read(stored: StoredMessage, incoming: &str) -> Self {
        let StoredMessage { sequence, headers, body, stored_at, .. } = stored;
        let context = header_named(&headers, header::CONTEXT).and_then(|text| serde_json::from_str(text).ok());
        let mut context: Context = context.unwrap_or_default();
        if context.original_subject.is_empty() {
            incoming.clone_into(&mut context.original_subject);
        }
        let text = |name| header_named(&headers, name).unwrap_or_default().to_owned();
        let mut letter = Self {
            sequence,
            event_id: context.event_id,
            resource_type: None,
            resource_id: None,
            event_type: None,
            reason: text(header::REASON),
            error_class: context.error_class,
            error: context.error_message,
            deliveries: text(header::DELIVERIES).parse().unwrap_or(0),
            original_subject: context.original_subject,
            original_sequence: context.sequence,
            dead_since: stored_at,
            is_reference: header_named(&headers, header::IS_REFERENCE).is_some(),
            headers,
            body,
        };
        let body = mem::take(&mut letter.body);
        let Message { envelope, event_id, body, .. } = letter.original(letter.headers.clone(), body);
        letter.body = body;
        if let (Ok(event), false) = (envelope, letter.is_reference) {
            letter.resource_type = Some(event.resource_type);
            letter.resource_id = Some(event.resource_id);
            letter.event_type = Some(event.event_type);
        }
        if letter.event_id.is_empty() {
            letter.event_id = event_id;
        }
        letter
    }

    /// The app that published the event.
    pub(crate) fn source_app(&self) -> &str {
        subject::source(&self.original_subject)
    }

    /// The message that died, from its own headers among `headers`. Its message id is not among them, so a body without
    /// an event id gets it by a header of its own.
    pub(crate) fn original(&self, mut headers: BTreeMap<String, String>, body: Vec<u8>) -> Message {
        headers.retain(|name, _| header::is_original(name));
        let named = header_named(&headers, EVENT_ID);
        let nameless = Envelope::read(&body, named, self.source_app());
        if matches!(nameless, Err(EnvelopeError::Missing("event_id"))) && !self.event_id.is_empty() {
            headers.insert(EVENT_ID.to_owned(), self.event_id.clone());
        }
        Message::read(self.original_subject.clone(), headers, body, self.original_sequence)
    }
}
