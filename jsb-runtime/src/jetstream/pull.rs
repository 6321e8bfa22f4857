//! Pulling: what is there, at once; acknowledging; and messages that are no longer delivered, by their sequence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Subject;
use async_nats::jetstream::{self, AckKind};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use serde::Deserialize;

use super::connection::{Attached, Transport};
use super::denials::{Denied, Permission};
use super::headers::plain;
use super::provision::consumer_info_subject;
use super::stored::{StoredMessage, StreamError};
use crate::config::MAX_BATCH_BYTES;
use crate::message::Message;
use crate::subject;

/// How long a request waits at the server for the next message: not long, since one that is lost, with the server that
/// led the consumer, is missed only then.
const LONG_POLL: Duration = Duration::from_secs(5);
/// How long after that the server may take to say that none came.
const LATE: Duration = Duration::from_secs(1);
/// How long the server may take to say that there is nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing could be pulled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("pulling from JetStream: {0}")]
    Client(async_nats::Error),
    #[error("JetStream does not answer")]
    NoAnswer,
    #[error(transparent)]
    Denied(#[from] Denied),
}

impl From<StreamError> for PullError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Denied(denied) => Self::Denied(denied),
            other => Self::Client(other.into()),
        }
    }
}

impl PullError {
    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
    }
}

/// A message that was delivered and waits to be acknowledged.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// How often the server has delivered it, from 1.
    pub(crate) deliveries: u32,
    /// When it came.
    pub(crate) came_at: Instant,
    /// Where it is acknowledged.
    pub(crate) reply: Reply,
}

/// The subject that a delivery is acknowledged at.
#[derive(Clone)]
pub(crate) struct Reply(Option<Subject>);

/// What the server is told about a delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disposition {
    /// It is settled.
    Ack,
    /// Deliver it again after a delay.
    Nak(Duration),
    /// It is in the DLQ: do not deliver it again.
    Term,
    /// It is being worked on: do not deliver it to others yet.
    Progress,
}

impl From<Disposition> for AckKind {
    fn from(disposition: Disposition) -> Self {
        match disposition {
            Disposition::Ack => Self::Ack,
            Disposition::Nak(delay) => Self::Nak(Some(delay)),
            Disposition::Term => Self::Term,
            Disposition::Progress => Self::Progress,
        }
    }
}

impl From<jetstream::Message> for Delivery {
    fn from(delivered: jetstream::Message) -> Self {
        let info = delivered.info().ok();
        let deliveries = info.as_ref().and_then(|info| u32::try_from(info.delivered).ok()).unwrap_or(1);
        let sequence = info.as_ref().map_or(0, |info| info.stream_sequence);
        let headers = delivered.headers.as_ref().map(plain).unwrap_or_default();
        let delivered = delivered.message;
        let message = Message::read(delivered.subject.to_string(), headers, delivered.payload.to_vec(), sequence);
        Self { message, deliveries, came_at: Instant::now(), reply: Reply(delivered.reply) }
    }
}

impl Transport {
    /// Tells the server about deliveries. If a word is lost, the message comes again and is known as a duplicate.
    pub(crate) async fn tell(&self, replies: &[&Reply], disposition: Disposition) {
        let tell_all = async {
            for reply in replies {
                if let Err(error) = self.tell_one(reply, disposition.into()).await {
                    tracing::debug!(error, "an acknowledgement was not sent");
                }
            }
        };
        tokio::select! {
            () = tell_all => {}
            // The client would keep it, and then its caller waiting, until NATS is back.
            () = self.until_down() => tracing::debug!("NATS is away, and acknowledgements were not sent"),
        }
    }

    /// Sends the word; where NATS denied the last one, it waits for the answer, to see whether that is over.
    async fn tell_one(&self, reply: &Reply, kind: AckKind) -> Result<(), String> {
        let subject = reply.0.clone().ok_or("the message did not come from a stream")?;
        let Some(denied) = self.denials.of_acknowledgement(&subject) else {
            return self.context.client().publish(subject, kind.into()).await.map_err(|error| error.to_string());
        };
        let acker = jetstream::message::Acker::new(self.context.clone(), Some(subject));
        let told = self.unless(|permission| *permission == denied, acker.double_ack_with(kind)).await;
        told.map_err(|denied| denied.to_string())?.map_err(|error| error.to_string())?;
        self.denials.works(&denied);
        Ok(())
    }
}

impl Transport {
    /// Up to `limit` messages: those that are there, or else the next one to come.
    pub(crate) async fn pull(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        self.unless_denied(&pull_subject(attached), self.pull_what_comes(attached, limit)).await?
    }

    /// Up to `limit` messages that are there; it does not wait for any.
    pub(crate) async fn pull_what_is_there(
        &self,
        attached: &Attached,
        limit: usize,
    ) -> Result<Vec<Delivery>, PullError> {
        self.unless_denied(&pull_subject(attached), self.fetch(attached, limit)).await?
    }

    async fn pull_what_comes(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        let mut deliveries = self.fetch(attached, limit).await?;
        if deliveries.is_empty() {
            let next = attached.consumer.batch().max_messages(1).expires(LONG_POLL).messages().await;
            let next = next.map_err(|error| PullError::Client(error.into()))?;
            deliveries = self.collect(next, LONG_POLL + LATE).await?;
            // One seldom comes alone. What is in hand counts, whatever becomes of the others.
            if !deliveries.is_empty() && limit > 1 {
                deliveries.extend(self.fetch(attached, limit - 1).await.unwrap_or_default());
            }
        }
        Ok(deliveries)
    }

