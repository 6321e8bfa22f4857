//! A database of its own for each test.

use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use tempfile::TempDir;
use uuid::Uuid;

use crate::servers;

/// The databases that everything is tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// PostgreSQL.
    Postgres,
    /// SQLite, as a file.
    Sqlite,
}

/// An empty database.
pub struct TestDatabase {
    /// Where it is.
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// Makes one.
    pub async fn create(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => {
                let name = format!("test_{}", Uuid::new_v4().simple());
                let url = servers::postgres().await.create_database(&name).await.expect("a new database");
                Self { url, _folder: None }
            }
            Backend::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.sqlite").display());
                Self { url, _folder: Some(folder) }
            }
        }
    }

    /// One that a server of the test's own has made.
    pub fn at(url: String) -> Self {
        Self { url, _folder: None }
    }

    /// Connects with a pool of its own.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await
    }
}

/// Connects to a database of a test.
pub async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(8).acquire_timeout(Duration::from_secs(20)).sqlx_logging(false);
    options.map_sqlx_sqlite_opts(|sqlite| {
        sqlite
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_secs(20))
    });
    Database::connect(options).await.expect("the database of this test")
}
