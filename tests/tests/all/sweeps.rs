//! The look for what the server has given up while nobody heard it: when it is taken, what it leaves alone, and the place from
//! which the next start has to take it.

use std::time::{Duration, Instant};

use jsb_runtime::Config;
use jsb_tests::entities::tally;
use jsb_tests::gate::gate;
use jsb_tests::{App, Backend, Pair, Proxy, Remote, effects, eventually, lasts, probe, until};
use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::deliveries::spend;

/// In milliseconds; short, so that five deliveries take few seconds.
const BACKOFF: [u64; 5] = [500, 100, 100, 100, 100];
/// How soon a look is due again that did not see everything.
const DUE_AGAIN: Duration = Duration::from_secs(1);
/// How often the bridge sees up to where the server is done.
const CHECKPOINT: Duration = Duration::from_secs(5);

const BATCH: usize = 20;
const BATCHES: usize = 5;

/// A pair whose B has looked once, so that the next look is for what has come since, and does not run.
async fn pair(backend: Backend, change: impl Fn(Config) -> Config) -> Pair {
    let mut pair = Pair::configured(backend, |config| change(config.backoff(BACKOFF.map(Duration::from_millis)))).await;
    pair.b.start().await;
    eventually("B has looked", || async { Ok::<_, DbErr>(place(&pair.b).await) }).await;
    pair.b.stop().await;
    pair
}

/// The place from which the next start looks.
async fn place(app: &App) -> Option<String> {
    app.texts("SELECT CAST(swept_seq AS text) FROM sync_settings WHERE swept_seq IS NOT NULL").await.pop()
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// An event for one of B's probes. Its gate has its name.
fn event(kind: &str, id: &str) -> Json {
    probe::event(kind, id, json!({"gate": id}))
}

/// The events of full batches, each of a row of its own.
fn tallies() -> Vec<Json> {
    let created = |value: usize| {
        let id = Uuid::now_v7();
        Remote::event("tally", "created", id, tally::payload(id, value, "2026-01-01T00:00:00Z"))
    };
    (0..BATCHES * BATCH).map(created).collect()
}

/// This one and the next two need writers side by side, which SQLite does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_during_a_look_is_found_by_the_next() {
    let mut pair = pair(Backend::Postgres, |config| config).await;
    let (stream, remote) = (pair.a.stream().await, Remote::of(&pair.b).await);
    let [slow, unheard] = [new_id(), new_id()];
    remote.publish(&event("wait", &slow)).await;
    spend(&stream, &pair.b).await;
    let proxy = Proxy::before_nats().await;
    pair.b.config.nats_url = proxy.url();
    pair.b.start().await;
    gate(&slow).until_reached().await;
    proxy.cut();
    pair.b.until_detached().await;
    remote.publish(&event("record", &unheard)).await;
    spend(&stream, &pair.b).await;
    proxy.mend();
    pair.b.until_attached().await;
    gate(&slow).open();
    pair.b.has_effect(&slow).await;
    pair.b.has_effect(&unheard).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_inbox_a_look_leaves_alone_what_another_process_works_on() {
    let mut pair = pair(Backend::Postgres, |config| config.use_inbox(false)).await;
    let remote = Remote::of(&pair.b).await;
    let [slow, other] = [new_id(), new_id()];
    pair.b.start().await;
    remote.publish(&event("wait", &slow)).await;
    gate(&slow).until_reached().await;
    // The second process looks before it takes anything.
    pair.b.start().await;
    remote.publish(&event("record", &other)).await;
    until("the second process has taken something", async || {
        assert_eq!(gate(&slow).arrivals(), 1, "both work on it");
        effects::count(&pair.b.db, &other).await == Ok(1)
    })
    .await;
    gate(&slow).open();
    pair.b.has_effect(&slow).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_is_due_does_not_wait_until_nothing_comes_any_more() {
    let mut pair = pair(Backend::Postgres, |config| config.batch_size(BATCH)).await;
    let (stream, remote) = (pair.b.stream().await, Remote::of(&pair.b).await);
    let lost = new_id();
    remote.publish(&event("record", &lost)).await;
    spend(&stream, &pair.b).await;
    remote.publish_all(&tallies()).await;
    let txn = pair.b.db.begin().await.expect("a transaction");
    // As a process that is in the middle of it: the first look leaves it to that one.
    let source = &pair.a.config.app_name;
    let claim = format!(
        "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, status, received_at) \
         VALUES ('{source}', '{lost}', 'probe', '{lost}', 'record', '', 'failed', now())"
    );
    for sql in [claim.as_str(), "LOCK TABLE tallies IN ACCESS EXCLUSIVE MODE"] {
        txn.execute_unprepared(sql).await.expect("a lock");
    }
    pair.b.start().await;
    until("a batch is in hand", async || {
        let in_hand = stream.progress(&pair.b.config.app_name).await.num_ack_pending;
        in_hand >= BATCH
    })
    .await;
    lasts(2 * DUE_AGAIN).await;
    txn.rollback().await.expect("the locks are free");
    pair.b.has_settled((BATCHES * BATCH) as u64 + 1).await;
    let later = format!(
        "SELECT event_id FROM inbox_events \
         WHERE processed_at > (SELECT processed_at FROM inbox_events WHERE event_id = '{lost}')"
    );
    assert!(!pair.b.texts(&later).await.is_empty(), "it came last");
    pair.stop().await;
}

/// What the server says of something that it gave up may still be on its way when it is done with all up to there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_stored_only_when_it_was_reached_a_checkpoint_ago() {
    let mut pair = pair(Backend::Sqlite, |config| config).await;
    pair.b.start().await;
    // The first checkpoint is at the start, and the next one soon after this.
    lasts(CHECKPOINT / 2).await;
    let began = Instant::now();
    Remote::of(&pair.b).await.publish(&event("record", &new_id())).await;
    eventually("the place is stored", || async { Ok::<_, DbErr>(place(&pair.b).await.filter(|place| place == "1")) })
        .await;
    let after = began.elapsed();
    assert!(after > CHECKPOINT * 4 / 5, "it was stored after {after:?}");
    pair.stop().await;
}
