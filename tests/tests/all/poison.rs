//! Promise 6: one bad message never holds up the others, and ends in the DLQ with all that is known of it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsb_runtime::Config;
use jsb_tests::entities::organization;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::servers;
use jsb_tests::stream::StreamMessage;
use jsb_tests::{App, Backend, Pair, Proxy, Stream, effects, eventually, inbox, lasts, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait};

/// In milliseconds. The first is the server's ack wait too, which a busy machine must be able to keep by progress acks.
const BACKOFF: [u64; 5] = [1_000, 1_050, 1_100, 1_150, 1_200];

pub(crate) fn impatient(config: Config) -> Config {
    config.backoff(BACKOFF.map(Duration::from_millis))
}

async fn impatient_pair(backend: jsb_tests::Backend) -> Pair {
    let mut pair = Pair::configured(backend, impatient).await;
    pair.start_both().await;
    pair
}

fn error(text: &str) -> Orders {
    Orders { error: text.to_owned(), failures: u32::MAX, ..Orders::default() }
}

/// How many letters were on their way, by their subjects.
static LETTERS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn is_letter(subject: &str) -> bool {
    let is_letter = subject.ends_with(".sync.dlq");
    if is_letter {
        *LETTERS.lock().unwrap_or_else(PoisonError::into_inner).entry(subject.to_owned()).or_default() += 1;
    }
    is_letter
}

fn letters_of(app: &App) -> usize {
    let subject = format!("{}.sync.dlq", app.config.app_name);
    LETTERS.lock().unwrap_or_else(PoisonError::into_inner).get(&subject).copied().unwrap_or_default()
}

/// Waits until the event is dead here and in the DLQ.
async fn dead(app: &App, event_id: &str) -> (inbox::InboxRow, StreamMessage) {
    let row = app.event_is(event_id, "dead").await;
    let stream = Stream::of(&app.config).await;
    let letter = stream.dead_letter(&app.config.app_name, event_id).await;
    (row, letter.expect("a dead letter, since it is published before the event counts as dead"))
}

/// Waits until a probe has left its effect, and says how many it left.
async fn effects_of(app: &App, probe: &Probe) -> i64 {
    eventually("the handler has run", || async {
        Ok::<_, DbErr>(Some(effects::count(&app.db, &probe.id).await?).filter(|count| *count > 0))
    })
    .await
}

/// Waits until an event that is sent now has gone through: nothing holds it up.
async fn others_flow(from: &App, to: &App) {
    let good = probe::send(&from.db, "record", Orders::default()).await;
    assert_eq!(effects_of(to, &good).await, 1);
}

fn subject(from: &App, to: &App) -> String {
    format!("{}.sync.{}", from.config.app_name, to.config.app_name)
}

