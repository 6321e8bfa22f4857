//! What a failed event calls for is done here, unless it is dead: it is counted or parked, or its parent row is kept, before anyone is told.

use std::time::Duration;

use sea_orm::{DatabaseTransaction, DbErr};

use super::Processor;
use super::obstacle::{self, Obstacle};
use super::trial::Trial;
use crate::apply::unless_panicked;
use crate::capture::OwnTransaction;
use crate::event::Envelope;
use crate::inbox::{self, Claim, Move};
use crate::outcome::{Death, Outcome, Patience, Settled, Tried, Verdict, patience, verdict};
use crate::reason::Reason;
use crate::upsert::ApplyError;
use crate::{backoff, clock, dialect, row, trace};

impl Trial<'_> {
    /// Counts a failure, and puts the event off or finds it dead. If the database is away in truth, nothing is counted.
    pub(crate) async fn fail(&self, error: &ApplyError) -> Result<Tried, DbErr> {
        let text = error.described();
        let attempts = if self.inbox_keeps() {
            let longest = self.processor.config.longest_backoff();
            match inbox::make(&self.processor.db, self.message, Move::Fail { error: &text, longest }).await? {
                Some(counters) => counters.attempts.unsigned_abs(),
                None => return Ok(Outcome::Settled(Settled::Duplicate).into()),
            }
        } else {
            self.origin.deliveries(self.processor.config.max_deliver)
        };
        tracing::warn!(event_id = self.message.event_id, attempts, error = text, "an event failed");
        let nobody_brings_it = !self.inbox_keeps() && !self.origin.comes_again();
        if attempts >= self.processor.config.max_deliver || nobody_brings_it {
            return Ok(Tried::Dead(Death::of(Reason::MaxAttempts, error)));
        }
        let delay = backoff::listed(&self.processor.config.backoff, attempts);
        if self.is_left_to_server() {
            return Ok(Outcome::Retry(delay).into());
        }
        self.put_into_inbox(Reason::DeliveriesSpent, None, delay, &text).await
    }

    /// What comes of the failure of a handler that is not to be tried again at once.
    pub(super) async fn handler_failed(&self, event: &Envelope, error: &ApplyError) -> Result<Tried, DbErr> {
        match verdict(error, event) {
            Verdict::Bury(reason) => Ok(Tried::Dead(Death::of(reason, error))),
            _ => self.fail(error).await,
        }
    }

    pub(crate) async fn park(&self, event: &Envelope, reason: Reason, error: ApplyError) -> Result<Tried, DbErr> {
        if !self.inbox_keeps() {
            return self.fail(&error).await;
        }
        let age = self.origin.age();
        let text = error.described();
        match self.patience(reason, age) {
            Patience::Keep if !self.child_may_go(age).await? => return self.keep_parent(event).await,
            Patience::Bury if !self.is_young(reason, age).await? => return Ok(Tried::Dead(Death::of(reason, &error))),
            _ => {}
        }
        let waits_for = self.blocked_by(event, reason, &error).await?;
        // The longer it has waited, the longer it can: between a second and a minute.
        let delay = (age / 4).clamp(Duration::from_secs(1), inbox::LONGEST_PARKING);
        let event_id = &self.message.event_id;
        // Said once: it may wait for days, and thousands with it.
        match age.is_zero() {
            true => tracing::info!(event_id, %reason, waits_for, error = text, "an event is parked"),
            false => tracing::debug!(event_id, %reason, waits_for, error = text, "an event is still parked"),
        }
        self.put_into_inbox(reason, waits_for, delay, &text).await
    }

    /// What becomes of it by its age. What it lacks may be in the backlog, or with the other side, which NATS was away for too.
    fn patience(&self, reason: Reason, age: Duration) -> Patience {
        let config = &self.processor.config;
        let Some(attached_for) = self.processor.attached_for() else { return Patience::Wait };
        // While nothing could be consumed, the children's deletes could not come.
        let waits_for_children = reason == Reason::HasChildren && age < config.park_for;
        let counted = match waits_for_children || attached_for < inbox::LONGEST_PARKING {
            true => age.min(attached_for),
            false => age,
        };
        patience(reason, counted, config.keep_parent_after, config.park_for)
    }

    /// Whether a delete that came before this one failed and is tried again: it may be a child's.
    async fn child_may_go(&self, age: Duration) -> Result<bool, DbErr> {
        let Processor { db, config, .. } = self.processor;
        Ok(age < config.park_for && inbox::is_delete_tried_again(db, self.message).await?)
    }

    /// Whether it has not waited for so long by the database's clock: to a process whose own is ahead, everything is old.
    async fn is_young(&self, reason: Reason, age: Duration) -> Result<bool, DbErr> {
        let ahead = clock::now() - dialect::now(&self.processor.db).await?;
        let age = age.saturating_sub(ahead.to_std().unwrap_or_default());
        Ok(self.patience(reason, age) == Patience::Wait)
    }

    /// Whether the server is to bring the event again, and not the inbox.
    pub(super) fn is_left_to_server(&self) -> bool {
        self.origin.comes_again() || !self.inbox_keeps()
    }

    async fn put_into_inbox(
        &self,
        reason: Reason,
        waits_for: Option<String>,
        retry_after: Duration,
        error: &str,
    ) -> Result<Tried, DbErr> {
        inbox::make(&self.processor.db, self.message, Move::Park { reason, waits_for, retry_after, error }).await?;
        self.processor.any_open.send_replace(true);
        Ok(Outcome::Parked.into())
    }

    /// The row that an event waits for. It is a hint: without one the timer looks.
    async fn blocked_by(&self, event: &Envelope, reason: Reason, error: &ApplyError) -> Result<Option<String>, DbErr> {
        match self.look_for_obstacle(event, reason, error).await {
            Err(ApplyError::Db(error)) if dialect::is_passing(&error) => Err(error),
            Err(error) => {
                tracing::warn!(error = error.described(), %reason, "could not find out which row an event waits for");
                Ok(None)
            }
            found => Ok(found.unwrap_or_default()),
        }
    }

    async fn look_for_obstacle(
        &self,
        event: &Envelope,
        reason: Reason,
        error: &ApplyError,
    ) -> Result<Option<String>, ApplyError> {
        let Some(entity) = self.processor.registry.entity(&event.resource_type) else { return Ok(None) };
        let obstacle = match (reason, error) {
            (Reason::ParentMissing, _) => Obstacle::Parent,
            (Reason::UniqueConflict, ApplyError::Db(error)) => {
                Obstacle::Unique(dialect::unique_columns(&self.processor.db, error).await?)
            }
            _ => return Ok(None),
        };
        let mut found = obstacle::blocked_by(&self.processor.db, entity.schema(), event, &obstacle).await?;
        // A row of a longer name is never synced; the timer looks all the same.
        found.retain(|row| !row::is_too_long(&row.id));
        Ok(self.likeliest(found.iter().filter_map(|row| self.processor.registry.name_of(row)).collect()).await?)
    }

    /// Of rows that may be in the way, one that is about to get another value, or else the first.
    async fn likeliest(&self, rows: Vec<String>) -> Result<Option<String>, DbErr> {
        if rows.len() > 1 {
            for row in &rows {
                if inbox::waiting_at(&self.processor.db, row).await?.is_some() {
                    return Ok(Some(row.clone()));
                }
            }
        }
        Ok(rows.into_iter().next())
    }

    /// The children have had their time to go: this side keeps the parent, and says so to the other.
    async fn keep_parent(&self, event: &Envelope) -> Result<Tried, DbErr> {
        match self.keep_parent_in_transaction(event).await {
            Ok(Some(Settled::Duplicate)) => Ok(Outcome::Settled(Settled::Duplicate).into()),
            Ok(Some(kept)) => {
                let (resource, id) = (&event.resource_type, &event.resource_id);
                tracing::warn!(
                    event_id = self.message.event_id,
                    resource,
                    id,
                    "a row that the other side deleted has children here: it is kept and published"
                );
                Ok(Outcome::Settled(kept).into())
            }
            // The row has changed since the delete failed a moment ago, so the delete may succeed now.
            Ok(None) => self.put_into_inbox(Reason::HasChildren, None, Duration::ZERO, "the row has changed").await,
            Err(ApplyError::Db(error)) if dialect::is_passing(&error) => Err(error),
            Err(error) => self.fail(&error).await,
        }
    }

    async fn keep_parent_in_transaction(&self, event: &Envelope) -> Result<Option<Settled>, ApplyError> {
        let own = OwnTransaction::begin(&self.processor.db).await?;
        match own.run(self.keep_parent_in(&own.txn, event)).await {
            // The inbox row that `claim` has just inserted already says processed; roll it back.
            Ok(None) => Ok(own.txn.rollback().await.map(|()| None)?),
            kept => own.end(kept).await,
        }
    }

    async fn keep_parent_in(&self, txn: &DatabaseTransaction, event: &Envelope) -> Result<Option<Settled>, ApplyError> {
        let Some(entity) = self.processor.registry.entity(&event.resource_type) else { return Ok(None) };
        dialect::take_time(txn).await?;
        if inbox::claim(txn, self.message).await? == Claim::Settled {
            return Ok(Some(Settled::Duplicate));
        }
        let keep = trace::caused_by(self.message.trace(), (entity.keep)(txn, entity.schema(), event));
        // The application's hooks run in it.
        let kept = unless_panicked("before_save or after_save", keep).await?;
        if kept {
            inbox::processed(txn, self.message).await?;
        }
        Ok(kept.then_some(Settled::Stale))
    }
}
