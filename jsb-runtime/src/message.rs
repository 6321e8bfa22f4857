//! A message as it came from the stream or out of the inbox, before anyone has judged it.

use std::collections::BTreeMap;

use crate::causes::{chain, shortened};
use crate::event::{Envelope, EnvelopeError, SCHEMA_VERSION};
use crate::reason::Reason;
use crate::trace::{HOPS, MAX_HOPS, Trace};
use crate::{event, subject};

/// The header that JetStream deduplicates by. The gem writes it in lower case.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// What the message id of an operator's replay begins with.
pub(crate) const REPLAY: &str = "replay-";

/// The event's id where a replayed body has none: its message id is a new one.
pub(crate) const EVENT_ID: &str = "Jsb-Event-Id";

/// A message with its envelope, if it has one.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) stream_seq: u64,
    pub(crate) source_app: String,
    /// The event's id; one made of the stream sequence where the message has none that can be stored.
    pub(crate) event_id: String,
    pub(crate) envelope: Result<Envelope, EnvelopeError>,
}

impl Message {
    pub(crate) fn read(subject: String, headers: BTreeMap<String, String>, body: Vec<u8>, stream_seq: u64) -> Self {
        let source_app = subject::source(&subject).to_owned();
        let id = header_named(&headers, EVENT_ID).or_else(|| header_named(&headers, MESSAGE_ID));
        let envelope = Envelope::read(&body, id, &source_app);
        let event_id = match &envelope {
            Ok(envelope) => envelope.event_id.clone(),
            Err(_) => format!("seq-{stream_seq}"),
        };
        Self { subject, headers, body, stream_seq, source_app, event_id, envelope }
    }

    /// Whether an operator brought it back from the DLQ.
    pub(crate) fn is_replay(&self) -> bool {
        header_named(&self.headers, MESSAGE_ID).is_some_and(|id| id.starts_with(REPLAY))
    }

    /// The event, or why it is refused before anybody tries it.
    pub(crate) fn admit(&self) -> Result<&Envelope, (Reason, String)> {
        let event = self.envelope.as_ref().map_err(|error| (Reason::Malformed, chain(error)))?;
        if event.schema_version > SCHEMA_VERSION {
            let error = format!("schema_version {} is newer than {SCHEMA_VERSION}", event.schema_version);
            return Err((Reason::UnsupportedVersion, error));
        }
        if event.producer != self.source_app {
            let named = shortened(&event.producer, 80);
            let error = format!("it names `{named}` as its producer but came from `{}`", self.source_app);
            return Err((Reason::ForgedProducer, error));
        }
        if self.trace().hops > MAX_HOPS {
            let error =
                format!("it came through more than {MAX_HOPS} handlers, which seem to call one another in a circle");
            return Err((Reason::HopLimit, error));
        }
        Ok(event)
    }

    /// The trace that the message belongs to, and how far along it is.
    pub(crate) fn trace(&self) -> Trace {
        let trace_id = self.envelope.as_ref().ok().map(|envelope| envelope.trace_id.as_str());
        Trace::received(trace_id, header_named(&self.headers, HOPS))
    }

    /// The row that it speaks of, as `resource/id`.
    pub(crate) fn row(&self) -> Option<String> {
        let event = self.envelope.as_ref().ok()?;
        Some(event::row_name(&event.resource_type, &event.resource_id))
    }

    /// Its place in the stream as the inbox keeps it; none that a database could not hold.
    pub(crate) fn stored_seq(&self) -> Option<i64> {
        i64::try_from(self.stream_seq).ok()
    }

    /// Resource type, resource id and event type, for the inbox; empty where there is no envelope.
    pub(crate) fn labels(&self) -> (&str, &str, &str) {
        self.envelope.as_ref().map_or(("", "", ""), |e| (&e.resource_type, &e.resource_id, &e.event_type))
    }
}

/// A header by its name, whatever its case.
pub(crate) fn header_named<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
