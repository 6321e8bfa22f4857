//! Saves beside other transactions, and in those that see too little.

use std::time::Duration;

use futures_util::future::join_all;
use jsb_runtime::Envelope;
use jsb_tests::entities::tally;
use jsb_tests::{Backend, Pair, Remote};
use sea_orm::{EntityTrait, IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use serde_json::json;
use uuid::Uuid;

use super::{counts, seen, visitor};

on_both! {
    async fn saves_on_the_pool_get_their_turn_when_a_transaction_ends(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let mode = Some(SqliteTransactionMode::Immediate);
        let writing = TransactionOptions { sqlite_transaction_mode: mode, ..Default::default() };
        let txn = app.db.begin_with_options(writing).await.expect("a transaction");
        let on_the_pool = |value| {
            let db = app.db.clone();
            tokio::spawn(async move { tally::new(value).insert(&db).await.map(drop) })
        };
        let saves: Vec<_> = (0..20).map(on_the_pool).collect();
        tally::new(20).insert(&txn).await.expect("a save in it while others wait");
        txn.commit().await.expect("a commit");
        for save in saves {
            save.await.expect("a task").expect("a save on the pool");
        }
        assert_eq!(counts(&app).await, (21, 21));
    }

    async fn saves_that_meet_on_the_pool_queue_instead_of_looking_for_a_gap(backend: Backend) {
        let app = Pair::create(backend).await.a;
        // In this time SQLite looks six times whether nobody writes, which is too seldom while so many do.
        let db = app.connect_impatiently(Duration::from_millis(20)).await;
        let id = visitor("Ada").insert(&db).await.expect("a save").id;
        let writers = (0..8).map(|writer| {
            let db = db.clone();
            tokio::spawn(async move {
                for turn in 0..25 {
                    tally::new(25 * writer + turn).insert(&db).await.expect("a save on the pool");
                    seen(id, turn).update(&db).await.expect("a save of what stays here");
                }
            })
        });
        join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
        assert_eq!(counts(&app).await, (200, 201));
    }

    async fn isolation_above_read_committed_by_default_is_refused_at_start(backend: Backend) {
        let app = Pair::create(backend).await.a;
        if backend == Backend::Postgres {
            let name = app.texts("SELECT current_database()::text").await.remove(0);
            app.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")).await;
        }
        let started = jsb_runtime::start(app.config.clone(), app.database.connect().await).await;
        match (backend, started) {
            (Backend::Postgres, started) => {
                let refused = started.expect_err("a refusal").to_string();
                assert!(refused.contains("repeatable read"), "{refused}");
            }
            (Backend::Sqlite, started) => started.expect("SQLite has no such setting").shutdown().await.expect("a stop"),
        }
    }

    async fn a_transaction_that_read_before_another_wrote_says_what_to_do(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        tally::Entity::find().all(&txn).await.expect("a read");
        tally::new(1).insert(&app.db).await.expect("a save of somebody else's");
        let saved = tally::new(2).insert(&txn).await;
        match backend {
            Backend::Postgres => assert_eq!(saved.expect("READ COMMITTED goes on").value, 2),
            Backend::Sqlite => {
                let refused = saved.expect_err("SQLITE_BUSY_SNAPSHOT").to_string();
                assert!(refused.contains("SqliteTransactionMode::Immediate"), "{refused}");
            }
        }
    }
}

/// SQLite's transactions are serial: a save that began after another one's commit has seen it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn isolation_above_read_committed_is_refused() {
    let app = Pair::create(Backend::Postgres).await.a;
    let payload = json!({"value": 2, "remark": "new", "updated_at": "2026-01-01T00:00:00Z"});
    let event = Remote::event("tally", "created", Uuid::now_v7(), payload);
    let event = Envelope::read(event.to_string().as_bytes(), None, &app.config.destination_app).expect("an event");
    for level in [IsolationLevel::RepeatableRead, IsolationLevel::Serializable] {
        let txn = app.db.begin_with_config(Some(level), None).await.expect("a transaction");
        let refused = tally::new(1).insert(&txn).await.expect_err("a snapshot");
        assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
        let _ = txn.commit().await;

        let txn = app.db.begin_with_config(Some(level), None).await.expect("a transaction");
        let refused = jsb_runtime::sync_from_event(&txn, &event).await.expect_err("a snapshot");
        assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
        let _ = txn.commit().await;
    }
    assert_eq!(counts(&app).await, (0, 0));
}
