//! Events that wait in the inbox: tried again when what they wait for was applied, and by a timer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use super::Processor;
use super::origin::Origin;
use super::trial::Trial;
use super::untangle::Untangled;
use crate::causes::chain;
use crate::clock;
use crate::dialect::{answer, unless_lost};
use crate::inbox::{self, Stored};
use crate::message::Message;
use crate::outcome::Outcome;
use crate::problems::Task;

/// How many parked events are read at a time.
const BATCH: u64 = 100;
/// How often the timer looks: while more may be due, while something waits, and while nothing does.
const NEXT_BATCH: Duration = Duration::from_millis(10);
const POLL: Duration = Duration::from_secs(1);
const IDLE_POLL: Duration = Duration::from_secs(10);
/// How long the refusal of a dead letter stands that is not repeated: a letter is tried every few seconds, and another process may
/// have had it taken.
const REFUSAL_STANDS: Duration = Duration::from_secs(60);

impl Processor {
    /// Tries parked events whose time has come, until the bridge stops.
    pub(crate) async fn retry_parked(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let (pause, is_idle) = match self.retry_due().await {
                Ok(true) => (NEXT_BATCH, false),
                Ok(false) if *self.any_open.borrow() => (POLL, false),
                Ok(false) => (IDLE_POLL, true),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "parked events could not be read");
                    (IDLE_POLL, false)
                }
            };
            let mut any_open = self.any_open.subscribe();
            tokio::select! {
                () = self.stop.cancelled() => {}
                _ = any_open.wait_for(|any| *any), if is_idle => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries what is due; whether more may be.
    async fn retry_due(&self) -> Result<bool, DbErr> {
        self.any_open.send_replace(answer(inbox::any_open(&self.db)).await?);
        if !*self.any_open.borrow() {
            // A death whose letter was not taken would wait.
            self.transport.problems.report(Task::Dlq, None);
            return Ok(false);
        }
        self.transport.problems.expire(Task::Dlq, REFUSAL_STANDS);
        let due = answer(inbox::due(&self.db, self.longest_wait(), BATCH)).await?;
        let is_full = due.len() == BATCH as usize;
        for stored in due {
            if self.stop.is_cancelled() {
                break;
            }
            self.retry(stored).await?;
        }
        Ok(is_full)
    }

    /// Tries the events that wait for rows that were just settled, and then those that wait for theirs.
    pub(crate) async fn release(&self, settled: impl IntoIterator<Item = &Message>) -> Result<(), DbErr> {
        if !*self.any_open.borrow() {
            return Ok(());
        }
        let settled: Vec<String> = settled.into_iter().filter_map(Message::row).collect();
        let mut rows = VecDeque::from(answer(inbox::awaited(&self.db, &settled)).await?);
        while let Some(row) = rows.pop_front() {
            for stored in unless_lost(&self.db, 0, inbox::wake(&self.db, &row, BATCH)).await? {
                if self.stop.is_cancelled() {
                    // It is due, and tried at the next start.
                    return Ok(());
                }
                let released = stored.message.row();
                if let Outcome::Settled(_) = self.process(&stored.message, stored.origin()).await {
                    rows.extend(released);
                }
            }
        }
        Ok(())
    }

    async fn retry(&self, stored: Stored) -> Result<(), DbErr> {
        let outcome = self.process(&stored.message, stored.origin()).await;
        match outcome {
            Outcome::Settled(_) => self.release([&stored.message]).await?,
            Outcome::Parked if self.may_close_circle(&stored).await? => {
                match self.untangle(stored).await {
                    Ok(Untangled::Applied(events)) => self.release(&events).await?,
                    Ok(Untangled::Dead(stored, mut death)) => {
                        Trial::of(self, &stored.message, stored.origin()).bury(&mut death).await?;
                    }
                    Ok(Untangled::Left) => {}
                    Err(error) => {
                        // They stay parked, and each says for what.
                        let error = error.described();
                        tracing::warn!(error, "rows that wait for one another could not be applied together");
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Stored {
    fn origin(&self) -> Origin {
        let age = self.waits_since.and_then(|since| (clock::now() - since).to_std().ok());
        Origin::Stored { age: age.unwrap_or_default(), died_before: self.died_before }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, Database};

    use super::*;

    /// A processor in whose inbox an event waits for long.
    async fn processor() -> Processor {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        let waiting = "CREATE TABLE inbox_events AS SELECT 'b' AS source_app, '1' AS event_id, 'parked' AS status, \
                       '' AS payload, strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '1 minute') AS available_at";
        db.execute_unprepared(waiting).await.expect("an inbox");
        Processor::without_nats(db).await
    }

    #[tokio::test]
    async fn a_letter_that_is_refused_no_more_is_no_problem_while_something_else_waits() {
        let processor = processor().await;
        let problems = &processor.transport.problems;
        problems.report(Task::Dlq, Some("it is full".to_owned()));
        for (passed, is_problem) in [(REFUSAL_STANDS / 2, true), (REFUSAL_STANDS, false)] {
            tokio::time::pause();
            tokio::time::advance(passed).await;
            // The database goes by a clock that runs.
            tokio::time::resume();
            assert_eq!(processor.retry_due().await, Ok(false));
            assert_eq!(problems.has(Task::Dlq), is_problem, "after {passed:?} more");
        }
    }
}
