//! The ground that a world stands on.

use std::str::FromStr;

use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::Backend;

/// Which servers a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terrain {
    /// PostgreSQL on both sides, one NATS server.
    Plain,
    /// PostgreSQL on both sides, and a cluster of three NATS servers.
    Cluster,
    /// SQLite on both sides, one NATS server.
    Sqlite,
    /// PostgreSQL and SQLite, one NATS server.
    Mixed,
}

impl Terrain {
    /// All.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Cluster, Self::Mixed, Self::Sqlite];

    /// The one of a seed, where none is asked for.
    pub fn of(seed: u64) -> Self {
        Self::ALL[(seed % 4) as usize]
    }
}

impl FromStr for Terrain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|terrain| format!("{terrain:?}").eq_ignore_ascii_case(text));
        named.ok_or_else(|| format!("`{text}` is no terrain: write plain, cluster, mixed or sqlite"))
    }
}

/// Everything about a world that its seed and its terrain decide.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The databases of A and of B.
    pub databases: [Backend; 2],
    /// How many NATS servers there are.
    pub nats_nodes: usize,
    /// How wrong the clocks of A and of B are.
    pub clocks: [TimeDelta; 2],
    /// `BATCH_SIZE`.
    pub batch_size: usize,
    /// `MAX_DELIVER`: few, so that crashes spend the server's deliveries.
    pub max_deliver: u32,
    /// Whether PostgreSQL's disks can be filled, which takes root.
    pub small_disks: bool,
}

impl Ground {
    /// Draws the ground of a run.
    pub fn draw(terrain: Terrain, small_disks: bool, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(!seed);
        let databases = match terrain {
            Terrain::Plain | Terrain::Cluster => [Backend::Postgres; 2],
            Terrain::Sqlite => [Backend::Sqlite; 2],
            Terrain::Mixed => [Backend::Postgres, Backend::Sqlite],
        };
        let clocks = [0, 1].map(|_| TimeDelta::minutes(random.random_range(-300..300)));
        let batch_size = [3, 50, 500][random.random_range(0..3)];
        let max_deliver = [2, 5][random.random_range(0..2)];
        let nats_nodes = if terrain == Terrain::Cluster { 3 } else { 1 };
        Self { databases, nats_nodes, clocks, batch_size, max_deliver, small_disks }
    }
}
