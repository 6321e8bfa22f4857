//! The state of the stream and of its consumers, as far as this user may see it.

use chrono::{DateTime, Utc};

use super::Connection;
use crate::jetstream::{ConsumerState, StreamError, StreamState};
use crate::subject;

/// How many letters are read where they cannot be counted.
const MOST_READ: u64 = 1_000;

impl Connection {
    /// The stream that carries the pair.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when there is none, or this user may not ask.
    pub async fn stream(&self) -> Result<StreamState, StreamError> {
        self.transport.stream(&self.find_stream().await?).await
    }

    /// The consumer of `app`, one of the pair.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when there is none, or this user may not ask.
    pub async fn consumer(&self, app: &str) -> Result<ConsumerState, StreamError> {
        let stream = self.find_stream().await?;
        let mut consumer = self.transport.consumer(&stream, &subject::durable(app)).await?;
        if consumer.lag > 0 {
            let next = consumer.delivered_sequence + 1;
            consumer.oldest_waiting = match self.transport.stored_from(&stream, &consumer.filter_subject, next).await {
                // Where several pairs share the stream, an application's user may not look.
                Err(error) if error.is_denied() => None,
                oldest => oldest?.map(|message| message.stored_at),
            };
        }
        Ok(consumer)
    }

    /// Since when the oldest message is in the stream that `consumer` has not acknowledged, be it delivered or not; none if
    /// none waits. Where the server may have given up messages, what was delivered counts as no older than the newest message.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when there is no stream, or this user may not look at its messages.
    pub async fn oldest_unacknowledged(&self, consumer: &ConsumerState) -> Result<Option<DateTime<Utc>>, StreamError> {
        if consumer.ack_pending + consumer.lag == 0 {
            return Ok(None);
        }
        let (stream, subject) = (self.find_stream().await?, &consumer.filter_subject);
        // The floor stays below what was given up, however long ago, until nothing is in hand any more; without that the next
        // message is the first in hand.
        let is_floor_exact = self.transport.has_given_up_nothing(consumer.max_deliver, consumer.redelivered);
        let oldest = match (consumer.ack_pending, consumer.lag) {
            (1.., _) if is_floor_exact => {
                self.transport.stored_from(&stream, subject, consumer.acknowledged_sequence + 1).await
            }
            // All were delivered, and the oldest in hand is not younger than the newest of all.
            (_, 0) => self.transport.last_stored(&stream, subject).await,
            _ => self.transport.stored_from(&stream, subject, consumer.delivered_sequence + 1).await,
        };
        Ok(oldest?.map(|message| message.stored_at))
    }

    /// How many letters are in the DLQ of `app`, one of the pair; a user that may only read messages counts no further
    /// than 1,000.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when there is no stream, or this user may not ask.
    pub async fn dead_letters(&self, app: &str) -> Result<u64, StreamError> {
        let (stream, subject) = (self.find_stream().await?, subject::dlq(app));
        match self.transport.count(&stream, &subject).await {
            Err(error) if !error.is_not_found() => self.count_by_reading(&stream, &subject).await,
            counted => counted,
        }
    }

    async fn count_by_reading(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        let (mut counted, mut next) = (0, 1);
        while counted < MOST_READ {
            let Some(letter) = self.transport.stored_from(stream, subject, next).await? else { break };
            (counted, next) = (counted + 1, letter.sequence + 1);
        }
        Ok(counted)
    }

    async fn find_stream(&self) -> Result<String, StreamError> {
        let incoming = self.config.incoming();
        self.transport.find_stream(&incoming).await
    }
}
