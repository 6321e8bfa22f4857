//! `insert(&db)` and `update(&db)` of a synced entity, beside a transaction of two statements by hand.

use anyhow::Result;

use crate::bench::{Bench, rate};
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::saves::{self, Kind, Way};
use crate::site::Site;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    compare(bench, Backend::Postgres, "save", [Way::ByHand, Way::Synced], [1.0, 1.0]).await
}

/// The saves of several ways, beside those of the first. The targets are those of synced saves, for one writer and for sixteen.
pub(super) async fn compare<const WAYS: usize>(
    bench: &Bench,
    backend: Backend,
    stage: &str,
    ways: [Way; WAYS],
    targets: [f64; 2],
) -> Result<Vec<Comparison>> {
    let mut sites = Vec::new();
    for _ in ways {
        let site = Site::alone(&bench.ground, backend).await?;
        saves::make_rows(&site).await?;
        sites.push(site);
    }
    let (mut comparisons, mut saved) = (Vec::new(), 0);
    for ((writers, full), target) in [(1, 5_000), (16, 16_000)].into_iter().zip(targets) {
        let saves = bench.part_for(writers, full);
        for (kind, name) in [(Kind::Insert, "insert"), (Kind::Update, "update")] {
            let turn = async |side: usize| {
                let (site, way) = (&sites[side], ways[side]);
                site.settle().await?;
                rate(saves, saves::save(site, way, kind, writers, saves)).await
            };
            let figures: [_; WAYS] = bench.turns(turn).await?;
            saved += saves * bench.rounds;
            let measure = format!("{name}, {writers} writer{}", if writers == 1 { "" } else { "s" });
            for (way, rates) in ways.into_iter().zip(&figures).skip(1) {
                let (measure, target) = match way {
                    Way::Synced => (measure.clone(), Some(Target::AtLeast(target))),
                    _ => (format!("{measure}, one statement by hand"), None),
                };
                comparisons.push(Comparison::new(stage, measure, "saves/s", figures[0].clone(), rates.clone(), target));
            }
        }
    }
    for (site, way) in sites.into_iter().zip(ways) {
        let events = if way == Way::Plain { 0 } else { saved as u64 };
        site.must_count("SELECT count(*) FROM outbox_events WHERE status = 'pending'", events).await?;
        site.remove(&bench.ground).await?;
    }
    Ok(comparisons)
}
