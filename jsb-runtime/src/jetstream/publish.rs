//! Publishing: sent, then acknowledged, or an error that says whether to try again.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{PublishAckFuture, PublishError as ClientError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderName, HeaderValue, Subject};
use futures_util::FutureExt;
use futures_util::future::{MaybeDone, maybe_done};
use serde::Serialize;

use super::connection::{LONGEST_WAY, REQUEST_TIMEOUT, SLOWEST_LINK, Transport};
use super::denials::{Denied, Permission};
use super::headers::sendable;
use crate::config::Config;
use crate::event::Envelope;
use crate::message::MESSAGE_ID;

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
    #[error(
        "no stream carries the subject `{0}`: run `jsb provision`, or compare STREAM_NAME with what is there; if this user came \
         with a reload of nats-server, reload once more"
    )]
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
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unreadable(_))
    }

    /// Whether there may be no stream that takes it: where somebody else listens for the subject, the server does not say so.
    pub(crate) fn doubts_stream(&self) -> bool {
        matches!(self, Self::Unacknowledged(_) | Self::NoStream(_))
    }

    /// Whether the status says so anyhow.
    pub(crate) fn stands_elsewhere(&self) -> bool {
        matches!(self, Self::NotConnected | Self::Denied(_))
    }
}

/// A message that is ready to go out.
pub(crate) struct Outgoing {
    subject: Subject,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Outgoing {
    /// An event of this app for the other one.
    pub(crate) fn event<P: Serialize>(
        config: &Config,
        message_id: String,
        mut headers: BTreeMap<String, String>,
        envelope: &Envelope<P>,
    ) -> Result<Self, serde_json::Error> {
        headers.insert(MESSAGE_ID.to_owned(), message_id);
        Self::new(config.outgoing(), headers, envelope)
    }

    pub(crate) fn new(
        subject: String,
        headers: BTreeMap<String, String>,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self::raw(subject, headers, serde_json::to_vec(body)?))
    }

    pub(crate) fn raw(subject: String, headers: BTreeMap<String, String>, body: Vec<u8>) -> Self {
        Self { subject: subject.into(), headers: sendable(&headers), body }
    }

    fn bytes(&self) -> usize {
        let line = |(name, values): (&HeaderName, &Vec<HeaderValue>)| -> usize {
            values.iter().map(|value| AsRef::<[u8]>::as_ref(name).len() + value.as_str().len() + 4).sum()
        };
        self.body.len() + self.headers.iter().map(line).sum::<usize>()
    }
}

/// A message on its way; or why it is not.
type Sent = Result<UnderWay, PublishError>;

struct UnderWay {
    acknowledgement: MaybeDone<Acknowledgement>,
    bytes: usize,
    /// By which the limit of its size knows it.
    number: u64,
}

type Acknowledgement = <PublishAckFuture as IntoFuture>::IntoFuture;

/// Why a message has no answer.
enum Silence {
    Late,
    Disconnected,
    Denied(Denied),
}

impl Silence {
    fn error(&self) -> PublishError {
        match self {
            Self::Late => PublishError::Unacknowledged(PublishErrorKind::TimedOut.into()),
            Self::Disconnected => PublishError::NotConnected,
            Self::Denied(denied) => denied.clone().into(),
        }
    }
}

impl Transport {
    /// Publishes and waits until JetStream has the message.
    pub(crate) async fn publish(&self, message: Outgoing) -> Result<(), PublishError> {
        let subject = message.subject.clone();
        let answers = self.publish_all(&subject, std::iter::once(Ok(message))).await;
        answers.into_iter().collect()
    }

    /// Publishes messages to one subject, one after another, and waits until JetStream has them all. Each has an answer
    /// of its own, in their order.
    pub(crate) async fn publish_all(
        &self,
        subject: &str,
        messages: impl ExactSizeIterator<Item = Result<Outgoing, PublishError>>,
    ) -> Vec<Result<(), PublishError>> {
        let (count, mut sent) = (messages.len(), Vec::with_capacity(messages.len()));
        let permission = Permission::Publish(subject.to_owned());
        let silence = match self.is_connected() {
            true => tokio::select! {
                biased;
                end = self.unless_any_denied(|denied| *denied == permission, self.send_all(messages, &mut sent)) => {
                    end.err().map_or(Silence::Late, Silence::Denied)
                }
                // The acknowledgements would be waited for in vain.
                () = self.until_disconnected() => Silence::Disconnected,
            },
            false => Silence::Disconnected,
        };
        let mut answers: Vec<_> = sent.into_iter().map(|sent| self.answer(sent, subject, &silence)).collect();
        answers.resize_with(count, || Err(silence.error()));
        if !matches!(silence, Silence::Denied(_)) && answers.iter().any(Result::is_ok) {
            self.denials.works(&permission);
        }
        answers
    }

