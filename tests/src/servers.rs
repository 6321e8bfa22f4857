//! The servers that all tests of one binary share. They end with the process, however it ends.

use dev_servers::{NatsOptions, NatsServer, Postgres};
use tokio::sync::OnceCell;

static NATS: OnceCell<NatsServer> = OnceCell::const_new();
static POSTGRES: OnceCell<Postgres> = OnceCell::const_new();

/// A JetStream server.
pub async fn nats() -> &'static NatsServer {
    NATS.get_or_init(|| async { NatsServer::start(NatsOptions::default()).await.expect("nats-server starts") }).await
}

/// A PostgreSQL server.
pub async fn postgres() -> &'static Postgres {
    POSTGRES.get_or_init(|| async { Postgres::start().await.expect("PostgreSQL starts") }).await
}
