//! Databases that keep what is committed, and the pools that both sides of a comparison use alike.

use std::time::Duration;

use anyhow::Result;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sea_orm::sqlx::{ConnectOptions, PgPool, SqlitePool};
use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};

/// More than there are writers, so that nobody waits for a connection.
const CONNECTIONS: u32 = 24;

/// What a stage runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Postgres,
    Sqlite,
}

/// Connects as an application would.
pub(crate) async fn connect(backend: Backend, url: &str) -> Result<DatabaseConnection> {
    Ok(match backend {
        Backend::Postgres => SqlxPostgresConnector::from_sqlx_postgres_pool(postgres(url).await?),
        Backend::Sqlite => SqlxSqliteConnector::from_sqlx_sqlite_pool(sqlite(url, CONNECTIONS).await?),
    })
}

/// Connections are not tried before each use: that is a round trip.
pub(crate) async fn postgres(url: &str) -> Result<PgPool> {
    let options = url.parse::<PgConnectOptions>()?.disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    Ok(pool.connect_with(options).await?)
}

/// Every commit is on the disk, as on PostgreSQL.
pub(crate) async fn sqlite(url: &str, connections: u32) -> Result<SqlitePool> {
    let options = url
        .parse::<SqliteConnectOptions>()?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(60))
        .disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(connections).test_before_acquire(false);
    Ok(pool.connect_with(options).await?)
}
