//! Applying what waits in the stream.

use anyhow::Result;

use crate::bench::Bench;
use crate::database::Backend;
use crate::report::{Comparison, Target};
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
    let (theirs, figures) = turns::on_sites_of_their_own(
        bench,
        backend,
        async |site| turns::apply_by_hand(site, count).await,
        async |site| turns::apply_by_bridge(site, count).await,
    )
    .await?;
    let measure = format!("apply of {count} waiting events");
    Ok(Comparison::new(stage, measure, "events/s", theirs, figures, Target::AtLeast(target)))
}
