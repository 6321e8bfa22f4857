//! One system: its database, its bridge, and its API.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use jsb_runtime::{Bridge, Config, ProvisionError, StartError};
use sea_orm::DatabaseConnection;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::Http;
use crate::side::{ProcessRole, Side};
use crate::{api, database, ports};

/// Longer than a save takes that waits for nobody.
const DATABASE_CLOSES_WITHIN: Duration = Duration::from_secs(5);
/// How soon the server is asked again for what somebody else provisions.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// One system, as a process of its own.
#[derive(Args)]
pub(crate) struct SystemArgs {
    /// What this process does: the API publishes, the consumer applies
    #[arg(long, env = "ROLE", value_enum, default_value_t)]
    role: ProcessRole,
    /// The API's port [default: 3000 for system A, 3001 for system B]
    #[arg(long, env)]
    port: Option<u16>,
    /// A port on which a consumer, which has no API, answers to GET /health and GET /live
    #[arg(long, env)]
    health_port: Option<u16>,
    /// The address of either port; 0.0.0.0 lets other machines in
    #[arg(long, env, default_value_t = IpAddr::from(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// postgres://user@host/name or sqlite://path/to/file
    #[arg(long, env, hide_env_values = true)]
    database_url: String,
    #[arg(long, env, hide_env_values = true, default_value = "nats://localhost:4222")]
    nats_url: String,
}

/// Runs one system until it is told to stop.
pub(crate) async fn run(side: Side, args: SystemArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = listen(side, &args).await?;
    let config = side.config(args.role, &args.nats_url)?;
    let start = System::start(side, args.role, config, &args.database_url, listener);
    let Some(system) = stop.run_until_cancelled(start).await.transpose()? else {
        return Ok(());
    };
    stop.cancelled().await;
    system.stop().await
}

/// The API's port, or the one on which a consumer says how it is.
async fn listen(side: Side, args: &SystemArgs) -> anyhow::Result<Option<TcpListener>> {
    let (port, way_out) = match (args.role.has_api(), args.health_port) {
        (true, None) => (args.port.unwrap_or(side.port), "to choose another port, use --port or PORT"),
        (true, Some(_)) => {
            bail!("the API answers to GET /health on its own port: leave out --health-port (HEALTH_PORT)")
        }
        (false, Some(port)) => (port, "to choose another port, use --health-port or HEALTH_PORT"),
        (false, None) => return Ok(None),
    };
    Ok(Some(ports::listen(args.bind, port).await.context(way_out)?))
}

/// A running system.
pub(crate) struct System {
    http: Option<Http>,
    bridge: Arc<Bridge>,
    db: DatabaseConnection,
}

impl System {
    /// Migrates the database, and starts the bridge and then the HTTP server.
    pub(crate) async fn start(
        side: Side,
        role: ProcessRole,
        config: Config,
        database_url: &str,
        listener: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        let db = database::connect(database_url).await.context(side.name)?;
        database::migrate(&db, &side).await.context(side.name)?;

        let listener = listener.map(TcpListener::into_std).transpose()?;
        let bridge = Arc::new(start_when_provisioned(&config, &db, listener.as_ref()).await?);

        let router = if role.has_api() { api::router } else { api::health_router };
        let listener = listener.map(TcpListener::from_std).transpose()?;
        let http = listener.map(|listener| Http::serve(listener, router(db.clone(), bridge.clone())));
        Ok(Self { http, bridge, db })
    }

    /// Stops in the order of the path: no more saves, then no more events, then no more database.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        if let Some(http) = self.http {
            http.stop().await;
        }
        self.bridge.shutdown().await?;
        // A request that still waits for somebody's lock keeps its connection.
        if let Ok(closed) = tokio::time::timeout(DATABASE_CLOSES_WITHIN, self.db.close()).await {
            closed?;
        }
        Ok(())
    }
}

/// Starts the bridge, as soon as what is left to a provisioner is there; whoever asks meanwhile is told so.
async fn start_when_provisioned(
    config: &Config,
    db: &DatabaseConnection,
    listener: Option<&std::net::TcpListener>,
) -> anyhow::Result<Bridge> {
    let mut waiting: Option<Http> = None;
    let started = loop {
        match jsb_runtime::start(config.clone(), db.clone()).await {
            Err(StartError::Provision(error @ ProvisionError::Missing { .. })) => {
                tracing::warn!(app = config.app_name, %error, "waiting for the provisioner");
                if let (None, Some(listener)) = (&waiting, listener) {
                    let listener = TcpListener::from_std(listener.try_clone()?)?;
                    waiting = Some(Http::serve(listener, api::waiting_router(error.to_string())));
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
            started => break started,
        }
    };
    if let Some(waiting) = waiting {
        waiting.stop().await;
    }
    Ok(started?)
}
