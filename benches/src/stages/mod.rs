//! The stages, one file each.

mod apply;
mod derive;
mod idle;
mod latency;
pub(crate) mod memory;
mod price;
mod relay;
mod save;
mod scale;
mod sqlite;
mod throughput;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::bench::Bench;
use crate::report::Comparison;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    Save,
    Price,
    Relay,
    Apply,
    Latency,
    Throughput,
    Scale,
    Idle,
    Sqlite,
    Memory,
    Derive,
}

impl Stage {
    /// Its name on the command line and in the report.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) async fn run(self, bench: &Bench) -> Result<Vec<Comparison>> {
        let measured = match self {
            Self::Save => save::run(bench).await,
            Self::Price => price::run(bench).await,
            Self::Relay => relay::run(bench).await,
            Self::Apply => apply::run(bench).await,
            Self::Latency => latency::run(bench).await,
            Self::Throughput => throughput::run(bench).await,
            Self::Scale => scale::run(bench).await,
            Self::Idle => idle::run(bench).await,
            Self::Sqlite => sqlite::run(bench).await,
            Self::Memory => memory::run(bench).await,
            Self::Derive => derive::run(bench).await,
        };
        measured.with_context(|| format!("the stage `{}`", self.name()))
    }
}
