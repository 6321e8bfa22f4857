//! One attempt on one event: the inbox row, the upsert and the handlers, in one transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::{FutureExt, TryFutureExt};
use sea_orm::{DatabaseConnection, DatabaseTransaction};

use crate::capture::OwnTransaction;
use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::handler::{HandlerContext, Incoming};
use crate::inbox::{self, Claim};
use crate::message::Message;
use crate::outcome::Settled;
use crate::registry::{self, HandlerRegistration, Registry};
use crate::trace::Trace;
use crate::upsert::{self, Applier, ApplyError, Effect};
use crate::{settings, trace};

/// What a handler is told that took no notice of the end of its transaction.
const WENT_ON: &str = "it went on after the transaction had ended, by an error of the database or with a nested one that was \
                       cancelled while it began: what may fail needs a transaction of its own within, `ctx.db().begin()`, \
                       which must not be cancelled";

/// An event and what is needed to try it.
pub(crate) struct Attempt<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) applier: Applier<'a>,
    pub(crate) message: &'a Message,
    pub(crate) event: &'a Envelope,
    /// Whether the inbox keeps it.
    pub(crate) in_inbox: bool,
    /// Which attempt this is, from 1.
    pub(crate) number: u32,
    /// Whether it waits for locks for as long as that takes: a transaction of the application's is nothing to hold against an event.
    pub(crate) takes_time: bool,
}

/// What an attempt has written, before the handlers run.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    claim: Claim,
    pub(crate) effect: Effect,
}

impl Attempt<'_> {
    /// Tries the event; everything it writes commits, or nothing does.
    pub(crate) async fn run(&self, db: &DatabaseConnection) -> Result<Settled, ApplyError> {
        let own = OwnTransaction::begin(db).await?;
        let run = async {
            if self.takes_time {
                dialect::take_time(&own.txn).await?;
            }
            self.run_in(&own.txn).await
        };
        let settled = own.run(run).await;
        own.end(settled).await
    }

    async fn run_in(&self, txn: &DatabaseTransaction) -> Result<Settled, ApplyError> {
        let Some(written) = self.write_in(txn).await? else { return Ok(Settled::Duplicate) };
        self.finish_in(txn, written).await?;
        Ok(written.effect.into())
    }

    /// Takes the event for this transaction and writes its own row; `None` if the event is settled already.
    pub(crate) async fn write_in(&self, txn: &DatabaseTransaction) -> Result<Option<Written>, ApplyError> {
        let claim = match self.in_inbox {
            true => inbox::claim(txn, self.message).await?,
            false => Claim::New,
        };
        if claim == Claim::Settled {
            return Ok(None);
        }
        let entity = self.registry.entity(&self.event.resource_type).filter(|_| self.event.is_of_row());
        let effect = match entity {
            Some(entity) => upsert::apply(txn, entity.schema(), self.event, self.applier).await?,
            None if self.handlers().is_empty() => return Err(unknown(self.event)),
            None => Effect::Applied,
        };
        Ok(Some(Written { claim, effect }))
    }

    fn handlers(&self) -> &[&'static HandlerRegistration] {
        self.registry.handlers(&self.event.resource_type, &self.event.event_type)
    }

    /// Runs the handlers, once what is written is there, and marks the event as processed.
    pub(crate) async fn finish_in(&self, txn: &DatabaseTransaction, written: Written) -> Result<(), ApplyError> {
        if !self.handlers().is_empty() {
            dialect::allow_idling(txn).await?;
            let trace = self.message.trace();
            run_all(self.handlers(), self.event, written.effect, txn, trace, self.number).await?;
        }
        if written.claim == Claim::Open {
            inbox::processed(txn, self.message).await?;
        }
        Ok(())
    }
}

