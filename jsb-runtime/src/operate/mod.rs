//! For operators: what a running bridge does not do by itself, with credentials of its own.

mod dlq;
mod letter;
mod provision;
mod replay;
mod stream;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

pub use dlq::{Dlq, FoundLetters};
pub use letter::Letter;
pub use provision::Provisioner;
pub use replay::{Replay, ReplayError, Replayer};
use sea_orm::{DatabaseConnection, DbErr};
pub use sweep::{SweepError, Swept};

use crate::config::{Config, without_credentials};
use crate::jetstream::{ConnectError, Transport};
pub use crate::jetstream::{ConsumerState, StreamState};
use crate::settings;
use crate::status::Status;

/// How long an operator waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// An operator's connection to NATS.
pub struct Connection {
    pub(crate) transport: Transport,
    config: Arc<Config>,
}

/// Why an operator cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperateError {
    /// There is no connection to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database could not be asked.
    #[error(
        "the sync tables could not be read ({0}): see that the database is the application's, and its migrations have run"
    )]
    Db(#[from] DbErr),
    /// The database is another app's.
    #[error("this database belongs to app `{found}`, not to `{asked}`")]
    ForeignDatabase {
        /// The app that was started on it.
        found: String,
        /// The app that is looked after.
        asked: String,
    },
    /// No server answered.
    #[error(
        "NATS at {servers} did not answer within {} seconds; see that it runs, and that NATS_URL and the credentials are \
         right",
        PATIENCE.as_secs()
    )]
    Away {
        /// Where it was looked for.
        servers: String,
    },
}

impl Connection {
    /// Connects to the servers of `config`, with its credentials.
    ///
    /// # Errors
    ///
    /// [`OperateError`] when no server answers within ten seconds.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use jsb_runtime::Config;
    /// use jsb_runtime::operate::{Connection, Provisioner};
    /// use jsb_runtime::topology::Wanted;
    ///
    /// let config = Config::new("operator", "nobody").nats_url("nats://admin:secret@127.0.0.1:4222");
    /// let wanted = Wanted::pairs(&config, [("system_a", "system_b")])?;
    /// let connection = Connection::open(config).await?;
    /// let provisioner = Provisioner::new(&connection, wanted);
    /// let plan = provisioner.plan().await?;
    /// println!("{plan}");
    /// provisioner.apply(&plan, |change| println!("done: {change}")).await?;
    /// connection.close().await;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(config: Config) -> Result<Self, OperateError> {
        let servers = without_credentials(&config.nats_url);
        let config = Arc::new(config);
        let transport = Transport::connect(Arc::clone(&config)).await?;
        let connected = tokio::time::timeout(PATIENCE, transport.until_connected()).await;
        connected.map_err(|_| OperateError::Away { servers })?;
        Ok(Self { transport, config })
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.transport.close().await;
    }
}

/// How many events stand where, as the tables say.
///
/// # Errors
///
/// When the database fails.
pub async fn tables(db: &DatabaseConnection) -> Result<Status, DbErr> {
    Status::read(db, false).await
}

/// Refuses a database that is another app's: its events must not be taken for this one's. One on which no bridge was ever
/// started is anybody's.
///
/// # Errors
///
/// [`OperateError::ForeignDatabase`], or [`OperateError::Db`] when the database cannot be asked.
pub async fn check_owner(db: &DatabaseConnection, app: &str) -> Result<(), OperateError> {
    match settings::app_name(db).await? {
        Some(found) if found != app => Err(OperateError::ForeignDatabase { found, asked: app.to_owned() }),
        _ => Ok(()),
    }
}
