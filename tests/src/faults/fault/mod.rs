//! The faults. Each is a small struct that begins and ends; [`Fault`] can be implemented for others.

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
