//! Publishing: sent, then acknowledged, or an error that says whether to try again.

use std::collections::BTreeMap;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishError as ClientError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;

use super::connection::Transport;
use super::denials::{Denied, Permission};
use super::headers::sendable;
use crate::config::Config;
use crate::event::Envelope;
use crate::message::MESSAGE_ID;
use crate::subject;

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// NATS is away, or the stream is not there yet.
    #[error("not connected to JetStream, or not provisioned yet")]
    NotConnected,
    /// NATS does not let this app publish there, or receive the acknowledgement.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// No acknowledgement came in time; the message may or may not be in the stream.
    #[error("no acknowledgement came from JetStream: {0}")]
    Unacknowledged(#[source] ClientError),
    /// No stream carries the subject.
    #[error("no stream carries the subject `{0}`")]
    NoStream(String),
    /// The server refused the message for now, for example because the stream is full.
    #[error("JetStream refused the message: {0}")]
    Rejected(#[source] ClientError),
    /// The message is larger than the server or the stream allows.
    #[error("the message of {bytes} bytes is larger than the server or the stream allows: {source}")]
    TooLarge {
        /// The size of body and headers.
        bytes: usize,
        /// The client's or the server's words.
        source: ClientError,
    },
    /// The event cannot be written as JSON.
    #[error("the event cannot be written: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl PublishError {
    /// Whether no retry heals it.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unreadable(_))
    }
}

/// A message that is ready to go out.
pub(crate) struct Outgoing {
    subject: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Outgoing {
    /// An event of this app for the other one.
    pub(crate) fn event<P: Serialize>(
        config: &Config,
        mut headers: BTreeMap<String, String>,
        envelope: &Envelope<P>,
    ) -> Result<Self, serde_json::Error> {
        headers.insert(MESSAGE_ID.to_owned(), envelope.event_id.clone());
        Self::new(subject::sync(&config.app_name, &config.destination_app), headers, envelope)
    }

    pub(crate) fn new(
        subject: String,
        headers: BTreeMap<String, String>,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::raw(subject, headers, serde_json::to_vec(body)?))
    }

    pub(crate) fn raw(subject: String, headers: BTreeMap<String, String>, body: Vec<u8>) -> Self {
        Self { subject, headers: sendable(&headers), body }
    }

    fn bytes(&self) -> usize {
        let line = |(name, values): (&HeaderName, &Vec<HeaderValue>)| -> usize {
            values.iter().map(|value| AsRef::<[u8]>::as_ref(name).len() + value.as_str().len() + 4).sum()
        };
        self.body.len() + self.headers.iter().map(line).sum::<usize>()
    }
}

impl Transport {
    /// Publishes and waits until JetStream has the message.
    pub(crate) async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        if !self.is_connected() {
            return Err(PublishError::NotConnected);
        }
        tokio::select! {
            published = self.publish_on_this_connection(message) => published,
            // Its acknowledgement would be waited for in vain.
            () = self.until_disconnected() => Err(PublishError::NotConnected),
        }
    }

    async fn publish_on_this_connection(&self, message: Outgoing) -> Result<(), PublishError> {
        let (subject, bytes) = (message.subject.clone(), message.bytes());
        let publish = PublishMessage::build().headers(message.headers).payload(message.body.into());
        let acknowledged = async {
            match self.context.send_publish(message.subject, publish).await {
                Ok(acknowledgement) => acknowledgement.await,
                Err(error) => Err(error),
            }
        };
        let acknowledged = self.unless_denied(&subject, acknowledged).await?;
        acknowledged.map(drop).map_err(|error| self.explain(error, subject, bytes))
    }

    /// Whether NATS denied publishing to this subject the last time.
    pub(crate) fn is_denied(&self, subject: &str) -> bool {
        self.denials.stands(&Permission::Publish(subject.to_owned()))
    }

    fn explain(&self, error: ClientError, subject: String, bytes: usize) -> PublishError {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { bytes, source: error },
            PublishErrorKind::StreamNotFound => {
                self.detach();
                PublishError::NoStream(subject)
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                PublishError::Unacknowledged(error)
            }
            _ => match server_code(&error) {
                Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM) => {
                    PublishError::TooLarge { bytes, source: error }
                }
                Some(_) => PublishError::Rejected(error),
                None => PublishError::Unacknowledged(error),
            },
        }
    }
}

/// The code with which the server refused, if it was the server.
fn server_code(error: &ClientError) -> Option<ErrorCode> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<async_nats::jetstream::Error>().map(async_nats::jetstream::Error::error_code)
}
