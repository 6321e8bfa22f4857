//! `jsb dlq`: dead events are listed, brought once more, looked for and deleted, while the pair runs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt};
use jsb_runtime::Config;
use jsb_runtime::operate::{self, Connection};
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{label, organization, ticket};
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Backend, Cli, DEADLINE, Pair, Proxy, Stream, effects, eventually, inbox, servers};
use sea_orm::ActiveValue::{self, Set, Unchanged};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, TransactionTrait};
use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use uuid::Uuid;

const PROGRAM: &str = env!("CARGO_BIN_EXE_cli");
/// In milliseconds; the first is the server's ack wait too.
const BACKOFF: [u64; 5] = [1_000, 100, 100, 100, 100];
/// In bytes: nine of these fit in a batch, which ends with the next one.
const LARGE: usize = 900_000;

async fn pair(backend: Backend, change: impl Fn(Config) -> Config) -> Pair {
    let mut pair = Pair::configured(backend, |config| change(config.backoff(BACKOFF.map(Duration::from_millis)))).await;
    pair.start_both().await;
    eventually("both are attached", || async {
        let (a, b) = (pair.a.status().await, pair.b.status().await);
        Ok::<_, DbErr>((a.jetstream_connected && b.jetstream_connected).then_some(()))
    })
    .await;
    pair
}

/// An event of A whose handler on B fails for good until what is broken is mended.
async fn broken(pair: &Pair) -> (Probe, Orders) {
    let orders = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
    (probe::send(&pair.a.db, "broken", orders.clone()).await, orders)
}

fn mend(orders: &Orders) {
    gate(&orders.gate).open();
}

async fn dlq(app: &App) -> Vec<StreamMessage> {
    Stream::of(&app.config).await.messages(&format!("{}.sync.dlq", app.config.app_name)).await
}

/// Deletes of letters, by the stream.
static DELETES: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn lose_after_two_per_stream(subject: &str) -> bool {
    let mut deletes = DELETES.lock().expect("no test panics here");
    let is_delete = subject.starts_with("$JS.API.STREAM.MSG.DELETE.");
    let so_far = deletes.entry(subject.to_owned()).or_default();
    *so_far += usize::from(is_delete);
    *so_far > 2
}

/// Waits until B's DLQ has so many letters and their events are dead in the inbox.
async fn letters(b: &App, count: usize) -> Vec<StreamMessage> {
    let stream = Stream::of(&b.config).await;
    eventually(&format!("{count} letters"), || async {
        let letters = stream.messages(&format!("{}.sync.dlq", b.config.app_name)).await;
        for letter in &letters {
            let event_id = letter.context()["event_id"].as_str().unwrap_or_default().to_owned();
            if inbox::find(&b.db, &event_id).await?.is_some_and(|row| row.status == "failed") {
                return Ok(None);
            }
        }
        Ok::<_, DbErr>((letters.len() == count).then_some(letters))
    })
    .await
}

async fn processed(b: &App, event_id: &str) {
    eventually("the event is processed", || inbox::with_status(&b.db, event_id, "processed")).await;
}

fn incoming(pair: &Pair) -> String {
    format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name)
}

async fn publish(pair: &Pair, headers: &[(&str, &str)], body: &Json) -> u64 {
    Stream::of(&pair.b.config).await.publish(&incoming(pair), headers, body.to_string()).await
}

fn envelope(pair: &Pair, event_id: &str, resource: &str, event_type: &str, payload: Json) -> Json {
    json!({"event_id": event_id, "event_type": event_type, "producer": pair.a.config.app_name, "resource_id": "1",
           "resource_type": resource, "payload": payload})
}

/// From now on no death can be recorded in this inbox.
async fn forbid_deaths(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$; \
             CREATE TRIGGER no_deaths BEFORE UPDATE ON inbox_events \
             FOR EACH ROW WHEN (NEW.status = 'dead') EXECUTE FUNCTION refuse();"
        }
        Backend::Sqlite => {
            "CREATE TRIGGER no_deaths BEFORE UPDATE ON inbox_events WHEN NEW.status = 'dead' \
             BEGIN SELECT RAISE(ABORT, 'not now'); END"
        }
    };
    app.sql(sql).await;
}

async fn allow_deaths(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => "DROP TRIGGER no_deaths ON inbox_events",
        Backend::Sqlite => "DROP TRIGGER no_deaths",
    };
    app.sql(sql).await;
}

/// Waits until B has the ticket with this number.
async fn has_number(b: &App, id: Uuid, number: i64) -> ticket::Model {
    eventually("the ticket is on B", || async {
        Ok::<_, DbErr>(ticket::Entity::find_by_id(id).one(&b.db).await?.filter(|row| row.number == number))
    })
    .await
}

