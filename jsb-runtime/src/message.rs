//! A message as it came from the stream or out of the inbox, before anyone has judged it.

use std::collections::BTreeMap;

use crate::event::{Envelope, EnvelopeError};
use crate::subject;
use crate::trace::{HOPS, Trace};

/// The header that JetStream deduplicates by. The gem writes it in lower case.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";

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
        let envelope = Envelope::read(&body, header(&headers, MESSAGE_ID), &source_app);
        let event_id = match &envelope {
            Ok(envelope) => envelope.event_id.clone(),
            Err(_) => format!("seq-{stream_seq}"),
        };
        Self { subject, headers, body, stream_seq, source_app, event_id, envelope }
    }

    /// The trace that the message belongs to, and how far along it is.
    pub(crate) fn trace(&self) -> Trace {
        let trace_id = self.envelope.as_ref().ok().map(|envelope| envelope.trace_id.as_str());
        Trace::received(trace_id, header(&self.headers, HOPS))
    }

    /// Resource type, resource id and event type, for the inbox; empty where there is no envelope.
    pub(crate) fn labels(&self) -> (&str, &str, &str) {
        self.envelope.as_ref().map_or(("", "", ""), |e| (&e.resource_type, &e.resource_id, &e.event_type))
    }
}

/// A header by its name, whatever its case.
fn header<'a>(headers: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