/// Runs handlers one after another on an event whose row was applied with `effect`; `number` counts the attempt.
async fn run_all(
    handlers: &[&HandlerRegistration],
    event: &Envelope,
    effect: Effect,
    txn: &DatabaseTransaction,
    trace: Trace,
    number: u32,
) -> Result<(), ApplyError> {
    let incoming = Incoming { envelope: Arc::new(event.clone()), stale: effect == Effect::Stale };
    for HandlerRegistration { name, run, .. } in handlers {
        let context = HandlerContext::new(txn, number);
        let handled = trace::caused_by(trace, run(&incoming, &context));
        unless_panicked(name, handled.map_err(|error| ApplyError::Handler { name, error })).await?;
        dialect::must_stand(txn).await.map_err(|error| match dialect::fault(&error) {
            Fault::Outage => error.into(),
            _ => ApplyError::Handler { name, error: format!("{WENT_ON} ({error})").into() },
        })?;
    }
    Ok(())
}

/// Applies one `created`, `updated` or `deleted` event within `txn`, by its version, and never publishes: for imports and for
/// consumers of your own. No handler runs; with [`handle_event`] they do. On PostgreSQL `txn` must be at READ COMMITTED: above it, a
/// snapshot may not show that the row was deleted meanwhile.
///
/// On SQLite begin `txn` with `SqliteTransactionMode::Immediate`.
///
/// # Errors
///
/// [`ApplyError`]; the transaction should then be rolled back.
///
/// # Example
///
/// ```
/// # use jsb_runtime::{ApplyError, Envelope};
/// # use sea_orm::DatabaseTransaction;
/// # async fn example(txn: &DatabaseTransaction, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let event = Envelope::read(body, None, "system_b")?;
/// jsb_runtime::sync_from_event(txn, &event).await?;
/// # Ok(())
/// # }
/// ```
pub async fn sync_from_event(txn: &DatabaseTransaction, event: &Envelope) -> Result<Effect, ApplyError> {
    let entity = registry::all().entity(&event.resource_type).filter(|_| event.is_of_row());
    let entity = entity.ok_or_else(|| unknown(event))?;
    let settings = settings::for_save(txn, true, Some(entity.schema().table)).await?;
    settings.must_see_commits()?;
    let applier = Applier { app: &settings.app_name, problems: None };
    upsert::apply(txn, entity.schema(), event, applier).await.map_err(|error| match error {
        ApplyError::Db(error) => ApplyError::Db(dialect::explained(error)),
        other => other,
    })
}

/// Does within `txn` what the consumer does with one event, but for the inbox: applies it as [`sync_from_event`] does, and then
/// runs its custom handlers, if it has any. For tests of them, and for consumers of your own; nobody counts the hops of handlers
/// there that call one another. What they save is published once `txn` commits, and refused with `USE_OUTBOX=false`.
///
/// On SQLite begin `txn` with `SqliteTransactionMode::Immediate`.
///
/// # Errors
///
/// [`ApplyError`], of the first handler that fails too; the transaction should then be rolled back.
///
/// # Example
///
/// ```
/// # use jsb_runtime::Envelope;
/// # use sea_orm::{DatabaseConnection, TransactionTrait};
/// # async fn example(db: &DatabaseConnection, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
/// let event = Envelope::read(body, None, "system_b")?;
/// let txn = db.begin().await?;
/// jsb_runtime::handle_event(&txn, &event).await?;
/// txn.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn handle_event(txn: &DatabaseTransaction, event: &Envelope) -> Result<Effect, ApplyError> {
    let handlers = registry::all().handlers(&event.resource_type, &event.event_type);
    let effect = match sync_from_event(txn, event).await {
        Err(ApplyError::Unknown { .. }) if !handlers.is_empty() => Effect::Applied,
        applied => applied?,
    };
    let trace = Trace::received(Some(&event.trace_id), None);
    run_all(handlers, event, effect, txn, trace, 1).await?;
    Ok(effect)
}

fn unknown(event: &Envelope) -> ApplyError {
    ApplyError::Unknown { resource: event.resource_type.clone(), event_type: event.event_type.clone() }
}

/// What comes of the application's own code, called `name`, whose panic is an error like any other of its.
pub(crate) async fn unless_panicked<T>(
    name: &'static str,
    run: impl Future<Output = Result<T, ApplyError>>,
) -> Result<T, ApplyError> {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let error = format!("it panicked: {}", text.unwrap_or("without a message")).into();
        Err(ApplyError::Handler { name, error })
    })
}
