//! One application of a pair: its database, its configuration, and its bridge while it runs.

use jsb_runtime::{Bridge, Config, Status};
use sea_orm::sea_query::{Expr, ExprTrait, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::{MigratorTrait, SchemaManager};

use crate::migration::Migrator;
use crate::{Backend, TestDatabase};

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
    bridge: Option<Bridge>,
}

impl App {
    /// Makes the database and its tables.
    pub async fn create(backend: Backend, config: Config) -> Self {
        let database = TestDatabase::create(backend).await;
        let db = database.connect().await;
        Migrator::up(&db, None).await.expect("the migrations run");
        if let Some(node) = config.node {
            let manager = SchemaManager::new(&db);
            for table in INTERLEAVED {
                let interleaved = jsb_migrations::interleave(&manager, table, "id", node.index, node.count).await;
                interleaved.expect("the keys are interleaved");
            }
        }
        Self { database, db, config, bridge: None }
    }

    /// Starts the bridge.
    pub async fn start(&mut self) {
        let bridge = jsb_runtime::start(self.config.clone(), self.db.clone()).await;
        self.bridge = Some(bridge.expect("the bridge starts"));
    }

    /// Stops the bridge in order.
    pub async fn stop(&mut self) {
        if let Some(bridge) = self.bridge.take() {
            bridge.shutdown().await.expect("the bridge stops in order");
        }
    }

    /// The state of the bridge.
    pub async fn status(&self) -> Status {
        self.bridge.as_ref().expect("a running bridge").status().await.expect("a status")
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
}
