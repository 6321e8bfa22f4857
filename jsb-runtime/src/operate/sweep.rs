//! The sweep by hand: what the server has given up is put into the inbox, where the running consumer takes it up.

use sea_orm::{DatabaseConnection, DbErr};
use serde::Serialize;

use super::{Connection, OperateError};
use crate::inbox::replay;
use crate::jetstream::StreamError;
use crate::message::Message;
use crate::rescue::unswept;
use crate::subject;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Swept {
    /// How many messages were looked at.
    pub looked_at: u64,
    /// How many of them the inbox did not have, or had as failed: they are due there now.
    pub found: u64,
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
    InFlight(u64),
}

impl Connection {
    /// Looks through what was delivered and not acknowledged, and puts into the inbox what was not settled there, due at
    /// once. The place up to which bridges have looked stays as it is. `progress` hears how many sequences are behind and how many there are.
    ///
    /// # Errors
    ///
    /// [`SweepError`].
    pub async fn sweep(
        &self,
        db: &DatabaseConnection,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Swept, SweepError> {
        let app = &self.config.app_name;
        super::check_owner(db, app).await?;
        let incoming = subject::sync(&self.config.destination_app, app);
        let stream = self.transport.find_stream(&incoming).await;
        let consumer = self.transport.consumer(&stream, &subject::durable(app)).await?;
        if !self.config.use_inbox && consumer.ack_pending > 0 {
            return Err(SweepError::InFlight(consumer.ack_pending));
        }
        let (acknowledged, last) = (consumer.acknowledged_sequence, consumer.delivered_sequence);
        // An inbox knows what was settled, so that nobody need trust in how far a bridge has looked.
        let first = if self.config.use_inbox { acknowledged + 1 } else { unswept(db, acknowledged, last).await?.0 };
        let (mut next, mut swept) = (first, Swept::default());
        while next <= last {
            let stored = self.transport.stored_from(&stream, &consumer.filter_subject, next).await?;
            let Some(stored) = stored.filter(|stored| stored.sequence <= last) else { break };
            next = stored.sequence + 1;
            let message = Message::read(stored.subject, stored.headers, stored.body, stored.sequence);
            swept.looked_at += 1;
            swept.found += u64::from(replay::adopt(db, &message).await?);
            progress(next - first, last + 1 - first);
        }
        Ok(swept)
    }
}
