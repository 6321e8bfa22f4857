//! How to connect to a database without anybody seeing its password.

use anyhow::{Context as _, bail};
use sea_orm::ConnectOptions;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::PgConnectOptions;

/// What SeaORM is told in place of a URL with a password: it shows the URL in errors, and at `trace` in every log line
/// while it connects.
const ELSEWHERE: &str = "postgres://localhost";

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
        let postgres: PgConnectOptions = url.parse().context("the database's URL")?;
        let postgres = postgres.disable_statement_logging();
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
