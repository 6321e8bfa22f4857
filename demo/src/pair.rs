//! Both systems in one process, with a nats-server between them.

use std::io::{Write as _, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use anyhow::{anyhow, bail, ensure};
use clap::Args;
use jsb_runtime::{Config, ConfigError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::banner::Banner;
use crate::data::DataFolder;
use crate::nats::Nats;
use crate::ports;
use crate::side::{A, B, ProcessRole, Side};
use crate::system::System;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Where the pair listens and what it uses.
#[derive(Args)]
pub(crate) struct PairArgs {
    /// Lock the nats-server down: a provisioner makes the stream, and each system may do only what it needs
    #[arg(long)]
    restrictive: bool,
    /// The port of system A's API [default: 3000, or 3100 with --restrictive]
    #[arg(long, env)]
    port_a: Option<u16>,
    /// The port of system B's API [default: 3001, or 3101 with --restrictive]
    #[arg(long, env)]
    port_b: Option<u16>,
    /// The port of the pair's nats-server, 0 for a free one [default: a free one, or 5222 with --restrictive]
    // Not NATS_PORT, which Kubernetes sets in every pod beside a service named `nats`.
    #[arg(long, env = "DEMO_NATS_PORT")]
    nats_port: Option<u16>,
    /// System A's database, such as postgres://localhost/system_a [default: a SQLite file in the data folder]
    #[arg(long, env, hide_env_values = true)]
    database_a: Option<String>,
    /// System B's database [default: a SQLite file in the data folder]
    #[arg(long, env, hide_env_values = true)]
    database_b: Option<String>,
    /// A running nats-server with JetStream [default: one of the pair's own]
    #[arg(long, env, hide_env_values = true)]
    nats_url: Option<String>,
    /// The folder that keeps rows and events from one run to the next [default: target/demo-data, or target/demo-data-restrictive]
    #[arg(long)]
    data: Option<PathBuf>,
}

impl PairArgs {
    fn ports(&self) -> [u16; 2] {
        let default = |side: Side| if self.restrictive { side.restrictive_port } else { side.port };
        [self.port_a.unwrap_or(default(A)), self.port_b.unwrap_or(default(B))]
    }

    fn data_folder(&self) -> anyhow::Result<DataFolder> {
        let name = if self.restrictive { "demo-data-restrictive" } else { "demo-data" };
        DataFolder::open(self.data.clone().map_or_else(|| DataFolder::default_path(name), Ok)?)
    }
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
    nats: Nats,
    _data: DataFolder,
}

impl Pair {
    async fn start(args: PairArgs) -> anyhow::Result<Self> {
        let [listener_a, listener_b] = listen(args.ports(), args.restrictive).await?;
        let (port_a, port_b) = (listener_a.local_addr()?.port(), listener_b.local_addr()?.port());

        let data = args.data_folder()?;
        let database_a = args.database_a.unwrap_or_else(|| data.sqlite_url(A.name));
        let database_b = args.database_b.unwrap_or_else(|| data.sqlite_url(B.name));
        ensure!(database_a != database_b, "system A and system B need a database each");

        let nats = match args.nats_url {
            Some(_) if args.restrictive => {
                bail!("--restrictive runs a nats-server of its own: leave out --nats-url, and unset NATS_URL")
            }
            Some(url) => Nats::given(url),
            None if args.restrictive => Nats::restrictive(&data, args.nats_port).await?,
            None => Nats::open(&data, args.nats_port).await?,
        };
        let config = |side: Side, nats_url: &str| -> Result<Config, ConfigError> {
            let config = side.config(ProcessRole::All, nats_url)?;
            Ok(if args.restrictive { config.auto_provision(false) } else { config })
        };
        let a = System::start(A, ProcessRole::All, config(A, &nats.url_a)?, &database_a, Some(listener_a)).await?;
        let b = System::start(B, ProcessRole::All, config(B, &nats.url_b)?, &database_b, Some(listener_b)).await?;
        write!(stdout(), "{}", Banner { port_a, port_b, nats: &nats.shown, data: data.path() })?;
        Ok(Self { a, b, nats, _data: data })
    }

    async fn stop(self) -> anyhow::Result<()> {
        let (a, b) = tokio::join!(self.a.stop(), self.b.stop());
        self.nats.stop().await;
        a.and(b)
    }
}

/// Both ports, or everything that is wrong with them and the way out.
async fn listen([port_a, port_b]: [u16; 2], is_restrictive: bool) -> anyhow::Result<[TcpListener; 2]> {
    ensure!(port_a != port_b || port_a == 0, "system A and system B need a port each");
    let a = ports::listen(LOOPBACK, port_a).await;
    let b = ports::listen(LOOPBACK, port_b).await;
    let faults = match (a, b) {
        (Ok(a), Ok(b)) => return Ok([a, b]),
        (Err(a), Err(b)) => format!("{a}, and {b}"),
        (Err(fault), _) | (_, Err(fault)) => fault.to_string(),
    };
    let pair = if is_restrictive { "pair --restrictive " } else { "" };
    let way_out =
        format!("choose other ports: cargo run -p demo -- {pair}--port-a 3010 --port-b 3011 (or PORT_A and PORT_B)");
    Err(anyhow!("{faults}\n{way_out}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        pair: PairArgs,
    }

    #[test]
    fn both_pairs_have_ports_of_their_own() {
        let ports = |args: &[&str]| Program::parse_from([&["demo"], args].concat()).pair.ports();
        assert_eq!(ports(&[]), [3000, 3001]);
        assert_eq!(ports(&["--restrictive"]), [3100, 3101]);
        assert_eq!(ports(&["--restrictive", "--port-a", "4000"]), [4000, 3101]);
        assert_eq!(crate::nats::RESTRICTIVE_PORT, 5222);
    }
}
