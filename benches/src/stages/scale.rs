//! Relay and apply beside millions of old rows: neither may grow slower with what is done.

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Backend;
use crate::fill;
use crate::report::{Comparison, Target};
use crate::site::Site;
use crate::turns;

const TARGET: Target = Target::AtLeast(0.9);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let (relayed, applied) = (bench.part_of(20_000), bench.part_of(20_000));
    let empty = Site::alone(&bench.ground, Backend::Postgres).await?;
    let mut comparisons = Vec::new();
    for full in [1_000_000, 10_000_000] {
        let old = bench.part_of(full);
        let filled = Site::alone(&bench.ground, Backend::Postgres).await?;
        fill::outbox(&filled, old, "sent").await?;
        fill::inbox(&filled, old).await?;
        let relay = bench.rounds(
            async || turns::relay_by_bridge(&empty, relayed).await,
            async || turns::relay_by_bridge(&filled, relayed).await,
        );
        let (at_zero, beside) = relay.await?;
        let measure = format!("relay beside {old} old rows");
        comparisons.push(Comparison::new("scale", measure, "events/s", at_zero, beside, TARGET));
        let apply = bench.rounds(
            async || turns::apply_by_bridge(&empty, applied).await,
            async || turns::apply_by_bridge(&filled, applied).await,
        );
        let (at_zero, beside) = apply.await?;
        let measure = format!("apply beside {old} old rows");
        comparisons.push(Comparison::new("scale", measure, "events/s", at_zero, beside, TARGET));
        filled.remove(&bench.ground).await?;
    }
    empty.remove(&bench.ground).await?;
    Ok(comparisons)
}
