//! Both systems in one process, with a nats-server between them.

use std::io::{Write as _, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{anyhow, ensure};
use clap::Args;
use dev_servers::{NatsOptions, NatsServer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::banner::Banner;
use crate::data::DataFolder;
use crate::ports;
use crate::side::{A, B, ProcessRole};
use crate::system::System;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the pair listens and what it uses.
#[derive(Args)]
pub(crate) struct PairArgs {
    /// The port of system A's API
    #[arg(long, env, default_value_t = A.port)]
    port_a: u16,
    /// The port of system B's API
    #[arg(long, env, default_value_t = B.port)]
    port_b: u16,
    /// System A's database, such as postgres://localhost/system_a [default: a SQLite file in the data folder]
    #[arg(long, env, hide_env_values = true)]
    database_a: Option<String>,
    /// System B's database [default: a SQLite file in the data folder]
    #[arg(long, env, hide_env_values = true)]
    database_b: Option<String>,
    /// A running nats-server with JetStream [default: one of the pair's own]
    #[arg(long, env, hide_env_values = true)]
    nats_url: Option<String>,
    /// The folder that keeps rows and events from one run to the next [default: target/demo-data]
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Runs the pair until it is told to stop.
pub(crate) async fn run(args: PairArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let Some(pair) = stop.run_until_cancelled(Pair::start(args)).await.transpose()? else {
        return Ok(());
    };
    stop.cancelled().await;
    pair.stop().await
}

/// The fields are dropped in this order: a server ends after its clients, and before its folder is given free.
struct Pair {
    a: System,
    b: System,
    nats: Option<NatsServer>,
    _data: DataFolder,
}

impl Pair {
    async fn start(args: PairArgs) -> anyhow::Result<Self> {
        let [listener_a, listener_b] = listen(args.port_a, args.port_b).await?;
        let (port_a, port_b) = (listener_a.local_addr()?.port(), listener_b.local_addr()?.port());

        let data = DataFolder::open(args.data.map_or_else(DataFolder::default_path, Ok)?)?;
        let database_a = args.database_a.unwrap_or_else(|| data.sqlite_url(A.name));
        let database_b = args.database_b.unwrap_or_else(|| data.sqlite_url(B.name));
        ensure!(database_a != database_b, "system A and system B need a database each");

        let nats = match &args.nats_url {
            Some(_) => None,
            None => Some(own_nats_server(&data).await?),
        };
        let nats_url = nats.as_ref().map(NatsServer::url).or(args.nats_url).unwrap_or_default();

        let a = System::start(A, ProcessRole::All, &database_a, &nats_url, Some(listener_a)).await?;
        let b = System::start(B, ProcessRole::All, &database_b, &nats_url, Some(listener_b)).await?;
        let nats_shown = if nats.is_some() { &nats_url } else { "as given" };
        write!(stdout(), "{}", Banner { port_a, port_b, nats: nats_shown, data: data.path() })?;
        Ok(Self { a, b, nats, _data: data })
    }

    async fn stop(self) -> anyhow::Result<()> {
        let (a, b) = tokio::join!(self.a.stop(), self.b.stop());
        if let Some(mut nats) = self.nats {
            nats.stop().await;
        }
        a.and(b)
    }
}

/// Both ports, or everything that is wrong with them and the way out.
async fn listen(port_a: u16, port_b: u16) -> anyhow::Result<[TcpListener; 2]> {
    ensure!(port_a != port_b || port_a == 0, "system A and system B need a port each");
    let a = ports::listen(LOOPBACK, port_a).await;
    let b = ports::listen(LOOPBACK, port_b).await;
    let faults = match (a, b) {
        (Ok(a), Ok(b)) => return Ok([a, b]),
        (Err(a), Err(b)) => format!("{a}, and {b}"),
        (Err(fault), _) | (_, Err(fault)) => fault.to_string(),
    };
    let way_out = "choose other ports: cargo run -p demo -- --port-a 3010 --port-b 3011 (or PORT_A and PORT_B)";
    Err(anyhow!("{faults}\n{way_out}"))
}

async fn own_nats_server(data: &DataFolder) -> Result<NatsServer, dev_servers::Error> {
    let options = NatsOptions { store_dir: Some(data.jetstream()), ..NatsOptions::default() };
    NatsServer::start(options).await
}
