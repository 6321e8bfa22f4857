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
    pub(crate) async fn lay(durable: bool) -> Result<Self> {
        Ok(Self {
            postgres: Postgres::start_own_with(if durable { &DURABLE } else { &FAST }).await?,
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
