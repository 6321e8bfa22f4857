//! `jsb inbox retry`: events are tried anew, but for those in hand.

use std::time::Duration;

use chrono::Utc;
use jsb_runtime::operate;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Pair, effects, eventually, inbox, until};
use sea_orm::sea_query::Query;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, TransactionTrait};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{cli, organization, text, user};

/// Puts an event of A's that never travelled into B's inbox, as dead.
async fn bury(pair: &Pair, event: &Json) {
    let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
    let mut body = event.clone();
    body["schema_version"] = 1.into();
    let now = Utc::now();
    let insert = Query::insert()
        .into_table("inbox_events")
        .columns([
            "source_app",
            "event_id",
            "resource_type",
            "resource_id",
            "event_type",
            "subject",
            "status",
            "reason",
            "payload",
            "received_at",
            "processed_at",
        ])
        .values_panic([
            a.as_str().into(),
            text(event, "event_id").into(),
            text(event, "resource_type").into(),
            text(event, "resource_id").into(),
            text(event, "event_type").into(),
            format!("{a}.sync.{b}").into(),
            "dead".into(),
            "max_attempts".into(),
            body.to_string().into_bytes().into(),
            now.into(),
            now.into(),
        ])
        .to_owned();
    pair.b.db.execute(&insert).await.expect("an inbox row");
}

/// Its handler may hang. On SQLite a handler has the only lock for writing.
async fn is_not_waited_for(b: &App, event_id: &str, status: &str) {
    let named = cli(b).run(&["inbox", "retry", event_id]).await;
    assert!(named.code == 1 && named.stderr.contains("has it in hand"), "{named:?}");
    let all = cli(b).json(&["inbox", "retry", "--all", "--status", status]).await;
    assert_eq!(all["retried"], 0);
}

