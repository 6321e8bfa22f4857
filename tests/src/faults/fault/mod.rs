//! The faults. Each is a small struct that begins and ends; a [`Scenario`](super::Scenario) may have others of its own.

mod broker;
mod database;
mod network;
mod process;

use std::fmt::Debug;

use async_trait::async_trait;

pub use broker::{CutOff, LeaderKilled, NatsAway, StoreLost};
pub use database::{ConnectionsTerminated, DiskFull, Locked, PostgresAway, ReadOnly};
pub use network::BadWeather;
pub use process::{ClockJumped, Frozen, Killed, OlderEntities, PoolExhausted, SlowHandlers, Victim};

use super::world::{Which, World};

/// The kinds of faults that the harness draws.
pub const KINDS: [&str; 16] = [
    "BadWeather",
    "ClockJumped",
    "ConnectionsTerminated",
    "CutOff",
    "DiskFull",
    "Frozen",
    "Killed",
    "LeaderKilled",
    "Locked",
    "NatsAway",
    "OlderEntities",
    "PoolExhausted",
    "PostgresAway",
    "ReadOnly",
    "SlowHandlers",
    "StoreLost",
];

/// What a fault breaks: two faults never break the same thing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A process, by its place in the cast.
    Process(Which, usize),
    /// The NATS servers.
    Broker,
    /// A side's database.
    Database(Which),
    /// A side's links to the NATS servers.
    BrokerLinks(Which),
    /// A side's link to its database.
    DatabaseLink(Which),
}

/// Something that goes wrong for a while.
#[async_trait]
pub trait Fault: Debug + Send {
    /// Its kind, as [`Plan::only`](super::Plan::only) names it: the name of its type.
    fn kind(&self) -> &'static str {
        let name = std::any::type_name::<Self>();
        name.rsplit("::").next().unwrap_or(name)
    }

    /// What PostgreSQL writes into its log when it meets it, so that a report can say how often it really did.
    fn trace(&self) -> Option<&'static str> {
        None
    }

    /// What it breaks.
    fn targets(&self) -> Vec<Target>;

    /// Breaks it.
    ///
    /// # Errors
    ///
    /// When it cannot be broken just now, as a leader that nobody has elected yet. [`end`](Self::end) is called all the same.
    async fn begin(&mut self, world: &World) -> anyhow::Result<()>;

    /// Mends it.
    ///
    /// # Errors
    ///
    /// When it cannot be mended, which ends the run.
    async fn end(&mut self, world: &World) -> anyhow::Result<()>;
}
