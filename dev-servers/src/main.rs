//! Servers for trying things by hand: `cargo run -p dev-servers [nats] [postgres]`.
//!
//! Both if none is named. They say where they are, a line each; PostgreSQL for each of a pair's two databases. They run until
//! Ctrl-C, or until standard input ends.

use std::{
    env,
    io::{self, Write},
};

use anyhow::bail;
use dev_servers::{NatsOptions, NatsServer, Postgres};
use tracing_subscriber::EnvFilter;

/// What the two applications of a pair are called in the documentation, and their databases too.
const DATABASES: [&str; 2] = ["system_a", "system_b"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();

    let wanted: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| !["nats", "postgres"].contains(&name.as_str())) {
        bail!(
            "there is no server `{unknown}`; write `cargo run -p dev-servers [nats] [postgres]`, both if none is named"
        );
    }
    let wants = |server: &str| wanted.is_empty() || wanted.iter().any(|name| name == server);

    let nats = if wants("nats") { Some(NatsServer::start(NatsOptions::default()).await?) } else { None };
    let postgres = if wants("postgres") { Some(Postgres::start().await?) } else { None };

    let mut out = io::stdout();
    if let Some(nats) = &nats {
        writeln!(out, "{}", nats.url())?;
    }
    if let Some(postgres) = &postgres {
        for database in DATABASES {
            writeln!(out, "{}", postgres.ensure_database(database).await?)?;
        }
    }
    io::copy(&mut io::stdin(), &mut io::sink())?;
    writeln!(io::stderr(), "standard input has ended: stopping")?;
    Ok(())
}
