//! `jsb outbox process-pending`: what waits is published, beside a relay or without one.

use std::collections::BTreeSet;
use std::sync::Mutex;

use chrono::Utc;
use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Role;
use jsb_runtime::operate::{self, RepublishError};
use jsb_tests::{App, Backend, Pair, eventually, until};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, TransactionTrait};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::{LONG_AGO, MANY, cli, fill_outbox, numbers, organization, renumber, ticket};

/// Waits until the relay's lease has run out, and lets another process have it for a moment.
async fn another_has_had_the_lease(app: &App) {
    until("the lease has run out", async || {
        let ends = app.texts("SELECT CAST(expires_at AS text) FROM sync_leases").await;
        let is_over = |end: &String| end.parse::<i64>().expect("a number") < Utc::now().timestamp_millis();
        ends.iter().all(is_over)
    })
    .await;
    app.lend_lease("another").await;
    app.end_leases().await;
}

on_both! {
    async fn what_waits_is_published_in_order_without_a_relay(backend: Backend) {
        let users = r#"accounts { A { jetstream: enabled, users = [
            { user: "admin", password: "secret" }
            { user: "teller", password: "secret", permissions: { publish: "*.sync.*", subscribe: "_INBOX.>" } }
        ] } }"#;
        let mut nats = NatsServer::start(NatsOptions { config: users.to_owned(), ..Default::default() }).await.expect("a server");
        let url = |user: &str| nats.url().replace("nats://", &format!("nats://{user}:secret@"));
        let (admin, teller) = (url("admin"), url("teller"));
        let mut pair = Pair::configured(backend, |config| config.nats_url(admin.as_str())).await;
        pair.a.config.roles = [Role::Consumer].into();
        pair.start_both().await;
        nats.stop().await;
        let id = ticket::saved(&pair.a.db).await;
        renumber(&pair.a, id, 1..10).await;
        let large = organization(&pair.a, "large.example", &"x".repeat(2_000_000)).await;
        let cli = cli(&pair.a).set("NATS_URL", teller).set("AUTO_PROVISION", "false");
        let away = cli.run(&["outbox", "process-pending", "--timeout", "1s"]).await;
        assert_eq!(away.code, 1, "{away:?}");
        assert!(away.stdout.contains("11 events left: NATS is away"), "{away:?}");
        assert_eq!(away.stderr.matches(&id.to_string()).count(), 10, "what is left is named: {away:?}");

        nats.restart().await.expect("a server");
        let drained = cli.run(&["outbox", "process-pending", "--json"]).await;
        assert_eq!(drained.code, 1, "one can never be published");
        let expected = json!({"published": 10, "failed": 1, "left": 0, "by_running_relay": false, "error": null});
        assert_eq!(drained.json(), expected);
        assert!(drained.stderr.contains(&format!("organization/{}", large.id)), "{drained:?}");
        assert!(drained.stderr.contains("larger than the server"), "{drained:?}");
        assert_eq!(numbers(&pair).await, (0..10).collect::<Vec<_>>());
        let nothing = cli.json(&["outbox", "process-pending"]).await;
        assert_eq!((&nothing["published"], &nothing["left"]), (&json!(0), &json!(0)));
        let row = ticket::Entity::find_by_id(id);
        eventually("the ticket is on B", || async {
            Ok::<_, DbErr>(row.clone().one(&pair.b.db).await?.filter(|row| row.number == 9))
        })
        .await;

        let other = cli.set("APP_NAME", "other").run(&["outbox", "process-pending"]).await;
        assert!(other.code == 1 && other.stderr.contains("belongs to app"), "{other:?}");
        pair.stop().await;
    }

    async fn a_running_relay_is_watched_until_it_is_done(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        pair.a.stop().await;
        pair.a.lend_lease("another").await;
        let row = organization(&pair.a, "slow.example", "slow").await;
        let watching = cli(&pair.a).run(&["outbox", "process-pending", "--timeout", "1s", "--json"]).await;
        assert_eq!(watching.code, 1, "{watching:?}");
        assert!(watching.stderr.contains("A running relay holds the lease"), "{watching:?}");
        let left = json!({"published": 0, "failed": 0, "left": 1, "by_running_relay": true, "error": null});
        assert_eq!(watching.json(), left);

        let cli = cli(&pair.a);
        let watching = tokio::spawn(async move { cli.run(&["outbox", "process-pending", "--json"]).await });
        pair.a.start().await;
        pair.a.sql("DELETE FROM sync_leases WHERE holder = 'another'").await;
        let drained = watching.await.expect("a command");
        assert_eq!(drained.code, 0, "{drained:?}");
        assert_eq!(drained.json()["left"], 0);
        pair.b.has(&row).await;
        pair.stop().await;
    }
}

/// As on a large outbox. What holds up a change on SQLite holds up the lease as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_takes_longer_than_the_lease_is_published_again() {
    let pair = Pair::create(Backend::Postgres).await;
    fill_outbox(&pair.a, Backend::Postgres, "sent", LONG_AGO).await;
    let held_up = pair.a.db.begin().await.expect("a transaction");
    let lock = "SELECT 1 FROM outbox_events WHERE event_id = 'sent-1' FOR UPDATE";
    held_up.execute_unprepared(lock).await.expect("a lock");
    let cli = cli(&pair.a);
    let republish = ["outbox", "republish", "--since", "2025-12-31T00:00:00Z", "--yes"];
    let republish = tokio::spawn(async move { cli.json(&republish).await });
    let ends = Mutex::new(BTreeSet::new());
    until("the lease is renewed for longer than it lives", async || {
        let found = pair.a.texts("SELECT expires_at::text FROM sync_leases").await;
        let mut ends = ends.lock().expect("no test panics here");
        ends.extend(found.iter().map(|end| end.parse::<i64>().expect("a number")));
        let kept = ends.last().zip(ends.first()).map_or(0, |(last, first)| last - first);
        // In milliseconds.
        kept > 6_000
    })
    .await;
    assert_eq!(pair.a.count("outbox_events", "pending").await, 0, "the first batch is still in hand");
    held_up.rollback().await.expect("an end");
    assert_eq!(republish.await.expect("a command")["republished"], MANY);
    assert_eq!(pair.a.count("outbox_events", "pending").await, MANY);
}

/// As where the terminal takes no more of the progress bar for a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_ran_out_between_two_batches_is_not_taken_again() {
    let app = Pair::create(Backend::Sqlite).await.a;
    fill_outbox(&app, Backend::Sqlite, "sent", LONG_AGO).await;
    let since = "2025-12-31T00:00:00Z".parse().expect("a time");
    let outcome = operate::republish(&app.db, since, None, |_| {
        block_in_place(|| Handle::current().block_on(another_has_had_the_lease(&app)));
    });
    let outcome = outcome.await;
    assert!(matches!(outcome, Err(RepublishError::Disturbed { republished: 1_000 })), "{outcome:?}");
    assert_eq!(app.count("outbox_events", "pending").await, 1_000);
}
