//! Messages that the server no longer delivers, since crashes and restarts spent their deliveries: found and processed.

mod sweep;

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use futures_util::StreamExt;
use sea_orm::{DatabaseConnection, DbErr};
pub(crate) use sweep::Sweep;
use tokio::time::MissedTickBehavior;

use super::Processor;
use super::origin::Origin;
use crate::causes::chain;
use crate::dialect::answer;
use crate::jetstream::{ConsumerProgress, PullError};
use crate::locked::locked;
use crate::message::Message;
use crate::outcome::{Outcome, Settled};
use crate::problems::Task;
use crate::{inbox, settings};

/// How often the place is stored up to which all is known to be settled.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// How soon the advisories are subscribed to again, and what is in somebody's hands is looked at again.
const RETRY: Duration = Duration::from_secs(1);
/// How soon what NATS denied is tried again.
const RETRY_DENIED: Duration = Duration::from_secs(10);

/// Up to where the server delivers nothing any more, and what is stored of that.
#[derive(Default)]
struct Reached {
    /// As it was seen one look ago.
    floor: Option<u64>,
    stored: u64,
}

/// Why nothing could be consumed for now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConsumeError {
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error(transparent)]
    Db(#[from] DbErr),
}

/// The first and the last sequence that are to be looked at, by how far the server is.
pub(crate) async fn unswept(db: &DatabaseConnection, progress: &ConsumerProgress) -> Result<(u64, u64), DbErr> {
    let &ConsumerProgress { floor, is_acknowledged, delivered, .. } = progress;
    let swept = match settings::swept_seq(db).await? {
        Some(swept) if swept <= delivered => swept,
        found => {
            // The stream was made anew and counts from 1. Or nobody has looked yet, and what the server is done with is none
            // of this database's. Stored at once: soon it will have got further.
            let begin = if found.is_some() { 0 } else { floor };
            settings::set_swept_seq(db, begin).await?;
            begin
        }
    };
    Ok((if is_acknowledged { floor.max(swept) } else { swept } + 1, delivered))
}

/// Somebody who listens to what the server gives up. What it gives up once they listen no more is found by a sweep, also where
/// they have panicked.
struct Listener<'a>(&'a Processor);

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.sweep_again();
    }
}

impl ConsumeError {
    /// The error, if it is JetStream's.
    fn of_pull(&self) -> Option<&PullError> {
        match self {
            Self::Pull(error) => Some(error),
            Self::Db(_) => None,
        }
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.of_pull().is_some_and(PullError::is_denied)
    }
}

impl Processor {
    /// Sweeps if messages may have been given up since the last time. Where NATS does not let it, the status says so, and what the
    /// server delivers is taken all the same.
    pub(crate) async fn sweep_once(&self) -> Result<(), DbErr> {
        let Some(mut up_to) = self.sweep_state().begin() else { return Ok(()) };
        let swept = self.sweep(&mut up_to).await;
        let refused = swept.as_ref().err().and_then(ConsumeError::of_pull).filter(|error| !error.is_denied());
        self.transport.problems.report(Task::Sweep, refused.map(|error| chain(error)));
        let mut state = self.sweep_state();
        match swept {
            Ok(true) => state.end(),
            Ok(false) => state.put_off(RETRY, up_to),
            Err(ConsumeError::Pull(error)) => {
                tracing::warn!(error = chain(&error), "could not look for events whose deliveries are spent");
                state.put_off(if error.is_denied() { RETRY_DENIED } else { RETRY }, up_to);
            }
            Err(ConsumeError::Db(error)) => {
                state.put_off(Duration::ZERO, up_to);
                return Err(error);
            }
        }
        Ok(())
    }

