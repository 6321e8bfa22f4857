//! What the connection is attached to, and how long it stays the same.

use std::time::Duration;

use async_nats::jetstream::consumer::{self, Info, PullConsumer};
use tokio::time::Instant;

use super::connection::Transport;
use crate::config::MAX_BATCH_BYTES;

/// The shortest delay of a redelivery: without any, the server would bring it at once.
const SHORTEST_DELAY: Duration = Duration::from_millis(1);

/// How much later the same consumer may seem to have been made: nats-server 2.10.25 and 2.11.0 tell another time once they were
/// restarted, each replica its own, by milliseconds (as was tried; 2.15.1 does not).
const DRIFT: Duration = Duration::from_secs(1);

/// How long a request waits at the server for the next message: not long, since one that is lost, with the server that
/// led the consumer, is missed only then.
const LONG_POLL: Duration = Duration::from_secs(5);

/// The stream and the consumer of this app, once they are known to be there.
#[derive(Clone)]
pub(crate) struct Attached {
    pub(super) consumer: PullConsumer,
    pub(crate) stream: String,
    /// How often the server really delivers a message.
    pub(crate) max_deliver: u32,
    /// How long the server really waits for an acknowledgement: with a back-off list, its shortest entry at some time.
    pub(crate) ack_wait: Duration,
    /// What may be asked for at once, so that the server has an answer.
    pub(crate) most: Most,
    /// Whether the consumer's settings are taken for what is configured, since this app may not ask for them.
    pub(crate) is_unchecked: bool,
    /// Since when, without a gap.
    pub(crate) since: Instant,
}

/// The most that a request may ask for: a server refuses one that goes beyond the consumer's limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// Where the limit of what is unacknowledged is reached, the server lets a request wait.
    pub(crate) messages: usize,
    pub(super) bytes: usize,
    pub(super) wait: Duration,
}

impl Most {
    fn of(config: &consumer::Config) -> Self {
        let limit = |limit: i64| usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Self {
            // As many again may be pulled behind a batch.
            messages: (limit(config.max_ack_pending) / 2).max(1).min(limit(config.max_batch)),
            bytes: limit(config.max_bytes).min(MAX_BATCH_BYTES),
            wait: if config.max_expires.is_zero() { LONG_POLL } else { config.max_expires.min(LONG_POLL) },
        }
    }
}

impl Attached {
    /// Attached from now on to this consumer of a stream.
    pub(super) fn to(consumer: PullConsumer, stream: &str, is_unchecked: bool) -> Self {
        let config = &consumer.cached_info().config;
        let ack_wait = config.backoff.iter().min().copied().unwrap_or(config.ack_wait);
        // The server writes -1 for a consumer without a limit.
        let max_deliver = u32::try_from(config.max_deliver).ok().filter(|limit| *limit > 0).unwrap_or(u32::MAX);
        let (most, stream, since) = (Most::of(config), stream.to_owned(), Instant::now());
        Self { consumer, stream, max_deliver, ack_wait, most, is_unchecked, since }
    }

    /// The consumer's name.
    pub(super) fn durable(&self) -> &str {
        &self.consumer.cached_info().name
    }

    /// The delay to ask for, so that a delivery comes again after `wait`: the server adds by how much the step of the back-off list
    /// that the delivery has reached is longer than the first one, or takes off by how much it is shorter (as was tried, on
    /// 2.10.25 and 2.15.1).
    pub(super) fn delay_for(&self, wait: Duration, deliveries: u32) -> Duration {
        let steps = &self.consumer.cached_info().config.backoff;
        let reached = steps.get(deliveries.saturating_sub(1) as usize).or(steps.last());
        let asked =
            reached.zip(steps.first()).map_or(wait, |(reached, first)| (wait + *first).saturating_sub(*reached));
        asked.max(SHORTEST_DELAY)
    }

    /// Whether this is known to be another consumer, which was made later under the same name, perhaps with its stream.
    pub(super) fn is_replaced_by(&self, found: &Info) -> bool {
        !self.is_unchecked && found.created > self.consumer.cached_info().created + DRIFT
    }
}

impl Transport {
    /// What was found, once it is.
    pub(crate) async fn attached(&self) -> Attached {
        let mut attached = self.attached.subscribe();
        let found = attached.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            // `self` holds the sender, so the channel is open.
            None => std::future::pending().await,
        }
    }

    /// What is found, if it is at this moment.
    pub(crate) fn attached_now(&self) -> Option<Attached> {
        self.attached.borrow().clone()
    }

    /// Whether by now another consumer is attached, so that these deliveries are of a stream that is no more.
    pub(super) fn has_replaced(&self, attached: &Attached) -> bool {
        self.attached.borrow().as_ref().is_some_and(|now| attached.is_replaced_by(now.consumer.cached_info()))
    }

    /// Attaches. Where the same consumer is attached, whose settings somebody has changed, there was no gap.
    pub(super) fn attach(&self, mut found: Attached) {
        self.attached.send_modify(|attached| {
            let same = attached.as_ref().filter(|before| !before.is_replaced_by(found.consumer.cached_info()));
            found.since = same.map_or(found.since, |before| before.since);
            *attached = Some(found);
        });
    }

    /// Says that the stream or the consumer is not there after all.
    pub(crate) fn detach(&self) {
        self.attached.send_if_modified(|attached| attached.take().is_some());
    }

    pub(crate) async fn until_detached(&self) {
        let _ = self.attached.subscribe().wait_for(Option::is_none).await;
    }

    /// Waits until there is a gap after this attachment, even if that is over by the time of the look.
    pub(crate) async fn until_detached_from(&self, attached: &Attached) {
        let is_over = |now: &Option<Attached>| now.as_ref().is_none_or(|now| now.since != attached.since);
        let _ = self.attached.subscribe().wait_for(is_over).await;
    }
}