/// What was skipped or failed, and why.
fn why<'a>(summary: &'a Json, kind: &str) -> &'a str {
    summary[kind][0]["why"].as_str().unwrap_or_else(|| panic!("nothing {kind}: {summary}"))
}

on_both! {
    async fn letters_are_listed_and_shown(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let none = cli.run(&["dlq", "list"]).await;
        assert_eq!((none.code, none.stdout.trim()), (0, "No letters."));

        let (refused, _) = broken(&pair).await;
        letters(&pair.b, 1).await;
        let body = "no JSON at all";
        let sequence = Stream::of(&pair.b.config).await.publish(&incoming(&pair), &[("X-Own", "kept")], body).await;
        letters(&pair.b, 2).await;
        publish(&pair, &[], &envelope(&pair, "unheard", "spaceship", "created", json!({}))).await;
        letters(&pair.b, 3).await;

        let listed = cli.json(&["dlq", "list"]).await;
        let reasons: Vec<_> = listed.as_array().expect("a list").iter().map(|letter| &letter["reason"]).collect();
        assert_eq!(reasons, ["handler_refused", "malformed", "unknown_event"]);
        let first = &listed[0];
        assert_eq!(first["event_id"], refused.event_id);
        assert_eq!((&first["resource_type"], &first["resource_id"]), (&json!("probe"), &json!(refused.id)));
        assert_eq!((&first["event_type"], &first["deliveries"]), (&json!("broken"), &json!(1)));
        assert!(first["error"].as_str().is_some_and(|error| error.contains("it is broken")), "{first}");
        assert!(first["dead_since"].as_str().is_some_and(|time| time.parse::<chrono::DateTime<chrono::Utc>>().is_ok()));

        let malformed = cli.json(&["dlq", "list", "--reason", "malformed"]).await;
        assert_eq!(malformed, json!([listed[1]]));
        let two = cli.run(&["dlq", "list", "--limit", "2"]).await;
        assert!(two.stdout.contains("handler_refused") && !two.stdout.contains("unknown_event"), "{two:?}");
        let second = listed[1]["sequence"].to_string();
        assert!(two.stderr.contains(&format!("--after {second}")), "{two:?}");
        assert_eq!(cli.json(&["dlq", "list", "--after", &second]).await, json!([listed[2]]));

        let shown = cli.json(&["dlq", "show", &refused.event_id]).await;
        assert_eq!(shown["body"]["resource_id"], refused.id);
        assert_eq!(shown["headers"]["Jsb-Hops"], "0");
        assert_eq!(shown, cli.json(&["dlq", "show", &first["sequence"].to_string()]).await);
        let shown = cli.json(&["dlq", "show", &second]).await;
        assert_eq!((&shown["body"], &shown["headers"]["X-Own"]), (&json!(body), &json!("kept")));
        assert_eq!((&shown["original_sequence"], &shown["event_id"]), (&json!(sequence), &json!(format!("seq-{sequence}"))));
        let text = cli.run(&["dlq", "show", &second]).await.stdout;
        assert!(text.contains(body) && text.contains("X-Own: kept"), "{text}");
        // The original is a message of the stream as well, and no letter.
        for name in ["nobody", &sequence.to_string()] {
            let unknown = cli.run(&["dlq", "show", name]).await;
            assert_eq!(unknown.code, 1);
            assert!(unknown.stderr.contains(name), "{unknown:?}");
        }
        pair.stop().await;
    }

    async fn what_an_event_expected_of_the_stream_does_not_keep_out_its_letter(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let last = publish(&pair, &[], &envelope(&pair, "last", "probe", "record", json!({}))).await.to_string();
        let headers = [("Nats-Expected-Last-Sequence", last.as_str()), ("X-Own", "kept")];
        publish(&pair, &headers, &envelope(&pair, "unheard", "spaceship", "created", json!({}))).await;
        let letter = letters(&pair.b, 1).await.remove(0);
        let for_server: Vec<_> = letter.headers.keys().filter(|name| name.starts_with("Nats-")).collect();
        assert_eq!(for_server, ["Nats-Msg-Id"]);
        assert_eq!(letter.headers["X-Own"], "kept");
        pair.stop().await;
    }

    async fn a_replayed_event_is_applied_once_its_cause_is_mended(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        mend(&orders);
        // Well within the duplicate window of two minutes.
        let summary = cli.json(&["dlq", "replay", &event.event_id]).await;
        assert_eq!((&summary["replayed"], &summary["skipped"], &summary["failed"]), (&json!(1), &json!([]), &json!([])));
        processed(&pair.b, &event.event_id).await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert!(dlq(&pair.b).await.is_empty());

        let messages = Stream::of(&pair.b.config).await.messages(&incoming(&pair)).await;
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

    async fn an_event_that_dies_again_has_a_new_letter(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        let mut last = letters(&pair.b, 1).await[0].sequence;
        for _ in 0..2 {
            let summary = cli.json(&["dlq", "replay", "--all"]).await;
            assert_eq!(summary["replayed"], 1, "{summary}");
            let letter = eventually("it has died again", || async {
                Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > last))
            })
            .await;
            assert_eq!(letter.context()["event_id"], event.event_id);
            eventually("it is dead", || inbox::with_status(&pair.b.db, &event.event_id, "dead")).await;
            assert_eq!(dlq(&pair.b).await.len(), 1);
            last = letter.sequence;
        }
        mend(&orders);
        cli.json(&["dlq", "replay", &last.to_string()]).await;
        processed(&pair.b, &event.event_id).await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert_eq!(pair.b.status().await.inbox_events, 1);
        pair.stop().await;
    }

    async fn an_event_that_is_retried_and_dies_again_has_a_letter_of_that_death(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, _) = broken(&pair).await;
        let dead = async || eventually("it is dead", || inbox::with_status(&pair.b.db, &event.event_id, "dead")).await;
        letters(&pair.b, 1).await;
        dead().await;
        assert_eq!(cli.json(&["dlq", "purge", "--all", "--yes"]).await["purged"], 1);
        // Well within the duplicate window of two minutes.
        assert_eq!(cli.json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        letters(&pair.b, 1).await;
        dead().await;

        // Something else is in its way by now.
        pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
        assert_eq!(cli.json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        letters(&pair.b, 2).await;
        let shown = cli.json(&["dlq", "show", &event.event_id]).await;
        assert_eq!(shown["reason"], "max_attempts");
        assert!(shown["error"].as_str().is_some_and(|error| error.contains("effects")), "{shown}");
        pair.stop().await;
    }

    /// As when its process dies between the two.
    async fn a_death_whose_record_comes_later_than_its_letter_has_one_letter(backend: Backend) {
        let pair = pair(backend, |config| config.ack_wait(Duration::from_secs(1))).await;
        let (event, _) = broken(&pair).await;
        eventually("it is dead", || inbox::with_status(&pair.b.db, &event.event_id, "dead")).await;
        forbid_deaths(&pair.b, backend).await;
        assert_eq!(Cli::of(PROGRAM, &pair.b).json(&["inbox", "retry", &event.event_id]).await["retried"], 1);
        eventually("a letter was published twice", || async {
            Ok::<_, DbErr>((probe::attempts(&event).len() > 3).then_some(()))
        })
        .await;
        allow_deaths(&pair.b, backend).await;
        eventually("it is dead again", || inbox::with_status(&pair.b.db, &event.event_id, "dead")).await;
        assert_eq!(dlq(&pair.b).await.len(), 2, "one for each death");
        pair.stop().await;
    }

    async fn an_event_that_is_parked_again_before_it_dies_has_a_new_letter_too(backend: Backend) {
        let pair = pair(backend, |config| config.park_for(Duration::from_millis(1))).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let row = |id: i64| {
            json!({"id": id, "name": "n", "domain": "taken.example", "active": true, "created_at": "2026-11-01T00:00:00Z",
                   "updated_at": "2026-11-01T00:00:00Z"})
        };
        let mut holder = envelope(&pair, "holder", "organization", "created", row(3));
        holder["resource_id"] = "3".into();
        publish(&pair, &[], &holder).await;
        processed(&pair.b, "holder").await;
        publish(&pair, &[], &envelope(&pair, "blocked", "organization", "created", row(1))).await;
        let former = letters(&pair.b, 1).await[0].sequence;
        assert_eq!(cli.json(&["dlq", "replay", "blocked"]).await["replayed"], 1);
        // It dies from the inbox, where it waits in between.
        eventually("it has died again", || async {
            Ok::<_, DbErr>(dlq(&pair.b).await.into_iter().find(|letter| letter.sequence > former))
        })
        .await;
        pair.stop().await;
    }

    async fn replaying_what_a_newer_version_has_overtaken_is_pointless(backend: Backend) {
        let pair = pair(backend, |config| config.park_for(Duration::from_millis(1))).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let row = |id: i64, domain: &str, second: u32| {
            json!({"id": id, "name": "n", "domain": domain, "active": true, "created_at": "2026-11-01T00:00:00Z",
                   "updated_at": format!("2026-11-01T00:00:{second:02}Z")})
        };
        let mut holder = envelope(&pair, "holder", "organization", "created", row(3, "taken.example", 1));
        holder["resource_id"] = "3".into();
        publish(&pair, &[], &holder).await;
        processed(&pair.b, "holder").await;
        publish(&pair, &[], &envelope(&pair, "old", "organization", "created", row(1, "taken.example", 2))).await;
        assert_eq!(letters(&pair.b, 1).await[0].headers["x-dlq-reason"], "unique_conflict");
        publish(&pair, &[], &envelope(&pair, "new", "organization", "updated", row(1, "free.example", 3))).await;
        processed(&pair.b, "new").await;

        let summary = cli.json(&["dlq", "replay", "--all"]).await;
        let why_skipped = why(&summary, "skipped");
        assert!(why_skipped.contains("2026-11-01T00:00:03") && why_skipped.contains("2026-11-01T00:00:02"), "{why_skipped}");
        assert_eq!((&summary["replayed"], dlq(&pair.b).await.len()), (&json!(0), 1));

        publish(&pair, &[], &envelope(&pair, "gone", "organization", "deleted", row(1, "free.example", 4))).await;
        processed(&pair.b, "gone").await;
        let summary = cli.json(&["dlq", "replay", "old"]).await;
        assert!(why(&summary, "skipped").contains("2026-11-01T00:00:04"), "the tombstone counts: {summary}");

        assert_eq!(cli.json(&["dlq", "replay", "old", "--force"]).await["replayed"], 1);
        processed(&pair.b, "old").await;
        assert!(dlq(&pair.b).await.is_empty());
        assert_eq!(organization::Entity::find_by_id(1).one(&pair.b.db).await, Ok(None), "the older version was applied");
        pair.stop().await;
    }

    async fn what_would_be_refused_again_or_cannot_be_checked_says_so(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        Stream::of(&pair.b.config).await.publish(&incoming(&pair), &[], "no JSON").await;
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
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), Stream::of(&pair.b.config).await);
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
            eventually("it is dead", || inbox::with_status(&pair.b.db, id, "dead")).await;
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
            processed(&pair.b, id).await;
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
        eventually("it is dead", || inbox::with_status(&pair.b.db, "foreign-1", "dead")).await;
        mend(&orders);
        cli.json(&["dlq", "replay", "--all"]).await;
        processed(&pair.b, "foreign-1").await;
        assert_eq!(effects::count(&pair.b.db, &orders.gate).await, Ok(1));
        assert_eq!(pair.b.status().await.inbox_events, 1, "the event has got another name");
        pair.stop().await;
    }

    async fn a_death_that_is_recorded_after_its_letter_was_replayed_does_not_swallow_the_replay(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let (probe, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        eventually("it is dead", || inbox::with_status(&pair.b.db, &probe.event_id, "dead")).await;
        pair.b.stop().await;
        mend(&orders);
        Cli::of(PROGRAM, &pair.b).json(&["dlq", "replay", "--all"]).await;
        // The letter is published first: so the consumer may record the death only now.
        pair.b.sql("UPDATE inbox_events SET status = 'dead', reason = 'handler_refused'").await;
        pair.b.start().await;
        processed(&pair.b, &probe.event_id).await;
        pair.stop().await;
    }

    async fn a_replay_that_died_before_it_published_is_made_up_for(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let proxy = Proxy::start(servers::nats().await.port()).await;
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
        processed(&pair.b, &replayed.event_id).await;
        // What nobody replays again is overdue at some time, and tried from the inbox.
        pair.b.sql("UPDATE inbox_events SET available_at = '2026-01-01T00:00:00+00:00' WHERE status = 'failed'").await;
        processed(&pair.b, &overdue.event_id).await;
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
        processed(&pair.b, &event.event_id).await;
        pair.stop().await;
    }

    async fn a_replay_that_died_before_it_deleted_the_letter_does_nothing_twice(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let proxy = Proxy::start(servers::nats().await.port()).await;
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
        let messages = Stream::of(&pair.b.config).await.messages(&incoming(&pair)).await;
        assert_eq!(messages.len(), 2, "the original and one replay");
        assert_eq!(dlq(&pair.b).await.len(), 1);
        mend(&orders);
        cli.json(&["dlq", "replay", "--all"]).await;
        processed(&pair.b, &event.event_id).await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        pair.stop().await;
    }

    async fn without_an_inbox_letters_are_replayed_all_the_same(backend: Backend) {
        let pair = pair(backend, |config| config.use_inbox(false)).await;
        let cli = Cli::of(PROGRAM, &pair.b).set("USE_INBOX", "false");
        let (event, orders) = broken(&pair).await;
        letters(&pair.b, 1).await;
        mend(&orders);
        assert_eq!(cli.json(&["dlq", "replay", &event.event_id]).await["replayed"], 1);
        eventually("it is applied", || async {
            Ok::<_, DbErr>((effects::count(&pair.b.db, &event.id).await? == 1).then_some(()))
        })
        .await;
        pair.stop().await;
    }

    async fn a_purge_that_fails_midway_says_how_far_it_came(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "refuse", Orders::default()).await;
        }
        letters(&pair.b, 3).await;
        let proxy = Proxy::start(servers::nats().await.port()).await;
        proxy.lose(lose_after_two_per_stream);
        let purged = Cli::of(PROGRAM, &pair.b).set("NATS_URL", proxy.url());
        let purged = purged.run(&["dlq", "purge", "--all", "--yes", "--json"]).await;
        assert_eq!((purged.code, &purged.json()["purged"]), (1, &json!(2)), "{purged:?}");
        assert!(purged.stderr.contains("no answer to `$JS.API.STREAM.MSG.DELETE."), "{purged:?}");
        letters(&pair.b, 1).await;
        pair.a.stop().await;
        pair.b.stop().await;
    }

    async fn a_purge_leaves_everything_else(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), Stream::of(&pair.b.config).await);
        let mut sent = Vec::new();
        for count in 1..=5 {
            sent.push(broken(&pair).await);
            letters(&pair.b, count).await;
        }
        let others = format!("{}.sync.dlq", pair.a.config.app_name);
        stream.publish(&others, &[("x-dead-letter", "true")], "a letter of A").await;
        let left = || async {
            let letters = dlq(&pair.b).await;
            let ids = letters.iter().map(|letter| letter.context()["event_id"].as_str().expect("a text").to_owned());
            let elsewhere = (stream.messages(&incoming(&pair)).await.len(), stream.messages(&others).await.len());
            assert!(elsewhere.0 >= 5 && elsewhere.1 == 1, "a message that is no letter of B is gone: {elsewhere:?}");
            ids.collect::<Vec<_>>()
        };
        let ids: Vec<_> = sent.iter().map(|(event, _)| event.event_id.clone()).collect();

        let asked = cli.run(&["dlq", "purge", "--all"]).await;
        assert_eq!(asked.code, 5);
        assert!(asked.stderr.contains("Delete 5 letters of b-"), "{asked:?}");
        assert_eq!(left().await, ids);
        assert_eq!(cli.run(&["dlq", "purge"]).await.code, 2);

        let original = stream.messages(&incoming(&pair)).await[0].sequence;
        let partly = cli.run(&["dlq", "purge", "--yes", &ids[0], &original.to_string()]).await;
        assert_eq!(partly.code, 1);
        assert!(partly.stderr.contains(&format!("`{original}`")), "{partly:?}");
        assert_eq!(left().await, ids[1..]);

        // Retried from the inbox, as `inbox retry` does, so that its letter stays.
        mend(&sent[1].1);
        let retried = format!("UPDATE inbox_events SET status = 'parked', reason = 'retried', attempts = 0, starts = 0, \
                               available_at = '2026-01-01T00:00:00+00:00' WHERE event_id = '{}'", ids[1]);
        pair.b.sql(&retried).await;
        processed(&pair.b, &ids[1]).await;
        assert_eq!(cli.json(&["dlq", "purge", "--settled", "--yes"]).await["purged"], 1);
        assert_eq!(left().await, ids[2..]);

        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "1d", "--yes"]).await["purged"], 0);
        assert_eq!(left().await, ids[2..]);
        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "0s", "--settled", "--yes"]).await["purged"], 0);
        assert_eq!(cli.json(&["dlq", "purge", "--older-than", "0s", "--yes"]).await["purged"], 3);
        assert_eq!(left().await, Vec::<String>::new());
        pair.stop().await;
    }

    async fn an_event_whose_letter_has_expired_is_tried_from_the_inbox(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let (event, orders) = broken(&pair).await;
        let letter = letters(&pair.b, 1).await.remove(0);
        eventually("it is dead", || inbox::with_status(&pair.b.db, &event.event_id, "dead")).await;
        // As the stream's limits do.
        Stream::of(&pair.b.config).await.delete(letter.sequence).await;
        mend(&orders);
        assert_eq!(cli.json(&["dlq", "replay", "--all"]).await["replayed"], 0);
        assert_eq!(cli.json(&["health"]).await["healthy"], true);
        assert_eq!(cli.json(&["inbox", "retry", "--all", "--status", "dead"]).await["retried"], 1);
        processed(&pair.b, &event.event_id).await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
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

    async fn a_sweep_has_no_more_in_hand_than_fits_in_memory(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        for number in 0..12 {
            let payload = json!({"ballast": "x".repeat(LARGE)});
            publish(&pair, &[], &envelope(&pair, &format!("large-{number}"), "probe", "record", payload)).await;
        }
        pair.b.has_settled(12).await;
        let stream = Stream::of(&pair.b.config).await;
        eventually("the consumer is idle", || async {
            Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(()))
        })
        .await;
        pair.b.stop().await;
        pair.b.sql("DELETE FROM inbox_events").await;

        let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
        let ten = Notify::new();
        let sweep = connection.sweep(&pair.b.db, None, |behind, _| if behind == 10 { ten.notify_one() });
        tokio::select! {
            biased;
            swept = sweep => panic!("it was not cut off: {swept:?}"),
            () = ten.notified() => {}
        }
        assert_eq!(pair.b.count("inbox_events", "parked").await, 10, "what was looked at before is still in memory");
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_reads_only_what_came_since_then(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let (stream, connection) =
            (Stream::of(&pair.b.config).await, Connection::open(pair.b.config.clone()).await.expect("a connection"));
        let (mut sequences, mut since) = (Vec::new(), None);
        for number in 0..64 {
            let event = envelope(&pair, &format!("event-{number}"), "probe", "record", json!({}));
            sequences.push(stream.publish(&incoming(&pair), &[], event.to_string()).await);
            if number == 60 {
                since = connection.stream().await.expect("the stream's state").last_at;
            }
        }
        pair.b.has_settled(64).await;
        eventually("the consumer is idle", || async {
            Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(()))
        })
        .await;
        pair.b.stop().await;
        pair.b.sql("DELETE FROM inbox_events").await;
        for gap in [0, 1, 30, 31, 32, 59, 61] {
            stream.delete(sequences[gap]).await;
        }

        let listener = async_nats::connect(pair.b.config.nats_url.as_str()).await.expect("a connection");
        let reads = format!("$JS.API.STREAM.MSG.GET.{}", pair.b.config.stream_name);
        let heard = listener.subscribe(reads.clone()).await.expect("a subscription");
        listener.flush().await.expect("a subscription that the server has");
        let swept = connection.sweep(&pair.b.db, since, |_, _| {}).await.expect("a sweep");
        assert_eq!((swept.looked_at, swept.found), (3, 3), "those of them that are left");
        let mut found = pair.b.texts("SELECT event_id FROM inbox_events WHERE status = 'parked'").await;
        found.sort();
        assert_eq!(found, ["event-60", "event-62", "event-63"]);
        // The last of them, by which all that came before are heard.
        listener.publish(reads, "end".into()).await.expect("a message");
        let reads = heard.take_while(|message| std::future::ready(&message.payload[..] != b"end")).count().await;
        assert!(reads < 12, "{reads} messages were read");
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_leaves_what_the_inbox_has_forgotten(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let event = probe::send(&pair.a.db, "record", Orders::default()).await;
        processed(&pair.b, &event.event_id).await;
        let stream = Stream::of(&pair.b.config).await;
        eventually("the consumer is idle", || async {
            Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(()))
        })
        .await;
        pair.b.stop().await;
        assert_eq!(operate::inbox::prune(&pair.b.db, Utc::now(), |_| {}).await, Ok(1));
        let forgetful = pair.b.config.clone().inbox_retention(Duration::ZERO);
        let connection = Connection::open(forgetful).await.expect("a connection");
        for since in [None, Some(DateTime::UNIX_EPOCH)] {
            let swept = connection.sweep(&pair.b.db, since, |_, _| {}).await.expect("a sweep");
            assert_eq!((swept.looked_at, swept.found), (0, 0), "since {since:?}");
        }
        connection.close().await;
        pair.stop().await;
    }

    async fn a_sweep_finds_what_the_server_has_given_up_while_a_consumer_runs(backend: Backend) {
        let mut pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        pair.b.stop().await;
        let event = probe::send(&pair.a.db, "record", Orders::default()).await;
        let stream = Stream::of(&pair.b.config).await;
        let durable = stream.durable(&pair.b.config.app_name).await;
        eventually("all deliveries are spent", || async {
            let messages = durable.batch().max_messages(10).expires(Duration::from_millis(200)).messages().await?;
            messages.for_each(|_| async {}).await;
            let progress = stream.progress(&pair.b.config.app_name).await;
            let spent = progress.delivered.stream_sequence > 0 && progress.num_pending + progress.num_ack_pending as u64 == 0;
            Ok::<_, async_nats::error::Error<_>>(spent.then_some(()))
        })
        .await;
        // As a bridge leaves it that has looked, and whose database was restored from before that.
        pair.b.db.execute_unprepared("UPDATE sync_settings SET swept_seq = 1").await.expect("the settings");
        pair.b.start().await;
        let other = probe::send(&pair.a.db, "record", Orders::default()).await;
        processed(&pair.b, &other.event_id).await;
        assert!(inbox::find(&pair.b.db, &event.event_id).await.expect("the inbox").is_none(), "it was found without a sweep");

        let idle = || async { Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(())) };
        eventually("the consumer is idle", idle).await;
        assert_eq!(cli.json(&["dlq", "sweep", "--since", "2100-01-01T00:00:00Z"]).await["found"], 0);
        let swept = cli.json(&["dlq", "sweep"]).await;
        assert_eq!(swept["found"], 1, "{swept}");
        processed(&pair.b, &event.event_id).await;
        assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        assert_eq!(cli.json(&["dlq", "sweep"]).await["found"], 0);
        assert_eq!(effects::count(&pair.b.db, &other.id).await, Ok(1));

        let slow = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
        let gate = gate(&slow.gate);
        let slow = probe::send(&pair.a.db, "wait", slow).await;
        eventually("it is being handled", || async { Ok::<_, DbErr>((gate.arrivals() > 0).then_some(())) }).await;
        let swept = cli.json(&["dlq", "sweep"]).await;
        assert_eq!((&swept["in_hand"], &swept["found"]), (&json!(1), &json!(0)), "what is being handled was given up");
        gate.open();
        processed(&pair.b, &slow.event_id).await;
        assert_eq!(gate.arrivals(), 1);
        pair.stop().await;
    }

    async fn a_sweep_beside_a_busy_consumer_finds_what_came_long_ago(backend: Backend) {
        // The server brings nothing again meanwhile but what is given back.
        let mut pair = pair(backend, |config| config.backoff([Duration::from_secs(60); 5])).await;
        pair.b.stop().await;
        let stream = Stream::of(&pair.b.config).await;
        let durable = stream.durable(&pair.b.config.app_name).await;
        let one = || durable.batch().max_messages(1).expires(Duration::from_millis(200)).messages();

        let in_hand = probe::send(&pair.a.db, "record", Orders::default()).await;
        let held = eventually("another process has it in hand", || async { one().await?.next().await.transpose() }).await;
        let lost = probe::send(&pair.a.db, "record", Orders::default()).await;
        eventually("its deliveries are spent", || async {
            if let Some(message) = one().await?.next().await {
                message?.ack_with(AckKind::Nak(None)).await?;
            }
            let progress = stream.progress(&pair.b.config.app_name).await;
            let spent = progress.delivered.stream_sequence == 2 && progress.num_ack_pending == 1;
            Ok::<_, async_nats::Error>(spent.then_some(()))
        })
        .await;

        let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
        let sweep = || connection.sweep(&pair.b.db, None, |_, _| {});
        let swept = sweep().await.expect("a sweep");
        assert_eq!((swept.in_hand, swept.found), (1, 0), "what came a moment ago may be in hand");
        let swept = skewed(TimeDelta::minutes(11), sweep()).await.expect("a sweep");
        assert_eq!((swept.in_hand, swept.looked_at, swept.found), (1, 2, 2));
        connection.close().await;

        pair.b.start().await;
        processed(&pair.b, &lost.event_id).await;
        processed(&pair.b, &in_hand.event_id).await;
        // By now it is settled for whoever had it in hand.
        held.ack_with(AckKind::Nak(None)).await.expect("a message that is given back");
        eventually("the consumer is idle", || async {
            Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(()))
        })
        .await;
        for event in [lost, in_hand] {
            assert_eq!(effects::count(&pair.b.db, &event.id).await, Ok(1));
        }
        pair.stop().await;
    }
}

