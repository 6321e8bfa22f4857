//! What every stage stands on: a PostgreSQL that fsyncs, and a nats-server that keeps its streams in files.

use anyhow::Result;
use async_nats::jetstream;
use dev_servers::{NatsOptions, NatsServer, Postgres};
use tempfile::TempDir;

/// As a server comes out of the box, but that it notes when each transaction committed.
const DURABLE: [&str; 3] = ["fsync=on", "full_page_writes=on", NOTES_COMMITS];
/// For a run whose figures are not wanted.
const FAST: [&str; 1] = [NOTES_COMMITS];
const NOTES_COMMITS: &str = "track_commit_timestamp=on";
/// Without it PostgreSQL delays a commit only where others are under way.
const DELAYS_EVERYONE: &str = "commit_siblings=0";

/// The servers. They end with the program, however it ends.
pub(crate) struct Ground {
    pub(crate) postgres: Postgres,
    pub(crate) nats: NatsServer,
    /// For SQLite's files.
    pub(crate) folder: TempDir,
}

/// A connection to the server of one's own.
pub(crate) struct Nats {
    pub(crate) client: async_nats::Client,
    pub(crate) context: jetstream::Context,
}

impl Ground {
    /// With this many microseconds that each flush of commits waits before it goes to the disk.
    pub(crate) async fn lay(durable: bool, commit_delay: u32) -> Result<Self> {
        let delay = format!("commit_delay={commit_delay}");
        let settings = if durable { &DURABLE[..] } else { &FAST };
        Ok(Self {
            postgres: Postgres::start_own_with(&[settings, &[&delay, DELAYS_EVERYONE]].concat()).await?,
            nats: NatsServer::start(NatsOptions::default()).await?,
            folder: tempfile::tempdir()?,
        })
    }
}

impl Nats {
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let client = async_nats::connect(url).await?;
        let context = jetstream::new(client.clone());
        Ok(Self { client, context })
    }
}
