//! While the relay publishes a batch it reads the next one. What it has read must neither overtake nor outlive anything.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jsb_runtime::Role;
use jsb_tests::child::Child;
use jsb_tests::entities::ticket;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, ChildCommand, Pair, Proxy, Stream, lasts, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DatabaseConnection, TransactionTrait};
use uuid::Uuid;

use crate::crash::forgetful_stream;

/// How long a lease goes unquestioned.
const LEASE_IS_RENEWED_AFTER: Duration = Duration::from_secs(2);
/// How long it holds at the most.
const LEASE_ENDS_AFTER: Duration = Duration::from_secs(5);
/// How long a forgetful stream knows a message's id.
const FORGETS_AFTER: Duration = Duration::from_millis(100);

fn new(id: Uuid) -> ticket::ActiveModel {
    ticket::ActiveModel { id: Set(id), ..ticket::new(0) }
}

async fn set(id: Uuid, number: i64, db: &DatabaseConnection) {
    let change = ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
    change.update(db).await.expect("an update");
}

/// A pair with batches of `batch_size`, whose stream is made, and A's connection to NATS through a proxy.
async fn pair(backend: Backend, batch_size: usize) -> (Pair, Proxy) {
    let (mut pair, proxy) = new_pair(backend, batch_size).await;
    pair.b.start().await;
    (pair, proxy)
}

async fn new_pair(backend: Backend, batch_size: usize) -> (Pair, Proxy) {
    let mut pair =
        Pair::configured(backend, |config| config.batch_size(batch_size).backoff([Duration::from_secs(600); 5])).await;
    let proxy = Proxy::before_nats().await;
    pair.a.config.nats_url = proxy.url();
    (pair, proxy)
}

/// What A has published, in order: which ticket, and its number.
async fn published(pair: &Pair) -> Vec<(Uuid, i64)> {
    let (a, b) = (&pair.a.config, &pair.b.config);
    let messages = Stream::of(b).await.messages(&format!("{}.sync.{}", a.app_name, b.app_name)).await;
    let event = |message: &jsb_tests::stream::StreamMessage| {
        let event = message.json();
        let id = event["resource_id"].as_str().and_then(|id| id.parse().ok()).expect("a ticket's id");
        (id, event["payload"]["number"].as_i64().expect("a number"))
    };
    messages.iter().map(event).collect()
}

/// How much A has published: all that the stream holds.
async fn count_published(pair: &Pair) -> usize {
    let (stream, name) = (pair.b.stream().await, &pair.b.config.stream_name);
    stream.context.get_stream(name).await.expect("the stream").cached_info().state.messages as usize
}

/// Waits until A has published this much.
async fn has_published(pair: &Pair, events: usize) {
    until(&format!("{events} events are published"), async || count_published(pair).await >= events).await;
}

/// What A has published of one ticket.
async fn numbers(pair: &Pair, id: Uuid) -> Vec<i64> {
    published(pair).await.into_iter().filter(|(ticket, _)| *ticket == id).map(|(_, number)| number).collect()
}

/// Starts A, whose server answers all that it asks at the start, and whose first batch, of `events`, is not acknowledged.
async fn start_held(pair: &mut Pair, proxy: &Proxy, events: usize) {
    pair.a.lend_lease("nobody").await;
    pair.a.start().await;
    proxy.hold();
    pair.a.end_leases().await;
    has_published(pair, events).await;
}

/// The same with A's relay in a process of its own.
async fn start_child_held(pair: &Pair, proxy: &Proxy, events: usize) -> Child {
    pair.a.lend_lease("nobody").await;
    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).set("ROLES", "relay").start().await;
    proxy.hold();
    pair.a.end_leases().await;
    has_published(pair, events).await;
    child
}

/// SQLite has one writer at a time, whose ids are in the order of its commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_an_early_id_that_is_committed_late_is_not_overtaken_by_its_row_s_next() {
    let (mut pair, proxy) = pair(Backend::Postgres, 2).await;
    let late = Uuid::now_v7();
    let txn = pair.a.db.begin().await.expect("a transaction");
    new(late).insert(&txn).await.expect("a ticket");
    for _ in 0..4 {
        ticket::saved(&pair.a.db).await;
    }
    start_held(&mut pair, &proxy, 2).await;
    txn.commit().await.expect("a commit");
    set(late, 1, &pair.a.db).await;
    proxy.let_go();
    pair.a.has_sent(6).await;
    assert_eq!(numbers(&pair, late).await, [0, 1]);
    pair.stop().await;
}

