//! `insert(&db)` and `update(&db)` of a synced entity, beside a transaction of two statements by hand.

use anyhow::Result;

use crate::bench::{Bench, rate};
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::saves::{self, Kind, Way};
use crate::site::Site;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    compare(bench, Backend::Postgres, "save", Way::ByHand, [1.0, 1.0]).await
}

/// Synced saves beside those of another way; the targets are for one writer and for sixteen.
pub(super) async fn compare(
    bench: &Bench,
    backend: Backend,
    stage: &str,
    baseline: Way,
    targets: [f64; 2],
) -> Result<Vec<Comparison>> {
    let theirs = Site::alone(&bench.ground, backend).await?;
    let ours = Site::alone(&bench.ground, backend).await?;
    for site in [&theirs, &ours] {
        saves::make_rows(site).await?;
    }
    let (mut comparisons, mut saved) = (Vec::new(), 0);
    for ((writers, full), target) in [(1, 5_000), (16, 16_000)].into_iter().zip(targets) {
        let saves = bench.part_for(writers, full);
        for (kind, name) in [(Kind::Insert, "insert"), (Kind::Update, "update")] {
            let turn = async |site: &Site, way| {
                site.settle().await?;
                rate(saves, saves::save(site, way, kind, writers, saves)).await
            };
            let figures = bench.rounds(async || turn(&theirs, baseline).await, async || turn(&ours, Way::Synced).await);
            let (theirs, ours) = figures.await?;
            saved += saves * bench.rounds;
            let measure = format!("{name}, {writers} writer{}", if writers == 1 { "" } else { "s" });
            comparisons.push(Comparison::new(stage, measure, "saves/s", theirs, ours, Target::AtLeast(target)));
        }
    }
    must_have_recorded(&ours, saved).await?;
    must_have_recorded(&theirs, if baseline == Way::Plain { 0 } else { saved }).await?;
    theirs.remove(&bench.ground).await?;
    ours.remove(&bench.ground).await?;
    Ok(comparisons)
}

async fn must_have_recorded(site: &Site, saves: usize) -> Result<()> {
    site.must_count("SELECT count(*) FROM outbox_events WHERE status = 'pending'", saves as u64).await
}
