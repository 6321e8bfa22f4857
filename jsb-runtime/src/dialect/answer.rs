//! How long the database is waited for: a server that vanished without a word leaves its connections silent, and the driver
//! would wait for ever.

use std::pin::pin;
use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement};
use tokio::time::timeout;

use crate::backoff;

/// How long the database may take for what has to wait for nobody's lock.
const LONGEST_ANSWER: Duration = Duration::from_secs(30);

/// How long work goes on before somebody looks whether its transaction is still open.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same for work that was given up again and again.
const MOST_PATIENCE: Duration = Duration::from_secs(3600);

/// What the database answers, or that it is away. Not for what may wait for a lock, and would have been answered in the end.
pub(crate) async fn answer<T, E: From<DbErr>>(asked: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    timeout(LONGEST_ANSWER, asked).await.unwrap_or_else(|_| {
        let silent = format!("the database did not answer within {} seconds", LONGEST_ANSWER.as_secs());
        Err(DbErr::Conn(RuntimeErr::Internal(silent)).into())
    })
}

/// What comes of work that may take its time, for a lock or in a handler, as long as its transaction is open. Once that is gone,
/// and the connection did not say so, the work is given up as if its process had died.
///
/// Work that has just begun a transaction looks the same, and so does a pool without a connection to spare: what was given up
/// so often before gets more time.
pub(crate) async fn unless_lost<T, E: From<DbErr>>(
    db: &DatabaseConnection,
    given_up: u32,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    if db.get_database_backend() == DbBackend::Sqlite {
        return work.await;
    }
    let patience = backoff::doubling(PATIENCE, MOST_PATIENCE, given_up + 1);
    let mut work = pin!(work);
    loop {
        if let Ok(done) = timeout(patience, &mut work).await {
            return done;
        }
        tokio::select! {
            done = &mut work => return done,
            open = answer(any_open(db, patience / 2)) => if !open? {
                let lost = "the database has lost the connection without a word: no transaction is open any more";
                return Err(DbErr::Conn(RuntimeErr::Internal(lost.to_owned())).into());
            },
        }
    }
}

/// Whether any transaction of this database's has been open for so long, or may have: a server can be told not to keep track.
/// Those of other users do not show, and are none of ours.
async fn any_open(db: &DatabaseConnection, age: Duration) -> Result<bool, DbErr> {
    let sql = "SELECT 1 WHERE current_setting('track_activities') = 'off' OR EXISTS (\
                   SELECT 1 FROM pg_stat_activity \
                   WHERE datname = current_database() AND xact_start < clock_timestamp() - make_interval(secs => $1))";
    let values = [age.as_secs_f64().into()];
    Ok(db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?.is_some())
}

#[cfg(test)]
mod tests {
    use sea_orm::SqlxPostgresConnector;
    use sea_orm::sqlx::postgres::PgPoolOptions;
    use tokio::time::Instant;

    use super::*;

    /// How long work goes on, in seconds, until somebody looks after it.
    async fn unseen(given_up: u32) -> u64 {
        let pool = PgPoolOptions::new().connect_lazy("postgres://localhost/nowhere").expect("a URL");
        // The look fails, and ends the work.
        pool.close().await;
        let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool);
        let began = Instant::now();
        let work = std::future::pending::<Result<(), DbErr>>();
        unless_lost(&db, given_up, work).await.expect_err("a look that fails");
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_was_given_up_before_goes_on_for_longer_unseen() {
        for (given_up, expected) in [(0, 10), (1, 20), (2, 40), (99, 3_600)] {
            assert_eq!(unseen(given_up).await, expected, "given up {given_up} times");
        }
    }
}