    async fn fetch(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        let there = attached.consumer.fetch().max_messages(limit).max_bytes(MAX_BATCH_BYTES).messages().await;
        let there = there.map_err(|error| PullError::Client(error.into()))?;
        self.collect(there, ANSWER_TIMEOUT).await
    }

    /// What comes, up to the server's word that this is all, or a silence of `longest`: a slow link takes its time.
    async fn collect(
        &self,
        mut messages: impl Stream<Item = Result<jetstream::Message, async_nats::Error>> + Unpin,
        longest: Duration,
    ) -> Result<Vec<Delivery>, PullError> {
        let mut deliveries = Vec::new();
        loop {
            match tokio::time::timeout(longest, messages.next()).await {
                Ok(Some(Ok(message))) => deliveries.push(message.into()),
                Ok(None) => break,
                // What came before the error is in hand all the same.
                _ if !deliveries.is_empty() => break,
                Ok(Some(Err(error))) if has_no_room(&error) => break,
                Ok(Some(Err(error))) => return Err(PullError::Client(error)),
                Err(_) => return Err(PullError::NoAnswer),
            }
        }
        Ok(deliveries)
    }
}

/// Whether the next message is larger than a batch may be: it comes when a single one is asked for, whatever its size.
fn has_no_room(error: &async_nats::Error) -> bool {
    // The client passes on nothing but the server's words.
    error.to_string().contains("Message Size Exceeds MaxBytes")
}

/// Where the next messages of a consumer are asked for.
fn pull_subject(attached: &Attached) -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", attached.stream, attached.consumer.cached_info().name)
}

/// Where a message of a stream is asked for.
fn message_subject(stream: &str) -> String {
    format!("$JS.API.STREAM.MSG.GET.{stream}")
}

/// How far the server has got with this app's consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Nothing up to here is to be delivered any more: it is acknowledged, or given up.
    pub(crate) floor: u64,
    /// Whether it is known that nothing was given up.
    pub(crate) is_acknowledged: bool,
    /// Everything up to here was delivered at least once.
    pub(crate) delivered: u64,
    /// How many deliveries wait for their acknowledgement.
    pub(crate) in_flight: usize,
}

impl Transport {
    /// How far the consumer is.
    pub(crate) async fn progress(&self) -> Result<Progress, PullError> {
        let attached = self.attached().await;
        let subject = consumer_info_subject(&attached.stream, &attached.consumer.cached_info().name);
        let info = self.unless_denied(&subject, attached.consumer.get_info()).await?;
        let info = info.map_err(|error| PullError::Client(error.into()))?;
        if attached.is_unchecked {
            // It may be asked now, so that its settings can be checked too.
            self.detach();
        }
        Ok(Progress {
            floor: info.ack_floor.stream_sequence,
            is_acknowledged: self.has_given_up_nothing(info.num_redelivered as u64),
            delivered: info.delivered.stream_sequence,
            in_flight: info.num_ack_pending,
        })
    }

    /// Whether the server has given up nothing, by how many messages it counts as delivered again: it counts what it gave up
    /// among them for ever. Since 2.14.3, as was tried: before that it forgot them when it was restarted.
    pub(crate) fn has_given_up_nothing(&self, redelivered: u64) -> bool {
        redelivered == 0 && self.context.client().is_server_compatible(2, 14, 3)
    }

    /// The first message for this app at or after a sequence of the stream.
    pub(crate) async fn message_from(&self, sequence: u64) -> Result<Option<Message>, PullError> {
        let stream = self.attached().await.stream;
        let subject = subject::sync(&self.config.destination_app, &self.config.app_name);
        Ok(self.stored_from(&stream, &subject, sequence).await?.map(StoredMessage::into_message))
    }

    /// Whether NATS denied looking for a message the last time.
    pub(crate) fn may_not_look(&self) -> bool {
        self.denials.stands(&Permission::Publish(message_subject(&self.stream_name())))
    }

    /// The sequences of messages that the server stops delivering, as it says so. The advisories are not stored.
    pub(crate) async fn spent(&self) -> Result<impl Stream<Item = Result<u64, PullError>> + use<>, PullError> {
        #[derive(Deserialize)]
        struct Advisory {
            stream_seq: u64,
        }
        let attached = self.attached().await;
        let subject = format!(
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{}.{}",
            attached.stream,
            attached.consumer.cached_info().name
        );
        let permission = Permission::Subscribe(subject.clone());
        let denied = self.subscription_denied(permission);
        let advisories = self.context.client().subscribe(subject).await;
        let advisories = advisories.map_err(|error| PullError::Client(error.into()))?;
        let sequences = advisories.filter_map(|advisory| async move {
            serde_json::from_slice::<Advisory>(&advisory.payload).ok().map(|advisory| Ok(advisory.stream_seq))
        });
        Ok(stream::select(sequences, stream::once(denied.map(|denied| Err(denied.into())))))
    }

    /// The denial of a subscription that is about to be made. Nobody answers to one that is allowed.
    fn subscription_denied(&self, permission: Permission) -> impl Future<Output = Denied> + use<> {
        let denials = Arc::clone(&self.denials);
        let wanted = permission.clone();
        let mut denied = Box::pin(self.denials.next(move |denied| *denied == wanted));
        async move {
            if let Ok(denied) = tokio::time::timeout(ANSWER_TIMEOUT, &mut denied).await {
                return denied;
            }
            denials.works(&permission);
            denied.await
        }
    }
}
