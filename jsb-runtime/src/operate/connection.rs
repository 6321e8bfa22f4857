//! An operator's connection to NATS, with credentials of its own and without a database.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::config::{Config, without_credentials};
use crate::jetstream::{ConnectError, Transport, user_name};
use crate::permissions::ADMIN;
use crate::preflight::StartError;
use crate::subject;

/// How long an operator waits for a server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// An operator's connection to NATS.
#[derive(Debug)]
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
    /// The database is another app's, or cannot be asked.
    #[error(transparent)]
    Database(#[from] StartError),
    /// No server answered.
    #[error("NATS at {servers} did not answer within {} seconds; {advice}", .patience.as_secs())]
    Away {
        /// Where it was looked for.
        servers: String,
        /// For how long.
        patience: Duration,
        /// What to do, with what the last attempt failed for if that is known.
        advice: String,
    },
}

impl Connection {
    /// Connects to the servers of `config`, with its credentials. Answers come below [`Config::nats_inbox_prefix`]; where
    /// it is unset, below `_INBOX.` and the user of the URL, or `_INBOX.admin` without one.
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
        Self::open_within(PATIENCE, config).await
    }

    /// The same with another patience than ten seconds, for servers that are being started.
    ///
    /// # Errors
    ///
    /// [`OperateError`] when no server answers by then.
    pub async fn open_within(patience: Duration, config: Config) -> Result<Self, OperateError> {
        let servers = without_credentials(&config.nats_url);
        let deadline = Instant::now() + patience;
        let config = Arc::new(as_user(config, ADMIN));
        let transport = Transport::connect(Arc::clone(&config), deadline).await?;
        let connected = timeout_at(deadline, transport.until_connected()).await;
        connected.map_err(|_| OperateError::Away { servers, patience, advice: transport.advice() })?;
        Ok(Self { transport, config })
    }

    /// Ends the connection.
    pub async fn close(self) {
        self.transport.close().await;
    }
}

/// An operator is another user than the app, who may not hear the app's answers: the one in the URL, or else this one.
pub(crate) fn as_user(mut config: Config, otherwise: &str) -> Config {
    config.nats_inbox_prefix.get_or_insert_with(|| {
        let user = user_name(&config.nats_url).filter(|user| subject::is_token(user));
        subject::inbox(user.as_deref().unwrap_or(otherwise))
    });
    // What an operator cannot publish stays where it is.
    config.use_outbox = true;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_an_operator_sends_is_said_to_be_lost() {
        assert!(as_user(Config::new("a", "b").use_outbox(false), ADMIN).use_outbox);
    }
}
