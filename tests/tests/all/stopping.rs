//! What a bridge leaves to the next one when it stops or is dropped.

use jsb_tests::entities::tally;
use jsb_tests::faults::link::Weather;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Pair, effects, until};

async fn save(app: &App, value: i64) {
    tally::new(value).insert(&app.db).await.expect("a save");
}

on_both! {
    async fn a_bridge_that_is_dropped_leaves_everything_to_the_next_one(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let bridge = jsb_runtime::start(pair.a.config.clone(), pair.a.db.clone()).await.expect("the bridge starts");
        save(&pair.a, 1).await;
        pair.a.has_sent(1).await;
        drop(bridge);
        until("its relay gives up the lease", async || {
            let holders = pair.a.texts("SELECT holder FROM sync_leases WHERE name = 'relay'").await;
            holders.is_empty()
        })
        .await;
        let (stream, app) = (pair.a.stream().await, pair.a.config.app_name.clone());
        until("its consumer asks for nothing", async || stream.progress(&app).await.num_waiting == 0).await;

        save(&pair.a, 2).await;
        save(&pair.b, 3).await;
        pair.b.has_sent(1).await;
        until("the event for it waits at the server", async || stream.progress(&app).await.num_pending == 1).await;
        assert_eq!(pair.a.count("outbox_events", "pending").await, 1);
        pair.a.start().await;
        assert_eq!(pair.agree::<tally::Entity>().await.len(), 3);
        pair.stop().await;
    }
}

/// A SQLite database is a file, which is not away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_hand_when_a_bridge_stops_without_its_database_comes_again() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let (link, linked) = pair.b.connect_over_link().await;
    pair.b.db = linked;
    pair.start_both().await;
    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Orders::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "hesitate", orders).await;
    before_the_gate.until_reached().await;
    link.cut_connections().await;
    before_the_gate.open();
    pair.b.stop().await;
    assert!(!pair.b.is_idle().await, "the server will not bring it again");
    link.set(Weather::Clear);
    pair.b.start().await;
    let row = pair.b.event_is(&probe.event_id, "processed").await;
    assert_eq!((row.attempts, effects::count(&pair.b.db, &probe.id).await), (0, Ok(1)));
    pair.stop().await;
}
