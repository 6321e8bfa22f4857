//! Draining an outbox to JetStream.

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Backend;
use crate::report::{Comparison, Target};
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
    let (theirs, figures) = turns::on_sites_of_their_own(
        bench,
        backend,
        async |site| turns::relay_by_hand(site, count).await,
        async |site| turns::relay_by_bridge(site, count).await,
    )
    .await?;
    let measure = format!("relay of {count} pending rows");
    Ok(Comparison::new(stage, measure, "events/s", theirs, figures, Target::AtLeast(target)))
}
