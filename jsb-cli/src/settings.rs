//! Which application, database and server a command works on: the variables of the bridge, or flags in their place.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use jsb_runtime::{Config, operate};
use sea_orm::{Database, DatabaseConnection};

use crate::database::{connect_options, explained};

/// How long a command waits for a connection to the database.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How long a command waits for SQLite's write lock: the sum of its sleeps, so longer by the clock. For less than for any answer of
/// the database, or it would say that none came.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);
/// The variables that name files for the connection to NATS.
const NATS_FILES: [&str; 5] = ["NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"];

/// The connections of a command. What is not given here comes from the variables that the bridge itself reads.
#[derive(Args, Clone)]
pub(crate) struct Settings {
    /// The application whose events are looked after
    #[arg(long, env = "APP_NAME", global = true)]
    app: Option<String>,
    /// The application that it syncs with
    #[arg(long, env = "DESTINATION_APP", global = true)]
    destination: Option<String>,
    /// The application's database
    #[arg(long, env, hide_env_values = true, global = true)]
    database_url: Option<String>,
    /// The servers, with the user that the command needs
    #[arg(long, env, hide_env_values = true, global = true)]
    nats_url: Option<String>,
    /// The stream
    #[arg(long, env = "STREAM_NAME", global = true)]
    stream: Option<String>,
    /// Whether nothing is asked of NATS.
    #[arg(skip)]
    without_nats: bool,
}

impl Settings {
    /// The same for a command that asks nothing of NATS: the files for a connection may be elsewhere.
    pub(crate) fn without_nats(&self) -> Self {
        Self { without_nats: true, ..self.clone() }
    }

    /// The bridge's configuration, as the application has it.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        self.config_of(None)
    }

    /// The same for a pair that is named otherwise.
    pub(crate) fn config_of(&self, pair: Option<(&str, &str)>) -> anyhow::Result<Config> {
        let (app, other) = pair.map(|(app, other)| (app.to_owned(), other.to_owned())).unzip();
        Ok(Config::read(|variable| match variable {
            "APP_NAME" => app.clone().or_else(|| self.app.clone()),
            "DESTINATION_APP" => other.clone().or_else(|| self.destination.clone()),
            "NATS_URL" => self.nats_url.clone(),
            "STREAM_NAME" => self.stream.clone(),
            file if self.without_nats && NATS_FILES.contains(&file) => None,
            other => Config::variable(other),
        })?)
    }

    /// The application.
    pub(crate) fn app(&self) -> anyhow::Result<&str> {
        let app = self.app.as_deref().map(str::trim).filter(|app| !app.is_empty());
        app.context("APP_NAME or --app must name the application whose database this is")
    }

    /// Whether a database was given.
    pub(crate) fn has_database(&self) -> bool {
        self.database_url.as_ref().is_some_and(|url| !url.is_empty())
    }

    /// The application's database; one of another application is refused, so that it must be known whose it should be.
    pub(crate) async fn database(&self) -> anyhow::Result<DatabaseConnection> {
        let url = self.database_url.as_deref().context("DATABASE_URL or --database-url must name the database")?;
        let app = self.app()?;
        let mut options = connect_options(url)?;
        options.max_connections(4).acquire_timeout(ANSWERS_WITHIN);
        // A file that the application has not made yet is no database of an application, and a handler holds SQLite's one write
        // lock as long as it runs.
        options.map_sqlx_sqlite_opts(|sqlite| sqlite.create_if_missing(false).busy_timeout(BUSY_TIMEOUT));
        let db = Database::connect(options).await.map_err(|error| explained(error, url)).context("the database")?;
        operate::check_owner(&db, app).await?;
        Ok(db)
    }
}