on_both! {
    async fn five_failures_end_in_the_dlq_while_others_flow(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let bad = probe::send(&a.db, "fail", error("no such account")).await;
        let good = probe::send(&a.db, "record", Orders::default()).await;
        assert_eq!(effects_of(b, &good).await, 1);
        let behind_the_good_one = probe::attempts(&bad).len();
        assert!(behind_the_good_one < 5, "the good event waited for all {behind_the_good_one} attempts on the bad one");

        let (row, letter) = dead(b, &bad.event_id).await;
        assert_eq!((row.attempts, row.reason.as_deref()), (5, Some("max_attempts")));
        assert!(row.last_error.is_some_and(|error| error.contains("no such account")));
        assert_eq!(effects::count(&b.db, &bad.id).await, Ok(0), "a failed attempt leaves nothing behind");

        let subject = subject(a, b);
        let stream = Stream::of(&b.config).await;
        let messages = stream.messages(&subject).await;
        let original = messages.iter().find(|message| message.headers["Nats-Msg-Id"] == bad.event_id);
        let original = original.expect("the original is in the stream");
        assert_eq!(letter.body, original.body);
        for name in ["traceparent", "Jsb-Hops"] {
            assert_eq!(letter.headers[name], original.headers[name]);
        }
        assert_eq!(letter.headers["x-dead-letter"], "true");
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        assert_eq!(letter.headers["x-deliveries"], "5");
        let context = letter.context();
        let published_at = context["published_at"].as_str().expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(published_at).is_ok(), "{published_at}");
        let error_message = context["error_message"].as_str().expect("a text");
        assert!(error_message.ends_with("no such account"), "{error_message}");
        let expected = serde_json::json!({
            "event_id": bad.event_id,
            "reason": "max_attempts",
            "error_class": "HandlerError",
            "error_message": error_message,
            "deliveries": 5,
            "original_subject": subject,
            "sequence": original.sequence,
            "consumer": format!("{}-workers", b.config.app_name),
            "stream": b.config.stream_name,
            "published_at": published_at,
        });
        assert_eq!(context, expected);

        let attempts = probe::attempts(&bad);
        assert_eq!(attempts.len(), 5);
        for (gap, delay) in attempts.windows(2).zip(BACKOFF.map(Duration::from_millis)) {
            assert!(gap[1] - gap[0] >= delay, "tried again after {:?} rather than {delay:?}", gap[1] - gap[0]);
        }
        stream.until_idle(&b.config.app_name).await;
        assert_eq!(probe::attempts(&bad).len(), 5, "a dead event is not tried again");
        pair.stop().await;
    }

    async fn delays_may_become_shorter(backend: Backend) {
        let delays = [4_000, 1_500, 1_000].map(Duration::from_millis);
        let mut pair = Pair::configured(backend, |config| config.backoff(delays)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "fail", error("no such account")).await;
        dead(&pair.b, &bad.event_id).await;
        let attempts = probe::attempts(&bad);
        assert_eq!(attempts.len(), 5);
        for (gap, delay) in attempts.windows(2).zip(delays) {
            assert!(gap[1] - gap[0] >= delay, "tried again after {:?} rather than {delay:?}", gap[1] - gap[0]);
        }
        pair.stop().await;
    }

    async fn a_transient_failure_heals(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let orders = Orders { failures: 2, error: "not yet".to_owned(), ..Orders::default() };
        let shaky = probe::send(&pair.a.db, "fail", orders).await;
        assert_eq!(effects_of(&pair.b, &shaky).await, 1);
        assert_eq!(probe::attempts(&shaky).len(), 3);
        let row = pair.b.event_is(&shaky.event_id, "processed").await;
        assert_eq!(row.attempts, 2);
        assert!(Stream::of(&pair.b.config).await.dead_letter(&pair.b.config.app_name, &shaky.event_id).await.is_none());
        pair.stop().await;
    }

    async fn a_permanent_error_is_not_retried(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let refused = probe::send(&pair.a.db, "refuse", error("never")).await;
        let (_, letter) = dead(&pair.b, &refused.event_id).await;
        assert_eq!(letter.headers["x-dlq-reason"], "handler_refused");
        assert_eq!(letter.headers["x-deliveries"], "1");
        assert_eq!(probe::attempts(&refused).len(), 1);
        assert_eq!(effects::count(&pair.b.db, &refused.id).await, Ok(0));
        pair.stop().await;
    }

    async fn a_panic_is_a_failure(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let panics = probe::send(&pair.a.db, "panic", error("index out of bounds")).await;
        let (row, letter) = dead(&pair.b, &panics.event_id).await;
        assert_eq!((row.attempts, probe::attempts(&panics).len()), (5, 5));
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        let message = letter.context()["error_message"].to_string();
        assert!(message.contains("panicked: index out of bounds"), "{message}");
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }

    async fn what_can_never_be_applied_goes_to_the_dlq_at_once(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let stream = Stream::of(&a.config).await;
        let producer = a.config.app_name.as_str();
        let event = |id: &str, change: serde_json::Value| {
            let mut event = serde_json::json!({
                "event_id": id, "schema_version": 1, "event_type": "record", "producer": producer, "resource_id": id,
                "occurred_at": "2026-11-21T20:23:31.306124Z", "trace_id": "ca75060ac181a789", "resource_type": "probe",
                "payload": {},
            });
            let fields = event.as_object_mut().expect("an object");
            fields.extend(change.as_object().expect("an object").clone());
            event.to_string()
        };
        let ahead = (chrono::Utc::now() + chrono::TimeDelta::days(400)).to_rfc3339();
        let org = |id: &str, change: serde_json::Value| {
            let now = chrono::Utc::now().to_rfc3339();
            let mut payload = serde_json::json!({
                "id": 1, "name": "n", "domain": id, "active": true, "created_at": now, "updated_at": now,
            });
            payload.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            event(id, serde_json::json!({"resource_type": "organization", "resource_id": "1", "event_type": "created",
                                         "payload": payload}))
        };
        let cases = [
            ("malformed", "{\"event_id\": \"cut of".to_owned()),
            ("malformed", "no JSON at all".to_owned()),
            ("malformed", String::new()),
            ("malformed", "[]".to_owned()),
            ("malformed", event("nul", serde_json::json!({"event_type": "rec\0ord"}))),
            ("malformed", event("long", serde_json::json!({"event_type": "x".repeat(4_000)}))),
            ("unknown_event", event("unknown", serde_json::json!({"resource_type": "spaceship"}))),
            ("unknown_event", event("unheard", serde_json::json!({"event_type": "unheard_of"}))),
            ("unsupported_version", event("newer", serde_json::json!({"schema_version": 2}))),
            ("forged_producer", event("forged", serde_json::json!({"producer": b.config.app_name}))),
            ("invalid_payload", org("not-a-bool", serde_json::json!({"active": "maybe"}))),
            ("invalid_payload", event("no-object", serde_json::json!({"payload": "text"}))),
            ("version_in_future", org("future", serde_json::json!({"updated_at": ahead}))),
            ("invalid_payload", org("null-name", serde_json::json!({"name": serde_json::Value::Null}))),
        ];
        let mut sent = Vec::new();
        for (reason, body) in cases {
            // Found in the DLQ by their sequence, since some have no id.
            let sequence = stream.publish(&subject(a, b), &[("X-Case", reason)], body.clone()).await;
            sent.push((sequence, reason, body));
        }
        others_flow(a, b).await;
        for (sequence, reason, body) in sent {
            let letter = eventually(&format!("message {sequence} ({reason}) is in the DLQ"), || async {
                let letters = stream.messages(&format!("{}.sync.dlq", b.config.app_name)).await;
                Ok::<_, DbErr>(letters.into_iter().find(|letter| letter.context()["sequence"] == sequence))
            })
            .await;
            assert_eq!(letter.headers["x-dlq-reason"], reason, "{body}: {}", letter.context());
            assert_eq!(letter.headers["X-Case"], reason);
            assert_eq!(letter.headers["x-deliveries"], "1");
            assert_eq!(letter.body, body.as_bytes());
        }
        b.has_events("inbox_events", "dead", 14).await;
        pair.stop().await;
    }

    async fn a_row_that_is_too_large_fails_and_later_rows_go_on(backend: Backend) {
        let pair = Pair::start(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let name = Set("x".repeat(2_000_000));
        let large = organization::ActiveModel { name, ..organization::new("large.example") };
        let large = large.insert(&a.db).await.expect("a save");
        let small = organization::new("small.example").insert(&a.db).await.expect("a save");
        b.has(&small).await;
        let rows = inbox::outbox(&a.db, &large.id.to_string()).await.expect("the outbox");
        let [row] = rows.as_slice() else { panic!("one event, not {rows:?}") };
        assert_eq!(row.status, "failed");
        let error = row.last_error.as_deref().unwrap_or_default();
        assert!(error.contains("larger than the server"), "{error}");
        assert_eq!(organization::Entity::find_by_id(large.id).one(&b.db).await, Ok(None));

        let mut smaller: organization::ActiveModel = large.into();
        smaller.name = Set("smaller".to_owned());
        let smaller = smaller.update(&a.db).await.expect("a save");
        b.has(&smaller).await;
        pair.stop().await;
    }

    async fn a_body_without_room_for_its_reasons_stays_in_the_inbox(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let stream = Stream::of(&a.config).await;
        let body = format!("not JSON {}", "x".repeat(1024 * 1024 - 100));
        let sequence = stream.publish(&subject(a, b), &[], body.clone()).await;
        let (row, letter) = dead(b, &format!("seq-{sequence}")).await;
        assert_eq!(letter.headers["x-dlq-reason"], "malformed");
        let reference = serde_json::json!({
            "event_id": format!("seq-{sequence}"),
            "source_app": a.config.app_name,
            "body_bytes": body.len(),
            "body_in": "inbox_events",
        });
        assert_eq!(letter.json(), reference);
        assert_eq!(row.payload, Some(body.into_bytes()));
        others_flow(a, b).await;
        pair.stop().await;
    }

    async fn the_text_of_an_error_may_be_anything(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let long = "Zeile ".repeat(5_000);
        let texts = ["first line\nsecond line\r\n\tthird", "größer als 5 € – naïve 日本語 \u{1f4a5}", "a\0b", "", long.as_str()];
        let mut sent = Vec::new();
        for text in texts {
            let refused = probe::send(&pair.a.db, "refuse", error(text)).await;
            let failing = probe::send(&pair.a.db, "fail", error(text)).await;
            sent.push((text, refused, failing));
        }
        for (text, refused, failing) in sent {
            let (_, letter) = dead(&pair.b, &refused.event_id).await;
            let message = letter.context()["error_message"].as_str().expect("a text").to_owned();
            // PostgreSQL stores no NUL.
            let kept: String = text.replace('\0', "\u{fffd}").chars().take(500).collect();
            assert!(message.contains(&kept), "{message:?} lacks {kept:?}");
            let (row, _) = dead(&pair.b, &failing.event_id).await;
            assert_eq!(row.attempts, 5);
        }
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }

    async fn without_a_dlq_a_dead_event_stays_in_the_inbox(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| impatient(config).use_dlq(false)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "refuse", error("never")).await;
        let row = pair.b.event_is(&bad.event_id, "dead").await;
        assert_eq!(row.reason.as_deref(), Some("handler_refused"));
        let body = row.payload.expect("the body is kept");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("the original body");
        assert_eq!(body["event_id"], bad.event_id);
        others_flow(&pair.a, &pair.b).await;
        assert!(Stream::of(&pair.b.config).await.dead_letter(&pair.b.config.app_name, &bad.event_id).await.is_none());
        pair.stop().await;
    }

    async fn without_an_inbox_events_are_applied_and_failures_end_in_the_dlq(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| impatient(config).use_inbox(false)).await;
        pair.start_both().await;
        let (a, b) = (&pair.a, &pair.b);
        let saved = organization::new("no-inbox.example").insert(&a.db).await.expect("a save");
        b.has(&saved).await;
        let bad = probe::send(&a.db, "fail", error("always")).await;
        let stream = Stream::of(&b.config).await;
        let letter = eventually("it is in the DLQ", || async {
            Ok::<_, DbErr>(stream.dead_letter(&b.config.app_name, &bad.event_id).await)
        })
        .await;
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        assert_eq!(letter.headers["x-deliveries"], "5");
        assert_eq!(probe::attempts(&bad).len(), 5);
        assert_eq!(b.status().await.inbox_events, 0);
        pair.stop().await;
    }

    async fn a_handler_that_ignores_what_ended_its_transaction_loses_no_event(backend: Backend) {
        let pair = impatient_pair(backend).await;
        for kind in ["ignore", "cancel"] {
            let careless = probe::send(&pair.a.db, kind, Orders::default()).await;
            if backend == jsb_tests::Backend::Postgres || kind == "cancel" {
                let (row, _) = dead(&pair.b, &careless.event_id).await;
                let error = row.last_error.unwrap_or_default();
                assert!(error.contains("ctx.db().begin()"), "{error}");
                assert_eq!(effects::count(&pair.b.db, &careless.id).await.expect("the effects"), 0);
            } else {
                // A statement that fails ends nothing but itself here.
                assert_eq!(effects_of(&pair.b, &careless).await, 1);
            }
        }
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }

    async fn an_event_is_tried_again_as_soon_as_its_back_off_says(backend: Backend) {
        let long = Duration::from_secs(4);
        let backoff = [Duration::from_millis(200), long, long, long, long];
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "fail", Orders { failures: 2, ..error("not yet") }).await;
        eventually("it is tried three times", || async {
            Ok::<_, DbErr>(Some(probe::attempts(&bad)).filter(|attempts| attempts.len() == 3))
        })
        .await;
        let attempts = probe::attempts(&bad);
        let waited = attempts[2] - attempts[1];
        assert!(waited >= long && waited < long + long / 2, "{waited:?}");
        pair.stop().await;
    }

    async fn a_dead_letter_that_is_not_taken_is_not_lost(backend: Backend) {
        let proxy = Proxy::start(servers::nats().await.port()).await;
        proxy.lose(is_letter);
        let mut pair = Pair::configured(backend, impatient).await;
        pair.b.config.nats_url = proxy.url();
        pair.start_both().await;
        let (a, b) = (&pair.a, &pair.b);
        let bad = probe::send(&a.db, "refuse", error("never")).await;
        let orders = Orders { failures: u32::MAX, ..error("not today") };
        let worn = probe::send(&a.db, "fail", orders).await;
        // More often than an event may begin without an outcome.
        until("their letters were sent again and again", async || letters_of(b) > 14).await;
        let attempts = probe::attempts(&bad).len();
        assert!(attempts <= 5, "it was tried {attempts} times, though it is dead whatever is tried");
        let dlq_problem = async || b.status().await.problems.into_iter().find(|problem| problem.starts_with("dlq:"));
        eventually("the status says so", async || Ok::<_, DbErr>(dlq_problem().await)).await;
        others_flow(a, b).await;
        let row = inbox::with_status(&b.db, &bad.event_id, "dead").await.expect("the inbox");
        assert!(row.is_none(), "it counts as dead before the DLQ has it");
        proxy.lose(|_| false);
        let (row, letter) = dead(b, &bad.event_id).await;
        assert_eq!(row.reason.as_deref(), Some("handler_refused"));
        assert_eq!(letter.headers["x-dlq-reason"], "handler_refused");
        let (row, letter) = dead(b, &worn.event_id).await;
        assert_eq!(row.reason.as_deref(), Some("max_attempts"));
        let message = letter.context()["error_message"].to_string();
        assert!(message.contains("not today"), "{message}");
        until("the status says nothing of it any more", async || dlq_problem().await.is_none()).await;
        pair.stop().await;
    }
}

