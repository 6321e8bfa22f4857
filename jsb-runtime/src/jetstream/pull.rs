//! Pulling: what is there, at once; acknowledging; and messages that are no longer delivered, by their sequence.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, AckKind};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use super::connection::{Attached, Transport};
use crate::message::Message;

/// How long a request waits at the server for the next message.
const LONG_POLL: Duration = Duration::from_secs(20);
/// How long the server may take to say that there is nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing could be pulled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("pulling from JetStream: {0}")]
    Client(async_nats::Error),
    #[error("JetStream does not answer")]
    NoAnswer,
}

/// A message that was delivered and waits to be acknowledged.
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// How often the server has delivered it, from 1.
    pub(crate) deliveries: u32,
    acker: Acker,
}

/// What a delivery is acknowledged through.
#[derive(Clone)]
pub(crate) struct Acker {
    acker: Arc<jetstream::message::Acker>,
    transport: Transport,
}

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

impl Delivery {
    fn new(delivered: jetstream::Message, transport: &Transport) -> Self {
        let info = delivered.info().ok();
        let deliveries = info.as_ref().and_then(|info| u32::try_from(info.delivered).ok()).unwrap_or(1);
        let sequence = info.as_ref().map_or(0, |info| info.stream_sequence);
        let headers = delivered.headers.as_ref().map(plain).unwrap_or_default();
        let (delivered, acker) = delivered.split();
        let message = Message::read(delivered.subject.to_string(), headers, delivered.payload.to_vec(), sequence);
        Self { message, deliveries, acker: Acker { acker: Arc::new(acker), transport: transport.clone() } }
    }

    pub(crate) fn acker(&self) -> Acker {
        self.acker.clone()
    }

    pub(crate) async fn tell(&self, disposition: Disposition) {
        self.acker.tell(disposition).await;
    }
}

impl Acker {
    /// Tells the server. If the word is lost, the message comes again and is known as a duplicate.
    pub(crate) async fn tell(&self, disposition: Disposition) {
        let kind = match disposition {
            Disposition::Ack => AckKind::Ack,
            Disposition::Nak(delay) => AckKind::Nak(Some(delay)),
            Disposition::Term => AckKind::Term,
            Disposition::Progress => AckKind::Progress,
        };
        let told = tokio::select! {
            told = self.acker.ack_with(kind) => told.map_err(|error| error.to_string()),
            // The client would keep it, and then its caller waiting, until NATS is back.
            () = self.transport.until_down() => Err("NATS is away".to_owned()),
        };
        if let Err(error) = told {
            tracing::debug!(error, "an acknowledgement was not sent");
        }
    }
}

pub(super) fn plain(headers: &HeaderMap) -> BTreeMap<String, String> {
    let first = |values: &Vec<async_nats::HeaderValue>| values.first().map(ToString::to_string).unwrap_or_default();
    headers.iter().map(|(name, values)| (name.to_string(), first(values))).collect()
}

impl Transport {
    /// Up to `limit` messages: those that are there, or else the next one to come.
    pub(crate) async fn pull(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        let mut deliveries = self.fetch(attached, limit).await?;
        if deliveries.is_empty() {
            let next = attached.consumer.batch().max_messages(1).expires(LONG_POLL).messages().await;
            deliveries = self.collect(next.map_err(|error| PullError::Client(error.into()))?).await?;
            // One seldom comes alone.
            if !deliveries.is_empty() && limit > 1 {
                deliveries.extend(self.fetch(attached, limit - 1).await?);
            }
        }
        Ok(deliveries)
    }

    async fn fetch(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        let there = attached.consumer.fetch().max_messages(limit).messages().await;
        let there = there.map_err(|error| PullError::Client(error.into()))?;
        tokio::time::timeout(ANSWER_TIMEOUT, self.collect(there)).await.map_err(|_| PullError::NoAnswer)?
    }

    async fn collect(
        &self,
        mut messages: impl Stream<Item = Result<jetstream::Message, async_nats::Error>> + Unpin,
    ) -> Result<Vec<Delivery>, PullError> {
        let mut deliveries = Vec::new();
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => deliveries.push(Delivery::new(message, self)),
                // What came before the error is in hand all the same.
                Err(_) if !deliveries.is_empty() => break,
                Err(error) => return Err(PullError::Client(error)),
            }
        }
        Ok(deliveries)
    }
}

/// How far the server has got with this app's consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Everything up to here is acknowledged.
    pub(crate) acknowledged: u64,
    /// Everything up to here was delivered at least once.
    pub(crate) delivered: u64,
    /// How many deliveries wait for their acknowledgement.
    pub(crate) in_flight: usize,
}

impl Transport {
    /// How far the consumer is.
    pub(crate) async fn progress(&self) -> Result<Progress, PullError> {
        let attached = self.attached().await;
        let info = attached.consumer.get_info().await.map_err(|error| PullError::Client(error.into()))?;
        Ok(Progress {
            acknowledged: info.ack_floor.stream_sequence,
            delivered: info.delivered.stream_sequence,
            in_flight: info.num_ack_pending,
        })
    }

    /// The first message for this app at or after a sequence of the stream.
    pub(crate) async fn message_from(&self, sequence: u64) -> Result<Option<Message>, PullError> {
        use async_nats::jetstream::stream::RawMessageErrorKind;
        let attached = self.attached().await;
        let stream = self.context.get_stream_no_info(&attached.stream).await;
        let stream = stream.map_err(|error| PullError::Client(error.into()))?;
        let filter = attached.consumer.cached_info().config.filter_subject.clone();
        match stream.get_first_raw_message_by_subject(filter, sequence).await {
            Ok(found) => Ok(Some(Message::read(
                found.subject.to_string(),
                plain(&found.headers),
                found.payload.to_vec(),
                found.sequence,
            ))),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(PullError::Client(error.into())),
        }
    }

    /// The sequences of messages that the server stops delivering, as it says so. The advisories are not stored.
    pub(crate) async fn spent(&self) -> Result<impl Stream<Item = u64> + use<>, PullError> {
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
        let advisories = self.context.client().subscribe(subject).await;
        let advisories = advisories.map_err(|error| PullError::Client(error.into()))?;
        Ok(advisories.filter_map(|advisory| async move {
            serde_json::from_slice::<Advisory>(&advisory.payload).ok().map(|advisory| advisory.stream_seq)
        }))
    }
}
