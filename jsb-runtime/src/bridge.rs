//! The bridge: it checks, connects, spawns what the roles ask for, and stops it in order.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::causes::chain;
use crate::config::{Config, Role};
use crate::dialect::answer;
use crate::jetstream::{ProvisionError, Transport};
use crate::preflight::{self, StartError};
use crate::problems::Task;
use crate::processor::Processor;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::status::{Health, Status, Tables};
use crate::{clock, consumer, direct, inbox, retention, settings, supervise};

/// How long a start waits for NATS before it goes on without: saves need not wait for it.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);
/// How long a shutdown waits for what is in hand.
const SHUTDOWN: Duration = Duration::from_secs(30);

/// A running bridge. Dropping it stops it too, without waiting.
#[derive(Debug)]
#[must_use = "a bridge stops when it is dropped: keep it, and call `shutdown` at the end"]
pub struct Bridge {
    db: DatabaseConnection,
    transport: Transport,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Publishes without an outbox. It outlives the other tasks, since they may still hand it events.
    direct: TaskTracker,
    stop_direct: CancellationToken,
}

/// Why a shutdown was not clean. Nothing is lost: what was in hand is published or delivered again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Something in hand did not end in time.
    #[error("what was in hand did not end within {} seconds; it will be done again", SHUTDOWN.as_secs())]
    TimedOut,
}

/// Starts a bridge on `db`, whose migrations have run. A NATS server that is away is waited for in the background, after
/// 3 seconds. An application that installs a cryptography provider of its own for rustls does so before.
///
/// # Errors
///
/// [`StartError`] for what a person must mend, and for a database that is away ([`StartError::Db`]), which is not waited for. What
/// stands against the stream at the server and may be mended while the bridge runs, such as [`ProvisionError::Unattainable`], is no
/// error here: it is tried again, and [`Bridge::status`] says so.
///
/// # Example
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use jsb_runtime::Config;
///
/// let db = sea_orm::Database::connect("postgres://localhost/a").await?;
/// let bridge = jsb_runtime::start(Config::from_env()?, db.clone()).await?;
/// // serve ..
/// bridge.shutdown().await?;
/// # Ok(())
/// # }
/// ```
pub async fn start(config: Config, db: DatabaseConnection) -> Result<Bridge, StartError> {
    config.validate()?;
    let mut registry = Registry::collect()?;
    preflight::check(&db, &config, &mut registry).await?;
    tracing::info!(app = config.app_name, roles = ?config.roles, registered = registry.names(), "starting");
    let (config, registry) = (Arc::new(config), Arc::new(registry));
    let deadline = Instant::now() + FIRST_CONNECTION;
    let transport = Transport::connect(Arc::clone(&config), deadline).await?;
    first_attachment(&transport, deadline).await?;
    let database_id = preflight::claim(&db, &config).await?;

    let stop = CancellationToken::new();
    let bridge = Bridge {
        db: db.clone(),
        transport: transport.clone(),
        tasks: TaskTracker::new(),
        stop: stop.clone(),
        direct: TaskTracker::new(),
        stop_direct: CancellationToken::new(),
    };
    let attaching = (transport.clone(), stop.clone());
    bridge.spawn(Task::Provisioner, attaching, |(transport, stop)| transport.stay_attached(stop));
    if !config.use_outbox {
        let events = direct::register(&database_id);
        bridge.direct.spawn(direct::run(transport.clone(), Arc::clone(&config), events, bridge.stop_direct.clone()));
    }
    // Not before, or a start that fails would change how the processes save that run.
    settings::store_use_outbox(&db, config.use_outbox).await?;
    if config.roles.contains(&Role::Relay) {
        let (db, transport, config, stop) = (db.clone(), transport.clone(), Arc::clone(&config), stop.clone());
        let pruning = (db.clone(), Arc::clone(&config), stop.clone());
        bridge.spawn(Task::Relay, Relay { db, transport, config, stop }, Relay::run);
        bridge.spawn(Task::Retention, pruning, |(db, config, stop)| retention::run(db, config, stop));
    }
    if config.roles.contains(&Role::Consumer) {
        let processor = Arc::new(Processor::new(db, transport, config, registry, stop));
        bridge.spawn(Task::Consumer, Arc::clone(&processor), consumer::run);
        bridge.spawn(Task::Rescue, Arc::clone(&processor), Processor::rescue_spent);
        bridge.spawn(Task::Parked, processor, Processor::retry_parked);
    }
    Ok(bridge)
}

async fn first_attachment(transport: &Transport, deadline: Instant) -> Result<(), StartError> {
    match tokio::time::timeout_at(deadline, transport.provision_once_connected()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(
            error @ (ProvisionError::Topology(_) | ProvisionError::Missing { .. } | ProvisionError::Differs { .. }),
        )) => Err(error.into()),
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "JetStream is not ready; going on without for now");
            transport.report_provisioned(Some(&error));
            Ok(())
        }
        Err(_) => {
            tracing::warn!("NATS is away; {} until it is back", transport.unsent());
            Ok(())
        }
    }
}

impl Bridge {
    /// Runs a task on a copy of its state, under the caller's clock; again on another copy if it panics.
    fn spawn<S, F>(&self, name: Task, state: S, run: impl Fn(S) -> F + Send + Sync + 'static)
    where
        S: Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let supervised = supervise::run(name, self.transport.problems.clone(), move || run(state.clone()));
        self.tasks.spawn(clock::skewed(clock::offset(), supervised));
    }

    /// The connection, and how many events stand where.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn status(&self) -> Result<Status, DbErr> {
        let tables = Tables::read(&self.db).await?;
        Ok(Status { jetstream_connected: self.transport.is_ready(), problems: self.transport.all_problems(), tables })
    }

    /// What a health check asks: far cheaper than [`status`](Self::status), however large the tables are.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn health(&self) -> Result<Health, DbErr> {
        Ok(Health {
            jetstream_connected: self.transport.is_ready(),
            parked_events: answer(inbox::parked(&self.db)).await?,
            problems: self.transport.all_problems(),
        })
    }

    /// Stops: takes nothing new, finishes what is in hand, for 30 seconds at the most, and closes the connection to NATS, not
    /// to the database. A second call waits for the same end.
    ///
    /// # Errors
    ///
    /// [`ShutdownError`] when something in hand did not end in time.
    pub async fn shutdown(&self) -> Result<(), ShutdownError> {
        self.stop.cancel();
        self.tasks.close();
        self.direct.close();
        let end = async {
            self.tasks.wait().await;
            self.stop_direct.cancel();
            self.direct.wait().await;
        };
        let ended = tokio::time::timeout(SHUTDOWN, end).await;
        self.stop_direct.cancel();
        self.transport.close().await;
        ended.map_err(|_| ShutdownError::TimedOut)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.cancel();
        self.stop_direct.cancel();
    }
}
