//! One application of a pair: its database, its configuration, and its bridges while they run.

mod stream;
mod waits;

use std::time::Duration;

use chrono::{DateTime, Utc};
use jsb_runtime::{Bridge, Config, Health, Status};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sea_orm::sqlx::sqlite::SqliteSynchronous;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, QueryResult, Statement};
use sea_orm_migration::{MigratorTrait, SchemaManager};
use serde_json::{Value as Json, json};
use url::Url;

use crate::TestDatabase;
use crate::faults::link::Link;
use crate::migration::Migrator;

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
