//! `jsb dlq replay`: dead events are brought once more.

use std::time::Duration;

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{organization, ticket};
use jsb_tests::probe::Orders;
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Backend, Cli, effects, eventually};
use sea_orm::ActiveValue::{self, Set, Unchanged};
use sea_orm::{DbErr, EntityTrait};
use serde_json::json;
use uuid::Uuid;

use super::{PROGRAM, broken, dlq, envelope, incoming, letters, mend, pair, publish, why};

/// Waits until B has the ticket with this number.
async fn has_number(b: &App, id: Uuid, number: i64) -> ticket::Model {
    eventually("the ticket is on B", || async {
        Ok::<_, DbErr>(ticket::Entity::find_by_id(id).one(&b.db).await?.filter(|row| row.number == number))
    })
    .await
}

on_both! {
    async fn a_replayed_event_is_applied_once_its_cause_is_mended(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        mend(&orders);
        // Well within the duplicate window of two minutes.
        let summary = cli.json(&["dlq", "replay", &event.event_id]).await;
        assert_eq!((&summary["replayed"], &summary["skipped"], &summary["failed"]), (&json!(1), &json!([]), &json!([])));
        pair.b.event_is(&event.event_id, "processed").await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert!(dlq(&pair.b).await.is_empty());

        let messages = pair.b.stream().await.messages(&incoming(&pair)).await;
        let [original, replayed] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!(original.body, replayed.body);
        let without_id = |message: &StreamMessage| {
            let mut headers = message.headers.clone();
            (headers.remove("Nats-Msg-Id"), headers)
        };
        let ((old_id, old), (new_id, new)) = (without_id(original), without_id(replayed));
        assert_eq!(old, new);
        assert_ne!(old_id, new_id);

        let again = cli.run(&["dlq", "replay", &event.event_id]).await;
        assert_eq!(again.code, 1);
        assert!(again.stderr.contains(&format!("error: no letter has the sequence or the event id `{}`", event.event_id)), "{again:?}");
        pair.stop().await;
    }

    async fn replaying_what_a_newer_version_has_overtaken_is_pointless(backend: Backend) {
        let pair = pair(backend, |config| config.park_for(Duration::from_millis(1))).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let row = |id: i64, domain: &str, second: u32| {
            organization::payload(id, domain, &format!("2026-11-01T00:00:{second:02}Z"))
        };
        let mut holder = envelope(&pair, "holder", "organization", "created", row(3, "taken.example", 1));
        holder["resource_id"] = "3".into();
        publish(&pair, &[], &holder).await;
        pair.b.event_is("holder", "processed").await;
        publish(&pair, &[], &envelope(&pair, "old", "organization", "created", row(1, "taken.example", 2))).await;
        assert_eq!(letters(&pair.b, 1).await[0].headers["x-dlq-reason"], "unique_conflict");
        publish(&pair, &[], &envelope(&pair, "new", "organization", "updated", row(1, "free.example", 3))).await;
        pair.b.event_is("new", "processed").await;

        let summary = cli.json(&["dlq", "replay", "--all"]).await;
        let why_skipped = why(&summary, "skipped");
        assert!(why_skipped.contains("2026-11-01T00:00:03") && why_skipped.contains("2026-11-01T00:00:02"), "{why_skipped}");
        assert_eq!((&summary["replayed"], dlq(&pair.b).await.len()), (&json!(0), 1));

        publish(&pair, &[], &envelope(&pair, "gone", "organization", "deleted", row(1, "free.example", 4))).await;
        pair.b.event_is("gone", "processed").await;
        let summary = cli.json(&["dlq", "replay", "old"]).await;
        assert!(why(&summary, "skipped").contains("2026-11-01T00:00:04"), "the tombstone counts: {summary}");

        assert_eq!(cli.json(&["dlq", "replay", "old", "--force"]).await["replayed"], 1);
        pair.b.event_is("old", "processed").await;
        assert!(dlq(&pair.b).await.is_empty());
        assert_eq!(organization::Entity::find_by_id(1).one(&pair.b.db).await, Ok(None), "the older version was applied");
        pair.stop().await;
    }

    async fn what_would_be_refused_again_or_cannot_be_checked_says_so(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        pair.b.stream().await.publish(&incoming(&pair), &[], "no JSON").await;
        letters(&pair.b, 1).await;
        let summary = cli.json(&["dlq", "replay", "--all", "--reason", "malformed"]).await;
        assert!(why(&summary, "skipped").contains("malformed"), "{summary}");
        let former = dlq(&pair.b).await[0].sequence;
        assert_eq!(cli.json(&["dlq", "replay", "--all", "--force"]).await["replayed"], 1);
        eventually("it is dead again", || async {
            Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > former))
        })
        .await;
        let purged = cli.json(&["dlq", "purge", "--all", "--yes"]).await;
        assert_eq!(purged["purged"], 1);

        publish(&pair, &[], &envelope(&pair, "unheard", "spaceship", "created", json!({}))).await;
        let former = letters(&pair.b, 1).await[0].sequence;
        let summary = cli.json(&["dlq", "replay", "unheard"]).await;
        assert_eq!(summary["replayed"], 1);
        assert!(why(&summary, "unchecked").contains("spaceship"), "{summary}");
        eventually("it is dead again", || async {
            Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > former))
        })
        .await;
        pair.stop().await;
    }

    async fn a_letter_that_is_only_a_reference_is_replayed_with_its_body(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
        let send = |id: &'static str| {
            let orders = Orders { gate: Uuid::new_v4().to_string(), ballast: "x".repeat(1024 * 1024 - 700), ..Orders::default() };
            let mut event = envelope(&pair, id, "probe", "broken", serde_json::to_value(&orders).expect("JSON"));
            event["resource_id"] = id.into();
            (event, orders)
        };
        for (number, id) in ["from-inbox", "from-stream", "from-nowhere"].into_iter().enumerate() {
            let (event, orders) = send(id);
            publish(&pair, &[], &event).await;
            letters(&pair.b, 1).await;
            // The letter is there a moment before.
            pair.b.event_is(id, "dead").await;
            let shown = cli.json(&["dlq", "show", id]).await;
            assert_eq!((&shown["is_reference"], &shown["body"]["event_id"]), (&json!(true), &json!(id)));
            if number > 0 {
                pair.b.sql("DELETE FROM inbox_events").await;
            }
            if number > 1 {
                stream.delete(shown["original_sequence"].as_u64().expect("a sequence")).await;
                let lost = cli.run(&["dlq", "replay", id, "--json"]).await;
                assert_eq!(lost.code, 1);
                assert!(why(&lost.json(), "failed").contains("neither in the inbox nor in the stream"), "{lost:?}");
                assert_eq!(dlq(&pair.b).await.len(), 1);
                continue;
            }
            mend(&orders);
            assert_eq!(cli.json(&["dlq", "replay", id]).await["replayed"], 1);
            pair.b.event_is(id, "processed").await;
            assert_eq!(effects::count(&pair.b.db, id).await, Ok(1));
        }
        pair.stop().await;
    }

    async fn an_event_that_is_named_by_its_message_id_keeps_its_name(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let orders = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
        let mut event = envelope(&pair, "", "probe", "broken", serde_json::to_value(&orders).expect("JSON"));
        event.as_object_mut().expect("an object").remove("event_id");
        event["resource_id"] = orders.gate.as_str().into();
        publish(&pair, &[("nats-msg-id", "foreign-1")], &event).await;
        let former = letters(&pair.b, 1).await[0].sequence;
        // Twice, since a replayed letter is a letter too.
        cli.json(&["dlq", "replay", "foreign-1"]).await;
        let letter = eventually("it is dead again", || async {
            Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > former))
        })
        .await;
        assert_eq!(letter.context()["event_id"], "foreign-1");
        pair.b.event_is("foreign-1", "dead").await;
        mend(&orders);
        cli.json(&["dlq", "replay", "--all"]).await;
        pair.b.event_is("foreign-1", "processed").await;
        assert_eq!(effects::count(&pair.b.db, &orders.gate).await, Ok(1));
        assert_eq!(pair.b.status().await.inbox_events, 1, "the event has got another name");
        pair.stop().await;
    }

    async fn without_an_inbox_letters_are_replayed_all_the_same(backend: Backend) {
        let pair = pair(backend, |config| config.use_inbox(false)).await;
        let cli = Cli::of(PROGRAM, &pair.b).set("USE_INBOX", "false");
        let (event, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        mend(&orders);
        assert_eq!(cli.json(&["dlq", "replay", &event.event_id]).await["replayed"], 1);
        pair.b.has_effect(&event.id).await;
        pair.stop().await;
    }

    /// By the statements of docs/troubleshooting.md.
    async fn what_a_clock_far_ahead_saved_travels_once_its_version_is_set_back(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let (id, years) = (Uuid::now_v7(), TimeDelta::days(800));
        let now = match backend {
            Backend::Postgres => "now()",
            Backend::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        };
        let ticket = |id: ActiveValue<Uuid>, number: i64| ticket::ActiveModel { id, number: Set(number), ..Default::default() };
        skewed(years, ticket(Set(id), 1).insert(&pair.a.db)).await.expect("a save by a wrong clock");
        assert_eq!(letters(&pair.b, 1).await[0].headers["x-dlq-reason"], "version_in_future");
        ticket(Unchanged(id), 2).update(&pair.a.db).await.expect_err("no save can go above it");
        pair.a.sql(&format!("UPDATE tickets SET updated_at = {now} WHERE number = 1")).await;
        let saved = ticket(Unchanged(id), 2).update(&pair.a.db).await.expect("a save");
        let copy = has_number(&pair.b, id, 2).await;

        skewed(years, saved.delete(&pair.a.db)).await.expect("a delete by a wrong clock");
        assert_eq!(letters(&pair.b, 2).await[1].headers["x-dlq-reason"], "version_in_future");
        pair.a.sql(&format!("UPDATE sync_tombstones SET version = {now} WHERE resource_type = 'ticket' AND resource_id = '{id}'")).await;
        copy.delete(&pair.b.db).await.expect("a delete on B");
        pair.a.has_settled(1).await;
        ticket(Set(id), 3).insert(&pair.a.db).await.expect("a save above the tombstone");
        has_number(&pair.b, id, 3).await;
        pair.stop().await;
    }
}
