//! How to connect to a database without anybody seeing its password.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectOptions, DbErr, RuntimeErr, SqlxError};
use tracing::subscriber::{NoSubscriber, with_default};

/// What SeaORM is told in place of a URL with a password: it shows the URL in errors, and at `trace` in every log line
/// while it connects. With a password in it no `.pgpass` is read.
const ELSEWHERE: &str = "postgres://nobody:nothing@localhost";

/// Options for the database at `url`, of PostgreSQL or SQLite, which show no password and log no statements.
///
/// # Errors
///
/// When the URL is neither's; the error does not show it.
///
/// # Example
///
/// ```
/// let options = jsb_cli::connect_options("postgresql://app:secret@db/app").expect("a URL");
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
pub fn connect_options(url: &str) -> anyhow::Result<ConnectOptions> {
    let mut options = if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let postgres = parsed(url).context("the database's URL")?.disable_statement_logging();
        let mut options = ConnectOptions::new(ELSEWHERE);
        options.map_sqlx_postgres_opts(move |_| postgres.clone());
        options
    } else if url.starts_with("sqlite:") {
        ConnectOptions::new(url)
    } else {
        bail!("the database's URL must begin with postgres://, postgresql:// or sqlite:");
    };
    options.sqlx_logging(false);
    Ok(options)
}

/// Why there is no connection to the database at `url`. sqlx tries a PostgreSQL that refuses until the time is up, and keeps no
/// cause: then it says where none answered, without the password. Of a file of SQLite it does not say that it is not there.
pub fn explained(error: DbErr, url: &str) -> anyhow::Error {
    let DbErr::Conn(RuntimeErr::SqlxError(cause)) = &error else { return error.into() };
    match parsed(url) {
        Ok(server) if url.starts_with("postgres") && matches!(**cause, SqlxError::PoolTimedOut) => anyhow!(
            "no PostgreSQL answered at {}:{} in time (refused, or no connection was free): see that it runs and that DATABASE_URL \
             is right",
            server.get_host(),
            server.get_port()
        ),
        _ => match missing_path(url) {
            Some(path) => anyhow::Error::new(error).context(format!("`{}` is not there", path.display())),
            None => error.into(),
        },
    }
}

/// The file of SQLite that is not there, or the folder for it.
fn missing_path(url: &str) -> Option<PathBuf> {
    let sqlite: SqliteConnectOptions = url.strip_prefix("sqlite:").and_then(|_| url.parse().ok())?;
    let file = sqlite.get_filename();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let is_missing = |path: &&Path| matches!(path.try_exists(), Ok(false));
    folder.filter(is_missing).or(Some(file).filter(is_missing)).map(Path::to_owned)
}

/// Reads a URL in silence: what sqlx ignores, in the URL or in a `.pgpass`, it would log as it stands there.
fn parsed(url: &str) -> Result<PgConnectOptions, SqlxError> {
    with_default(NoSubscriber::new(), || url.parse())
}
