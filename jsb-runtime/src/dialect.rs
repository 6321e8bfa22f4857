//! What PostgreSQL and SQLite do differently, in one place: locks, clocks, transactions, and what their errors mean.

mod answer;
pub(crate) mod arrays;
mod catalog;
mod fault;
pub(crate) mod values;

use std::time::Duration;

pub(crate) use answer::{answer, unless_lost};
pub(crate) use catalog::{
    ForeignKey, columns, digits_of_seconds, foreign_keys, generated_columns, is_same_name, raise_sequence, reuses_keys,
    sequence_of, unfit_isolation,
};
use chrono::{DateTime, Utc};
pub use fault::Fault;
pub(crate) use fault::{
    ended_connection, explained, fault, fault_behind, is_for_hooks, is_locked, is_missing_table, is_passing,
    is_timeout, unique_columns,
};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, RuntimeErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionSession, TransactionTrait, Value,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::event;

/// How JSB begins a transaction that will write: on SQLite with the write lock, since a deferred transaction that has
/// read first fails at once when another one wrote meanwhile.
pub(crate) fn writing() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}

/// Begins such a transaction. By a task of its own, which nobody cancels: sqlx 0.9.0 would take a connection back, whose `BEGIN`
/// is still to be answered, as one without a transaction, and what others save on it would never be committed.
pub(crate) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let db = db.clone();
    let begun = tokio::spawn(async move { db.begin_with_options(writing()).await });
    begun.await.unwrap_or_else(|error| Err(DbErr::Conn(RuntimeErr::Internal(error.to_string()))))
}

/// The one that may write to SQLite next, of the writers of this process that queue.
static SQLITE_WRITER: Mutex<()> = Mutex::const_new(());
/// How long one queues, in case that the writer in front waits for somebody else's transaction.
const LONGEST_QUEUE: Duration = Duration::from_secs(5);

/// Queues for SQLite's write lock until the guard is dropped: of writers that meet there, SQLite lets each look again and
/// again, with ever longer pauses in which nobody writes. Only for transactions in which nothing of the application's runs.
pub(crate) async fn queue_to_write<C: ConnectionTrait>(db: &C) -> Option<MutexGuard<'static, ()>> {
    match db.get_database_backend() {
        DbBackend::Sqlite => tokio::time::timeout(LONGEST_QUEUE, SQLITE_WRITER.lock()).await.ok(),
        _ => None,
    }
}

/// What comes of a write of the bridge's own, in its turn: on SQLite it would look in vain for a gap between saves that queue.
pub(crate) async fn in_turn<T>(db: &DatabaseConnection, write: impl Future<Output = T>) -> T {
    let _turn = queue_to_write(db).await;
    write.await
}

/// Ends a transaction by what came of the work in it: commits what succeeded, and takes everything else back.
pub(crate) async fn end<T, E: From<DbErr>>(txn: impl TransactionSession, outcome: Result<T, E>) -> Result<T, E> {
    match &outcome {
        Ok(_) => txn.commit().await?,
        // The work's own error says more than the rollback's, and the transaction ends in any case.
        Err(_) => drop(txn.rollback().await),
    }
    outcome
}

/// Fails where a transaction is no more, whose COMMIT would keep nothing and say nothing: PostgreSQL has given it up after an error
/// that somebody took no notice of, or it was rolled back with a nested one that was cancelled while it began, which SeaORM 2.0
/// and sqlx 0.9.0 do.
pub(crate) async fn must_stand<C: ConnectionTrait>(txn: &C) -> Result<(), DbErr> {
    if txn.get_database_backend() == DbBackend::Postgres {
        return txn.execute_unprepared("SAVEPOINT jsb_stands; RELEASE jsb_stands").await.map(drop);
    }
    // SQLite refuses it within a transaction, and has no other word for that.
    match txn.execute_unprepared("BEGIN").await {
        Err(_) => Ok(()),
        Ok(_) => {
            txn.execute_unprepared("ROLLBACK").await?;
            Err(DbErr::Custom("no transaction is open any more".to_owned()))
        }
    }
}

