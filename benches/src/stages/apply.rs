//! Applying what waits in the stream.

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::site::Site;
use crate::turns;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    Ok(vec![compare(bench, Backend::Postgres, "apply", 50_000, 0.8).await?])
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
            async || turns::apply_by_hand(&by_hand, count).await,
            async || turns::apply_by_bridge(&ours, count).await,
        )
        .await?;
    by_hand.remove(&bench.ground).await?;
    ours.remove(&bench.ground).await?;
    let measure = format!("apply of {count} waiting events");
    Ok(Comparison::new(stage, measure, "events/s", theirs, figures, Target::AtLeast(target)))
}