on_both! {
    async fn what_is_being_published_is_not_read_again(backend: Backend) {
        let (mut pair, proxy) = new_pair(backend, 2).await;
        forgetful_stream(&pair).await;
        for _ in 0..5 {
            ticket::saved(&pair.a.db).await;
        }
        start_held(&mut pair, &proxy, 2).await;
        lasts(10 * FORGETS_AFTER).await;
        proxy.let_go();
        pair.a.has_sent(5).await;
        assert_eq!(published(&pair).await.len(), 5);
        pair.stop().await;
    }

    async fn what_was_read_ahead_waits_behind_what_the_server_refuses(backend: Backend) {
        let (mut pair, _proxy) = pair(backend, 3).await;
        let refused = ticket::saved(&pair.a.db).await;
        ticket::saved(&pair.a.db).await;
        ticket::saved(&pair.a.db).await;
        set(refused, 1, &pair.a.db).await;
        ticket::saved(&pair.a.db).await;
        set(refused, 2, &pair.a.db).await;
        // The server refuses what expects another state of the stream.
        pair.a.sql("UPDATE outbox_events SET headers = '{\"Nats-Expected-Last-Sequence\": \"999\"}' WHERE id = 1").await;
        pair.a.start().await;
        // The others: two of the first batch, and one of the second, in which the refused event is delayed.
        has_published(&pair, 3).await;
        pair.a.sql("UPDATE outbox_events SET headers = '{}', attempts = 0 WHERE id = 1").await;
        pair.a.has_sent(6).await;
        assert_eq!(numbers(&pair, refused).await, [0, 1, 2]);
        pair.stop().await;
    }

    async fn a_relay_that_stops_marks_the_batch_in_hand_and_leaves_what_was_read_ahead(backend: Backend) {
        let (mut pair, proxy) = pair(backend, 2).await;
        let id = ticket::saved(&pair.a.db).await;
        ticket::saved(&pair.a.db).await;
        set(id, 1, &pair.a.db).await;
        set(id, 2, &pair.a.db).await;
        start_held(&mut pair, &proxy, 2).await;
        // Asked to stop, and only then let go.
        tokio::join!(pair.a.stop(), async { proxy.let_go() });
        assert_eq!(pair.a.count("outbox_events", "sent").await, 2);
        assert_eq!(published(&pair).await.len(), 2);
        pair.a.start().await;
        pair.a.has_sent(4).await;
        assert_eq!(numbers(&pair, id).await, [0, 1, 2]);
        pair.stop().await;
    }

    async fn a_relay_that_is_killed_with_a_batch_read_ahead_loses_nothing(backend: Backend) {
        let (mut pair, proxy) = pair(backend, 2).await;
        let id = ticket::saved(&pair.a.db).await;
        ticket::saved(&pair.a.db).await;
        for number in 1..=5 {
            set(id, number, &pair.a.db).await;
        }
        start_child_held(&pair, &proxy, 2).await.kill().await;
        assert_eq!(pair.a.count("outbox_events", "sent").await, 0);
        proxy.let_go();
        pair.a.start().await;
        pair.a.has_sent(7).await;
        assert_eq!(numbers(&pair, id).await, [0, 1, 2, 3, 4, 5]);
        pair.stop().await;
    }

    async fn what_was_read_ahead_is_forgotten_with_the_lease(backend: Backend) {
        let (mut pair, proxy) = pair(backend, 2).await;
        for _ in 0..4 {
            ticket::saved(&pair.a.db).await;
        }
        start_held(&mut pair, &proxy, 2).await;
        lasts(LEASE_IS_RENEWED_AFTER).await;
        // Another process takes over, publishes the rest, and ends.
        pair.a.lend_lease("another").await;
        pair.a.sql("UPDATE outbox_events SET status = 'sent' WHERE id IN (3, 4)").await;
        lasts(LEASE_IS_RENEWED_AFTER).await;
        pair.a.end_leases().await;
        proxy.let_go();
        pair.a.has_sent(4).await;
        let next = ticket::saved(&pair.a.db).await;
        pair.a.has_sent(5).await;
        let published = published(&pair).await;
        assert_eq!((published.len(), published.last()), (3, Some(&(next, 0))), "it published what was sent already");
        pair.stop().await;
    }
}