on_both! {
    async fn a_dead_event_is_applied_once_its_cause_is_mended(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.park_for = Duration::from_millis(1);
            config
        })
        .await;
        let acme = organization(&pair.a, "acme.example", "Acme").await;
        let ada = user(&pair.a, acme.id).await;
        let (remote, events) = (pair.receive().await, pair.a.recorded().await);
        remote.publish(&events[1]).await;
        pair.b.has_events("inbox_events", "dead", 1).await;
        remote.publish(&events[0]).await;
        pair.b.has_events("inbox_events", "processed", 1).await;
        // As if it had also taken its process with it.
        pair.b.sql("UPDATE inbox_events SET starts = 5 WHERE status = 'dead'").await;
        let cli = cli(&pair.b);
        assert_eq!(cli.json(&["inbox", "retry", "--all", "--status", "failed"]).await["retried"], 0);
        assert_eq!(cli.json(&["inbox", "retry", text(&events[1], "event_id")]).await["retried"], 1);
        pair.b.has_settled(2).await;
        assert_eq!(pair.b.count("inbox_events", "processed").await, 2);
        let copy = user::Entity::find_by_id(ada.id).one(&pair.b.db).await.expect("a read");
        assert_eq!(copy, Some(ada));
        let letter = pair.b.dead_letter(text(&events[1], "event_id")).await;
        assert!(letter.is_some(), "its letter stays");
        pair.stop().await;
    }

    async fn a_dead_event_has_all_its_attempts_again(backend: Backend) {
        let impatient = |config: jsb_runtime::Config| {
            let mut config = config.backoff([Duration::from_secs(1); 2]);
            config.max_deliver = 2;
            config
        };
        let mut pair = Pair::configured(backend, impatient).await;
        pair.start_both().await;
        let orders = Orders { failures: 9, error: "not yet".to_owned(), ..Orders::default() };
        let probe = probe::send(&pair.a.db, "fail", orders).await;
        pair.b.has_events("inbox_events", "dead", 1).await;
        assert_eq!(probe::attempts(&probe).len(), 2);
        let cli = cli(&pair.b);
        assert_eq!(cli.json(&["inbox", "retry", "--all", "--status", "dead", "--reason", "max_attempts"]).await["retried"], 1);
        eventually("it is dead again", || async {
            let row = inbox::with_status(&pair.b.db, &probe.event_id, "dead").await?;
            Ok::<_, DbErr>(row.filter(|_| probe::attempts(&probe).len() == 4))
        })
        .await;
        pair.b.sql("UPDATE inbox_events SET payload = NULL").await;
        let gone = cli.run(&["inbox", "retry", &probe.event_id]).await;
        assert!(gone.code == 1 && gone.stderr.contains("dlq replay"), "{gone:?}");
        let all = cli.run(&["inbox", "retry", "--all", "--status", "dead"]).await;
        assert!(all.code == 0 && all.stderr.is_empty(), "it was not named: {all:?}");
        pair.stop().await;
    }

    async fn a_retried_event_that_is_in_hand_is_applied_once(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let name = Uuid::new_v4().to_string();
        let probe = probe::send(&pair.a.db, "wait", Orders { gate: name.clone(), ..Orders::default() }).await;
        bury(&pair, &pair.a.recorded().await[0]).await;
        for status in ["dead", "parked"] {
            let retried = cli(&pair.b).json(&["inbox", "retry", "--all", "--status", status]).await;
            assert_eq!(retried["retried"], 1, "{status}");
        }
        // Two processes, so that one is free while the other has it in hand.
        pair.b.start().await;
        pair.b.start().await;
        let gate = gate(&name);
        gate.until_reached().await;
        let (again, id) = (cli(&pair.b), probe.event_id.clone());
        let again = tokio::spawn(async move { again.run(&["inbox", "retry", &id]).await });
        let again = match backend {
            // A handler that runs holds the write lock.
            Backend::Sqlite => {
                gate.open();
                again.await.expect("a command")
            }
            Backend::Postgres => {
                let refused = again.await.expect("a command");
                assert!(refused.stderr.contains("has it in hand"), "{refused:?}");
                gate.open();
                refused
            }
        };
        assert_eq!(again.code, 1, "{again:?}");
        pair.b.has_settled(1).await;
        assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
        assert_eq!(gate.arrivals(), 1);
        pair.stop().await;
    }

    /// As while the DLQ is denied: its counters stay until the letter is taken.
    async fn an_event_that_lacks_only_its_letter_is_in_nobody_s_hand(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
        bury(&pair, &pair.a.recorded().await[0]).await;
        let (cli, named) = (cli(&pair.b), ["inbox", "retry", probe.event_id.as_str()]);
        let all = ["inbox", "retry", "--all", "--status", "parked"];
        let taken_for = async |reason: &str| {
            let taken = "status = 'parked', starts = 1, available_at = '2100-01-01T00:00:00+00:00'";
            pair.b.sql(&format!("UPDATE inbox_events SET {taken}, reason = '{reason}'")).await;
        };
        taken_for("deliveries_spent").await;
        let refused = cli.run(&named).await;
        assert!(refused.code == 1 && refused.stderr.contains("has it in hand"), "{refused:?}");
        assert_eq!(cli.json(&all).await["retried"], 0);
        for reason in ["max_attempts", "crash_loop"] {
            for retry in [&named[..], &all[..]] {
                taken_for(reason).await;
                assert_eq!(cli.json(retry).await["retried"], 1, "{reason}: {retry:?}");
            }
        }
        pair.b.start().await;
        pair.b.has_settled(1).await;
        assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_failed_and_is_in_hand_again_is_not_retried() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff([Duration::from_secs(1); 5])).await;
    let name = Uuid::new_v4().to_string();
    // The handler cannot leave its effect, so that it fails before it comes to the gate.
    pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
    pair.start_both().await;
    let probe = probe::send(&pair.a.db, "wait", Orders { gate: name.clone(), ..Orders::default() }).await;
    pair.b.event_is(&probe.event_id, "failed").await;
    pair.b.sql("ALTER TABLE effects_elsewhere RENAME TO effects").await;
    let gate = gate(&name);
    gate.until_reached().await;
    is_not_waited_for(&pair.b, &probe.event_id, "failed").await;
    gate.open();
    pair.b.has_settled(1).await;
    assert_eq!((effects::count(&pair.b.db, &probe.id).await, gate.arrivals()), (Ok(1), 1));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_hand_for_longer_than_ack_wait_is_not_retried() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.ack_wait(Duration::from_secs(1))).await;
    let name = Uuid::new_v4().to_string();
    let probe = probe::send(&pair.a.db, "wait", Orders { gate: name.clone(), ..Orders::default() }).await;
    bury(&pair, &pair.a.recorded().await[0]).await;
    assert_eq!(cli(&pair.b).json(&["inbox", "retry", &probe.event_id]).await["retried"], 1);
    pair.b.start().await;
    let gate = gate(&name);
    gate.until_reached().await;
    until("its time is up", async || {
        let due = pair.b.texts("SELECT event_id FROM inbox_events WHERE starts > 0 AND available_at < now()").await;
        !due.is_empty()
    })
    .await;
    is_not_waited_for(&pair.b, &probe.event_id, "parked").await;
    gate.open();
    pair.b.has_settled(1).await;
    assert_eq!((effects::count(&pair.b.db, &probe.id).await, gate.arrivals()), (Ok(1), 1));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_that_is_locked_for_too_long_is_told_in_words() {
    let pair = Pair::create(Backend::Sqlite).await;
    let impatient = pair.b.connect_impatiently(Duration::ZERO).await;
    let handler = pair.b.db.begin().await.expect("a transaction");
    handler.execute_unprepared("DELETE FROM inbox_events").await.expect("the lock for writing");
    let retried = operate::inbox::retry(&impatient, "a", &["event".to_owned()]).await;
    let told = jsb_cli::describe(&retried.expect_err("a lock that another one has").into());
    assert!(told.contains("database is locked") && told.contains("perhaps a handler"), "{told}");
    handler.rollback().await.expect("an end");
}
