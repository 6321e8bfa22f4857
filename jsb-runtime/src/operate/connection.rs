//! An operator's connection to NATS, with credentials of its own and without a database.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::DbErr;

use crate::config::{Config, without_credentials};
use crate::jetstream::{ConnectError, Transport};

/// How long an operator waits for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// An operator's connection to NATS.
pub struct Connection {
    pub(crate) transport: Transport,
    pub(super) config: Arc<Config>,
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
