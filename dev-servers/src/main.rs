//! Servers for trying things by hand: `cargo run -p dev-servers [nats] [postgres]`.
//!
//! Both if none is named. They run until Ctrl-C, or until standard input ends.

use std::{
    env,
    io::{self, Write},
};

use dev_servers::{NatsOptions, NatsServer, Postgres};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let wanted: Vec<String> = env::args().skip(1).collect();
    let wants = |server: &str| wanted.is_empty() || wanted.iter().any(|name| name == server);

    let nats = if wants("nats") { Some(NatsServer::start(NatsOptions::default()).await?) } else { None };
    let postgres = if wants("postgres") { Some(Postgres::start().await?) } else { None };

    let mut out = io::stdout();
    if let Some(nats) = &nats {
        writeln!(out, "{}", nats.url())?;
    }
    if let Some(postgres) = &postgres {
        writeln!(out, "{}", postgres.url("postgres"))?;
    }
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
