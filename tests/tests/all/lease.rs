//! One process relays for a database, and another goes on when it cannot.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jsb_runtime::{Config, Role};
use jsb_tests::entities::ticket;
use jsb_tests::faults::link::{Link, Weather};
use jsb_tests::{Backend, Pair, Proxy, eventually, servers, until};
use sea_orm::ActiveValue::{Set, Unchanged};

/// A takeover needs five seconds of silence; this many events of one row take longer on a slow link.
const EVENTS: i64 = 200;
const SLOW: Duration = Duration::from_millis(20);
const LONGER_THAN_A_LEASE: Duration = Duration::from_secs(6);

fn only_relaying(config: Config) -> Config {
    config.roles([Role::Relay])
}

on_both! {
    async fn a_lease_from_a_clock_that_was_ahead_keeps_nobody_out(backend: Backend) {
        let mut app = Pair::configured(backend, only_relaying).await.a;
        app.sql("INSERT INTO sync_leases (name, holder, expires_at) VALUES ('relay', 'gone', 9999999999999)").await;
        ticket::saved(&app.db).await;
        app.start().await;
        app.has_sent(1).await;
        app.stop().await;
    }

    async fn a_process_that_stops_leaves_the_lease_of_another_one(backend: Backend) {
        let mut app = Pair::configured(backend, only_relaying).await.a;
        app.lend_lease("another").await;
        app.start().await;
        app.stop().await;
        assert_eq!(app.texts("SELECT holder FROM sync_leases WHERE name = 'relay'").await, ["another"]);
    }

    async fn a_process_that_gets_no_answers_leaves_the_relay_to_one_that_does(backend: Backend) {
        let mut app = Pair::configured(backend, only_relaying).await.a;
        let (direct, proxy) = (app.config.nats_url.clone(), Proxy::before_nats().await);
        app.config.nats_url = proxy.url();
        app.start().await;
        ticket::saved(&app.db).await;
        app.has_sent(1).await;
        proxy.lose(|subject| subject.contains(".sync."));
        app.config.nats_url = direct;
        app.start().await;
        ticket::saved(&app.db).await;
        app.has_sent(2).await;
        app.stop().await;
    }

    async fn a_batch_that_takes_longer_than_the_lease_keeps_it(backend: Backend) {
        let mut app = Pair::configured(backend, only_relaying).await.a;
        let link = Link::to(servers::nats().await.port()).await.expect("a link");
        app.config.nats_url = format!("nats://127.0.0.1:{}", link.port());
        let id = ticket::saved(&app.db).await;
        for number in 1..EVENTS {
            let change = ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
            change.update(&app.db).await.expect("an update");
        }
        link.set(Weather::Slow(SLOW));
        let began = Instant::now();
        app.start().await;
        app.start().await;
        let holders = Mutex::new(BTreeSet::new());
        until("all is sent", async || {
            let holder = app.texts("SELECT holder FROM sync_leases WHERE name = 'relay'").await;
            holders.lock().expect("the holders").extend(holder);
            app.count("outbox_events", "sent").await == EVENTS
        })
        .await;
        assert!(began.elapsed() > LONGER_THAN_A_LEASE, "too quick to show anything");
        let holders = holders.into_inner().expect("the holders");
        assert_eq!(holders.len(), 1);
        app.stop().await;
    }
}

/// The driver itself would wait for an answer for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_vanished_without_a_word_is_left_for_a_new_connection() {
    let app = Pair::configured(Backend::Postgres, only_relaying).await.a;
    let (link, db) = app.connect_over_link().await;
    let bridge = jsb_runtime::start(app.config.clone(), db.clone()).await.expect("a bridge");
    ticket::saved(&app.db).await;
    app.has_sent(1).await;
    link.set(Weather::Silent);
    ticket::saved(&app.db).await;
    let pool = db.get_postgres_connection_pool();
    eventually("all is sent over a new connection", || async {
        let sent = app.count("outbox_events", "sent").await;
        let held_up = || format!("{sent} sent; of {} connections {} are idle", pool.size(), pool.num_idle());
        if sent == 2 { Ok(Some(())) } else { Err(held_up()) }
    })
    .await;
    bridge.shutdown().await.expect("the bridge stops in order");
}
