//! Circles of rows that exchange unique values, beside transactions of the application's. SQLite has none beside another one.

use std::fmt::Debug;

use jsb_tests::entities::{plate, stall};
use jsb_tests::{App, Backend, Pair, Remote, eventually};
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, TransactionTrait};

use crate::unique::{swap_plates, swap_stalls, two_plates, two_stalls};

/// Starts B, and brings two rows over.
async fn bring_over(pair: &mut Pair) -> Remote {
    pair.b.start().await;
    let remote = Remote::of(&pair.b).await;
    remote.publish_all(&pair.a.recorded().await).await;
    pair.b.has_settled(2).await;
    remote
}

/// Publishes how the two rows came by each other's values, without the event between, and so nothing that can be applied alone.
async fn publish_swap(pair: &Pair, remote: &Remote) {
    let [.., one, other] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
    remote.publish_all(&[one.clone(), other.clone()]).await;
}

async fn is_swapped<E: EntityTrait<Model: PartialEq + Debug>>(pair: &Pair) {
    pair.b.has_settled(4).await;
    let (a, b) = pair.rows::<E>().await;
    assert_eq!(a, b);
}

/// A lock that the application holds.
async fn lock(app: &App, sql: &str) -> DatabaseTransaction {
    let txn = app.db.begin().await.expect("a transaction");
    txn.execute_unprepared(sql).await.expect("a lock");
    txn
}

/// Waits until somebody has waited for a lock ten times longer than a circle does at first.
async fn is_waited_for(app: &App) {
    let waiting = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                   AND query_start < clock_timestamp() - interval '1 s'";
    eventually("it is waited for", || async { Ok::<_, ()>((!app.texts(waiting).await.is_empty()).then_some(())) })
        .await;
}

/// PostgreSQL looks for a deadlock after a second, and might end the application's transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_gives_way_before_anybody_looks_for_a_deadlock() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let note = "CREATE TABLE waits (longest text); \
                CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                INSERT INTO waits VALUES (current_setting('lock_timeout')); RETURN NULL; END $$; \
                CREATE TRIGGER note AFTER UPDATE ON plates FOR EACH ROW EXECUTE FUNCTION note()";
    pair.b.sql(note).await;
    let plates = two_plates(&pair.a, 0).await;
    let remote = bring_over(&mut pair).await;
    swap_plates(&pair.a, plates, 0).await;
    publish_swap(&pair, &remote).await;
    is_swapped::<plate::Entity>(&pair).await;
    assert_eq!(pair.b.texts("SELECT DISTINCT longest FROM waits").await, ["100ms"]);
    pair.stop().await;
}

/// Has two plates swap while the application holds a lock for long, for which whoever updates a plate in this way knocks.
async fn a_swap_waits_for_a_lock(when: &str) {
    let mut pair = Pair::create(Backend::Postgres).await;
    let knock = "CREATE FUNCTION knock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$";
    pair.b.sql(&format!("{knock}; CREATE TRIGGER knock {when} EXECUTE FUNCTION knock()")).await;
    let plates = two_plates(&pair.a, 0).await;
    let remote = bring_over(&mut pair).await;
    swap_plates(&pair.a, plates, 0).await;
    let lock = lock(&pair.b, "SELECT pg_advisory_xact_lock(1)").await;
    publish_swap(&pair, &remote).await;
    is_waited_for(&pair.b).await;
    lock.rollback().await.expect("the lock is free");
    is_swapped::<plate::Entity>(&pair).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_waits_for_a_lock_that_the_application_holds_for_long() {
    // Whoever gives a row a stand-in for its value comes by the lock, and nobody else.
    a_swap_waits_for_a_lock("BEFORE UPDATE ON plates FOR EACH ROW WHEN (NEW.plate NOT IN ('X-0', 'Y-0'))").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_a_circle_waits_for_a_lock_that_the_application_holds_for_long() {
    // Whoever has written a row comes by the lock; what cannot be applied alone does not come to it.
    a_swap_waits_for_a_lock("AFTER UPDATE ON plates FOR EACH ROW WHEN (NEW.plate IN ('X-0', 'Y-0'))").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_in_a_circle_waits_for_a_lock_that_the_application_holds_for_long() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let stalls = two_stalls(&pair.a).await;
    let remote = bring_over(&mut pair).await;
    swap_stalls(&pair.a, stalls).await;
    // The handler leaves an effect; what cannot be applied alone does not come to it.
    let lock = lock(&pair.b, "LOCK TABLE effects IN ACCESS EXCLUSIVE MODE").await;
    publish_swap(&pair, &remote).await;
    is_waited_for(&pair.b).await;
    lock.rollback().await.expect("the lock is free");
    is_swapped::<stall::Entity>(&pair).await;
    assert_eq!(pair.b.texts("SELECT probe FROM effects").await, ["[1, 2]", "[1, 2]"]);
    pair.stop().await;
}
