//! Publishing without the outbox: right after commit, at most once, by the bridge of the database that was saved to.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionSession};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::config::Config;
use crate::event::{Envelope, NewEvent, SCHEMA_VERSION};
use crate::jetstream::{Outgoing, PublishError, Transport};
use crate::{dialect, outbox};

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        hand_over(std::mem::take(&mut self.captured.direct()));
        Ok(done)
    }
}

/// Sends this save's events past the outbox, since the bridge of this database was started without one.
pub(crate) fn direct_to(database_id: &str) -> Result<(), DbErr> {
    let in_own_transaction = OWN.try_with(|own| own.direct().database_id = Some(database_id.to_owned())).is_ok();
    if !in_own_transaction {
        return Err(DbErr::Custom(
            "USE_OUTBOX is off, so events are published right after commit, and nobody tells JSB when a transaction of yours \
             commits: save on the connection itself, and not by a model of the dense format, which begins a transaction; turn the outbox on, or \
             save within `skip_publish`"
                .to_owned(),
        ));
    }
    if !is_running(database_id) {
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

/// Beyond this many events that wait for the network, further ones are lost, and said to be: memory must not grow.
const CAPACITY: usize = 1_024;

/// The bridges of this process by the id of their database: a save knows its connection only, and a pair is two bridges.
static BRIDGES: LazyLock<Mutex<HashMap<String, mpsc::Sender<NewEvent>>>> = LazyLock::new(Mutex::default);

fn bridges() -> MutexGuard<'static, HashMap<String, mpsc::Sender<NewEvent>>> {
    BRIDGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a bridge known; the events come out of the receiver.
pub(crate) fn register(database_id: &str) -> mpsc::Receiver<NewEvent> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    bridges().insert(database_id.to_owned(), sender);
    receiver
}

/// Whether a bridge for this database takes events.
fn is_running(database_id: &str) -> bool {
    bridges().get(database_id).is_some_and(|sender| !sender.is_closed())
}

fn hand_over(direct: Direct) {
    let Some(database_id) = direct.database_id else { return };
    let sender = bridges().get(&database_id).cloned();
    for event in direct.events {
        let (resource, id) = (event.resource_type.clone(), event.resource_id.clone());
        if sender.as_ref().is_none_or(|sender| sender.try_send(event).is_err()) {
            tracing::error!(resource, id, "an event is lost: USE_OUTBOX is off and the bridge cannot take it");
        }
    }
}

/// Publishes what is handed over, until the bridge stops.
pub(crate) async fn run(
    transport: Transport,
    config: Arc<Config>,
    mut events: mpsc::Receiver<NewEvent>,
    stop: CancellationToken,
) {
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            () = stop.cancelled() => return,
        };
        let Some(event) = event else { return };
        let (resource, id) = (event.resource_type.clone(), event.resource_id.clone());
        if let Err(error) = publish_now(&transport, &config, event).await {
            tracing::error!(resource, id, error = chain(&error), "an event is lost: USE_OUTBOX is off");
        }
    }
}

async fn publish_now(transport: &Transport, config: &Config, event: NewEvent) -> Result<(), PublishError> {
    let headers = event.trace.headers();
    let envelope = Envelope {
        event_id: event.event_id,
        schema_version: SCHEMA_VERSION,
        event_type: event.event_type,
        producer: config.app_name.clone(),
        resource_id: event.resource_id,
        occurred_at: event.occurred_at,
        trace_id: event.trace.trace_id(),
        resource_type: event.resource_type,
        payload: event.payload,
    };
    transport.publish(Outgoing::event(config, envelope.event_id.clone(), headers, &envelope)?).await
}
