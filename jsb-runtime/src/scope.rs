//! What a save knows of the task it runs in: whether it publishes, what caused it, and whether JSB began its transaction.

use std::sync::{Arc, Mutex};

use sea_orm::DbErr;

use crate::direct;
use crate::event::NewEvent;
use crate::trace::Trace;

tokio::task_local! {
    static SKIP: ();
    static CAUSE: Trace;
    static OWN: OwnTransaction;
}

/// Runs `work`; what it saves is not published, keeps the row's version, and leaves no tombstone.
///
/// The scope ends with the future and does not reach into tasks that it spawns.
///
/// # Example
///
/// ```
/// # use sea_orm::{ConnectionTrait, DbErr};
/// # async fn import(db: &impl ConnectionTrait) -> Result<(), DbErr> { Ok(()) }
/// # async fn example(db: &impl ConnectionTrait) -> Result<(), DbErr> {
/// jsb_runtime::skip_publish(import(db)).await
/// # }
/// ```
pub async fn skip_publish<T>(work: impl Future<Output = T>) -> T {
    SKIP.scope((), work).await
}

pub(crate) fn publishing_is_skipped() -> bool {
    SKIP.try_with(|()| ()).is_ok()
}

/// Runs `work` as the consequence of an event, so that what it publishes carries the event's trace and hop count.
pub(crate) async fn caused_by<T>(trace: Trace, work: impl Future<Output = T>) -> T {
    CAUSE.scope(trace, work).await
}

/// The trace of an event that is published now: a hop further than its cause, or the start of a new one.
pub(crate) fn next_trace() -> Trace {
    CAUSE.try_with(Trace::next_hop).unwrap_or_else(|_| Trace::start())
}

/// What a transaction that JSB itself began, and so sees commit, is to publish without the outbox.
#[derive(Clone, Default)]
pub(crate) struct OwnTransaction(Arc<Mutex<Direct>>);

/// Events that are published right after commit, by the bridge of this database.
#[derive(Default)]
pub(crate) struct Direct {
    pub(crate) database_id: Option<String>,
    pub(crate) events: Vec<NewEvent>,
}

impl OwnTransaction {
    fn direct(&self) -> std::sync::MutexGuard<'_, Direct> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> Direct {
        std::mem::take(&mut self.direct())
    }
}

/// Runs `work` inside a transaction that JSB began.
pub(crate) async fn own_transaction<T>(own: OwnTransaction, work: impl Future<Output = T>) -> T {
    OWN.scope(own, work).await
}

/// Sends this save's events past the outbox, since the bridge of this database was started without one.
pub(crate) fn direct_to(database_id: &str) -> Result<(), DbErr> {
    let in_own_transaction = OWN.try_with(|own| own.direct().database_id = Some(database_id.to_owned())).is_ok();
    if !in_own_transaction {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off, so events are published right after commit, and nobody tells JSB when a transaction of yours \
             commits: save on the connection itself, turn the outbox on, or save within `skip_publish`"
                .to_owned(),
        ));
    }
    if !direct::is_running(database_id) {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off and no bridge for this database runs in this process: start one before you save"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Keeps an event for the moment after the commit; gives it back where it goes through the outbox.
pub(crate) fn captured(event: NewEvent) -> Option<NewEvent> {
    let is_direct = OWN.try_with(|own| own.direct().database_id.is_some()).unwrap_or(false);
    if !is_direct {
        return Some(event);
    }
    OWN.with(|own| own.direct().events.push(event));
    None
}
