//! Retention: old rows go in small transactions, each status by its own rule, and never ahead of what may still be needed.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbErr};
use tokio_util::sync::CancellationToken;

use crate::causes::chain;
use crate::config::Config;
use crate::dialect::{in_turn, unless_lost};
use crate::lease::Lease;
use crate::{clock, dialect, inbox, outbox, tombstone};

const EVERY: Duration = Duration::from_secs(300);
const BATCH: u64 = 1_000;

/// Prunes now and then until `stop`; of all processes on the database, one does.
pub(crate) async fn run(db: DatabaseConnection, config: Arc<Config>, stop: CancellationToken) {
    let mut lease = Lease::new("retention");
    loop {
        match prune(&db, &config, &mut lease, &stop).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "pruned"),
            Err(error) => tracing::warn!(error = chain(&error), "pruning is left to the next time"),
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    if let Err(error) = dialect::answer(lease.release(&db)).await {
        tracing::debug!(error = chain(&error), "the lease of the retention runs out by itself");
    }
}

async fn prune(
    db: &DatabaseConnection,
    config: &Config,
    lease: &mut Lease,
    stop: &CancellationToken,
) -> Result<u64, DbErr> {
    // By the clock that is behind: to one that is ahead, everything is old.
    let now = clock::now().min(dialect::answer(dialect::now(db)).await?);
    let mut pruned = 0;
    let mut full = true;
    while full && !stop.is_cancelled() && dialect::answer(lease.hold(db)).await? {
        let mut rows = [
            in_turn(db, unless_lost(db, 0, outbox::prune(db, now - config.outbox_retention, BATCH))).await?,
            in_turn(db, unless_lost(db, 0, inbox::prune(db, now - config.inbox_retention, BATCH))).await?,
            0,
        ];
        if let Some(retention) = config.tombstone_retention {
            rows[2] = in_turn(db, unless_lost(db, 0, prune_tombstones(db, now - retention))).await?;
        }
        pruned += rows.iter().sum::<u64>();
        full = rows.iter().any(|rows| *rows >= BATCH);
    }
    Ok(pruned)
}

async fn prune_tombstones(db: &DatabaseConnection, before: DateTime<Utc>) -> Result<u64, DbErr> {
    let txn = dialect::begin(db).await?;
    let pruned = tombstone::prune(&txn, before, BATCH).await;
    dialect::end(txn, pruned).await
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

    use super::*;

    const TABLES: &str = "CREATE TABLE sync_leases (name text PRIMARY KEY, holder text, expires_at integer); \
                          CREATE TABLE outbox_events (id integer PRIMARY KEY, status text, sent_at text); \
                          CREATE TABLE inbox_events (source_app text, event_id text, status text, processed_at text)";
    const OLD: &str = "INSERT INTO inbox_events VALUES ('b', 'old', 'processed', '2000-01-01T00:00:00+00:00')";

    /// Waits until nothing is left of the inbox, which is pruned last, and the only connection is free again.
    async fn is_pruned(db: &DatabaseConnection) {
        let left = Statement::from_string(DbBackend::Sqlite, "SELECT 1 FROM inbox_events");
        let pruned = async {
            while db.query_one_raw(left.clone()).await.expect("the inbox").is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), pruned).await.expect("nothing is left");
    }

    #[tokio::test]
    async fn what_has_grown_old_since_the_start_goes_too() {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        for sql in [TABLES, OLD] {
            db.execute_unprepared(sql).await.expect("an old event");
        }
        let stop = CancellationToken::new();
        let pruning = tokio::spawn(run(db.clone(), Arc::new(Config::new("a", "b")), stop.clone()));
        is_pruned(&db).await;
        db.execute_unprepared(OLD).await.expect("another one");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(600)).await;
        tokio::time::resume();
        is_pruned(&db).await;
        stop.cancel();
        pruning.await.expect("an end");
    }
}
