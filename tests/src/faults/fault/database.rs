//! Faults of a side's database.

use anyhow::Context;
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DatabaseTransaction, SqliteTransactionMode, TransactionOptions, TransactionTrait};

use super::{Fault, Target};
use crate::faults::database::Database;
use crate::faults::world::{Which, World};

fn database(world: &World, which: Which) -> &Database {
    &world.side(which).database
}

/// A server that goes and comes back.
#[derive(Debug)]
pub struct PostgresAway {
    /// Whose.
    pub which: Which,
    /// Whether it stops in order rather than dies.
    pub in_order: bool,
}

#[async_trait]
impl Fault for PostgresAway {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.which)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        database(world, self.which).stop(self.in_order).await
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        database(world, self.which).restart().await
    }
}

/// All connections are terminated, once.
#[derive(Debug)]
pub struct ConnectionsTerminated(pub Which);

#[async_trait]
impl Fault for ConnectionsTerminated {
    fn trace(&self) -> Option<&'static str> {
        Some("terminating connection due to administrator command")
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.0)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database(world, self.0).execute(&[others]).await
    }

    async fn end(&mut self, _world: &World) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Somebody holds a lock on a table; on SQLite, the write lock.
#[derive(Debug)]
pub struct Locked {
    /// Whose.
    pub which: Which,
    /// The table.
    pub table: String,
    /// The lock, while it is held.
    pub lock: Option<DatabaseTransaction>,
}

#[async_trait]
impl Fault for Locked {
    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.which)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        let database = database(world, self.which);
        let db = database.connect().await?;
        let mode = Some(SqliteTransactionMode::Immediate);
        let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let lock = db.begin_with_options(options).await?;
        if database.is_postgres() {
            let sql = format!("SET LOCAL lock_timeout = '2s'; LOCK TABLE \"{}\" IN ACCESS EXCLUSIVE MODE", self.table);
            lock.execute_unprepared(&sql).await?;
        }
        self.lock = Some(lock);
        Ok(())
    }

    async fn end(&mut self, _world: &World) -> anyhow::Result<()> {
        match self.lock.take() {
            Some(lock) => lock.rollback().await.context("the lock is let go"),
            None => Ok(()),
        }
    }
}

/// A server that answers and does not write, as one that was demoted.
#[derive(Debug)]
pub struct ReadOnly(pub Which);

impl ReadOnly {
    async fn set(&self, world: &World, value: &str) -> anyhow::Result<()> {
        let alter = format!("ALTER SYSTEM SET default_transaction_read_only = {value}");
        let statements = ["SET default_transaction_read_only = off", &alter, "SELECT pg_reload_conf()"];
        database(world, self.0).execute(&statements).await
    }
}

#[async_trait]
impl Fault for ReadOnly {
    fn trace(&self) -> Option<&'static str> {
        Some("read-only transaction")
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.0)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        self.set(world, "on").await
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        self.set(world, "off").await
    }
}

/// A disk without a byte of room.
#[derive(Debug)]
pub struct DiskFull(pub Which);

#[async_trait]
impl Fault for DiskFull {
    fn trace(&self) -> Option<&'static str> {
        Some("No space left on device")
    }

    fn targets(&self) -> Vec<Target> {
        vec![Target::Database(self.0)]
    }

    async fn begin(&mut self, world: &World) -> anyhow::Result<()> {
        database(world, self.0).fill().await
    }

    async fn end(&mut self, world: &World) -> anyhow::Result<()> {
        database(world, self.0).clear()
    }
}
