//! NATS is away, falls silent, or loses what it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dev_servers::{NatsOptions, NatsServer};
use jsb_tests::faults::link::{Link, Weather};
use jsb_tests::{Backend, Pair, Proxy, lasts, servers, until};

use super::{AT_ONCE, LOST, note_and_lose, nothing_was_held_against_anyone, save};

/// How soon work must go on when NATS has fallen silent: after 27 s it has left three pings unanswered. By itself the client
/// would send one a minute.
const SOON: Duration = Duration::from_secs(60);

async fn own_nats(options: NatsOptions) -> NatsServer {
    NatsServer::start(options).await.expect("nats-server starts")
}

async fn pair_on(nats: &NatsServer, backend: Backend) -> Pair {
    let url = nats.url();
    Pair::configured(backend, |config| config.nats_url(url.as_str())).await
}

on_both! {
    async fn nats_is_away_at_start_and_during_saves(backend: Backend) {
        let mut nats = own_nats(NatsOptions::default()).await;
        let mut pair = pair_on(&nats, backend).await;
        nats.stop().await;
        tokio::join!(pair.a.start(), pair.b.start());
        assert!(!pair.a.status().await.jetstream_connected);
        let early = save(&pair.a.db, "early.example").await.expect("a save");
        assert_eq!(pair.a.status().await.pending_events, 1);
        nats.restart().await.expect("nats-server starts");
        let back = Instant::now();
        pair.b.has(&early).await;
        assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());

        nats.kill().await;
        pair.a.until_detached().await;
        pair.b.until_detached().await;
        let from_a = save(&pair.a.db, "from-a.example").await.expect("a save");
        let from_b = save(&pair.b.db, "from-b.example").await.expect("a save");
        lasts(Duration::from_secs(3)).await;
        nats.restart().await.expect("nats-server starts");
        let back = Instant::now();
        tokio::join!(pair.b.has(&from_a), pair.a.has(&from_b));
        assert!(back.elapsed() < AT_ONCE, "it resumed after {:?}", back.elapsed());
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }

    async fn nats_comes_back_without_its_store(backend: Backend) {
        let store = tempfile::tempdir().expect("a folder");
        let mut nats = own_nats(NatsOptions { store_dir: Some(store.path().join("js")), ..Default::default() }).await;
        let mut pair = pair_on(&nats, backend).await;
        pair.start_both().await;
        let before = save(&pair.a.db, "before.example").await.expect("a save");
        pair.b.has(&before).await;
        nats.kill().await;
        let meanwhile = save(&pair.a.db, "meanwhile.example").await.expect("a save");
        std::fs::remove_dir_all(store.path().join("js")).expect("the store is lost");
        nats.restart().await.expect("nats-server starts");
        pair.b.has(&meanwhile).await;
        let after = save(&pair.b.db, "after.example").await.expect("a save");
        pair.a.has(&after).await;
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }

    async fn a_publish_that_is_lost_is_not_taken_for_sent(backend: Backend) {
        let proxy = Proxy::before_nats().await;
        let mut pair = Pair::create(backend).await;
        pair.a.config.nats_url = proxy.url();
        pair.start_both().await;
        proxy.lose(note_and_lose);
        let row = save(&pair.a.db, "lost.example").await.expect("a save");
        let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
        until("it was published again, since nobody acknowledged it", async || {
            assert_eq!(pair.a.count("outbox_events", "sent").await, 0, "it counts as sent");
            let times = LOST.lock().expect("no test panics here").iter().filter(|lost| **lost == subject).count();
            times >= 2
        })
        .await;
        proxy.lose(|_| false);
        pair.b.has(&row).await;
        pair.quiet().await;
        pair.stop().await;
    }
}

/// How many pull requests there were.
static PULLS: AtomicUsize = AtomicUsize::new(0);

/// Loses the second, which waits at the server for the next message: the first asks what is there.
fn lose_the_one_that_waits(subject: &str) -> bool {
    subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") && PULLS.fetch_add(1, Ordering::SeqCst) == 1
}

/// As with a server of a cluster that led the consumer and died, while the client is connected to another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_that_is_lost_holds_up_nothing_for_long() {
    let proxy = Proxy::before_nats().await;
    let mut pair = Pair::create(Backend::Sqlite).await;
    pair.b.config.nats_url = proxy.url();
    proxy.lose(lose_the_one_that_waits);
    pair.start_both().await;
    until("a request is lost", async || PULLS.load(Ordering::SeqCst) >= 2).await;
    let row = save(&pair.a.db, "unasked.example").await.expect("a save");
    let saved = Instant::now();
    pair.b.has(&row).await;
    assert!(saved.elapsed() < AT_ONCE, "it came after {:?}", saved.elapsed());
    pair.stop().await;
}

/// A connection breaks off without a word, as in a firewall that has forgotten it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_that_falls_silent_is_left_for_a_new_connection() {
    let link = Link::to(servers::nats().await.port()).await.expect("a link");
    let url = format!("nats://127.0.0.1:{}", link.port());
    // What the server sends meanwhile comes again soon.
    let backoff = [Duration::from_secs(1); 5];
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.nats_url(url.as_str()).backoff(backoff)).await;
    pair.start_both().await;
    let before = save(&pair.a.db, "before.example").await.expect("a save");
    pair.b.has(&before).await;
    link.set(Weather::Silent);
    let silent = Instant::now();
    let from_a = save(&pair.a.db, "from-a.example").await.expect("a save");
    let from_b = save(&pair.b.db, "from-b.example").await.expect("a save");
    tokio::join!(pair.b.has(&from_a), pair.a.has(&from_b));
    pair.quiet().await;
    assert!(silent.elapsed() < SOON, "it resumed after {:?}", silent.elapsed());
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}