/// Takes the lock of a key, whether or not it has a row, until the transaction ends. It has to be a statement of its
/// own: the snapshot of a statement that locks is older than the lock. SQLite's write lock is held already.
pub(crate) async fn lock_key<C: ConnectionTrait>(db: &C, resource: &str, id: &str) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))";
        let key = event::row_name(resource, id);
        db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [key.into(), KEY_LOCKS.into()]))
            .await?;
    }
    Ok(())
}

/// Takes the locks of many keys, always in the same order.
pub(crate) async fn lock_keys<C: ConnectionTrait>(db: &C, resource: &str, ids: Vec<String>) -> Result<(), DbErr> {
    if db.get_database_backend() == DbBackend::Postgres {
        // Counted, so that not every lock is a row of the answer.
        let sql = "SELECT count(*) FROM (SELECT pg_advisory_xact_lock(hash) FROM \
                   (SELECT DISTINCT hashtextextended($1 || id, $2) AS hash FROM unnest($3) AS id ORDER BY hash) AS keys) \
                   AS locks";
        let values = [event::row_name(resource, "").into(), KEY_LOCKS.into(), ids.into()];
        db.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?;
    }
    Ok(())
}

/// Keeps a transaction that holds many locks from waiting long for another one: it gives up well before PostgreSQL looks
/// for a deadlock (`deadlock_timeout`, 1 s by default), so that no transaction of the application's is ended for it. Nor does it
/// keep others waiting whose process is suspended, or whose host has vanished: nothing else would end it for hours.
pub(crate) async fn give_way<C: ConnectionTrait>(txn: &C) -> Result<(), DbErr> {
    let limits = "SET LOCAL lock_timeout = '100ms'; SET LOCAL idle_in_transaction_session_timeout = '30s'";
    only_on(DbBackend::Postgres, txn, limits).await
}

/// Lets a transaction wait for others as long as that may take, whatever its user may otherwise. It has an end all the same: a
/// handler's statement may never come to its own.
pub(crate) async fn take_time<C: ConnectionTrait>(txn: &C) -> Result<(), DbErr> {
    only_on(DbBackend::Postgres, txn, "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = '10min'").await
}

/// Lets a transaction stand open while nothing is asked in it, for longer than its user may otherwise: a handler may wait for
/// somebody else. It has an end where that has one, or the locks of a host that vanished would stay. What it was to give way with
/// is no limit for handlers.
pub(crate) async fn allow_idling<C: ConnectionTrait>(txn: &C) -> Result<(), DbErr> {
    let longer = "SET LOCAL idle_in_transaction_session_timeout TO DEFAULT; \
                  SELECT set_config('idle_in_transaction_session_timeout', '10min', true) \
                  WHERE current_setting('idle_in_transaction_session_timeout')::interval \
                        BETWEEN interval '1 ms' AND interval '10 min'";
    only_on(DbBackend::Postgres, txn, longer).await
}

/// The database's clock.
pub(crate) async fn now<C: ConnectionTrait>(db: &C) -> Result<DateTime<Utc>, DbErr> {
    let backend = db.get_database_backend();
    let row = db.query_one_raw(Statement::from_string(backend, format!("SELECT {}", now_millis(backend)))).await?;
    let millis = row.map(|row| row.try_get_by_index::<i64>(0)).transpose()?;
    millis.and_then(DateTime::from_timestamp_millis).ok_or_else(|| DbErr::Type("the database has no time".to_owned()))
}

/// The seed of the keys' locks, "JSB" in ASCII. Every key has a lock of its own among 2^64: if they shared a few, any two
/// transactions of some hundred rows would meet in several, and deadlock.
const KEY_LOCKS: i64 = 0x004a_5342;

/// The database's clock in milliseconds since 1970, as an SQL expression: leases must not depend on the clocks of processes.
pub(crate) fn now_millis(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    }
}

