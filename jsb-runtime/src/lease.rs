//! The lease: of all processes on one database one relays, and another takes over seconds after it dies.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};
use uuid::Uuid;

use crate::dialect;

/// How long a lease outlives its holder.
const TIME_TO_LIVE: Duration = Duration::from_secs(5);
/// A lease that ends later than this was taken under a clock that was ahead, and is none.
const FARTHEST_END: Duration = Duration::from_secs(60);
/// How soon a holder renews it.
const RENEW_AFTER: Duration = Duration::from_secs(2);

/// One process's claim to a lease. A row works with poolers and on SQLite, where a session's lock would not.
pub(crate) struct Lease {
    name: &'static str,
    holder: String,
    renewed: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, holder: Uuid::now_v7().to_string(), renewed: None }
    }

    /// Whether this process holds the lease, and need not renew it yet.
    pub(crate) fn is_held(&self) -> bool {
        self.renewed.is_some_and(|renewed| renewed.elapsed() < RENEW_AFTER)
    }

    /// Has the database asked the next time, however soon that is.
    pub(crate) fn doubt(&mut self) {
        self.renewed = None;
    }

    /// By what the lease is known to be this process's.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// Takes or renews the lease; whether this process holds it now. Asks the database only when it is time to.
    pub(crate) async fn hold(&mut self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        if self.is_held() {
            return Ok(true);
        }
        let asked = Instant::now();
        let now = dialect::now_millis(db.get_database_backend());
        let farthest = FARTHEST_END.as_millis();
        let may_take = format!(
            "sync_leases.holder = excluded.holder OR sync_leases.expires_at NOT BETWEEN {now} AND {now} + {farthest}"
        );
        let held = self.put(db, TIME_TO_LIVE, &may_take).await?;
        self.renewed = held.then_some(asked);
        Ok(held)
    }

    /// Renews the lease if it is time to; whether nobody else can have had it since the last time.
    pub(crate) async fn keep(&mut self, db: &DatabaseConnection) -> Result<bool, DbErr> {
        let last = self.renewed;
        Ok(self.hold(db).await? && last.is_some_and(|renewed| renewed.elapsed() < TIME_TO_LIVE))
    }

    /// Renews the lease again and again; ends when somebody else has it, or may have had it in between.
    async fn until_lost(&mut self, db: &DatabaseConnection) -> Result<(), DbErr> {
        loop {
            let due = self.renewed.map_or(Duration::ZERO, |renewed| RENEW_AFTER.saturating_sub(renewed.elapsed()));
            tokio::time::sleep(due).await;
            if !dialect::answer(self.keep(db)).await? {
                return Ok(());
            }
        }
    }

    /// What comes of work beside which the lease is renewed; `None` as soon as somebody else has it, or may have had it in
    /// between.
    pub(crate) async fn beside<T>(
        &mut self,
        db: &DatabaseConnection,
        work: impl Future<Output = Result<T, DbErr>>,
    ) -> Result<Option<T>, DbErr> {
        tokio::select! {
            biased;
            done = work => done.map(Some),
            lost = self.until_lost(db) => lost.map(|()| None),
        }
    }

    /// Takes the lease from whoever holds it, and waits until they have found out and put down what they had in hand.
    pub(crate) async fn seize(&mut self, db: &DatabaseConnection) -> Result<(), DbErr> {
        // It must outlive the wait.
        self.put(db, 2 * TIME_TO_LIVE, "true").await?;
        tokio::time::sleep(TIME_TO_LIVE).await;
        Ok(())
    }

    /// Makes the lease this process's, from now on for so long, unless it is somebody else's and not to be taken; whether
    /// it did.
    async fn put(&self, db: &DatabaseConnection, ttl: Duration, may_take: &str) -> Result<bool, DbErr> {
        let backend = db.get_database_backend();
        let end = format!("{} + {}", dialect::now_millis(backend), ttl.as_millis());
        let sql = format!(
            "INSERT INTO sync_leases (name, holder, expires_at) VALUES ($1, $2, {end}) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at WHERE {may_take}"
        );
        let values = [self.name.into(), self.holder.as_str().into()];
        let put = db.execute_raw(Statement::from_sql_and_values(backend, sql, values));
        Ok(dialect::in_turn(db, put).await?.rows_affected() == 1)
    }

    /// Gives the lease up, so that another process need not wait for it to end.
    pub(crate) async fn release(&mut self, db: &DatabaseConnection) -> Result<(), DbErr> {
        self.renewed = None;
        let sql = "DELETE FROM sync_leases WHERE name = $1 AND holder = $2";
        let values = [self.name.into(), self.holder.as_str().into()];
        let delete = db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values));
        dialect::in_turn(db, delete).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::Database;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_lease_is_taken_in_turn_among_those_who_queue_to_write() {
        let db = Database::connect("sqlite::memory:").await.expect("a database");
        let table = "CREATE TABLE sync_leases (name text PRIMARY KEY, holder text, expires_at integer)";
        db.execute_unprepared(table).await.expect("a table");
        let turn = dialect::queue_to_write(&db).await;
        let mut lease = Lease::new("test");
        let mut hold = std::pin::pin!(lease.hold(&db));
        assert!(timeout(Duration::from_millis(500), &mut hold).await.is_err(), "it did not wait for its turn");
        drop(turn);
        assert!(hold.await.expect("an answer"));
    }
}