    /// Sends all messages, and waits until all are acknowledged or the next acknowledgement does not come in time. That time
    /// begins with the one before, so that a slow link needs only to get on.
    async fn send_all(&self, messages: impl Iterator<Item = Result<Outgoing, PublishError>>, sent: &mut Vec<Sent>) {
        for message in messages {
            sent.push(self.send(message).await);
        }
        for UnderWay { acknowledgement, .. } in sent.iter_mut().flatten() {
            (&mut *acknowledgement).await;
            if let Some(Err(error)) = Pin::new(acknowledgement).output_mut()
                && error.kind() == PublishErrorKind::TimedOut
            {
                return;
            }
        }
    }

    async fn send(&self, message: Result<Outgoing, PublishError>) -> Sent {
        let message = message?;
        let bytes = message.bytes();
        if self.limit.is_too_large(bytes) {
            return Err(too_large(bytes));
        }
        let publish = PublishMessage::build().headers(message.headers).payload(message.body.into());
        let mut context = self.context.clone();
        let way = Duration::from_secs((bytes / SLOWEST_LINK) as u64).min(LONGEST_WAY);
        context.set_timeout(REQUEST_TIMEOUT + way);
        let number = self.limit.begin(bytes);
        match context.send_publish(message.subject.clone(), publish).await {
            Ok(sent) => Ok(UnderWay { acknowledgement: maybe_done(sent.into_future()), bytes, number }),
            Err(error) => {
                self.limit.withdraw(number);
                Err(self.explain(error, &message.subject, bytes))
            }
        }
    }

    /// What came of a message, if anything has come by now.
    fn answer(&self, sent: Sent, subject: &str, silence: &Silence) -> Result<(), PublishError> {
        let UnderWay { mut acknowledgement, bytes, number } = sent?;
        let _ = (&mut acknowledgement).now_or_never();
        match Pin::new(&mut acknowledgement).take_output() {
            Some(Ok(acknowledgement)) => {
                self.limit.answered(number);
                // A server of 2.10 without the others of its cluster calls a message that nobody has stored yet a duplicate of itself.
                if acknowledgement.sequence == 0 { Err(Silence::Late.error()) } else { Ok(()) }
            }
            Some(Err(error)) => {
                if server_code(&error).is_some() {
                    self.limit.answered(number);
                }
                Err(self.explain(error, subject, bytes))
            }
            None if self.limit.is_too_large(bytes) => Err(too_large(bytes)),
            None => Err(silence.error()),
        }
    }

    /// Whether NATS denied publishing to this subject the last time.
    pub(crate) fn is_denied(&self, subject: &str) -> bool {
        self.denials.stands(&Permission::Publish(subject.to_owned()))
    }

    fn explain(&self, error: ClientError, subject: &str, bytes: usize) -> PublishError {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge { bytes, source: error },
            PublishErrorKind::StreamNotFound => {
                // Where this app can do nothing about it, its consumer need not lose what is on its way.
                if self.config.auto_provision {
                    self.detach();
                }
                PublishError::NoStream(subject.to_owned())
            }
            PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::MaxAckPending => {
                PublishError::Unacknowledged(error)
            }
            _ => match server_code(&error) {
                Some(ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM) => {
                    PublishError::TooLarge { bytes, source: error }
                }
                // It is on its way since an earlier time, and may get nowhere.
                Some(ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT) | None => PublishError::Unacknowledged(error),
                Some(_) => PublishError::Rejected(error),
            },
        }
    }
}

fn too_large(bytes: usize) -> PublishError {
    PublishError::TooLarge { bytes, source: PublishErrorKind::MaxPayloadExceeded.into() }
}

/// The code with which the server refused, if it was the server.
fn server_code(error: &ClientError) -> Option<ErrorCode> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<async_nats::jetstream::Error>().map(async_nats::jetstream::Error::error_code)
}
