//! A world: two sides with their processes, databases and links, and the NATS servers between them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use futures_util::future::try_join_all;
use tempfile::TempDir;

use super::actor::{Actor, Costume};
use super::broker::Broker;
use super::child::{CLOCK, PART, Part, SEED, SIDE};
use super::database::Database;
use super::link::Link;
use super::{Ground, Scenario, audit};
use crate::Backend;

/// The name of the stream.
pub(super) const STREAM: &str = "faults";
/// The processes of each side.
pub(super) const CAST: [Part; 4] = [Part::Api, Part::Relay, Part::Consumer, Part::Consumer];

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// System A: node 1 of 2.
    A,
    /// System B: node 0 of 2.
    B,
}

impl Which {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    pub fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }

    /// As it is printed.
    pub fn letter(self) -> &'static str {
        if self == Self::A { "a" } else { "b" }
    }

    /// The app's name.
    pub fn app(self) -> &'static str {
        if self == Self::A { "system_a" } else { "system_b" }
    }

    /// The durable from which the app takes events.
    pub fn durable(self) -> String {
        format!("{}-workers", self.app())
    }
}

/// Everything that can be broken.
pub struct World {
    /// The two sides.
    pub sides: [Side; 2],
    /// Between them.
    pub broker: Broker,
    /// Whether messages that were acknowledged are lost, so that the outboxes must be published again.
    pub must_republish: AtomicBool,
    /// Where the children log.
    pub logs: TempDir,
}

/// One application.
pub struct Side {
    /// Which one.
    pub which: Which,
    /// Its processes, as in [`CAST`].
    pub actors: Vec<Actor>,
    /// Its links to the NATS servers.
    pub to_broker: Vec<Link>,
    /// Its link to the database, where that is a server.
    pub to_database: Option<Link>,
    /// Its database.
    pub database: Database,
}

impl World {
    /// Starts everything, and waits until it runs.
    pub async fn start(scenario: &dyn Scenario, ground: &Ground, seed: u64) -> anyhow::Result<Self> {
        let logs = tempfile::Builder::new().prefix("faults-").tempdir()?;
        let broker = Broker::start(ground.nats_nodes).await?;
        let raise = |which| Side::raise(scenario, ground, seed, which, broker.ports(), logs.path());
        let (a, b) = tokio::try_join!(raise(Which::A), raise(Which::B))?;
        Ok(Self { sides: [a, b], broker, must_republish: AtomicBool::new(false), logs })
    }

    /// One of the sides.
    pub fn side(&self, which: Which) -> &Side {
        &self.sides[which as usize]
    }

    /// Every process.
    pub fn actors(&self) -> impl Iterator<Item = &Actor> {
        self.sides.iter().flat_map(|side| &side.actors)
    }
}

impl Side {
    async fn raise(
        scenario: &dyn Scenario,
        ground: &Ground,
        seed: u64,
        which: Which,
        broker_ports: Vec<u16>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let backend = ground.databases[which as usize];
        let database = Database::create(backend, ground.small_disks && backend == Backend::Postgres).await?;
        let db = database.connect().await?;
        scenario.prepare(&db, node(which), 2).await?;
        if database.is_postgres() {
            audit::install(&db, &scenario.entities()).await?;
        }
        db.close().await?;
        let to_broker = try_join_all(broker_ports.into_iter().map(Link::to)).await?;
        let to_database = match database.port().await {
            Some(port) => Some(Link::to(port).await?),
            None => None,
        };
        let mut side = Self { which, actors: Vec::new(), to_broker, to_database, database };
        for (place, part) in CAST.into_iter().enumerate() {
            let environment = side.environment(ground, seed, part)?;
            let costume = Costume { program: scenario.program().to_owned(), environment };
            side.actors.push(Actor::start(format!("{}-{}-{place}", which.letter(), part.name()), costume, logs));
        }
        Ok(side)
    }

    fn environment(&self, ground: &Ground, seed: u64, part: Part) -> anyhow::Result<BTreeMap<&'static str, String>> {
        let ports = self.to_broker.iter().map(|link| format!("nats://127.0.0.1:{}", link.port()));
        let which = self.which;
        Ok(BTreeMap::from([
            (PART, part.name().to_owned()),
            (SIDE, which.letter().to_owned()),
            (SEED, seed.wrapping_mul(2).wrapping_add(which as u64).to_string()),
            (CLOCK, ground.clocks[which as usize].num_seconds().to_string()),
            ("DATABASE_URL", self.database_url(part)?),
            ("NATS_URL", ports.collect::<Vec<_>>().join(",")),
            ("APP_NAME", which.app().to_owned()),
            ("DESTINATION_APP", which.other().app().to_owned()),
            ("STREAM_NAME", STREAM.to_owned()),
            ("STREAM_REPLICAS", ground.nats_nodes.to_string()),
            ("ROLES", part.roles().to_owned()),
            ("NODE_INDEX", node(which).to_string()),
            ("NODE_COUNT", "2".to_owned()),
            ("BATCH_SIZE", ground.batch_size.to_string()),
            ("MAX_DELIVER", ground.max_deliver.to_string()),
            // As the defaults, but shorter, so that a run need not wait for minutes to become quiet.
            ("BACKOFF", "1s,1s,2s,3s,5s".to_owned()),
            ("ACK_WAIT", "10s".to_owned()),
            ("KEEP_PARENT_AFTER", "3s".to_owned()),
        ]))
    }

    /// By way of the link; the process says who it is, for the audit.
    fn database_url(&self, part: Part) -> anyhow::Result<String> {
        let Some(link) = &self.to_database else { return Ok(self.database.url.clone()) };
        let mut url = url::Url::parse(&self.database.url)?;
        url.set_port(Some(link.port())).ok().context("a URL with a port")?;
        url.query_pairs_mut().append_pair("application_name", part.name());
        Ok(url.into())
    }
}

fn node(which: Which) -> u32 {
    if which == Which::A { 1 } else { 0 }
}
