//! The dead letter queue: the original message with the reason, as large as the server allows and no larger.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::causes::{shortened, storable};
use crate::config::Config;
use crate::jetstream::{Outgoing, PublishError, Transport};
use crate::message::{MESSAGE_ID, Message};
use crate::outcome::Death;
use crate::{clock, payload, subject};

/// The longest error text that travels in a header.
const MAX_ERROR_CHARS: usize = 1_000;

/// What a dead letter says in its headers.
pub(crate) mod header {
    pub(super) const IS_LETTER: &str = "x-dead-letter";
    pub(crate) const REASON: &str = "x-dlq-reason";
    pub(crate) const DELIVERIES: &str = "x-deliveries";
    pub(crate) const CONTEXT: &str = "x-dlq-context";
    /// The body only says where the original one is, which had no room here.
    pub(crate) const IS_REFERENCE: &str = "x-dlq-reference";

    /// Whether a header is the original's: not one that speaks to JetStream, since an expectation of the original would
    /// refuse the copy, nor one of a letter.
    pub(crate) fn is_original(name: &str) -> bool {
        let letters = [IS_LETTER, REASON, DELIVERIES, CONTEXT, IS_REFERENCE];
        let for_server = name.get(..5).is_some_and(|prefix| prefix.eq_ignore_ascii_case("nats-"));
        !for_server && !letters.iter().any(|letter| name.eq_ignore_ascii_case(letter))
    }
}

/// JSON as a header can carry it: a control character stands there only within a string, where it can be escaped.
pub(crate) fn in_one_line(json: &serde_json::Value) -> String {
    let escaped = |c: char| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    json.to_string().chars().map(escaped).collect()
}

/// What is known of an event's end.
pub(crate) struct DeadLetter<'a> {
    pub(crate) message: &'a Message,
    pub(crate) death: &'a Death,
    /// When it had died before, if it was retried since.
    pub(crate) died_before: Option<DateTime<Utc>>,
    pub(crate) deliveries: u32,
    pub(crate) stream: &'a str,
}

impl DeadLetter<'_> {
    /// Publishes the message to this app's DLQ and waits until it is there.
    pub(crate) async fn publish(&self, transport: &Transport, config: &Config) -> Result<(), PublishError> {
        let subject = subject::dlq(&config.app_name);
        let (headers, reasons) = (self.original_headers(), self.reasons(config));
        let all: BTreeMap<_, _> = headers.into_iter().chain(reasons.clone()).collect();
        // Only the server and the stream know how much they take.
        for headers in [all, reasons.clone()] {
            let whole = Outgoing::raw(subject.clone(), headers, self.message.body.clone());
            match transport.publish(whole).await {
                Err(PublishError::TooLarge { .. }) => {}
                answer => return answer,
            }
        }
        let headers = reasons.into_iter().chain([(header::IS_REFERENCE.to_owned(), "true".to_owned())]).collect();
        transport.publish(Outgoing::new(subject, headers, &self.reference(config))?).await
    }

    fn original_headers(&self) -> BTreeMap<String, String> {
        let original = self.message.headers.iter().filter(|(name, _)| header::is_original(name));
        original.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn reasons(&self, config: &Config) -> BTreeMap<String, String> {
        let message = self.message;
        let Death { reason, class, error, .. } = self.death;
        let context = json!({
            "event_id": message.event_id,
            "reason": reason.as_str(),
            "error_class": class,
            "error_message": shortened(&storable(error), MAX_ERROR_CHARS),
            "deliveries": self.deliveries,
            "original_subject": message.subject,
            "sequence": message.stream_seq,
            "consumer": subject::durable(&config.app_name),
            "stream": self.stream,
            "published_at": payload::format_time(clock::now()),
        });
        [
            (MESSAGE_ID, self.id(config)),
            (header::IS_LETTER, "true".to_owned()),
            (header::REASON, reason.to_string()),
            (header::DELIVERIES, self.deliveries.to_string()),
            (header::CONTEXT, in_one_line(&context)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Its own id: the original's is in the same stream, which would take this for a duplicate. It is the death's, so that an event
    /// that dies again has another letter: a replay has another sequence, and what is retried had died before.
    fn id(&self, config: &Config) -> String {
        let Message { event_id, stream_seq, .. } = self.message;
        let before = self.died_before.map(|time| format!("-{}", time.timestamp_micros())).unwrap_or_default();
        format!("dlq-{}-{event_id}-{stream_seq}{before}", config.app_name)
    }

    /// Stands in for a body that has no room beside its reasons; the inbox row, where there is one, holds the body.
    fn reference(&self, config: &Config) -> serde_json::Value {
        json!({
            "event_id": self.message.event_id,
            "source_app": self.message.source_app,
            "body_bytes": self.message.body.len(),
            "body_in": config.use_inbox.then_some("inbox_events"),
        })
    }
}
