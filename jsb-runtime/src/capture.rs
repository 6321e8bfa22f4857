//! How an event leaves with its transaction: through the outbox, or, where the bridge was started without one, to that bridge
//! right after the commit.

use std::sync::{Arc, Mutex, MutexGuard};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionSession};

use crate::event::NewEvent;
use crate::locked::locked;
use crate::settings::{self, SaveSettings};
use crate::{dialect, direct, outbox};

tokio::task_local! {
    static OWN: Arc<Captured>;
}

/// What the saves of one transaction are to publish without the outbox, by the bridge of its database.
#[derive(Default)]
struct Captured {
    /// The database, where any bridge of this process is without an outbox.
    database_id: Option<String>,
    direct: Mutex<Direct>,
}

/// Events that are published right after commit.
#[derive(Default)]
struct Direct {
    is_chosen: bool,
    events: Vec<NewEvent>,
}

impl Captured {
    fn direct(&self) -> MutexGuard<'_, Direct> {
        locked(&self.direct)
    }

    /// Has the saves of a database leave past the outbox, if this transaction is on it.
    fn choose(&self, database_id: &str) -> bool {
        let is_own = self.database_id.as_deref() == Some(database_id);
        self.direct().is_chosen |= is_own;
        is_own
    }
}

/// A transaction that JSB itself began, and so sees commit.
pub(crate) struct OwnTransaction<T = DatabaseTransaction> {
    pub(crate) txn: T,
    captured: Arc<Captured>,
}

impl OwnTransaction {
    pub(crate) async fn begin(db: &DatabaseConnection) -> Result<Self, DbErr> {
        Self::of(dialect::begin(db).await?).await
    }
}

impl<T: ConnectionTrait + TransactionSession> OwnTransaction<T> {
    pub(crate) async fn of(txn: T) -> Result<Self, DbErr> {
        let database_id = if direct::is_any_running() { settings::database_id(&txn).await? } else { None };
        let captured = Captured { database_id, ..Captured::default() };
        Ok(Self { txn, captured: Arc::new(captured) })
    }

    /// Does work inside of it, whose saves may publish without the outbox.
    pub(crate) async fn run<R>(&self, work: impl Future<Output = R>) -> R {
        OWN.scope(Arc::clone(&self.captured), work).await
    }

    /// Ends it by what came of the work. After a commit the relay is woken, and events that do not go through the outbox are
    /// handed to the bridge of their database.
    pub(crate) async fn end<R, E: From<DbErr>>(self, outcome: Result<R, E>) -> Result<R, E> {
        let done = dialect::end(self.txn, outcome).await?;
        outbox::hint();
        if let Some(database_id) = &self.captured.database_id {
            direct::hand_over(database_id, std::mem::take(&mut self.captured.direct().events));
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
    if !direct::is_running(database_id) {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off and no bridge for this database runs in this process: start one before you save"
                .to_owned(),
        ));
    }
    let in_own_transaction = OWN.try_with(|own| own.choose(database_id)).unwrap_or(false);
    if !in_own_transaction {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off, so events are published right after commit, and nobody tells JSB when a transaction of yours \
             commits: save on the connection itself, and not by a model of the dense format, which begins a transaction; turn the outbox on, or \
             save within `skip_publish`"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Where an event is kept until the commit; `None` where it goes through the outbox, as that of another database does.
async fn kept_in<C: ConnectionTrait>(db: &C) -> Result<Option<Arc<Captured>>, DbErr> {
    let own = OWN.try_with(Arc::clone).ok().filter(|own| own.direct().is_chosen);
    let Some(own) = own else { return Ok(None) };
    let is_of_it = settings::database_id(db).await? == own.database_id;
    Ok(is_of_it.then_some(own))
}

/// Sends an event on its way: through the outbox, or for the moment after the commit.
pub(crate) async fn record<C: ConnectionTrait>(db: &C, event: NewEvent) -> Result<(), DbErr> {
    event.check().map_err(|error| DbErr::Custom(format!("this could not be applied on the other side: {error}")))?;
    match kept_in(db).await? {
        Some(own) => own.direct().events.push(event),
        None => outbox::record(db, &event).await?,
    }
    Ok(())
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
    let settings = settings::for_save(db, false, None).await?;
    choose_way(&settings)?;
    record(db, event).await
}
