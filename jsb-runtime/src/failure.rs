//! What a failed event calls for is done here: counted, parked, kept or buried, each before anyone is told.

use std::time::Duration;

use sea_orm::DbErr;

use crate::causes::chain;
use crate::direct::{self, OwnTransaction};
use crate::dlq::DeadLetter;
use crate::event::Envelope;
use crate::inbox::{self, Claim, Parking};
use crate::message::Message;
use crate::obstacle::{self, Obstacle};
use crate::origin::Origin;
use crate::outcome::{Death, Outcome, Patience, Reason, Settled, Tried, patience};
use crate::processor::Processor;
use crate::upsert::ApplyError;
use crate::{backoff, dialect, row, trace};

/// What takes dead letters, to the status.
pub(crate) const DLQ: &str = "dlq";

/// How soon an event is tried again whose dead letter was not taken.
const DLQ_RETRY: Duration = Duration::from_secs(5);

impl Processor {
    pub(crate) async fn fail(&self, message: &Message, origin: Origin, error: &ApplyError) -> Result<Tried, DbErr> {
        let text = error.described();
        let attempts = if self.inbox_keeps(origin) {
            let longest = self.config.backoff.iter().max().copied().unwrap_or_default();
            match inbox::fail(&self.db, message, &text, longest).await? {
                Some(counters) => counters.attempts.unsigned_abs(),
                None => return Ok(Outcome::Settled(Settled::Duplicate).into()),
            }
        } else {
            origin.deliveries(self.config.max_deliver)
        };
        tracing::warn!(event_id = message.event_id, attempts, error = text, "an event failed");
        let nobody_brings_it = !self.inbox_keeps(origin) && !origin.comes_again();
        if attempts >= self.config.max_deliver || nobody_brings_it {
            return Ok(Tried::Dead(Death::of(Reason::MaxAttempts, error)));
        }
        let delay = backoff::listed(&self.config.backoff, attempts);
        if self.is_left_to_server(origin) {
            return Ok(Outcome::Retry(delay).into());
        }
        self.keep_in_inbox(message, Reason::DeliveriesSpent, None, delay, &text).await
    }

    pub(crate) async fn park(
        &self,
        message: &Message,
        event: &Envelope,
        origin: Origin,
        reason: Reason,
        error: ApplyError,
    ) -> Result<Tried, DbErr> {
        if !self.inbox_keeps(origin) {
            return self.fail(message, origin, &error).await;
        }
        let age = origin.age().to_std().unwrap_or_default();
        let text = error.described();
        match patience(reason, age, self.config.keep_parent_after, self.config.park_for) {
            Patience::Keep => return self.keep_parent(message, event, origin).await,
            Patience::Bury => return Ok(Tried::Dead(Death::of(reason, &error))),
            Patience::Wait => {}
        }
        let waits_for = self.blocked_by(event, reason, &error).await?;
        // The longer it has waited, the longer it can: between a second and a minute.
        let delay = (age / 4).clamp(Duration::from_secs(1), inbox::LONGEST_PARKING);
        tracing::info!(event_id = message.event_id, %reason, waits_for, error = text, "an event is parked");
        self.keep_in_inbox(message, reason, waits_for, delay, &text).await
    }

    /// Whether the server is to bring the event again, and not the inbox.
    fn is_left_to_server(&self, origin: Origin) -> bool {
        origin.comes_again() || !self.inbox_keeps(origin)
    }

    async fn keep_in_inbox(
        &self,
        message: &Message,
        reason: Reason,
        waits_for: Option<String>,
        retry_after: Duration,
        error: &str,
    ) -> Result<Tried, DbErr> {
        inbox::park(&self.db, message, Parking { reason, waits_for, retry_after, error }).await?;
        self.parked.send_replace(true);
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
        let Some(entity) = self.registry.entity(&event.resource_type) else { return Ok(None) };
        let obstacle = match (reason, error) {
            (Reason::ParentMissing, _) => Obstacle::Parent,
            (Reason::UniqueConflict, ApplyError::Db(error)) => {
                Obstacle::Unique(dialect::unique_columns(&self.db, error).await?)
            }
            _ => return Ok(None),
        };
        let mut found = obstacle::blocked_by(&self.db, entity.schema(), event, &obstacle).await?;
        // A row of a longer name is never synced; the timer looks all the same.
        found.retain(|row| !row::is_too_long(&row.id));
        Ok(self.likeliest(found.iter().filter_map(|row| self.registry.name_of(row)).collect()).await?)
    }

