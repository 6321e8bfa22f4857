//! What is waited for of an application.

use sea_orm::EntityTrait;

use super::App;
use crate::entities::organization;
use crate::inbox::InboxRow;
use crate::{effects, eventually, inbox, until};

impl App {
    /// Waits until this organization is here as it is there.
    pub async fn has(&self, row: &organization::Model) {
        let what = format!("{} has the organization {}", self.config.app_name, row.domain);
        eventually(&what, || async {
            let found = organization::Entity::find_by_id(row.id).one(&self.db).await;
            if found.as_ref() == Ok(&Some(row.clone())) { Ok(Some(())) } else { Err(found) }
        })
        .await;
    }

    /// Waits until the bridge has its stream and its durable.
    pub async fn attached(&self) {
        let what = format!("{} is attached", self.config.app_name);
        until(&what, async || self.status().await.jetstream_connected).await;
    }

    /// Waits until the bridge knows that it lacks them.
    pub async fn detached(&self) {
        let what = format!("{} is detached", self.config.app_name);
        until(&what, async || !self.status().await.jetstream_connected).await;
    }

    /// Waits until `events` rows of `table` have this status.
    pub async fn has_events(&self, table: &'static str, status: &str, events: i64) {
        let what = format!("{events} of {table} are {status}");
        until(&what, async || self.count(table, status).await == events).await;
    }

    /// Waits until `events` events are sent.
    pub async fn has_sent(&self, events: i64) {
        self.has_events("outbox_events", "sent", events).await;
    }

    /// Waits until an event that came in has this status.
    pub async fn event_is(&self, event_id: &str, status: &str) -> InboxRow {
        let what = format!("the event {event_id} is {status}");
        eventually(&what, || inbox::with_status(&self.db, event_id, status)).await
    }

    /// Waits until a probe's handler has left its one effect.
    pub async fn has_effect(&self, probe: &str) {
        let what = format!("the probe {probe} has left an effect");
        until(&what, async || effects::count(&self.db, probe).await == Ok(1)).await;
    }

    /// Waits until `events` events that came in are settled, and none waits.
    pub async fn has_settled(&self, events: u64) {
        until("all events are settled", async || {
            let status = self.status().await;
            let settled = status.processed_events + status.dead_events;
            let waiting = status.parked_events + status.failed_events;
            settled >= events && waiting == 0
        })
        .await;
    }
}