/// A process that sleeps in the middle of a write would keep SQLite's lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_ahead_is_forgotten_by_a_process_that_slept_for_longer_than_its_lease() {
    let (pair, proxy) = pair(Backend::Postgres, 2).await;
    // Events that are as large as that are waited for until after the sleep.
    let ballast = "x".repeat(900_000);
    for _ in 0..2 {
        probe::send(&pair.a.db, "record", Orders { ballast: ballast.clone(), ..Default::default() }).await;
    }
    for _ in 0..2 {
        ticket::saved(&pair.a.db).await;
    }
    let child = start_child_held(&pair, &proxy, 2).await;
    lasts(LEASE_IS_RENEWED_AFTER).await;
    child.freeze();
    lasts(LEASE_ENDS_AFTER + Duration::from_secs(1)).await;
    // Another process has taken over, published the rest, and ended.
    pair.a.sql("UPDATE outbox_events SET status = 'sent' WHERE id IN (3, 4)").await;
    pair.a.end_leases().await;
    child.thaw();
    until("it has the lease again", async || {
        let held = pair.a.texts("SELECT holder FROM sync_leases WHERE name = 'relay'").await;
        !held.is_empty()
    })
    .await;
    lasts(Duration::from_secs(1)).await;
    proxy.let_go();
    pair.a.has_sent(4).await;
    ticket::saved(&pair.a.db).await;
    pair.a.has_sent(5).await;
    assert_eq!(count_published(&pair).await, 3, "it published what was sent already");
    assert!(child.stop().await.success());
    pair.stop().await;
}

/// How many events were published.
static PUBLISHED: AtomicUsize = AtomicUsize::new(0);

const WAVE: usize = 5;

/// Loses the second of a wave, and all that comes after the wave.
fn lose_the_second(subject: &str) -> bool {
    let number = if subject.contains(".sync.") { PUBLISHED.fetch_add(1, Ordering::SeqCst) } else { return false };
    number == 1 || number >= WAVE
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_lost_on_its_way_is_sent_again_and_no_other() {
    let (mut pair, proxy) = pair(Backend::Sqlite, 2 * WAVE).await;
    for _ in 0..WAVE {
        ticket::saved(&pair.a.db).await;
    }
    proxy.lose(lose_the_second);
    pair.a.start().await;
    pair.a.has_sent(WAVE as i64 - 1).await;
    assert_eq!(pair.a.texts("SELECT CAST(id AS TEXT) FROM outbox_events WHERE status = 'pending'").await, ["2"]);
    proxy.lose(|_| false);
    pair.a.has_sent(WAVE as i64).await;
    let published = published(&pair).await;
    assert_eq!(published.len(), WAVE);
    pair.stop().await;
}

/// How many events were published after a start.
static TRIED: AtomicUsize = AtomicUsize::new(0);

fn lose_the_first_wave(subject: &str) -> bool {
    subject.contains(".sync.") && TRIED.fetch_add(1, Ordering::SeqCst) < WAVE
}

/// The client keeps a place for each answer that never comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_wave_that_is_lost_one_event_is_tried_alone() {
    let (mut pair, proxy) = pair(Backend::Sqlite, 2 * WAVE).await;
    // A consumer would miss the answers that are held, and look for its stream.
    pair.a.config = pair.a.config.clone().roles([Role::Relay]);
    for _ in 0..WAVE {
        ticket::saved(&pair.a.db).await;
    }
    proxy.lose(lose_the_first_wave);
    pair.a.start().await;
    until("the wave is lost", async || TRIED.load(Ordering::SeqCst) >= WAVE).await;
    proxy.hold();
    has_published(&pair, 1).await;
    // Asked to stop, and only then let go.
    tokio::join!(pair.a.stop(), async { proxy.let_go() });
    assert_eq!(count_published(&pair).await, 1);
    pair.a.start().await;
    pair.a.has_sent(WAVE as i64).await;
    assert_eq!(published(&pair).await.len(), WAVE);
    pair.stop().await;
}
