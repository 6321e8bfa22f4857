//! Pulling: what is there, at once, or else the next message to come.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{Client, Statistics, StatusCode, Subject};
use futures_util::StreamExt;
use tokio::time::Instant;

use super::attached::Attached;
use super::call::StreamError;
use super::connection::{LONGEST_WAY, REQUEST_TIMEOUT, SLOWEST_LINK, Transport};
use super::delivery::Delivery;
use super::denials::Denied;
use crate::subject::api;

/// How long after a request's wait the server may take to say that none came.
const LATE: Duration = Duration::from_secs(1);

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
    pub(super) fn client(error: impl Into<async_nats::Error>) -> Self {
        Self::Client(error.into())
    }

    pub(crate) fn is_denied(&self) -> bool {
        matches!(self, Self::Denied(_))
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
            // Whatever its size.
            let wait = attached.most.wait;
            let next = BatchConfig { batch: 1, expires: Some(wait), ..BatchConfig::default() };
            deliveries = self.request(attached, next, wait + LATE).await?;
            // What is in hand counts, whatever becomes of the others.
            if deliveries.iter().any(|delivery| delivery.more_waits) && limit > 1 {
                deliveries.extend(self.fetch(attached, limit - 1).await.unwrap_or_default());
            }
        }
        Ok(deliveries)
    }

    async fn fetch(&self, attached: &Attached, limit: usize) -> Result<Vec<Delivery>, PullError> {
        let max_bytes = attached.most.bytes;
        let there = BatchConfig { batch: limit, no_wait: true, max_bytes, ..BatchConfig::default() };
        self.request(attached, there, REQUEST_TIMEOUT).await
    }

    /// What comes, as far as the server says that it has sent something, or up to a silence: a slow link takes its time. Not by
    /// the client's own batches, which end with the server's word: where a stream has replicas, that overtakes the messages
    /// that wait for these.
    async fn request(
        &self,
        attached: &Attached,
        request: BatchConfig,
        longest: Duration,
    ) -> Result<Vec<Delivery>, PullError> {
        let (client, asked) = (self.context.client(), request.batch);
        let inbox = Subject::from(client.new_inbox());
        let mut answers = client.subscribe(inbox.clone()).await.map_err(PullError::client)?;
        attached.consumer.request_batch(request, inbox).await.map_err(PullError::client)?;
        let (mut deliveries, mut sent) = (Vec::new(), None);
        let mut arriving = ArrivingBytes::of(&client);
        while deliveries.len() < sent.unwrap_or(asked) {
            let silence = match (deliveries.is_empty(), sent) {
                // The server waits for the acknowledgement of what is here, and nobody tells it yet that it is in hand.
                (false, _) => REQUEST_TIMEOUT.min(attached.ack_wait / 3),
                (true, Some(_)) => REQUEST_TIMEOUT,
                (true, None) => longest,
            };
            match tokio::time::timeout(silence, answers.next()).await {
                Ok(Some(message)) if message.status.is_none_or(|status| status == StatusCode::OK) => {
                    deliveries.push(jetstream::Message { context: self.context.clone(), message }.into());
                }
                Ok(Some(word)) => match sent_of(asked, &word) {
                    Ok(all) => sent = Some(all),
                    // What came before the error is in hand all the same.
                    Err(_) if !deliveries.is_empty() => break,
                    Err(error) => return Err(error),
                },
                Err(_) if deliveries.is_empty() && arriving.goes_on() => {}
                Err(_) if deliveries.is_empty() && sent.is_none() => {
                    return if is_full(attached).await { Ok(deliveries) } else { Err(PullError::NoAnswer) };
                }
                Ok(None) | Err(_) => break,
            }
        }
        Ok(deliveries)
    }
}

/// Whether a large message is on its way, which nobody sees before it is here, and behind which all others wait.
struct ArrivingBytes {
    statistics: Arc<Statistics>,
    bytes: u64,
    messages: u64,
    until: Instant,
}

impl ArrivingBytes {
    fn of(client: &Client) -> Self {
        let mut arriving = Self {
            statistics: client.statistics(),
            bytes: 0,
            messages: 0,
            until: Instant::now() + REQUEST_TIMEOUT + LONGEST_WAY,
        };
        arriving.look();
        arriving
    }

    /// How many bytes and messages have come since the last look.
    fn look(&mut self) -> (u64, u64) {
        let (bytes, messages) = (self.bytes, self.messages);
        self.bytes = self.statistics.in_bytes.load(Ordering::Relaxed);
        self.messages = self.statistics.in_messages.load(Ordering::Relaxed);
        (self.bytes - bytes, self.messages - messages)
    }

    /// Whether large messages have come since the last look, or a part of one, and the next may be waited for.
    fn goes_on(&mut self) -> bool {
        let (bytes, messages) = self.look();
        bytes / (messages + 1) >= SLOWEST_LINK as u64 && Instant::now() < self.until
    }
}

/// Whether so many deliveries wait for their acknowledgement that the server lets every request wait.
async fn is_full(attached: &Attached) -> bool {
    let info = attached.consumer.get_info().await;
    info.is_ok_and(|info| (1..=info.num_ack_pending as i64).contains(&info.config.max_ack_pending))
}

/// How many messages the server has sent of those that were asked for, by the word with which it ends a request.
fn sent_of(asked: usize, word: &async_nats::Message) -> Result<usize, PullError> {
    let unsent = word.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
    match (unsent.and_then(|unsent| unsent.as_str().parse().ok()), word.status) {
        (Some(unsent), _) => Ok(asked.saturating_sub(unsent)),
        (None, Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT)) => Ok(0),
        (None, status) => {
            let (code, said) = (status.map_or(0, |status| status.as_u16()), word.description.as_deref());
            Err(PullError::Client(format!("{code} {}", said.unwrap_or("without a word")).into()))
        }
    }
}

/// Where the next messages of a consumer are asked for.
fn pull_subject(attached: &Attached) -> String {
    api::subject(&api::next_messages(&attached.stream, attached.durable()))
}
