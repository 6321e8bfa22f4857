//! Draining an outbox to JetStream.

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::site::Site;
use crate::turns;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    Ok(vec![compare(bench, Backend::Postgres, "relay", 100_000, 0.9).await?])
}

pub(super) async fn compare(
    bench: &Bench,
    backend: Backend,
    stage: &str,
    full: usize,
    target: f64,
) -> Result<Comparison> {
    let count = bench.part_of(full);
    let by_hand = Site::alone(&bench.ground, backend).await?;
    let ours = Site::alone(&bench.ground, backend).await?;
    let (theirs, figures) = bench
        .rounds(
            async || turns::relay_by_hand(&by_hand, count).await,
            async || turns::relay_by_bridge(&ours, count).await,
        )
        .await?;
    by_hand.remove(&bench.ground).await?;
    ours.remove(&bench.ground).await?;
    let measure = format!("relay of {count} pending rows");
    Ok(Comparison::new(stage, measure, "events/s", theirs, figures, Target::AtLeast(target)))
}
