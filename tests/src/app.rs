//! One application of a pair: its database, its configuration, and its bridges while they run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsb_runtime::{Bridge, Config, Health, Status};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::sqlx::sqlite::SqliteSynchronous;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use sea_orm_migration::{MigratorTrait, SchemaManager};
use serde_json::{Value as Json, json};
use url::Url;

use crate::faults::link::Link;
use crate::inbox::InboxRow;
use crate::migration::Migrator;
use crate::{TestDatabase, effects, eventually, inbox, until};

/// The tables whose keys are interleaved.
const INTERLEAVED: [&str; 2] = ["organizations", "users"];

/// An application.
pub struct App {
    /// Its database.
    pub database: TestDatabase,
    /// A pool on it.
    pub db: DatabaseConnection,
    /// How its bridge is started.
    pub config: Config,
    bridges: Vec<Bridge>,
}

impl App {
    /// Makes the tables in this database.
    pub async fn on(database: TestDatabase, config: Config) -> Self {
        let db = database.connect().await;
        Migrator::up(&db, None).await.expect("the migrations run");
        if let Some(node) = config.node {
            let manager = SchemaManager::new(&db);
            for table in INTERLEAVED {
                let interleaved = jsb_migrations::interleave(&manager, table, "id", node.index, node.count).await;
                interleaved.expect("the keys are interleaved");
            }
        }
        Self { database, db, config, bridges: Vec::new() }
    }

    /// Starts the bridge; another one beside it, if one runs.
    pub async fn start(&mut self) {
        let bridge = jsb_runtime::start(self.config.clone(), self.db.clone()).await;
        self.bridges.push(bridge.expect("the bridge starts"));
    }

    /// Stops every bridge in order.
    pub async fn stop(&mut self) {
        for bridge in self.bridges.drain(..) {
            bridge.shutdown().await.expect("the bridge stops in order");
        }
    }

    /// The state of the bridge.
    pub async fn status(&self) -> Status {
        self.bridges.first().expect("a running bridge").status().await.expect("a status")
    }

    /// What a health check of the bridge finds.
    pub async fn health(&self) -> Health {
        self.bridges.first().expect("a running bridge").health().await.expect("a health")
    }

    /// How many rows of `table` have this status.
    pub async fn count(&self, table: &'static str, status: &str) -> i64 {
        let select = Query::select()
            .expr_as(Expr::col("status").count(), "n")
            .from(table)
            .and_where(Expr::col("status").eq(status))
            .to_owned();
        let row = self.db.query_one(&select).await.expect("a count").expect("one row");
        row.try_get("", "n").expect("a number")
    }

    /// The outbox's events, oldest first, as the relay would publish them.
    pub async fn recorded(&self) -> Vec<Json> {
        let columns = ["event_id", "event_type", "resource_type", "resource_id"];
        let select = Query::select()
            .columns(columns)
            .columns(["payload", "occurred_at"])
            .from("outbox_events")
            .order_by("id", Order::Asc)
            .to_owned();
        let rows = self.db.query_all(&select).await.expect("the outbox");
        let envelope = |row: &QueryResult| {
            let text = |name: &str| row.try_get::<String>("", name).expect("a text");
            let payload: Json = serde_json::from_str(&text("payload")).expect("JSON");
            let occurred_at = row.try_get::<DateTime<Utc>>("", "occurred_at").expect("a time");
            let mut envelope =
                json!({"payload": payload, "occurred_at": occurred_at, "producer": self.config.app_name});
            for name in columns {
                envelope[name] = text(name).into();
            }
            envelope
        };
        rows.iter().map(envelope).collect()
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

    /// Lets a process that is none of ours have the relay's lease for now, from whoever has it.
    pub async fn lend_lease(&self, holder: &str) {
        let expires_at = (Utc::now() + Duration::from_secs(50)).timestamp_millis();
        self.sql(&format!(
            "INSERT INTO sync_leases (name, holder, expires_at) VALUES ('relay', '{holder}', {expires_at}) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at"
        ))
        .await;
    }

    /// Ends every lease.
    pub async fn end_leases(&self) {
        self.sql("DELETE FROM sync_leases").await;
    }

    /// Connects with a pool of its own, to which SQLite says that it is busy when another one writes for longer than this.
    pub async fn connect_impatiently(&self, patience: Duration) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.database.url.as_str());
        options.max_connections(8).acquire_timeout(Duration::from_secs(20)).sqlx_logging(false);
        options
            .map_sqlx_sqlite_opts(move |sqlite| sqlite.synchronous(SqliteSynchronous::Normal).busy_timeout(patience));
        Database::connect(options).await.expect("the database of this test")
    }

    /// Connects with a pool of its own over a link to the PostgreSQL server, and does not wait long for a connection.
    pub async fn connect_over_link(&self) -> (Link, DatabaseConnection) {
        let mut url: Url = self.database.url.parse().expect("a URL");
        let link = Link::to(url.port().expect("a port")).await.expect("a link");
        url.set_port(Some(link.port())).expect("a URL with a port");
        let mut options = ConnectOptions::new(url);
        options.max_connections(8).acquire_timeout(Duration::from_secs(2)).sqlx_logging(false);
        (link, Database::connect(options).await.expect("a pool"))
    }

    /// Runs SQL.
    pub async fn sql(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.expect("the statement runs");
    }

    /// The texts that a query of one column gives.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        let rows = self.db.query_all_raw(statement).await.expect("the query runs");
        rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect()
    }

    /// Why the inbox's dead events are dead.
    pub async fn reasons_of_death(&self) -> Vec<String> {
        self.texts("SELECT reason FROM inbox_events WHERE status = 'dead' ORDER BY reason").await
    }
}