    fn sweep_state(&self) -> MutexGuard<'_, Sweep> {
        locked(&self.sweep)
    }

    /// Says that messages may have been given up unheard.
    pub(crate) fn sweep_again(&self) {
        self.sweep_state().again();
    }

    /// Whether [`sweep_once`](Self::sweep_once) would look.
    pub(crate) fn is_sweep_due(&self) -> bool {
        self.sweep_state().is_due()
    }

    /// Processes what was delivered and not acknowledged, up to where the server is at the first look; what others have settled
    /// meanwhile is a duplicate. The server's floor rises over what was given up once nothing else waits for its
    /// acknowledgement, so the place that was reached is remembered. Says whether everything was looked at.
    async fn sweep(&self, up_to: &mut u64) -> Result<bool, ConsumeError> {
        let Some(progress) = self.unless_stopped(self.transport.progress()).await.transpose()? else {
            return Ok(false);
        };
        let (mut next, delivered) = answer(unswept(&self.db, &progress)).await?;
        let last = delivered.min(*up_to);
        *up_to = last;
        if !self.config.use_inbox && progress.in_flight > 0 {
            // Without an inbox, what another process works on cannot be told from what was given up.
            return Ok(false);
        }
        if self.transport.may_not_look() {
            // There may be nothing to look at, and yet the status is to say whether this app may.
            self.unless_stopped(self.transport.message_from(next)).await.transpose()?;
        }
        while next <= last {
            let found = self.unless_stopped(self.transport.messages_within(next, last)).await.transpose()?;
            let Some(found) = found else { return Ok(false) };
            next = found.last().map_or(last, |message| message.stream_seq) + 1;
            let found = answer(inbox::unsettled(&self.db, &self.config.destination_app, found)).await?;
            if !self.rescue(found).await? {
                return Ok(false);
            }
            answer(settings::raise_swept_seq(&self.db, next - 1)).await?;
        }
        Ok(true)
    }

    /// What comes of waiting for NATS; `None` if the bridge stops first. An event that has begun is not left in the middle.
    async fn unless_stopped<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.stop.run_until_cancelled(waiting).await
    }

    /// Processes messages that were given up; whether each has come to an outcome.
    async fn rescue(&self, messages: Vec<Message>) -> Result<bool, DbErr> {
        let mut all = true;
        for message in self.least_begun_first(messages, |message| message).await {
            if self.stop.is_cancelled() {
                return Ok(false);
            }
            match self.process(&message, Origin::GivenUp).await {
                Outcome::Settled(settled) => {
                    if settled != Settled::Duplicate {
                        tracing::info!(
                            event_id = message.event_id,
                            "an event that the server had given up was processed"
                        );
                    }
                    self.release([&message]).await?;
                }
                Outcome::Parked | Outcome::Dead => {}
                Outcome::Retry(_) | Outcome::Undecided => all = false,
            }
        }
        Ok(all)
    }

    /// Processes messages as the server says that it gives them up, until the bridge stops.
    pub(crate) async fn rescue_spent(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let rescued = {
                let _listener = Listener(&self);
                self.rescue_while_attached().await
            };
            if let Err(error) = rescued {
                tracing::warn!(error = chain(&error), "advisories of spent deliveries could not be read");
                let pause = if error.is_denied() { RETRY_DENIED } else { RETRY };
                self.unless_stopped(tokio::time::sleep(pause)).await;
            }
        }
    }

    async fn rescue_while_attached(&self) -> Result<(), ConsumeError> {
        let Some(attached) = self.unless_stopped(self.transport.attached()).await else { return Ok(()) };
        let Some(spent) = self.unless_stopped(self.transport.spent(&attached)).await.transpose()? else {
            return Ok(());
        };
        let mut spent = Box::pin(spent);
        let (mut look, mut reached) = (tokio::time::interval(CHECKPOINT), Reached::default());
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                () = self.transport.until_detached_from(&attached) => return Ok(()),
                sequence = spent.next() => {
                    let Some(sequence) = sequence.transpose()? else { return Ok(()) };
                    let found = self.unless_stopped(self.transport.message_from(sequence)).await.transpose()?.flatten();
                    let spent = found.filter(|message| message.stream_seq == sequence);
                    if !self.rescue(spent.into_iter().collect()).await? {
                        self.sweep_again();
                    }
                }
                _ = look.tick() => {
                    if let Some(Err(error)) = self.unless_stopped(self.store_place(&mut reached)).await {
                        tracing::debug!(error = chain(&error), "the next start looks from further back");
                    }
                }
            }
        }
    }

    /// Stores the place from which the next start has to look. What the server gave up below a floor that was seen one look
    /// ago has been told by now.
    async fn store_place(&self, reached: &mut Reached) -> Result<(), ConsumeError> {
        let floor = self.transport.progress().await?.floor;
        let before = reached.floor.replace(floor);
        if let Some(known) = before.filter(|known| *self.sweep_state() == Sweep::Done && *known > reached.stored) {
            answer(settings::raise_swept_seq(&self.db, known)).await?;
            reached.stored = known;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_panics_leaves_a_sweep_behind() {
        let db = sea_orm::Database::connect("sqlite::memory:").await.expect("a database");
        let processor = Arc::new(Processor::without_nats(db).await);
        processor.sweep_state().begin();
        processor.sweep_state().end();
        let listening = tokio::spawn(Arc::clone(&processor).rescue_spent());
        tokio::task::yield_now().await;
        assert!(!processor.is_sweep_due(), "it listens, or is about to");
        // A task that is aborted is dropped where it stands, as one that panics is.
        listening.abort();
        assert!(listening.await.expect_err("an abort").is_cancelled());
        assert!(processor.is_sweep_due());
    }
}
