//! The sweep by hand: what the server has given up is put into the inbox, where the running consumer takes it up.

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;

use super::{Connection, OperateError};
use crate::dialect::{self, Fault};
use crate::inbox::{self, Move};
use crate::jetstream::{ConsumerProgress, ConsumerState, StoredMessage, StreamError};
use crate::message::Message;
use crate::processor::rescue::unswept;
use crate::{clock, preflight, subject};

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct Swept {
    /// How many messages were looked at.
    pub looked_at: u64,
    /// How many of them the inbox did not have, or had as failed: they are due there now.
    pub found: u64,
    /// How many deliveries the consumer had in hand; if any, what came in the last ten minutes was looked at only as far as the
    /// server is done with it.
    pub in_hand: u64,
}

/// Why a sweep did not come to its end. What it had found by then is in the inbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The database is another app's, or cannot be asked.
    #[error(transparent)]
    Operate(#[from] OperateError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbErr),
    /// The stream or its consumer could not be read.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// Without an inbox, what is being worked on cannot be told from what was given up.
    #[error(
        "{0} deliveries are being worked on, and with USE_INBOX=false they cannot be told from what was given up: stop the \
         consumers, or wait until they are idle"
    )]
    InHand(u64),
}

/// The messages that a sweep looks at.
struct Range {
    first: u64,
    last: u64,
    /// Not those that were stored before this time.
    since: DateTime<Utc>,
}

impl Connection {
    /// Looks through what was delivered, and puts into the inbox what is not there or has only failed, due at once. `since`
    /// bounds how far back; at most it is INBOX_RETENTION, beyond which the inbox forgets what it has processed.
    /// `progress` hears how many sequences are behind and how many there are.
    ///
    /// What the consumer has in hand cannot be told from what was given up after it, so while it is at work, of what came
    /// after its oldest delivery only what is in the stream for longer than ten minutes is looked at. Of that, an event that is in
    /// hand all the same is applied once: whoever comes second finds it settled. The place up to which bridges have looked
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// [`SweepError`].
    pub async fn sweep(
        &self,
        db: &DatabaseConnection,
        since: Option<DateTime<Utc>>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Swept, SweepError> {
        let app = &self.config.app_name;
        preflight::check_owner(db, &self.config.app_name).await.map_err(OperateError::Database)?;
        let stream = self.transport.find_stream(&self.config.incoming()).await?;
        let consumer = self.transport.consumer(&stream, &subject::durable(app)).await?;
        let Range { first, last, since } = self.range(db, &stream, &consumer, since).await?;
        let (transport, subject) = (&self.transport, &consumer.filter_subject);
        let first = transport.stored_since(&stream, subject, (first, last), since).await?;
        let mut swept = Swept { in_hand: consumer.ack_pending, ..Swept::default() };
        let mut next = first;
        while next <= last {
            let stored = transport.stored_within(&stream, subject, next, last).await?;
            next = stored.last().map_or(last, |stored| stored.sequence) + 1;
            swept.looked_at += stored.len() as u64;
            swept.found += self.adopt(db, stored.into_iter().map(StoredMessage::into_message).collect()).await?;
            progress(next - first, last + 1 - first);
        }
        Ok(swept)
    }

    async fn range(
        &self,
        db: &DatabaseConnection,
        stream: &str,
        consumer: &ConsumerState,
        since: Option<DateTime<Utc>>,
    ) -> Result<Range, SweepError> {
        let (acknowledged, delivered) = (consumer.acknowledged_sequence, consumer.delivered_sequence);
        let remembered = clock::now() - self.config.inbox_retention;
        let since = since.map_or(remembered, |since| since.max(remembered));
        match (self.config.use_inbox, consumer.ack_pending) {
            (true, 0) => Ok(Range { first: 1, last: delivered, since }),
            (true, _) => {
                // The server's floor stays below what it has given up for as long as anything is in hand.
                let (above, overdue) = ((acknowledged + 1, delivered), clock::now() - inbox::OVERDUE);
                let recent = self.transport.stored_since(stream, &consumer.filter_subject, above, overdue).await?;
                Ok(Range { first: 1, last: delivered.min(recent - 1), since })
            }
            (false, 0) => {
                let is_acknowledged = self.transport.has_given_up_nothing(consumer.max_deliver, consumer.redelivered);
                let progress = ConsumerProgress { floor: acknowledged, is_acknowledged, delivered, in_flight: 0 };
                let (first, last) = unswept(db, &progress).await?;
                Ok(Range { first, last, since })
            }
            (false, in_hand) => Err(SweepError::InHand(in_hand)),
        }
    }

    /// Puts into the inbox what it has not settled or parked; how many.
    async fn adopt(&self, db: &DatabaseConnection, messages: Vec<Message>) -> Result<u64, DbErr> {
        let mut found = 0;
        for message in inbox::unsettled(db, &self.config.destination_app, messages).await? {
            found += u64::from(is_adopted(db, &message).await?);
        }
        Ok(found)
    }
}

/// Puts an event into the inbox, due at once, unless it is settled by now, or a process is in the middle of it. On SQLite a lock
/// does not say so: whoever writes has the only one.
async fn is_adopted(db: &DatabaseConnection, message: &Message) -> Result<bool, DbErr> {
    match inbox::make_giving_way(db, message, Move::Adopt).await {
        Err(error) if dialect::fault(&error) == Fault::Contention && !dialect::is_locked(&error) => Ok(false),
        adopted => Ok(adopted?.is_some()),
    }
}
