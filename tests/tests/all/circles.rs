//! Circles of rows that exchange unique values, beside transactions of the application's. SQLite has none beside another one.

use std::fmt::Debug;
use std::time::Duration;

use jsb_tests::entities::{plate, stall};
use jsb_tests::faults::link::Weather;
use jsb_tests::{App, Backend, Pair, Remote, eventually, lasts};
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait, TransactionTrait};

use crate::unique::{swap_plates, swap_stalls, two_plates, two_stalls};

/// Starts B, and brings two rows over.
async fn bring_over(pair: &mut Pair) -> Remote {
    let remote = pair.receive().await;
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
    pair.agree_now::<E>().await;
}

/// A lock that the application holds.
async fn lock(app: &App, sql: &str) -> DatabaseTransaction {
    let txn = app.db.begin().await.expect("a transaction");
    txn.execute_unprepared(sql).await.expect("a lock");
    txn
}

/// Waits until somebody has waited for a lock ten times longer than a circle does at first.
async fn is_waited_for(app: &App) {
    app.until_somebody_waits("query_start < clock_timestamp() - interval '1 s'").await;
}

/// Notes what a setting is in transactions in which this is done.
async fn note(app: &App, setting: &str, done: &str) {
    let note = format!(
        "CREATE TABLE notes (value text); \
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO notes VALUES (current_setting('{setting}')); RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER {done} FOR EACH ROW EXECUTE FUNCTION note()"
    );
    app.sql(&note).await;
}

async fn noted(app: &App) -> Vec<String> {
    app.texts("SELECT DISTINCT value FROM notes").await
}

/// PostgreSQL looks for a deadlock after a second, and might end the application's transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_gives_way_before_anybody_looks_for_a_deadlock() {
    let mut pair = Pair::create(Backend::Postgres).await;
    note(&pair.b, "lock_timeout", "UPDATE ON plates").await;
    let plates = two_plates(&pair.a, 0).await;
    let remote = bring_over(&mut pair).await;
    swap_plates(&pair.a, plates, 0).await;
    publish_swap(&pair, &remote).await;
    is_swapped::<plate::Entity>(&pair).await;
    assert_eq!(noted(&pair.b).await, ["100ms"]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_in_a_circle_may_be_idle_for_as_long_as_alone() {
    let mut pair = Pair::create(Backend::Postgres).await;
    note(&pair.b, "idle_in_transaction_session_timeout", "INSERT ON effects").await;
    let stalls = two_stalls(&pair.a).await;
    let remote = bring_over(&mut pair).await;
    swap_stalls(&pair.a, stalls).await;
    publish_swap(&pair, &remote).await;
    is_swapped::<stall::Entity>(&pair).await;
    assert_eq!(noted(&pair.b).await, ["0"]);
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

/// Has whoever leaves an effect work for more than half of the time after which somebody looks whether a transaction is open, and
/// then find what he needs in somebody else's hands.
async fn works_and_finds_a_lock(app: &App, when: &str) {
    let work = format!(
        "CREATE FUNCTION work() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(6); \
         IF {when} THEN RAISE 'somebody has it' USING ERRCODE = '55P03'; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER work BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION work()"
    );
    app.sql(&work).await;
}

/// Events that failed, with why.
async fn failures(app: &App) -> Vec<String> {
    app.texts("SELECT coalesce(reason, '') || ' ' || coalesce(last_error, '') FROM inbox_events WHERE attempts > 0")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_whose_handler_works_for_long_is_not_taken_for_lost() {
    let mut pair = Pair::create(Backend::Postgres).await;
    works_and_finds_a_lock(&pair.b, "current_setting('lock_timeout') = '100ms'").await;
    let stalls = two_stalls(&pair.a).await;
    let remote = bring_over(&mut pair).await;
    swap_stalls(&pair.a, stalls).await;
    publish_swap(&pair, &remote).await;
    is_swapped::<stall::Entity>(&pair).await;
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    assert_eq!(failures(&pair.b).await, [""; 0]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_works_for_long_and_finds_a_lock_each_time_has_failed_in_its_circle() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.max_deliver(1)).await;
    works_and_finds_a_lock(&pair.b, "true").await;
    let stalls = two_stalls(&pair.a).await;
    let remote = bring_over(&mut pair).await;
    swap_stalls(&pair.a, stalls).await;
    publish_swap(&pair, &remote).await;
    let dead = eventually("one of them is dead", || async {
        let dead = pair.b.reasons_of_death().await;
        Ok::<_, ()>((!dead.is_empty()).then_some(dead))
    })
    .await;
    assert_eq!(dead, ["max_attempts"]);
    let failures = failures(&pair.b).await;
    assert!(
        matches!(&failures[..], [why] if why.contains("warden") && why.contains("somebody has it")),
        "{failures:?}"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_in_a_row_under_a_circle_are_not_held_against_it() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let linger = "CREATE TABLE told (id int); \
                  CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                  WHILE NOT EXISTS (SELECT FROM told) LOOP PERFORM pg_sleep(0.1); END LOOP; RETURN NEW; END $$; \
                  CREATE TRIGGER linger BEFORE INSERT ON effects FOR EACH ROW EXECUTE FUNCTION linger()";
    pair.b.sql(linger).await;
    let stalls = two_stalls(&pair.a).await;
    let (link, linked) = pair.b.connect_over_link().await;
    let direct = std::mem::replace(&mut pair.b.db, linked);
    let remote = bring_over(&mut pair).await;
    pair.b.db = direct;
    swap_stalls(&pair.a, stalls).await;
    publish_swap(&pair, &remote).await;
    for _ in 0..5 {
        pair.b.lingers().await;
        link.set(Weather::Cut);
        // The server itself would not notice before it has something to say.
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        pair.b.sql(others).await;
        // Longer than the bridge waits for a connection.
        lasts(Duration::from_secs(3)).await;
        link.set(Weather::Clear);
    }
    pair.b.lingers().await;
    pair.b.sql("INSERT INTO told VALUES (1)").await;
    is_swapped::<stall::Entity>(&pair).await;
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    assert_eq!(failures(&pair.b).await, [""; 0]);
    pair.stop().await;
}
