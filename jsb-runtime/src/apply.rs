//! One attempt on one event: the inbox row, the upsert and the handlers, in one transaction.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::{DatabaseConnection, DatabaseTransaction};

use crate::dialect::{self, Fault};
use crate::direct::OwnTransaction;
use crate::event::{Envelope, event_type};
use crate::handler::{HandlerContext, HandlerError, Incoming};
use crate::inbox::{self, Claim};
use crate::message::Message;
use crate::outcome::Settled;
use crate::registry::{self, HandlerRegistration, Registry};
use crate::upsert::{self, ApplyError, Effect};
use crate::{settings, trace};

/// What a handler is told that took no notice of the end of its transaction.
const WENT_ON: &str = "it went on after the transaction had ended, by an error of the database or with a nested one that was \
                       cancelled while it began: what may fail needs a transaction of its own within, `ctx.db().begin()`, \
                       which must not be cancelled";

/// An event and what is needed to try it.
pub(crate) struct Attempt<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) own_app: &'a str,
    pub(crate) message: &'a Message,
    pub(crate) event: &'a Envelope,
    /// Whether the inbox keeps it.
    pub(crate) in_inbox: bool,
    /// Which attempt this is, from 1.
    pub(crate) number: u32,
    /// Whether it waits for locks for as long as that takes: a transaction of the application's is nothing to hold against an event.
    pub(crate) takes_time: bool,
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

    /// The attempt within a transaction of the caller's.
    pub(crate) async fn run_in(&self, txn: &DatabaseTransaction) -> Result<Settled, ApplyError> {
        if !self.in_inbox {
            return self.effect(txn).await;
        }
        let claim = inbox::claim(txn, self.message).await?;
        if claim == Claim::Settled {
            return Ok(Settled::Duplicate);
        }
        let settled = self.effect(txn).await?;
        if claim == Claim::Open {
            inbox::processed(txn, self.message).await?;
        }
        Ok(settled)
    }

    async fn effect(&self, txn: &DatabaseTransaction) -> Result<Settled, ApplyError> {
        let (event, registry) = (self.event, self.registry);
        let entity = registry.entity(&event.resource_type).filter(|_| is_entity_event(event));
        let handlers = registry.handlers(&event.resource_type, &event.event_type);
        if entity.is_none() && handlers.is_empty() {
            let (resource, event_type) = (event.resource_type.clone(), event.event_type.clone());
            return Err(ApplyError::Unknown { resource, event_type });
        }
        let effect = match entity {
            Some(entity) => upsert::apply(txn, entity.schema(), event, self.own_app).await?,
            None => Effect::Applied,
        };
        if handlers.is_empty() {
            return Ok(effect.into());
        }
        dialect::allow_idling(txn).await?;
        let incoming = Incoming { envelope: event.clone(), stale: effect == Effect::Stale };
        for handler in handlers {
            self.handle(handler, &incoming, txn).await?;
        }
        Ok(effect.into())
    }

    async fn handle(
        &self,
        handler: &HandlerRegistration,
        incoming: &Incoming,
        txn: &DatabaseTransaction,
    ) -> Result<(), ApplyError> {
        let context = HandlerContext::new(txn, self.number);
        let run = trace::caused_by(self.message.trace(), (handler.run)(incoming, &context));
        let result = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| Err(panicked(&*panic)));
        result.map_err(|error| ApplyError::Handler { name: handler.name, error })?;
        dialect::must_stand(txn).await.map_err(|error| match dialect::fault(&error) {
            Fault::Outage => error.into(),
            _ => ApplyError::Handler { name: handler.name, error: format!("{WENT_ON} ({error})").into() },
        })
    }
}

/// Applies one `created`, `updated` or `deleted` event within `txn`, by its version, and never publishes: for imports and for
/// consumers of your own. No handler runs.
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
    let own_app = settings::app_name(txn).await?.unwrap_or_default();
    let entity = registry::entity(&event.resource_type).filter(|_| is_entity_event(event));
    let entity = entity.ok_or_else(|| ApplyError::Unknown {
        resource: event.resource_type.clone(),
        event_type: event.event_type.clone(),
    })?;
    upsert::apply(txn, entity.schema(), event, &own_app).await.map_err(|error| match error {
        ApplyError::Db(error) => ApplyError::Db(dialect::explained(error)),
        other => other,
    })
}

pub(crate) fn is_entity_event(event: &Envelope) -> bool {
    matches!(event.event_type.as_str(), event_type::CREATED | event_type::UPDATED | event_type::DELETED)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> HandlerError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a message")).into()
}
