//! The bridge: it checks, connects, spawns what the roles ask for, and stops it in order.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::{DatabaseConnection, DbErr};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::causes::chain;
use crate::config::{Config, Role};
use crate::dialect::answer;
use crate::jetstream::{ProvisionError, Transport};
use crate::preflight::{self, StartError};
use crate::problems::{Problems, Task};
use crate::processor::Processor;
use crate::registry::Registry;
use crate::relay::Relay;
use crate::status::{Health, Status, Tables};
use crate::{backoff, clock, consumer, direct, inbox, retention, settings};

/// How long a start waits for NATS before it goes on without: saves need not wait for it.
const FIRST_CONNECTION: Duration = Duration::from_secs(3);
/// How soon a task that panicked is begun again.
const RESTART: Duration = Duration::from_secs(1);
/// How long such a task must run before its panic is no problem any more.
const CALM: Duration = Duration::from_secs(60);
/// How soon is looked again at a stream that something is said of.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
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
    /// What publishes without an outbox, for the other tasks too, and so ends after them.
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
    {
        let (transport, stop) = (transport.clone(), stop.clone());
        bridge.spawn(Task::Provisioner, move || stay_attached(transport.clone(), stop.clone()));
    }
    if !config.use_outbox {
        let events = direct::register(&database_id);
        bridge.direct.spawn(direct::run(transport.clone(), Arc::clone(&config), events, bridge.stop_direct.clone()));
    }
    // Not before, or a start that fails would change how the processes save that run.
    settings::store_use_outbox(&db, config.use_outbox).await?;
    if config.roles.contains(&Role::Relay) {
        let (db, config, stop) = (db.clone(), Arc::clone(&config), stop.clone());
        let (transport, stop_relay) = (transport.clone(), stop.clone());
        let relay = Relay { db: db.clone(), transport, config: Arc::clone(&config), stop: stop_relay };
        bridge.spawn(Task::Relay, move || relay.clone().run());
        bridge.spawn(Task::Retention, move || retention::run(db.clone(), Arc::clone(&config), stop.clone()));
    }
    if config.roles.contains(&Role::Consumer) {
        bridge.consume(Processor::new(db, transport, config, registry, stop));
    }
    Ok(bridge)
}

async fn first_attachment(transport: &Transport, deadline: Instant) -> Result<(), StartError> {
    match tokio::time::timeout_at(deadline, attach(transport)).await {
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

async fn attach(transport: &Transport) -> Result<(), ProvisionError> {
    transport.until_connected().await;
    let provisioned = transport.provision().await;
    if provisioned.is_ok() {
        transport.warn_of_old_server();
    }
    provisioned
}

/// Attaches whenever there is a connection and nothing is attached: after an outage the server may have lost its store.
async fn stay_attached(transport: Transport, stop: CancellationToken) {
    let keep = async {
        let mut failures = 0;
        loop {
            tokio::select! {
                () = transport.until_detached() => {}
                () = transport.until_disconnected() => transport.detach(),
                () = transport.until_deaf() => transport.detach(),
                () = tokio::time::sleep(LOOK_AGAIN), if transport.problems.has(Task::Stream) => {
                    transport.report_stream(&transport.stream_name()).await;
                    continue;
                }
            }
            match attach(&transport).await {
                Ok(()) => {
                    failures = 0;
                    transport.report_provisioned(None);
                }
                Err(error @ ProvisionError::Differs { .. }) if transport.is_ready() => {
                    failures = 0;
                    transport.report_provisioned(Some(&error));
                    tracing::warn!(error = chain(&error), "going on with the settings that are there");
                }
                Err(error) => {
                    failures += 1;
                    transport.report_provisioned(Some(&error));
                    tracing::warn!(error = chain(&error), failures, "the stream or the consumer is not there");
                    // Nobody says when JetStream is back.
                    let longest = if error.is_outage() { 2 } else { 10 };
                    let pause = backoff::doubling(Duration::from_millis(500), Duration::from_secs(longest), failures);
                    tokio::time::sleep(pause).await;
                    if transport.is_deaf() {
                        transport.reconnect().await;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep => {}
    }
}

impl Bridge {
    fn consume(&self, processor: Processor) {
        let processor = Arc::new(processor);
        let [consuming, rescuing, retrying] = std::array::from_fn(|_| Arc::clone(&processor));
        self.spawn(Task::Consumer, move || consumer::run(Arc::clone(&consuming)));
        self.spawn(Task::Rescue, move || Arc::clone(&rescuing).rescue_spent());
        self.spawn(Task::Parked, move || Arc::clone(&retrying).retry_parked());
    }

    /// Runs a task under the caller's clock, and begins it again if it panics.
    fn spawn<F>(&self, name: Task, task: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let supervised = supervise(name, self.transport.problems.clone(), task);
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

/// Runs a task to its end; one that panics is reported and begun again.
async fn supervise<F: Future<Output = ()>>(name: Task, problems: Problems, task: impl Fn() -> F) {
    while panics(task(), || problems.report_panic(name, false)).await {
        tracing::error!(task = name.as_str(), "a task of the bridge panicked and is begun again");
        problems.report_panic(name, true);
        tokio::time::sleep(RESTART).await;
    }
}

/// Whether a task panics rather than ends; calls `calm` once it has run for a while.
async fn panics(task: impl Future<Output = ()>, calm: impl FnOnce()) -> bool {
    let mut task = pin!(AssertUnwindSafe(task).catch_unwind());
    let ended = match tokio::time::timeout(CALM, task.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            calm();
            task.await
        }
    };
    ended.is_err()
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.cancel();
        self.stop_direct.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sea_orm::Database;

    use super::*;

    /// A bridge without tasks, whose NATS is away.
    async fn bridge() -> Bridge {
        let config = Arc::new(Config::new("a", "b").nats_url("nats://127.0.0.1:1"));
        Bridge {
            db: Database::connect("sqlite::memory:").await.expect("a database"),
            transport: Transport::connect(config, Instant::now()).await.expect("a client that goes on trying"),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            direct: TaskTracker::new(),
            stop_direct: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_is_begun_again() {
        let (bridge, begun) = (bridge().await, Arc::new(AtomicUsize::new(0)));
        let times = Arc::clone(&begun);
        tokio::time::pause();
        bridge.spawn(Task::Relay, move || {
            let times = Arc::clone(&times);
            async move {
                assert!(times.fetch_add(1, Ordering::SeqCst) > 0, "the first time");
                tokio::time::sleep(CALM * 2).await;
            }
        });
        let problem = || bridge.transport.all_problems().into_iter().find(|problem| problem.starts_with("relay: "));
        tokio::time::sleep(RESTART * 2).await;
        assert_eq!(problem().as_deref(), Some("relay: it panicked and was begun again; see the log"));
        tokio::time::sleep(CALM).await;
        assert_eq!(problem(), None);
        bridge.tasks.close();
        bridge.tasks.wait().await;
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