/// As when its row is on a damaged page, or a trigger crashes the backend: the database is there for everybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_alone_finds_the_database_away_is_dead_and_holds_nobody_up() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.max_deliver(1)).await;
    let crash = "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.domain = 'crash.example' THEN RAISE 'the backend is gone' USING ERRCODE = '57P02'; END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER crash BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION crash()";
    pair.b.sql(crash).await;
    pair.a.start().await;
    organization::new("crash.example").insert(&pair.a.db).await.expect("a save");
    let good = organization::new("good.example").insert(&pair.a.db).await.expect("a save");
    pair.b.start().await;
    let events = pair.a.recorded().await;
    let (row, _) = dead(&pair.b, events[0]["event_id"].as_str().expect("an id")).await;
    assert_eq!(row.reason.as_deref(), Some("max_attempts"));
    pair.quiet().await;
    assert_eq!(organization::Entity::find().all(&pair.b.db).await.expect("the rows"), [good]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_take_longer_than_transactions_may_idle() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let soon = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 300', \
                current_database()); END $$";
    pair.b.sql(soon).await;
    pair.b.db = pair.b.database.connect().await;
    pair.start_both().await;
    let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    gate.until_reached().await;
    lasts(Duration::from_secs(1)).await;
    gate.open();
    assert_eq!(effects_of(&pair.b, &slow).await, 1);
    assert_eq!(probe::attempts(&slow).len(), 1);
    pair.quiet().await;
    pair.stop().await;
}
