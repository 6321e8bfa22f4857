//! Saves by sixteen writers until the other side has them all, beside the slowest of the three baselines alone.

use anyhow::Result;
use jsb_runtime::Role;

use crate::bench::{Bench, rate};
use crate::database::Backend;
use crate::report::{Comparison, Target};
use crate::saves::{self, Kind, Way};
use crate::site::Site;
use crate::turns;

const WRITERS: usize = 16;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Comparison>> {
    let (saves, part) = (bench.part_for(WRITERS, 100_000), bench.part_for(WRITERS, 20_000));
    let by_hand = Site::alone(&bench.ground, Backend::Postgres).await?;
    let [a, b] = Site::pair(&bench.ground, Backend::Postgres).await?;
    let (theirs, ours) =
        bench.rounds(async || slowest_by_hand(&by_hand, part).await, async || through(&a, &b, saves).await).await?;
    for site in [by_hand, b, a] {
        site.remove(&bench.ground).await?;
    }
    let measure = format!("{saves} saves by {WRITERS} writers to the other side");
    Ok(vec![Comparison::new("throughput", measure, "events/s", theirs, ours, Target::AtLeast(0.7))])
}

async fn slowest_by_hand(site: &Site, count: usize) -> Result<f64> {
    site.settle().await?;
    let saved = rate(count, saves::save(site, Way::ByHand, Kind::Insert, WRITERS, count)).await?;
    // What was saved is no part of what is relayed and applied.
    site.sql("TRUNCATE outbox_events, organizations").await?;
    let relayed = turns::relay_by_hand(site, count).await?;
    let applied = turns::apply_by_hand(site, count).await?;
    Ok(saved.min(relayed).min(applied))
}

async fn through(a: &Site, b: &Site, saves: usize) -> Result<f64> {
    for site in [a, b] {
        site.settle().await?;
    }
    let arrived = "SELECT count(*) FROM organizations";
    let before = b.count(arrived).await?;
    let bridges = [a.start([Role::Relay, Role::Consumer]).await?, b.start([Role::Relay, Role::Consumer]).await?];
    let rate = rate(saves, async {
        saves::save(a, Way::Synced, Kind::Insert, WRITERS, saves).await?;
        a.until_relayed().await?;
        b.until_applied().await
    })
    .await?;
    for bridge in bridges {
        bridge.shutdown().await?;
    }
    b.must_count(arrived, before + saves as u64).await?;
    Ok(rate)
}
