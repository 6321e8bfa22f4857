//! How an event leaves with its transaction: through the outbox, or, where the bridge was started without one, to that bridge
//! right after the commit.

use std::sync::{Arc, Mutex, MutexGuard};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionSession};

use crate::event::NewEvent;
use crate::locked::locked;
use crate::settings::{self, SaveSettings};
use crate::{dialect, direct, outbox};

tokio::task_local! {
    static OWN: Captured;
}

/// Events that are published right after commit, by the bridge of this database.
#[derive(Default)]
struct Direct {
    database_id: Option<String>,
    events: Vec<NewEvent>,
}

/// What the saves of one transaction are to publish without the outbox.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Direct>>);

impl Captured {
    fn direct(&self) -> MutexGuard<'_, Direct> {
        locked(&self.0)
    }
}

/// A transaction that JSB itself began, and so sees commit.
pub(crate) struct OwnTransaction<T = DatabaseTransaction> {
    pub(crate) txn: T,
    captured: Captured,
}

impl OwnTransaction {
    pub(crate) async fn begin(db: &DatabaseConnection) -> Result<Self, DbErr> {
        dialect::begin(db).await.map(Self::of)
    }
}

impl<T: TransactionSession> OwnTransaction<T> {
    pub(crate) fn of(txn: T) -> Self {
        Self { txn, captured: Captured::default() }
    }

    /// Does work inside of it, whose saves may publish without the outbox.
    pub(crate) async fn run<R>(&self, work: impl Future<Output = R>) -> R {
        OWN.scope(self.captured.clone(), work).await
    }

    /// Ends it by what came of the work. After a commit the relay is woken, and events that do not go through the outbox are
    /// handed to the bridge of their database.
    pub(crate) async fn end<R, E: From<DbErr>>(self, outcome: Result<R, E>) -> Result<R, E> {
        let done = dialect::end(self.txn, outcome).await?;
        outbox::hint();
        let Direct { database_id, events } = std::mem::take(&mut *self.captured.direct());
        if let Some(database_id) = database_id {
            direct::hand_over(&database_id, events);
        }
        Ok(done)
    }
}

/// Settles which way the events of this save go: past the outbox, where the bridge of this database was started without one.
pub(crate) fn choose_way(settings: &SaveSettings) -> Result<(), DbErr> {
    if settings.use_outbox {
        return Ok(());
    }
    let database_id = &settings.database_id;
    let in_own_transaction = OWN.try_with(|own| own.direct().database_id = Some(database_id.clone())).is_ok();
    if !in_own_transaction {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off, so events are published right after commit, and nobody tells JSB when a transaction of yours \
             commits: save on the connection itself, and not by a model of the dense format, which begins a transaction; turn the outbox on, or \
             save within `skip_publish`"
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
fn captured(event: NewEvent) -> Option<NewEvent> {
    let is_direct = OWN.try_with(|own| own.direct().database_id.is_some()).unwrap_or(false);
    if !is_direct {
        return Some(event);
    }
    OWN.with(|own| own.direct().events.push(event));
    None
}

/// Sends an event on its way: through the outbox, or for the moment after the commit.
pub(crate) async fn record<C: ConnectionTrait>(db: &C, event: NewEvent) -> Result<(), DbErr> {
    event.check().map_err(|error| DbErr::Custom(format!("this could not be applied on the other side: {error}")))?;
    match captured(event) {
        Some(event) => outbox::record(db, &event).await,
        None => Ok(()),
    }
}

/// Publishes an event that is no entity's. Within a transaction it goes out if that commits. The other side needs a handler
/// for it; else it is dead there (`unknown_event`).
///
/// # Errors
///
/// When the event cannot be recorded, or the outbox is off.
///
/// # Example
///
/// ```
/// # use jsb_runtime::NewEvent;
/// # async fn example(txn: &sea_orm::DatabaseTransaction) -> Result<(), sea_orm::DbErr> {
/// jsb_runtime::publish(txn, NewEvent::new("report", "42", "finished", serde_json::json!({"pages": 7}))).await
/// # }
/// ```
pub async fn publish<C: ConnectionTrait>(db: &C, event: NewEvent) -> Result<(), DbErr> {
    let settings = settings::for_save(db, false, "").await?;
    choose_way(&settings)?;
    record(db, event).await
}
