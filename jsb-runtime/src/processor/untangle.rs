//! Rows that exchange unique values: a circle of parked events is found and applied in one transaction.

use chrono::TimeDelta;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};

use super::Processor;
use super::circle::{self, Circle, Link};
use super::obstacle::{self, Obstacle};
use super::origin::Origin;
use super::trial::Trial;
use crate::apply::Written;
use crate::capture::OwnTransaction;
use crate::dialect::{self, answer};
use crate::inbox::{self, Stored};
use crate::message::Message;
use crate::outcome::{Death, Tried, Verdict, verdict};
use crate::row::RowId;
use crate::upsert::{ApplyError, Effect};

/// How the events of a circle came, however long ago.
pub(super) const CIRCLE: Origin = Origin::Stored { age: TimeDelta::zero() };
/// How many events a circle has at the most.
const MOST: usize = 100;

impl Processor {
    /// Applies a circle of events that each wait for a unique value that the next one gives up. One of them may be dead, since a
    /// handler refused it.
    pub(super) async fn untangle(&self, stored: Stored) -> Result<Option<(Message, Death)>, ApplyError> {
        let Some(mut events) = self.circle(stored).await? else { return Ok(None) };
        let mut died = self.apply_circle(&events, false).await;
        // Somebody holds a lock for longer than that, and may do so the next time too.
        if died.as_ref().is_err_and(|error| error.is_timeout() || error.is_handlers()) {
            died = self.apply_circle(&events, true).await;
        }
        Ok(died?.map(|(place, death)| (events.swap_remove(place).message, death)))
    }

    /// Applies these events in one transaction, or none of them; which one is dead, if one is.
    async fn apply_circle(&self, events: &[Stored], takes_time: bool) -> Result<Option<(usize, Death)>, ApplyError> {
        let own = OwnTransaction::begin(&self.db).await?;
        match takes_time {
            true => dialect::take_time(&own.txn).await?,
            false => dialect::give_way(&own.txn).await?,
        }
        let rows: Vec<String> = events.iter().filter_map(|stored| stored.message.row()).collect();
        let mut to_come = Circle::of(rows.iter().cloned());
        let mut all_written = Vec::new();
        for (stored, row) in events.iter().zip(&rows) {
            let written = own.run(self.write_among(&own.txn, &stored.message, &to_come)).await?;
            let applied = written.filter(|written| written.effect == Effect::Applied);
            if !to_come.tried(row, applied.is_some()) {
                // A row was changed here since its event was parked, which the event's own next try will find.
                own.txn.rollback().await?;
                return Ok(None);
            }
            all_written.extend(applied);
        }
        // Until now some of the rows held stand-ins, which no handler is to see.
        for (place, (stored, written)) in events.iter().zip(all_written).enumerate() {
            match own.run(self.finish_among(&own.txn, &stored.message, written)).await {
                Err(error) if error.is_handlers() => {
                    own.txn.rollback().await?;
                    return Ok(self.handler_failed(&stored.message, error).await?.map(|death| (place, death)));
                }
                finished => finished?,
            }
        }
        own.end(Ok::<_, ApplyError>(())).await?;
        tracing::info!(?rows, "rows that exchanged a unique value were applied together");
        Ok(None)
    }

    /// A handler failed within a circle, as it would have if its event had come alone; why that is dead, if it is. Its own trouble
    /// with a database is given back.
    async fn handler_failed(&self, message: &Message, error: ApplyError) -> Result<Option<Death>, ApplyError> {
        let Ok(event) = &message.envelope else { return Ok(None) };
        match verdict(&error, event) {
            Verdict::Bury(reason) => Ok(Some(Death::of(reason, &error))),
            Verdict::Retry => match Trial::of(self, message, CIRCLE).fail(&error).await? {
                Tried::Dead(death) => Ok(Some(death)),
                Tried::Ended(_) => Ok(None),
            },
            _ => Err(error),
        }
    }

    /// The parked events that wait for one another in a circle, beginning with this one.
    async fn circle(&self, first: Stored) -> Result<Option<Vec<Stored>>, DbErr> {
        let Some(start) = first.message.row() else { return Ok(None) };
        let (mut rows, mut events) = (vec![start], vec![first]);
        while events.len() < MOST {
            let waits_for = events.last().and_then(|last| last.waits_for.clone());
            let next = match circle::follow(&rows, waits_for) {
                Link::Closed => return Ok(Some(events)),
                Link::Broken => return Ok(None),
                Link::Next(row) => row,
            };
            let Some(stored) = answer(inbox::in_conflict(&self.db, &next)).await? else { return Ok(None) };
            rows.push(next);
            events.push(stored);
        }
        Ok(None)
    }

    /// Writes one event of a circle; a row of the circle that is in its way steps aside for the moment.
    async fn write_among(
        &self,
        txn: &DatabaseTransaction,
        message: &Message,
        to_come: &Circle<String>,
    ) -> Result<Option<Written>, ApplyError> {
        let Ok(event) = &message.envelope else { return Ok(None) };
        let Some(entity) = self.registry.entity(&event.resource_type) else { return Ok(None) };
        let trial = Trial::of(self, message, CIRCLE);
        let attempt = trial.attempt_on(event, 1);
        // Each row of the circle is in the way once at the most for each unique index, of which a column is enough.
        for _ in 0..to_come.size() * entity.schema().columns.len() {
            let savepoint = txn.begin().await?;
            let error = match attempt.write_in(&savepoint).await {
                Ok(written) => {
                    savepoint.commit().await?;
                    return Ok(written);
                }
                Err(error) => error,
            };
            savepoint.rollback().await?;
            let ApplyError::Db(refused) = &error else { return Err(error) };
            let columns = dialect::unique_columns(txn, refused).await?;
            let holders = obstacle::blocked_by(txn, entity.schema(), event, &Obstacle::Unique(columns.clone())).await?;
            let may_step_aside =
                |holder: &RowId| self.registry.name_of(holder).is_some_and(|name| to_come.may_step_aside(&name));
            let Some(holder) = holders.into_iter().find(may_step_aside) else { return Err(error) };
            if !obstacle::move_aside(txn, entity.schema(), &holder.id, &columns).await? {
                return Err(error);
            }
        }
        attempt.write_in(txn).await
    }

    /// Runs the handlers of one event of a circle, each of whose rows is as its event says.
    async fn finish_among(
        &self,
        txn: &DatabaseTransaction,
        message: &Message,
        written: Written,
    ) -> Result<(), ApplyError> {
        let Ok(event) = &message.envelope else { return Ok(()) };
        Trial::of(self, message, CIRCLE).attempt_on(event, 1).finish_in(txn, written).await
    }
}
