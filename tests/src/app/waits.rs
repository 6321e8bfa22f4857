//! What is waited for of an application.

use sea_orm::{DbErr, EntityTrait};

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
    pub async fn until_attached(&self) {
        let what = format!("{} is attached", self.config.app_name);
        until(&what, async || self.status().await.jetstream_connected).await;
    }

    /// Waits until the bridge knows that it lacks them.
    pub async fn until_detached(&self) {
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
        let has_one = || async { Ok::<_, DbErr>((effects::count(&self.db, probe).await? == 1).then_some(())) };
        eventually(&what, has_one).await;
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

    /// Whether a statement of which this holds waits for a lock of this PostgreSQL database, as `pg_stat_activity` and
    /// `pg_locks` tell.
    pub async fn somebody_waits(&self, condition: &str) -> bool {
        let waiting = format!(
            "SELECT query FROM pg_stat_activity JOIN pg_locks USING (pid) \
             WHERE datname = current_database() AND wait_event_type = 'Lock' AND NOT granted AND {condition}"
        );
        !self.texts(&waiting).await.is_empty()
    }

    /// Waits until a statement of which this holds waits for a lock of this PostgreSQL database.
    pub async fn until_somebody_waits(&self, condition: &str) {
        let what = format!("somebody waits for a lock: {condition}");
        until(&what, async || self.somebody_waits(condition).await).await;
    }

    /// Lets the first insert into a table take so many seconds.
    pub async fn linger(&self, table: &str, seconds: u32) {
        let linger = format!(
            "CREATE SEQUENCE inserts; \
             CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             IF nextval('inserts') = 1 THEN PERFORM pg_sleep({seconds}); END IF; RETURN NULL; END $$; \
             CREATE TRIGGER linger BEFORE INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION linger();"
        );
        self.sql(&linger).await;
    }

    /// Waits until a statement lingers in this database.
    pub async fn lingers(&self) {
        let lingering =
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        eventually("a statement lingers", || async { Ok::<_, DbErr>(self.texts(lingering).await.pop()) }).await;
    }
}
