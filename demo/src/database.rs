//! A system's database, connected and migrated.

use std::time::Duration;

use sea_orm::sqlx::sqlite::SqliteJournalMode;
use sea_orm::{
    ConnectionTrait, Database, DatabaseBackend, DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{MigratorTrait, SchemaManager};

use crate::migration::Migrator;
use crate::side::{NODE_COUNT, Side};

/// How long anybody waits for a connection, and for SQLite's write lock.
const PATIENCE: Duration = Duration::from_secs(10);
/// Any number, as long as nobody else takes the same: it spells "jsb demo".
const MIGRATION_LOCK: i64 = 0x6a73_6220_6465_6d6f;

/// Connects to PostgreSQL or SQLite; a SQLite file is created if it is not there.
pub(crate) async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    let mut options = jsb_cli::connect_options(url)?;
    options.max_connections(10).acquire_timeout(PATIENCE).map_sqlx_sqlite_opts(|sqlite| {
        sqlite.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).busy_timeout(PATIENCE)
    });
    Database::connect(options).await.map_err(|error| jsb_cli::explained(error, url))
}

/// Brings the tables up to date, and gives this side its half of the ids.
pub(crate) async fn migrate(db: &DatabaseConnection, side: &Side) -> Result<(), DbErr> {
    let transaction = begin_migration(db).await?;
    Migrator::up(&transaction, None).await?;
    let manager = SchemaManager::new(&transaction);
    for table in ["organizations", "users"] {
        jsb_migrations::interleave(&manager, table, "id", side.node, NODE_COUNT).await?;
    }
    transaction.commit().await
}

/// An API and a consumer that start together must not both create the tables, so one waits for the other here.
async fn begin_migration(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(immediate).await?;
    if transaction.get_database_backend() == DatabaseBackend::Postgres {
        let lock = "SELECT pg_advisory_xact_lock($1)";
        let lock = Statement::from_sql_and_values(DatabaseBackend::Postgres, lock, [MIGRATION_LOCK.into()]);
        transaction.execute_raw(lock).await?;
    }
    Ok(transaction)
}
