//! The batch that is pulled while the one before is applied: it is held, a bridge that stops finishes it, and one that is
//! killed leaves it to others.

use std::time::Duration;

use futures_util::TryStreamExt;
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, ChildCommand, Pair, Remote, Stream, until};
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, TransactionTrait};
use serde_json::Value as Json;
use uuid::Uuid;

const BATCH: usize = 20;
const BATCHES: usize = 4;

/// The events of one batch: of each row one.
fn batch(ids: &[Uuid], number: usize) -> impl Iterator<Item = Json> {
    ids.iter().map(move |id| {
        let updated_at = format!("2026-01-01T00:00:{number:02}Z");
        Remote::event("tally", "updated", id, tally::payload(id, number, updated_at))
    })
}

/// A pair whose B has batches of events waiting, of which it can apply none as long as the transaction is open. The
/// server brings again what it hears nothing of for half a second.
async fn pair() -> (Pair, DatabaseTransaction) {
    let backoff = [Duration::from_millis(500); 5];
    let mut pair = Pair::configured(Backend::Postgres, |config| config.batch_size(BATCH).backoff(backoff)).await;
    pair.b.start().await;
    pair.b.stop().await;
    let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(BATCH).collect();
    let events: Vec<_> = (0..BATCHES).flat_map(|number| batch(&ids, number)).collect();
    Remote::of(&pair.b).await.publish_all(&events).await;
    let txn = pair.b.db.begin().await.expect("a transaction");
    txn.execute_unprepared("LOCK TABLE tallies IN ACCESS EXCLUSIVE MODE").await.expect("the table's lock");
    (pair, txn)
}

/// Waits until B has a batch in hand that cannot go on, and the next one.
async fn has_pulled_ahead(app: &App, stream: &Stream) {
    until("the next batch is there", async || {
        let in_hand = stream.progress(&app.config.app_name).await.num_ack_pending;
        in_hand == 2 * BATCH
    })
    .await;
}

async fn everything_is_applied(app: &App) {
    app.has_settled((BATCH * BATCHES) as u64).await;
    let rows = tally::Entity::find().all(&app.db).await.expect("the tallies");
    let newest = BATCHES as i64 - 1;
    assert!(rows.len() == BATCH && rows.iter().all(|row| row.value == newest), "{rows:?}");
    assert_eq!(app.reasons_of_death().await, Vec::<String>::new());
}

/// No event was noted in the inbox before one that is older.
async fn the_order_was_kept(app: &App) {
    let sql = "SELECT late.event_id FROM inbox_events late JOIN inbox_events early \
               ON early.received_at < late.received_at AND early.stream_seq > late.stream_seq";
    assert_eq!(app.texts(sql).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_behind_a_slow_batch_is_held() {
    let (mut pair, txn) = pair().await;
    let stream = pair.b.stream().await;
    pair.b.start().await;
    has_pulled_ahead(&pair.b, &stream).await;
    pair.b.until_somebody_waits("waitstart < now() - interval '2 s'").await;
    // Another process gets what nobody has had yet, and nothing else.
    let durable = stream.durable(&pair.b.config.app_name).await;
    let messages = durable.batch().max_messages(100).expires(Duration::from_millis(300)).messages().await;
    let messages: Vec<_> = messages.expect("a pull").try_collect().await.expect("messages");
    let deliveries: Vec<_> = messages.iter().map(|message| message.info().expect("its place").delivered).collect();
    assert_eq!(deliveries, [1; (BATCHES - 2) * BATCH]);
    txn.rollback().await.expect("the lock is free");
    everything_is_applied(&pair.b).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_stops_finishes_what_it_has_pulled() {
    let (mut pair, txn) = pair().await;
    let stream = pair.b.stream().await;
    pair.b.start().await;
    has_pulled_ahead(&pair.b, &stream).await;
    // The stop begins first.
    let (_, unlocked) = tokio::join!(pair.b.stop(), txn.rollback());
    unlocked.expect("the lock is free");
    assert_eq!(pair.b.count("inbox_events", "processed").await, 2 * BATCH as i64);
    let progress = pair.b.progress().await;
    let left = (BATCHES - 2) * BATCH;
    assert_eq!((progress.num_ack_pending, progress.num_pending), (0, left as u64));

    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.b).start().await;
    pair.b.start().await;
    everything_is_applied(&pair.b).await;
    the_order_was_kept(&pair.b).await;
    assert!(child.stop().await.success());
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_pulled_is_applied_by_another() {
    let (mut pair, txn) = pair().await;
    let stream = pair.b.stream().await;
    let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.b).start().await;
    has_pulled_ahead(&pair.b, &stream).await;
    child.kill().await;
    txn.rollback().await.expect("the lock is free");
    pair.b.start().await;
    everything_is_applied(&pair.b).await;
    // Begun once, by the process that took over.
    assert_eq!(pair.b.texts("SELECT event_id FROM inbox_events WHERE starts > 1").await, Vec::<String>::new());
    pair.stop().await;
}