/// On SQLite a handler has the only lock for writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_does_not_wait_for_a_handler_that_hangs() {
    let pair = pair(Backend::Postgres, |config| config).await;
    let slow = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    eventually("it is being handled", || async { Ok::<_, DbErr>((gate.arrivals() > 0).then_some(())) }).await;
    let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
    let sweep = skewed(TimeDelta::minutes(11), connection.sweep(&pair.b.db, None, |_, _| {}));
    let swept = tokio::time::timeout(DEADLINE, sweep).await.expect("an end").expect("a sweep");
    assert_eq!((swept.in_hand, swept.looked_at, swept.found), (1, 1, 0));
    connection.close().await;
    gate.open();
    processed(&pair.b, &slow.event_id).await;
    assert_eq!(gate.arrivals(), 1);
    pair.stop().await;
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
    processed(&pair.b, &lost.event_id).await;
    let stream = Stream::of(&pair.b.config).await;
    eventually("the consumer is idle", || async {
        Ok::<_, DbErr>(stream.is_settled(&pair.b.config.app_name).await.then_some(()))
    })
    .await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_another_make_is_listed_and_not_sent_elsewhere() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), Stream::of(&pair.b.config).await);
    let subject = format!("{}.sync.dlq", pair.b.config.app_name);
    let context = json!({"event_id": "trap", "original_subject": "$JS.API.STREAM.PURGE.x"}).to_string();
    stream.publish(&subject, &[("x-dlq-context", &context)], "{}").await;
    stream.publish(&subject, &[], "bare").await;
    let listed = cli.json(&["dlq", "list"]).await;
    assert_eq!((&listed[0]["event_id"], listed.as_array().map(Vec::len)), (&json!("trap"), Some(2)));
    let refused = cli.run(&["dlq", "replay", "trap", "--force", "--json"]).await;
    assert_eq!(refused.code, 1);
    assert!(why(&refused.json(), "failed").contains("$JS.API.STREAM.PURGE.x"), "{refused:?}");
    assert_eq!(dlq(&pair.b).await.len(), 2);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_that_no_letter_has_may_be_misspelt() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), Stream::of(&pair.b.config).await);
    publish(&pair, &[], &envelope(&pair, "unheard", "spaceship", "created", json!({}))).await;
    letters(&pair.b, 1).await;
    let subject = format!("{}.sync.dlq", pair.b.config.app_name);
    stream.publish(&subject, &[("x-dlq-reason", "theirs")], "bare").await;
    let (list, replay) = (["dlq", "list", "--reason"], ["dlq", "replay", "--all", "--reason"]);
    for command in [&list[..], &replay[..]] {
        let nothing = cli.run(&[command, &["unknown-event"]].concat()).await;
        let is_told = nothing.stderr.contains("`unknown-event`") && nothing.stderr.contains("unknown_event");
        assert!(nothing.code == 0 && is_told, "{nothing:?}");
    }
    for (reason, found) in [("theirs", 1), ("max_attempts", 0)] {
        let listed = cli.run(&[&list[..], &[reason, "--json"]].concat()).await;
        assert_eq!((listed.json().as_array().map(Vec::len), listed.stderr.as_str()), (Some(found), ""), "{listed:?}");
    }
    assert_eq!(dlq(&pair.b).await.len(), 2);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_may_be_named_zero() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    let cli = Cli::of(PROGRAM, &pair.b);
    publish(&pair, &[], &envelope(&pair, "one", "spaceship", "created", json!({}))).await;
    letters(&pair.b, 1).await;
    let purged = cli.run(&["dlq", "purge", "0", "one", "--yes"]).await;
    assert!(purged.code == 1 && purged.stderr.contains("`0`"), "{purged:?}");
    assert!(dlq(&pair.b).await.is_empty(), "the other one is found");
    publish(&pair, &[], &envelope(&pair, "0", "spaceship", "created", json!({}))).await;
    letters(&pair.b, 1).await;
    assert_eq!(cli.json(&["dlq", "show", "0"]).await["event_id"], "0");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_letters_are_looked_through_a_few_at_a_time() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), Stream::of(&pair.b.config).await);
    let subject = format!("{}.sync.dlq", pair.b.config.app_name);
    for _ in 0..12 {
        stream.publish(&subject, &[("x-dead-letter", "true")], "x".repeat(LARGE)).await;
    }
    let connection = Connection::open(pair.b.config.clone()).await.expect("a connection");
    let dlq = connection.dlq().await.expect("the DLQ");
    let batches: Vec<usize> = dlq.batches(0).map_ok(|batch| batch.len()).try_collect().await.expect("the letters");
    assert_eq!(batches, [10, 2]);
    connection.close().await;
    assert_eq!(cli.json(&["dlq", "purge", "--all", "--yes"]).await["purged"], 12);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_of_another_app_is_not_touched() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    broken(&pair).await;
    letters(&pair.b, 1).await;
    let cli = Cli::of(PROGRAM, &pair.b).set("DATABASE_URL", pair.a.database.url.as_str());
    for command in ["replay", "sweep"] {
        let args = if command == "replay" { vec!["dlq", command, "--all"] } else { vec!["dlq", command] };
        let refused = cli.run(&args).await;
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(&pair.a.config.app_name), "{refused:?}");
    }
    assert_eq!(dlq(&pair.b).await.len(), 1);
    pair.stop().await;
}
