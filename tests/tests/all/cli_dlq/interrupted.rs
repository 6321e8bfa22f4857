//! `jsb dlq replay` that dies halfway, or whose database does not help.

use chrono::{TimeDelta, Utc};
use jsb_runtime::operate;
use jsb_tests::entities::label;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Cli, Proxy, effects};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, TransactionTrait};
use serde_json::json;

use super::{PROGRAM, broken, dlq, incoming, letters, mend, pair, why};

on_both! {
    async fn a_death_that_is_recorded_after_its_letter_was_replayed_does_not_swallow_the_replay(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let (probe, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        pair.b.event_is(&probe.event_id, "dead").await;
        pair.b.stop().await;
        mend(&orders);
        Cli::of(PROGRAM, &pair.b).json(&["dlq", "replay", "--all"]).await;
        // The letter is published first: so the consumer may record the death only now.
        pair.b.sql("UPDATE inbox_events SET status = 'dead', reason = 'handler_refused'").await;
        pair.b.start().await;
        pair.b.event_is(&probe.event_id, "processed").await;
        pair.stop().await;
    }

    async fn a_replay_that_died_before_it_published_is_made_up_for(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let proxy = Proxy::before_nats().await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (replayed, first) = broken(&pair).await;
        let (overdue, second) = broken(&pair).await;
        letters(&pair.b, 2).await;
        proxy.lose(|subject| subject.contains(".sync.b-"));
        let lossy = Cli::of(PROGRAM, &pair.b).set("NATS_URL", proxy.url());
        let failed = lossy.run(&["dlq", "replay", "--all", "--json"]).await;
        let outcome = failed.json();
        assert_eq!((failed.code, &outcome["replayed"], &outcome["stopped"]), (1, &json!(0), &json!(true)), "{failed:?}");
        assert_eq!(outcome["failed"].as_array().map(Vec::len), Some(1), "{failed:?}");
        assert_eq!(lossy.run(&["dlq", "replay", &overdue.event_id]).await.code, 1);
        for event in [&replayed, &overdue] {
            let (db, config, source) = (&pair.b.db, &pair.b.config, &pair.a.config.app_name);
            let shown = operate::inbox::show(db, config, source, &event.event_id).await.expect("the inbox");
            let row = shown.expect("its row").event;
            assert_eq!((row.status.as_str(), row.attempts), ("failed", 0), "it is open again");
            let due_in = row.available_at.expect("a time at which it is due here") - Utc::now();
            assert!(due_in > TimeDelta::zero() && due_in < TimeDelta::hours(1), "{due_in}");
        }
        assert_eq!(dlq(&pair.b).await.len(), 2);
        mend(&first);
        mend(&second);
        assert_eq!(cli.json(&["dlq", "replay", &replayed.event_id]).await["replayed"], 1);
        pair.b.event_is(&replayed.event_id, "processed").await;
        // What nobody replays again is overdue at some time, and tried from the inbox.
        pair.b.sql("UPDATE inbox_events SET available_at = '2026-01-01T00:00:00+00:00' WHERE status = 'failed'").await;
        pair.b.event_is(&overdue.event_id, "processed").await;
        let summary = cli.json(&["dlq", "replay", "--all", "--force"]).await;
        assert!(why(&summary, "skipped").contains("processed"), "{summary}");
        assert_eq!(cli.json(&["dlq", "purge", "--settled", "--yes"]).await["purged"], 1);
        for event in [replayed, overdue] {
            assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        }
        pair.stop().await;
    }

    async fn a_letter_that_the_database_refuses_holds_up_no_other(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        pair.b.sql("ALTER TABLE labels RENAME TO labels_elsewhere").await;
        let row = label::ActiveModel { code: Set("lost".to_owned()), caption: Set(String::new()), ..Default::default() };
        row.insert(&pair.a.db).await.expect("a save");
        letters(&pair.b, 1).await;
        let (event, orders) = broken(&pair).await;
        letters(&pair.b, 2).await;
        mend(&orders);
        let replayed = Cli::of(PROGRAM, &pair.b).run(&["dlq", "replay", "--all", "--json"]).await;
        let outcome = replayed.json();
        assert_eq!((replayed.code, &outcome["replayed"], &outcome["stopped"]), (1, &json!(1), &json!(false)), "{replayed:?}");
        assert!(why(&outcome, "failed").contains("labels"), "{replayed:?}");
        assert!(replayed.stderr.contains("labels") && !replayed.stderr.contains("not tried"), "{replayed:?}");
        pair.b.event_is(&event.event_id, "processed").await;
        pair.stop().await;
    }

    async fn a_replay_that_died_before_it_deleted_the_letter_does_nothing_twice(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let proxy = Proxy::before_nats().await;
        proxy.lose(|subject| subject.starts_with("$JS.API.STREAM.MSG.DELETE."));
        let cli = Cli::of(PROGRAM, &pair.b);
        let lossy = Cli::of(PROGRAM, &pair.b).set("NATS_URL", proxy.url());
        let (event, orders) = broken(&pair).await;
        let former = letters(&pair.b, 1).await[0].sequence;
        let failed = lossy.run(&["dlq", "replay", "--all", "--json"]).await;
        assert_eq!(failed.code, 1);
        assert!(why(&failed.json(), "failed").contains("its letter is still there"), "{failed:?}");
        letters(&pair.b, 2).await;
        // The server takes the former letter's message for a duplicate, and the event has its new letter.
        assert_eq!(cli.json(&["dlq", "replay", &former.to_string()]).await["replayed"], 1);
        let messages = pair.b.stream().await.messages(&incoming(&pair)).await;
        assert_eq!(messages.len(), 2, "the original and one replay");
        assert_eq!(dlq(&pair.b).await.len(), 1);
        mend(&orders);
        cli.json(&["dlq", "replay", "--all"]).await;
        pair.b.event_is(&event.event_id, "processed").await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        pair.stop().await;
    }
}

/// As by a handler that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_that_is_locked_ends_what_would_write_and_is_told_in_words() {
    let mut pair = pair(Backend::Sqlite, |config| config).await;
    for count in 1..=2 {
        broken(&pair).await;
        letters(&pair.b, count).await;
    }
    let lost = probe::send(&pair.a.db, "record", Orders::default()).await;
    pair.b.event_is(&lost.event_id, "processed").await;
    pair.b.until_idle().await;
    pair.b.stop().await;
    pair.b.sql(&format!("DELETE FROM inbox_events WHERE event_id = '{}'", lost.event_id)).await;
    probe::send(&pair.b.db, "record", Orders::default()).await;

    let handler = pair.b.db.begin().await.expect("a transaction");
    handler.execute_unprepared("DELETE FROM inbox_events").await.expect("the lock for writing");
    let cli = Cli::of(PROGRAM, &pair.b);
    let (swept, replayed, published) = tokio::join!(
        cli.run(&["dlq", "sweep"]),
        cli.run(&["dlq", "replay", "--all", "--json"]),
        cli.run(&["outbox", "process-pending"]),
    );
    handler.rollback().await.expect("an end");
    for output in [&swept, &replayed, &published] {
        let is_told = output.stderr.contains("database is locked") && output.stderr.contains("perhaps a handler");
        assert!(output.code == 1 && is_told, "{output:?}");
    }
    let outcome = replayed.json();
    let failed = outcome["failed"].as_array().map(Vec::len);
    assert_eq!((failed, &outcome["stopped"]), (Some(1), &json!(true)), "the other one was tried: {replayed:?}");
    pair.stop().await;
}
