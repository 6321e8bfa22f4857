//! The other application, as far as this one can tell: what it publishes, straight to the stream, in any order.

use async_nats::HeaderMap;
use async_nats::jetstream::{self, context::Context};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{App, servers};

/// How many messages are on their way at a time.
const IN_FLIGHT: usize = 1_000;

/// Publishes to an application whose bridge has run, so that the stream is there.
pub struct Remote {
    context: Context,
    subject: String,
}

impl Remote {
    /// The application that `app` syncs with.
    pub async fn of(app: &App) -> Self {
        let client = async_nats::connect(servers::nats().await.url()).await.expect("a connection");
        let subject = format!("{}.sync.{}", app.config.destination_app, app.config.app_name);
        Self { context: jetstream::new(client), subject }
    }

    /// An event of its on a row, as it travels.
    pub fn event(resource: &str, event_type: &str, id: impl Serialize, payload: Json) -> Json {
        Self::event_with_id(Uuid::now_v7(), resource, event_type, id, payload)
    }

    /// The same under an id by which it is known again.
    pub fn event_with_id(
        event_id: impl Serialize,
        resource: &str,
        event_type: &str,
        id: impl Serialize,
        payload: Json,
    ) -> Json {
        json!({
            "event_id": event_id, "resource_type": resource, "event_type": event_type, "resource_id": id,
            "payload": payload,
        })
    }

    /// Publishes an event and waits until it is stored. Without a message id, so that the server keeps duplicates.
    pub async fn publish(&self, envelope: &Json) {
        self.publish_with(HeaderMap::new(), envelope).await;
    }

    /// Publishes an event with headers.
    pub async fn publish_with(&self, headers: HeaderMap, envelope: &Json) {
        let body = envelope.to_string().into();
        let sent = self.context.publish_with_headers(self.subject.clone(), headers, body).await;
        sent.expect("a publish").await.expect("an acknowledgement");
    }

    /// Publishes events in this order.
    pub async fn publish_all(&self, envelopes: &[Json]) {
        for chunk in envelopes.chunks(IN_FLIGHT) {
            let mut acks = Vec::with_capacity(chunk.len());
            for envelope in chunk {
                let sent = self.context.publish(self.subject.clone(), envelope.to_string().into()).await;
                acks.push(sent.expect("a publish").into_future());
            }
            try_join_all(acks).await.expect("acknowledgements");
        }
    }
}