/// A list as one value, so that a statement reads the same for every length.
pub(crate) fn list<T>(members: Vec<T>, backend: DbBackend) -> Value
where
    Vec<T>: Into<Value> + Into<serde_json::Value>,
{
    match backend {
        DbBackend::Postgres => members.into(),
        _ => Into::<serde_json::Value>::into(members).to_string().into(),
    }
}

/// The members of such a list, as a subquery.
pub(crate) fn each_of(list: &str, backend: DbBackend) -> String {
    match backend {
        DbBackend::Postgres => format!("SELECT unnest({list})"),
        _ => format!("SELECT value FROM json_each({list})"),
    }
}

/// The end of an update of the rows whose two columns are a pair of these two lists. What SQLite finds by the first list is hardly
/// ever another row by the second one.
pub(crate) fn of_pairs([one, other]: [&str; 2], [ones, others]: [&str; 2], backend: DbBackend) -> String {
    match backend {
        // Not `= ANY`, which would go through the whole list for each row.
        DbBackend::Postgres => {
            format!(
                "FROM unnest({ones}, {others}) AS pair (one, other) WHERE {one} = pair.one AND {other} = pair.other"
            )
        }
        _ => format!("WHERE {one} IN ({}) AND {other} IN ({})", each_of(ones, backend), each_of(others, backend)),
    }
}

async fn only_on(backend: DbBackend, db: &impl ConnectionTrait, sql: &str) -> Result<(), DbErr> {
    if db.get_database_backend() == backend {
        db.execute_unprepared(sql).await?;
    }
    Ok(())
}

/// Marks where a save begins, so that [`undo_save`] can take it back. PostgreSQL needs no mark. A mark that is left
/// behind, since the row's own statement failed, goes with the transaction.
pub(crate) async fn mark_save<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    only_on(DbBackend::Sqlite, db, "SAVEPOINT jsb_save").await
}

/// Ends a save whose row and event are both written.
pub(crate) async fn keep_save<C: ConnectionTrait>(db: &C) -> Result<(), DbErr> {
    only_on(DbBackend::Sqlite, db, "RELEASE jsb_save").await
}

/// Takes back a row whose event could not be recorded, even if the user commits in spite of the error. On PostgreSQL
/// the transaction can no longer commit at all, which is so already if the database raised the error.
pub(crate) async fn undo_save<C: ConnectionTrait>(db: &C) {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => "ROLLBACK TO jsb_save; RELEASE jsb_save",
        _ => "DO $$ BEGIN RAISE EXCEPTION 'the event of a saved row could not be recorded'; END $$",
    };
    // On PostgreSQL the statement is there to fail; on SQLite it fails only where the transaction is gone already.
    let _ = db.execute_unprepared(sql).await;
}

/// The isolation levels at which a transaction sees what others commit meanwhile, which the version rules need.
const SEE_COMMITS: [&str; 2] = ["read committed", "read uncommitted"];

/// Whether a transaction of this isolation level sees what others commit meanwhile.
pub(crate) fn sees_commits(isolation: &str) -> bool {
    SEE_COMMITS.contains(&isolation)
}

/// Whether the transaction that asks does so, in SQL. PostgreSQL only.
pub(crate) fn transaction_sees_commits() -> Expr {
    Expr::cust("current_setting('transaction_isolation')").is_in(SEE_COMMITS)
}

#[cfg(test)]
mod tests {
    use sea_orm::SqlxSqliteConnector;
    use sea_orm::sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_writer_that_does_not_come_to_an_end_is_not_queued_behind_for_ever() {
        let _in_front = SQLITE_WRITER.lock().await;
        let pool = SqlitePoolOptions::new().connect_lazy("sqlite::memory:").expect("a URL");
        let db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
        let turn = tokio::time::timeout(2 * LONGEST_QUEUE, queue_to_write(&db)).await;
        assert!(turn.expect("an end of the wait").is_none());
    }
}
