//! The turns that more than one stage takes: everything relayed, everything applied, by hand or by a bridge.

use anyhow::Result;
use jsb_runtime::Role;

use crate::bench::{Bench, rate};
use crate::by_hand;
use crate::database::Backend;
use crate::fill;
use crate::ground::Nats;
use crate::site::Site;

/// Baseline and ours in turns, each on a site of its own.
pub(crate) async fn on_sites_of_their_own(
    bench: &Bench,
    backend: Backend,
    baseline: impl AsyncFn(&Site) -> Result<f64>,
    ours: impl AsyncFn(&Site) -> Result<f64>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (one, other) = (Site::alone(&bench.ground, backend).await?, Site::alone(&bench.ground, backend).await?);
    let figures = bench.rounds(async || baseline(&one).await, async || ours(&other).await).await?;
    one.remove(&bench.ground).await?;
    other.remove(&bench.ground).await?;
    Ok(figures)
}

/// Relays `count` new rows by hand, connecting included, and says how many a second.
pub(crate) async fn relay_by_hand(site: &Site, count: usize) -> Result<f64> {
    relay(site, count, async || {
        let nats = Nats::connect(&site.config.nats_url).await?;
        by_hand::relay(&site.hand, &nats.context, &site.config.app_name, &site.outgoing()).await
    })
    .await
}

/// Relays `count` new rows by a bridge, its start included, and says how many a second.
pub(crate) async fn relay_by_bridge(site: &Site, count: usize) -> Result<f64> {
    let mut bridge = None;
    let rate = relay(site, count, async || {
        bridge = Some(site.start([Role::Relay]).await?);
        site.until_relayed().await
    })
    .await?;
    stop(bridge).await?;
    Ok(rate)
}

async fn relay(site: &Site, count: usize, mut work: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    fill::outbox(site, count, "pending").await?;
    site.settle().await?;
    let sent = "SELECT count(*) FROM outbox_events WHERE status = 'sent'";
    let (before, stored) = (site.count(sent).await?, site.stored().await?);
    let rate = rate(count, work()).await?;
    site.must_count(sent, before + count as u64).await?;
    site.must_have_stored(stored + count as u64).await?;
    Ok(rate)
}

/// Applies `count` new messages by hand, connecting included, and says how many a second.
pub(crate) async fn apply_by_hand(site: &Site, count: usize) -> Result<f64> {
    apply(site, count, async || {
        let nats = Nats::connect(&site.config.nats_url).await?;
        let consumer = site.consumer_on(&nats).await?;
        by_hand::apply(&site.hand, &nats.client, &consumer, &site.config.destination_app, count).await
    })
    .await
}

/// Applies `count` new messages by a bridge, its start included, and says how many a second.
pub(crate) async fn apply_by_bridge(site: &Site, count: usize) -> Result<f64> {
    let mut bridge = None;
    let rate = apply(site, count, async || {
        bridge = Some(site.start([Role::Consumer]).await?);
        site.until_applied().await
    })
    .await?;
    stop(bridge).await?;
    Ok(rate)
}

async fn apply(site: &Site, count: usize, mut work: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    fill::stream(site, count).await?;
    site.settle().await?;
    let (processed, rows) =
        ("SELECT count(*) FROM inbox_events WHERE status = 'processed'", "SELECT count(*) FROM organizations");
    let before = (site.count(processed).await?, site.count(rows).await?);
    let rate = rate(count, work()).await?;
    site.must_count(processed, before.0 + count as u64).await?;
    site.must_count(rows, before.1 + count as u64).await?;
    Ok(rate)
}

async fn stop(bridge: Option<jsb_runtime::Bridge>) -> Result<()> {
    match bridge {
        Some(bridge) => Ok(bridge.shutdown().await?),
        None => Ok(()),
    }
}