    /// Of rows that may be in the way, one that is about to get another value, or else the first.
    async fn likeliest(&self, rows: Vec<String>) -> Result<Option<String>, DbErr> {
        if rows.len() > 1 {
            for row in &rows {
                if inbox::in_conflict(&self.db, row).await?.is_some() {
                    return Ok(Some(row.clone()));
                }
            }
        }
        Ok(rows.into_iter().next())
    }

    /// The children have had their time to go: this side keeps the parent, and says so to the other.
    async fn keep_parent(&self, message: &Message, event: &Envelope, origin: Origin) -> Result<Tried, DbErr> {
        match self.keep_in_transaction(message, event).await {
            Ok(Some(Settled::Duplicate)) => Ok(Outcome::Settled(Settled::Duplicate).into()),
            Ok(Some(kept)) => {
                let (resource, id) = (&event.resource_type, &event.resource_id);
                tracing::warn!(
                    resource,
                    id,
                    "a row that the other side deleted has children here: it is kept and published"
                );
                Ok(Outcome::Settled(kept).into())
            }
            // The row has changed since the delete failed a moment ago, so the delete may succeed now.
            Ok(None) => {
                self.keep_in_inbox(message, Reason::HasChildren, None, Duration::ZERO, "the row has changed").await
            }
            Err(ApplyError::Db(error)) if dialect::is_passing(&error) => Err(error),
            Err(error) => self.fail(message, origin, &error).await,
        }
    }

    async fn keep_in_transaction(&self, message: &Message, event: &Envelope) -> Result<Option<Settled>, ApplyError> {
        let Some(entity) = self.registry.entity(&event.resource_type) else { return Ok(None) };
        let (txn, own) = (dialect::begin(&self.db).await?, OwnTransaction::default());
        dialect::take_time(&txn).await?;
        if inbox::claim(&txn, message).await? == Claim::Settled {
            return Ok(Some(Settled::Duplicate));
        }
        // An error drops the transaction, which rolls it back.
        let keep = trace::caused_by(message.trace(), (entity.keep)(&txn, entity.schema(), event));
        let kept = direct::own_transaction(own.clone(), keep).await?;
        if kept {
            inbox::processed(&txn, message).await?;
        }
        txn.commit().await?;
        direct::committed(own);
        Ok(kept.then_some(Settled::Stale))
    }

    /// Tells the DLQ of a death, once, and then records it. The letter may be on its way for as long as the link takes, with no
    /// transaction open.
    pub(crate) async fn bury(
        &self,
        message: &Message,
        origin: Origin,
        death: &mut Death,
        outages: u32,
    ) -> Result<Outcome, DbErr> {
        death.is_told = death.is_told || !self.config.use_dlq || self.is_letter_taken(message, origin, death).await;
        let death = &*death;
        let record = async {
            match death.is_told {
                true => self.record_death(message, origin, death).await,
                false => self.postpone_death(message, origin, death).await,
            }
        };
        dialect::unless_lost(&self.db, outages, record).await
    }

    async fn is_letter_taken(&self, message: &Message, origin: Origin, death: &Death) -> bool {
        let (stream, deliveries) = (self.transport.stream_name(), origin.deliveries(self.config.max_deliver));
        let letter = DeadLetter { message, death, deliveries, stream: &stream };
        let taken = letter.publish(&self.transport, &self.config).await;
        if let Err(refused) = &taken {
            tracing::error!(event_id = message.event_id, error = chain(refused), "a dead letter was not taken");
        }
        let problem = taken.as_ref().err().filter(|refused| !refused.stands_elsewhere()).map(|refused| chain(refused));
        self.transport.report(DLQ, problem);
        taken.is_ok()
    }

    async fn record_death(&self, message: &Message, origin: Origin, death: &Death) -> Result<Outcome, DbErr> {
        let Death { reason, error, .. } = death;
        if self.inbox_keeps(origin) {
            inbox::bury(&self.db, message, *reason, error).await?;
        }
        tracing::error!(event_id = message.event_id, subject = message.subject, %reason, error, "an event is dead");
        Ok(Outcome::Dead)
    }

    async fn postpone_death(&self, message: &Message, origin: Origin, death: &Death) -> Result<Outcome, DbErr> {
        let reason = death.reason;
        if self.is_left_to_server(origin) {
            if self.inbox_keeps(origin) && !reason.is_counted() {
                inbox::had_outcome(&self.db, message).await?;
            }
            return Ok(Outcome::Retry(DLQ_RETRY));
        }
        let parking = Parking { reason, waits_for: None, retry_after: DLQ_RETRY, error: &death.error };
        inbox::postpone(&self.db, message, parking).await?;
        self.parked.send_replace(true);
        Ok(Outcome::Parked)
    }
}
