//! A database that is silent, or holds an event up.

use std::time::Duration;

use jsb_tests::faults::link::Weather;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Pair, effects, eventually, inbox, lasts, until};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};

use super::{both_hold, nothing_was_held_against_anyone, save};

/// Holds whatever lock keeps an event from being applied.
async fn lock(app: &App, backend: Backend) -> DatabaseTransaction {
    let mode = Some(SqliteTransactionMode::Immediate);
    let options = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
    let lock = app.db.begin_with_options(options).await.expect("a transaction");
    if backend == Backend::Postgres {
        lock.execute_unprepared("LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    }
    lock
}

on_both! {
    async fn a_lock_that_is_held_for_seconds_is_waited_for(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.backoff([Duration::from_secs(2); 5])).await;
        if backend == Backend::Postgres {
            let soon = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 300', current_database()); END $$";
            pair.b.db.execute_unprepared(soon).await.expect("a timeout for new connections");
        }
        let impatient = pair.b.connect_impatiently(Duration::from_millis(500)).await;
        let patient = std::mem::replace(&mut pair.b.db, impatient);
        pair.start_both().await;
        // A second process, which would get what the server takes for lost.
        pair.b.start().await;
        pair.b.db = patient;
        let lock = lock(&pair.b, backend).await;
        let row = save(&pair.a.db, "acme.example").await.expect("a save");
        let (stream, app) = (pair.b.stream().await, &pair.b.config.app_name);
        until("the event is delivered", async || stream.progress(app).await.num_ack_pending == 1).await;
        lasts(Duration::from_secs(5)).await;
        let progress = stream.progress(app).await;
        let untouched = (progress.num_ack_pending, progress.num_redelivered);
        assert_eq!(untouched, (1, 0), "the server gave it to somebody else meanwhile");
        lock.rollback().await.expect("the lock is let go");
        pair.b.has(&row).await;
        pair.quiet().await;
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }
}

/// The connections of a SQLite database are files, which nobody ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_ends_under_a_slow_handler_is_not_held_against_the_event() {
    let mut pair = Pair::start(Backend::Postgres).await;
    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "hesitate", orders).await;
    before_the_gate.until_reached().await;
    lasts(Duration::from_secs(3)).await;
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    pair.b.database.connect().await.execute_unprepared(others).await.expect("everybody is cut off");
    before_the_gate.open();
    pair.b.event_is(&probe.event_id, "processed").await;
    assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
    nothing_was_held_against_anyone(&pair).await;
    pair.b.stop().await;
    pair.a.stop().await;
}

/// As long as its transaction is open, a handler has all the time that it takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_takes_long_is_left_alone() {
    let pair = Pair::start(Backend::Postgres).await;
    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "hesitate", orders).await;
    before_the_gate.until_reached().await;
    // Longer than what goes on is left without a look.
    lasts(Duration::from_secs(12)).await;
    before_the_gate.open();
    pair.b.event_is(&probe.event_id, "processed").await;
    assert_eq!(before_the_gate.arrivals(), 1);
    pair.stop().await;
}

/// The host of a SQLite database is that of its application.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_vanishes_under_an_event_does_not_hold_it_for_ever() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let (link, linked) = pair.b.connect_over_link().await;
    let direct = std::mem::replace(&mut pair.b.db, linked);
    pair.start_both().await;

    let orders = Orders { gate: pair.b.config.app_name.clone(), ..Default::default() };
    let before_the_gate = gate(&orders.gate);
    let probe = probe::send(&pair.a.db, "wait", orders).await;
    before_the_gate.until_reached().await;
    link.set(Weather::FailedOver);
    before_the_gate.open();
    eventually("it is processed", || inbox::with_status(&direct, &probe.event_id, "processed")).await;
    assert_eq!(effects::count(&direct, &probe.id).await, Ok(1));
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// A SQLite database is a file, which does not fall silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_under_a_batch_does_not_hold_it_for_ever() {
    const ROWS: usize = 50;
    let mut pair = Pair::create(Backend::Postgres).await;
    for number in 0..ROWS {
        save(&pair.a.db, &format!("{number}.example")).await.expect("a save");
    }
    pair.a.start().await;
    pair.a.has_sent(ROWS as i64).await;
    // In these ten seconds the link breaks off.
    pair.b.linger("organizations", 10).await;
    let (link, linked) = pair.b.connect_over_link().await;
    let direct = std::mem::replace(&mut pair.b.db, linked);
    pair.b.start().await;
    pair.b.db = direct;
    pair.b.lingers().await;
    link.set(Weather::Silent);
    both_hold(&pair, ROWS).await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}

/// SQLite has no such limits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_waited_for_longer_than_the_user_may_wait() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff([Duration::from_secs(2); 5])).await;
    let soon =
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET statement_timeout = 3000', current_database()); END $$";
    pair.b.db.execute_unprepared(soon).await.expect("a timeout for new connections");
    let patient = pair.b.db.clone();
    pair.b.db = pair.b.database.connect().await;
    pair.start_both().await;
    let lock = patient.begin().await.expect("a transaction");
    lock.execute_unprepared("LOCK TABLE organizations IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let row = save(&pair.a.db, "acme.example").await.expect("a save");
    eventually("the event waits for longer than that", || async {
        let waiting = "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' \
                       AND query_start < clock_timestamp() - interval '4 seconds'";
        let rows = patient.query_all_raw(Statement::from_string(DbBackend::Postgres, waiting)).await?;
        Ok::<_, DbErr>((!rows.is_empty()).then_some(()))
    })
    .await;
    lock.rollback().await.expect("the lock is let go");
    pair.b.has(&row).await;
    pair.quiet().await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}
