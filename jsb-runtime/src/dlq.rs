//! The dead letter queue: the original message with the reason, as large as the server allows and no larger.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde_json::json;

use crate::causes::storable;
use crate::config::Config;
use crate::jetstream::{Outgoing, PublishError, Transport};
use crate::message::{MESSAGE_ID, Message};
use crate::outcome::Reason;
use crate::{clock, subject};

/// The longest error text that travels in a header.
const MAX_ERROR_CHARS: usize = 1_000;

/// What is known of an event's end.
pub(crate) struct DeadLetter<'a> {
    pub(crate) message: &'a Message,
    pub(crate) reason: Reason,
    pub(crate) class: &'a str,
    pub(crate) error: &'a str,
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
        let reference = Outgoing::new(subject, reasons, &self.reference(config))?;
        transport.publish(reference).await
    }

    /// Headers that speak to JetStream must not: an expectation of the original would refuse the copy.
    fn original_headers(&self) -> BTreeMap<String, String> {
        let speaks_to_server = |name: &str| name.to_ascii_lowercase().starts_with("nats-");
        let headers = self.message.headers.iter().filter(|(name, _)| !speaks_to_server(name));
        headers.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    fn reasons(&self, config: &Config) -> BTreeMap<String, String> {
        let message = self.message;
        let context = json!({
            "event_id": message.event_id,
            "reason": self.reason.as_str(),
            "error_class": self.class,
            "error_message": storable(self.error).chars().take(MAX_ERROR_CHARS).collect::<String>(),
            "deliveries": self.deliveries,
            "original_subject": message.subject,
            "sequence": message.stream_seq,
            "consumer": subject::durable(&config.app_name),
            "stream": self.stream,
            "published_at": clock::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        });
        [
            // Its own id: the original's is in the same stream, which would take this for a duplicate.
            (MESSAGE_ID, format!("dlq-{}-{}", config.app_name, message.event_id)),
            ("x-dead-letter", "true".to_owned()),
            ("x-dlq-reason", self.reason.to_string()),
            ("x-deliveries", self.deliveries.to_string()),
            ("x-dlq-context", context.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
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
