//! What comes over a slow link takes its time, and holds up nothing.

use std::time::Duration;

use jsb_tests::entities::organization;
use jsb_tests::{Backend, Pair, Proxy, until};

use super::{both_hold, save_named};
use crate::deliveries;
use crate::problems::problem_of;

/// How long a proxy takes for each KiB.
const EIGHTH_OF_A_MIB_A_SECOND: Duration = Duration::from_millis(8);

/// A batch takes its time on a slow link, while the server waits a second for each acknowledgement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_link_spends_hardly_any_deliveries() {
    const ROWS: usize = 600;
    let proxy = Proxy::before_nats().await;
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.batch_size(200)).await;
    pair.b.config.nats_url = proxy.url();
    for number in 0..ROWS {
        save_named(&pair.a.db, &"n".repeat(8_000), &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    // A MiB a second.
    proxy.slow_down(Duration::from_millis(1));
    pair.b.start().await;
    both_hold(&pair, ROWS).await;
    let deliveries = pair.b.progress().await.delivered.consumer_sequence;
    assert!(deliveries < 3 * ROWS as u64 / 2, "{deliveries} deliveries of {ROWS} events");
    pair.stop().await;
}

/// A message is nothing to the client before all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_long_on_its_way_holds_up_nothing_for_ever() {
    const ROWS: usize = 5;
    let proxy = Proxy::before_nats().await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.b.config.nats_url = proxy.url();
    for number in 0..ROWS {
        let name = "n".repeat(if number == 1 { 900_000 } else { 10 });
        save_named(&pair.a.db, &name, &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    proxy.slow_down(EIGHTH_OF_A_MIB_A_SECOND);
    pair.b.start().await;
    until("both sides hold all rows", async || {
        assert_eq!(problem_of(&pair.b, "consumer").await, None, "the server counts as silent");
        let (a, b) = pair.rows::<organization::Entity>().await;
        a.len() == ROWS && a == b
    })
    .await;
    pair.stop().await;
}

/// A sweep asks for it, and gets no answer before all of it is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_was_given_up_and_is_long_on_its_way_is_found() {
    let proxy = Proxy::before_nats().await;
    let mut pair = deliveries::pair(Backend::Sqlite, true).await;
    let row = save_named(&pair.a.db, &"n".repeat(700_000), "large.example").await.expect("a save");
    pair.a.has_sent(1).await;
    deliveries::spend(&pair.b.stream().await, &pair.b).await;
    pair.b.config.nats_url = proxy.url();
    proxy.slow_down(EIGHTH_OF_A_MIB_A_SECOND);
    pair.b.start().await;
    pair.b.has(&row).await;
    pair.stop().await;
}
