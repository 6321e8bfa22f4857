//! One application of a pair: a database, a configuration, and what can be put into its tables and its stream.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use async_nats::jetstream::consumer::PullConsumer;
use jsb_runtime::{Bridge, Config, Role};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use sea_orm_migration::{MigratorTrait, SchemaManager};
use uuid::Uuid;

use crate::by_hand::Hand;
use crate::database::{self, Backend};
use crate::ground::{Ground, Nats};
use crate::migration::Migrator;
use crate::wait::until;

/// How often is looked whether a bridge is done: rarely enough not to be in its way.
const POLL: Duration = Duration::from_millis(20);

/// An application with a database of its own.
pub(crate) struct Site {
    pub(crate) backend: Backend,
    pub(crate) url: String,
    pub(crate) db: DatabaseConnection,
    /// The baseline's own pool.
    pub(crate) hand: Hand,
    pub(crate) config: Config,
    pub(crate) nats: Nats,
    /// The number of the next event that is put somewhere; ids are never used twice.
    pub(crate) next: AtomicU64,
}

impl Site {
    /// Makes both sides of a pair: databases with their tables, the stream and the consumers.
    pub(crate) async fn pair(ground: &Ground, backend: Backend) -> Result<[Self; 2]> {
        let id = Uuid::new_v4().simple().to_string();
        let (a, b) = (format!("a-{id}"), format!("b-{id}"));
        let config = |app: &str, other: &str, node| {
            let config = Config::new(app, other).nats_url(ground.nats.url()).stream_name(format!("s-{id}"));
            config.node(node, 2)
        };
        Ok([
            Self::create(ground, backend, config(&a, &b, 1)).await?,
            Self::create(ground, backend, config(&b, &a, 0)).await?,
        ])
    }

    /// Makes one side alone.
    pub(crate) async fn alone(ground: &Ground, backend: Backend) -> Result<Self> {
        let [site, _] = Self::pair(ground, backend).await?;
        Ok(site)
    }

    async fn create(ground: &Ground, backend: Backend, config: Config) -> Result<Self> {
        let name = database_name(&config);
        let url = match backend {
            Backend::Postgres => ground.postgres.create_database(&name).await?,
            Backend::Sqlite => format!("sqlite://{}", ground.folder.path().join(name).display()),
        };
        let db = database::connect(backend, &url).await?;
        Migrator::up(&db, None).await?;
        let node = config.node.context("a node")?;
        jsb_migrations::interleave(&SchemaManager::new(&db), "organizations", "id", node.index, node.count).await?;
        let nats = Nats::connect(&config.nats_url).await?;
        let hand = Hand::connect(backend, &url).await?;
        let site = Self { backend, url, db, hand, config, nats, next: AtomicU64::new(1) };
        // The bridge makes its stream and its consumer.
        site.start([Role::Relay]).await?.shutdown().await?;
        Ok(site)
    }

    /// Starts a bridge on this database.
    pub(crate) async fn start(&self, roles: impl IntoIterator<Item = Role>) -> Result<Bridge> {
        Ok(jsb_runtime::start(self.config.clone().roles(BTreeSet::from_iter(roles)), self.db.clone()).await?)
    }

    /// Where this app publishes to.
    pub(crate) fn outgoing(&self) -> String {
        format!("{}.sync.{}", self.config.app_name, self.config.destination_app)
    }

    /// Where what this app receives is published to.
    pub(crate) fn incoming(&self) -> String {
        format!("{}.sync.{}", self.config.destination_app, self.config.app_name)
    }

    /// Its database's name on the server.
    pub(crate) fn database_name(&self) -> String {
        database_name(&self.config)
    }

    /// How many messages the stream has stored.
    pub(crate) async fn stored(&self) -> Result<u64> {
        let mut stream = self.nats.context.get_stream(&self.config.stream_name).await?;
        Ok(stream.info().await?.state.messages)
    }

    /// This app's durable, through a connection.
    pub(crate) async fn consumer_on(&self, nats: &Nats) -> Result<PullConsumer> {
        let stream = nats.context.get_stream(&self.config.stream_name).await?;
        let name = format!("{}-workers", self.config.app_name);
        stream.get_consumer(&name).await.map_err(|error| anyhow!(error))
    }

    /// Takes the numbers of `count` events, from the first to the last.
    pub(crate) fn numbers(&self, count: usize) -> (u64, u64) {
        let first = self.next.fetch_add(count as u64, Ordering::Relaxed);
        (first, first + count as u64 - 1)
    }

    /// Waits until nothing is pending in the outbox.
    pub(crate) async fn until_relayed(&self) -> Result<()> {
        until("the outbox is sent", POLL, async || {
            let pending =
                "SELECT count(*) FROM (SELECT 1 FROM outbox_events WHERE status = 'pending' LIMIT 1) AS pending";
            Ok(self.count(pending).await? == 0)
        })
        .await
    }

    /// Waits until the server has nothing more for this app.
    pub(crate) async fn until_applied(&self) -> Result<()> {
        let mut consumer = self.consumer_on(&self.nats).await?;
        until("the stream is applied", POLL, async || {
            let info = consumer.info().await?;
            Ok(info.num_pending == 0 && info.num_ack_pending == 0)
        })
        .await
    }

    /// The number that a query gives.
    pub(crate) async fn count(&self, sql: &str) -> Result<u64> {
        let row = self.db.query_one_raw(Statement::from_string(self.db.get_database_backend(), sql)).await?;
        Ok(row.context("one row")?.try_get_by_index::<i64>(0)?.try_into()?)
    }

    /// Fails unless the query gives just this number.
    pub(crate) async fn must_count(&self, sql: &str, expected: u64) -> Result<()> {
        let found = self.count(sql).await?;
        ensure!(found == expected, "{found} and not {expected}: {sql}");
        Ok(())
    }

    /// Fails unless the stream has stored just so many messages.
    pub(crate) async fn must_have_stored(&self, expected: u64) -> Result<()> {
        let found = self.stored().await?;
        ensure!(found == expected, "{found} messages are in the stream, and not {expected}");
        Ok(())
    }

    /// Runs SQL.
    pub(crate) async fn sql(&self, sql: &str) -> Result<()> {
        self.db.execute_unprepared(sql).await.map(drop).with_context(|| sql.to_owned())
    }

    /// Leaves the database as a quiet moment would: statistics are there, and no write-back of the last stage is due.
    pub(crate) async fn settle(&self) -> Result<()> {
        match self.backend {
            Backend::Postgres => {
                self.sql("VACUUM (ANALYZE) outbox_events").await?;
                self.sql("VACUUM (ANALYZE) inbox_events").await?;
                self.sql("VACUUM (ANALYZE) organizations").await?;
                self.sql("CHECKPOINT").await
            }
            Backend::Sqlite => {
                self.sql("ANALYZE").await?;
                self.sql("PRAGMA wal_checkpoint(TRUNCATE)").await
            }
        }
    }

    /// Deletes the database and the stream; both may be large.
    pub(crate) async fn remove(self, ground: &Ground) -> Result<()> {
        // The other side may have been removed before, and the stream with it.
        let _ = self.nats.context.delete_stream(&self.config.stream_name).await;
        if self.backend == Backend::Postgres {
            ground.postgres.drop_database(&self.database_name()).await?;
        }
        Ok(())
    }
}

fn database_name(config: &Config) -> String {
    config.app_name.replace('-', "_")
}
