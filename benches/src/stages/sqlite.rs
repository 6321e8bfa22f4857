//! Save, relay and apply on SQLite, beside the same by hand.

use anyhow::Result;

use super::{apply, relay, save};
use crate::bench::Bench;
use crate::database::Backend;
use crate::report::Comparison;
use crate::saves::Way;

const TARGET: f64 = 0.8;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let mut comparisons =
        save::compare(bench, Backend::Sqlite, "sqlite", [Way::ByHand, Way::Synced], [TARGET, TARGET]).await?;
    comparisons.push(relay::compare(bench, Backend::Sqlite, "sqlite", 100_000, TARGET).await?);
    comparisons.push(apply::compare(bench, Backend::Sqlite, "sqlite", 50_000, TARGET).await?);
    Ok(comparisons)
}
