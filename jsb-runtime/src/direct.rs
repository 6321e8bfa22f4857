//! Publishing without the outbox: at most once, by the bridge of the database that was saved to.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::config::Config;
use crate::event::{Envelope, NewEvent, SCHEMA_VERSION};
use crate::jetstream::{Outgoing, PublishError, Transport};
use crate::locked::locked;

/// Beyond this many events that wait for the network, further ones are lost, and said to be: memory must not grow.
const CAPACITY: usize = 1_024;

/// The bridges of this process by the id of their database: a save knows its connection only, and a pair is two bridges.
static BRIDGES: LazyLock<Mutex<HashMap<String, mpsc::Sender<NewEvent>>>> = LazyLock::new(Mutex::default);

fn bridges() -> MutexGuard<'static, HashMap<String, mpsc::Sender<NewEvent>>> {
    locked(&BRIDGES)
}

/// Makes a bridge known; the events come out of the receiver.
pub(crate) fn register(database_id: &str) -> mpsc::Receiver<NewEvent> {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    bridges().insert(database_id.to_owned(), sender);
    receiver
}

/// Whether a bridge for this database takes events.
pub(crate) fn is_running(database_id: &str) -> bool {
    bridges().get(database_id).is_some_and(|sender| !sender.is_closed())
}

/// Whether any bridge of this process does.
pub(crate) fn is_any_running() -> bool {
    bridges().values().any(|sender| !sender.is_closed())
}

/// Gives events of a commit to the bridge of its database.
pub(crate) fn hand_over(database_id: &str, events: Vec<NewEvent>) {
    let sender = bridges().get(database_id).cloned();
    for event in events {
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
