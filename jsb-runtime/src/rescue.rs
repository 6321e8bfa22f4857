//! Messages that the server no longer delivers, since crashes and restarts spent their deliveries: found and processed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt;
use sea_orm::DbErr;

use crate::causes::chain;
use crate::jetstream::PullError;
use crate::message::Message;
use crate::outcome::Outcome;
use crate::processor::{Origin, Processor};
use crate::{inbox, settings};

/// How many messages are looked through at a time.
const BATCH: usize = 100;
/// How soon the advisories are subscribed to again.
const RETRY: Duration = Duration::from_secs(1);
const RESCUED: Origin = Origin::Stored { age: TimeDelta::zero() };

/// Why the sweep could not look.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SweepError {
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error(transparent)]
    Db(#[from] DbErr),
}

impl Processor {
    /// Sweeps if messages may have been given up since the last time.
    pub(crate) async fn sweep_once(&self) -> Result<(), SweepError> {
        if self.must_sweep.swap(false, Ordering::Relaxed) {
            self.sweep().await.inspect_err(|_| self.must_sweep.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    /// Processes what was delivered and not acknowledged, up to where the server is now; what others have settled
    /// meanwhile is a duplicate. The server's floor may stay below a message that it has given up, so the place that
    /// was reached is remembered.
    async fn sweep(&self) -> Result<(), SweepError> {
        let progress = self.transport.progress().await?;
        if !self.config.use_inbox && progress.in_flight > 0 {
            // Without an inbox, what another process works on would be done twice.
            return Ok(());
        }
        let swept = settings::swept_seq(&self.db).await?;
        // A stream that was made anew counts from 1 again.
        let swept = if swept > progress.delivered { 0 } else { swept };
        let mut next = progress.acknowledged.max(swept) + 1;
        while next <= progress.delivered && !self.stop.is_cancelled() {
            let found = self.unacknowledged(next, progress.delivered).await?;
            next = found.last().map_or(progress.delivered, |message| message.stream_seq) + 1;
            self.process_shyest_first(found).await?;
            settings::set_swept_seq(&self.db, next - 1).await?;
        }
        Ok(())
    }

    async fn unacknowledged(&self, from: u64, to: u64) -> Result<Vec<Message>, PullError> {
        let mut found: Vec<Message> = Vec::new();
        while found.len() < BATCH {
            let next = found.last().map_or(from, |message| message.stream_seq + 1);
            match self.transport.message_from(next).await? {
                Some(message) if message.stream_seq <= to => found.push(message),
                _ => break,
            }
        }
        Ok(found)
    }

    /// One that kills its process comes after those that it took down with it.
    async fn process_shyest_first(&self, messages: Vec<Message>) -> Result<(), DbErr> {
        let mut ordered = Vec::new();
        for message in messages {
            ordered.push((inbox::starts(&self.db, &message).await?, message));
        }
        ordered.sort_by_key(|(starts, _)| *starts);
        for (_, message) in ordered {
            if let Outcome::Settled(_) = self.process(&message, RESCUED).await {
                self.release(&message).await?;
            }
        }
        Ok(())
    }

    /// Processes messages as the server says that it gives them up, until the bridge stops.
    pub(crate) async fn rescue_spent(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                rescued = self.rescue_while_attached() => {
                    // What the server gave up while nobody listened is found by a sweep.
                    self.must_sweep.store(true, Ordering::Relaxed);
                    if let Err(error) = rescued {
                        tracing::warn!(error = chain(&error), "advisories of spent deliveries could not be read");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        }
    }

    async fn rescue_while_attached(&self) -> Result<(), SweepError> {
        let mut spent = Box::pin(self.transport.spent().await?);
        loop {
            tokio::select! {
                () = self.transport.until_detached() => return Ok(()),
                sequence = spent.next() => {
                    let Some(sequence) = sequence else { return Ok(()) };
                    let found = self.transport.message_from(sequence).await?;
                    if let Some(message) = found.filter(|message| message.stream_seq == sequence) {
                        self.process_shyest_first(vec![message]).await?;
                    }
                }
            }
        }
    }
}
