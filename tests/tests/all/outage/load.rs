//! Much is under way, or waits, when something ends.

use std::time::{Duration, Instant};

use dev_servers::Postgres;
use jsb_tests::entities::organization;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, ChildCommand, Pair, TestDatabase, effects, eventually, lasts, until};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait};

use super::{both_hold, nothing_was_held_against_anyone, save};

on_both! {
    async fn a_long_outbox_is_relayed_in_little_memory(backend: Backend) {
        const ROWS: i64 = 3_000;
        const BYTES: usize = 30_000;
        let mut pair = Pair::configured(backend, |config| config.batch_size(50)).await;
        pair.b.start().await;
        pair.b.stop().await;
        let numbers = match backend {
            Backend::Postgres => format!("SELECT n FROM generate_series(1, {ROWS}) AS s(n)"),
            Backend::Sqlite => format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {ROWS}) SELECT n FROM s"),
        };
        let now = "'2026-01-01T00:00:00+00:00'";
        let ballast = "x".repeat(BYTES);
        let sql = format!(
            "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, \
             status, attempts, available_at, created_at) \
             SELECT 'event-' || n, 'probe', 'row-' || n, 'record', '{{\"ballast\":\"{ballast}\"}}', '{{}}', {now}, \
             'pending', 0, {now}, {now} FROM ({numbers}) AS numbers"
        );
        pair.a.db.execute_unprepared(&sql).await.expect("a long outbox");
        let child = ChildCommand::new(env!("CARGO_BIN_EXE_app"), &pair.a).set("ROLES", "relay").start().await;
        pair.a.has_sent(ROWS).await;
        let all = ROWS.unsigned_abs() * BYTES as u64;
        if let Some(peak) = child.peak_memory() {
            assert!(peak < all * 3 / 4, "the relay took {peak} bytes for an outbox of {all}");
        }
        assert!(child.stop().await.success());
        pair.stop().await;
    }

    async fn a_shutdown_under_load_leaves_nothing_half_done(backend: Backend) {
        const ROWS: usize = 150;
        let mut pair = Pair::start(backend).await;
        let load = |db: DatabaseConnection, side: &'static str| async move {
            let mut probes = Vec::new();
            for n in 0..ROWS {
                save(&db, &format!("{side}-{n}.example")).await.expect("a save");
                probes.push(probe::send(&db, "record", Orders::default()).await);
            }
            probes
        };
        let load_a = tokio::spawn(load(pair.a.db.clone(), "a"));
        let load_b = tokio::spawn(load(pair.b.db.clone(), "b"));
        until("both are in the middle of it", async || {
            let (a, b) = (pair.a.status().await, pair.b.status().await);
            a.processed_events > 20 && b.processed_events > 20
        })
        .await;
        // Both must end in order, or this panics.
        pair.b.stop().await;
        pair.a.stop().await;
        assert_eq!(pair.b.count("inbox_events", "failed").await, 0);
        pair.start_both().await;
        let (from_a, from_b) = (load_a.await.expect("saves"), load_b.await.expect("saves"));
        both_hold(&pair, 2 * ROWS).await;
        pair.quiet().await;
        for (app, probes) in [(&pair.b, from_a), (&pair.a, from_b)] {
            for probe in probes {
                assert_eq!(effects::count(&app.db, &probe.id).await, Ok(1));
            }
        }
        nothing_was_held_against_anyone(&pair).await;
        pair.stop().await;
    }
}

/// A SQLite database is a file, which does not restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_restarted_under_load() {
    const ROWS: usize = 200;
    let mut postgres = Postgres::start_own().await.expect("PostgreSQL starts");
    let mut databases = Vec::new();
    for name in ["a", "b"] {
        databases.push(TestDatabase::at(postgres.create_database(name).await.expect("a database")));
    }
    let databases = databases.try_into().unwrap_or_else(|_| panic!("two databases"));
    let mut pair = Pair::with_databases(databases, |config| config).await;
    pair.start_both().await;
    let load = |db: DatabaseConnection, side: &'static str| async move {
        for n in 0..ROWS {
            let domain = format!("{side}-{n}.example");
            // A save that failed in the outage is made again; whether it was committed all the same, its domain tells.
            let saved = || async {
                let found = organization::Entity::find().all(&db).await?.into_iter().find(|row| row.domain == domain);
                if found.is_none() {
                    save(&db, &domain).await?;
                }
                Ok::<_, DbErr>(Some(()))
            };
            match save(&db, &domain).await {
                Ok(_) => {}
                Err(_) => eventually("the row is saved", saved).await,
            }
        }
    };
    let load_a = tokio::spawn(load(pair.a.db.clone(), "a"));
    let load_b = tokio::spawn(load(pair.b.db.clone(), "b"));
    let applied = |at_least: usize| {
        let db = &pair.b.db;
        move || async move {
            let rows = organization::Entity::find().all(db).await?;
            Ok::<_, DbErr>((rows.len() >= at_least).then_some(()))
        }
    };
    eventually("rows flow", applied(40)).await;
    postgres.restart().await.expect("PostgreSQL starts again");
    eventually("rows flow again", applied(150)).await;
    postgres.kill().await.expect("PostgreSQL dies");
    lasts(Duration::from_secs(3)).await;
    postgres.restart().await.expect("PostgreSQL starts again");
    let back = Instant::now();
    let (a, b) = tokio::join!(load_a, load_b);
    a.and(b).expect("the saves");
    both_hold(&pair, 2 * ROWS).await;
    assert!(back.elapsed() < Duration::from_secs(30), "it took {:?}", back.elapsed());
    pair.quiet().await;
    nothing_was_held_against_anyone(&pair).await;
    pair.stop().await;
}
