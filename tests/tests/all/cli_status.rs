//! `jsb status` and `jsb health`: what can be seen is shown, what cannot says why, and the exit code tells a program.

mod glance;

use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Config;
use jsb_tests::cli::Output;
use jsb_tests::entities::organization;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Cli, Pair, Proxy, eventually, inbox};
use sea_orm::ActiveValue::Set;
use sea_orm::DbErr;
use serde_json::{Value as Json, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cli");

async fn pair(backend: Backend) -> Pair {
    let pair = Pair::start(backend).await;
    pair.until_attached().await;
    pair
}

/// The names of the checks with this finding.
fn findings<'a>(health: &'a Json, finding: &str) -> Vec<&'a str> {
    let checks = health["checks"].as_array().expect("checks").iter();
    checks.filter(|check| check["finding"] == finding).map(|check| check["name"].as_str().expect("a name")).collect()
}

async fn health(cli: &Cli, args: &[&str]) -> (i32, Json) {
    let output: Output = cli.run(&[&["health", "--json"], args].concat()).await;
    (output.code, output.json())
}

on_both! {
    async fn the_status_has_the_numbers_of_both_ends(backend: Backend) {
        let mut pair = pair(backend).await;
        let saved = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.b.event_is(&saved.event_id, "processed").await;
        let refused = probe::send(&pair.a.db, "refuse", Orders::default()).await;
        pair.b.event_is(&refused.event_id, "dead").await;
        pair.b.stop().await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        let name = Set("x".repeat(2_000_000));
        let large = organization::ActiveModel { name, ..organization::new("large.example") };
        large.insert(&pair.a.db).await.expect("a save");
        pair.a.has_sent(5).await;
        pair.a.has_events("outbox_events", "failed", 1).await;
        pair.a.stop().await;
        probe::send(&pair.a.db, "record", Orders::default()).await;

        let a = Cli::of(PROGRAM, &pair.a).json(&["status"]).await;
        assert_eq!((&a["stream"]["name"], &a["stream"]["messages"]), (&json!(pair.a.config.stream_name), &json!(6)));
        assert_eq!((&a["stream"]["replicas"], &a["dead_letters"]), (&json!(1), &json!(0)));
        for time in [&a["stream"]["first_at"], &a["stream"]["last_at"], &a["tables"]["oldest_pending"]] {
            let time: chrono::DateTime<chrono::Utc> = time.as_str().expect("a time").parse().expect("a time");
            assert!((chrono::Utc::now() - time).num_minutes() < 10, "{a}");
        }
        let tables = &a["tables"];
        assert_eq!((tables.get("jetstream_connected"), tables.get("problems")), (None, None), "of a bridge alone: {a}");
        let counts = ["pending_events", "unpublishable_events", "sent_events"].map(|name| tables[name].as_u64());
        assert_eq!(counts, [Some(1), Some(1), Some(5)]);
        assert_eq!((&a["consumer"]["lag"], &a["peer"]["lag"]), (&json!(0), &json!(3)));
        assert!(a["peer"]["oldest_waiting"].is_string() && a["consumer"]["oldest_waiting"].is_null(), "{a}");
        assert!(a["resources"].as_array().is_some_and(|known| known.contains(&json!("organization"))), "{a}");

        let b = Cli::of(PROGRAM, &pair.b).json(&["status"]).await;
        assert_eq!((&b["consumer"]["lag"], &b["dead_letters"]), (&json!(3), &json!(1)));
        assert_eq!((&b["tables"]["dead_events"], &b["tables"]["processed_events"]), (&json!(1), &json!(1)));
        assert!(b["tables"]["oldest_dead"].is_string() && b["tables"]["oldest_parked"].is_null(), "{b}");
        assert!(b["problems"].as_array().is_some_and(|problems| problems.len() == 1), "the dead letter: {b}");
        let text = Cli::of(PROGRAM, &pair.b).run(&["status"]).await.stdout;
        assert!(text.contains(&format!("{}-workers", pair.b.config.app_name)) && text.contains("! dead_letters"), "{text}");
    }

    async fn health_holds_the_numbers_against_limits(backend: Backend) {
        let mut pair = pair(backend).await;
        let (a, b) = (Cli::of(PROGRAM, &pair.a), Cli::of(PROGRAM, &pair.b));
        for cli in [&a, &b] {
            let (code, health) = health(cli, &[]).await;
            assert_eq!((code, &health["healthy"]), (0, &json!(true)), "{health}");
            assert_eq!(findings(&health, "ok").len(), 8, "{health}");
        }
        let refused = probe::send(&pair.a.db, "refuse", Orders::default()).await;
        pair.b.event_is(&refused.event_id, "dead").await;
        let (code, found) = health(&b, &[]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["dead_letters"]));
        assert_eq!(health(&b, &["--max-dead", "1"]).await.0, 0);

        pair.b.stop().await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        pair.a.has_events("outbox_events", "pending", 0).await;
        pair.a.stop().await;
        probe::send(&pair.a.db, "record", Orders::default()).await;
        let (code, found) = health(&b, &["--max-dead", "1", "--max-lag", "2"]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["consumer_lag"]));
        let (code, found) = health(&b, &["--max-dead", "1", "--max-pending-age", "1ms"]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["consumer_age"]));
        let (code, found) = health(&a, &["--max-pending-age", "1ms"]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["outbox_age"]));
        assert_eq!(health(&a, &[]).await.0, 0);

        pair.a.sql("UPDATE outbox_events SET status = 'failed' WHERE status = 'pending'").await;
        let (code, found) = health(&a, &[]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["outbox_failed"]));
        assert_eq!(health(&a, &["--max-failed", "1"]).await.0, 0);

        // What is published again waits from then on, however old it is.
        pair.a.sql("UPDATE outbox_events SET created_at = '2026-01-01T00:00:00+00:00'").await;
        let republished = a.run(&["outbox", "republish", "--since", "1h", "--yes"]).await;
        assert_eq!(republished.code, 0, "{republished:?}");
        assert!(pair.a.count("outbox_events", "pending").await > 0);
        let (code, found) = health(&a, &["--max-failed", "1"]).await;
        assert_eq!((code, findings(&found, "fault")), (0, vec![]));

        pair.b.sql("UPDATE inbox_events SET status = 'parked' WHERE status = 'dead'").await;
        let limits = ["--max-dead", "1", "--max-waiting-age", "1h"];
        assert_eq!(health(&b, &limits).await.0, 0, "a parked event alone is no fault");
        pair.b.sql("UPDATE inbox_events SET received_at = '2026-01-01T00:00:00+00:00'").await;
        let (code, found) = health(&b, &limits).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["inbox_age"]));
    }

    async fn what_cannot_be_seen_says_why_and_the_rest_is_shown(backend: Backend) {
        let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
        let url = nats.url();
        let mut pair = Pair::configured(backend, |config| config.nats_url(url.as_str())).await;
        pair.start_both().await;
        pair.until_attached().await;
        let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);

        // An empty variable counts as one that is not set.
        let no_database = cli.clone().set("DATABASE_URL", "");
        let status = no_database.json(&["status"]).await;
        assert_eq!((&status["stream"]["messages"], &status["tables"]["is_fault"]), (&json!(0), &json!(false)));
        let (code, found) = health(&no_database, &[]).await;
        assert_eq!((code, findings(&found, "unknown")), (0, vec!["outbox_age", "outbox_failed", "inbox_age"]));
        // Dead events are then in the inbox alone.
        let of_tables = ["dead_letters", "outbox_age", "outbox_failed", "inbox_age"];
        let (code, found) = health(&no_database.clone().set("USE_DLQ", "false"), &[]).await;
        assert_eq!((code, findings(&found, "unknown")), (0, of_tables.to_vec()), "{found}");

        let away = match backend {
            Backend::Postgres => "postgres://nobody:hidden@127.0.0.1:9/none",
            Backend::Sqlite => "sqlite:///nowhere/none.sqlite",
        };
        let away = cli.clone().set("DATABASE_URL", away);
        let status = away.run(&["status"]).await;
        assert_eq!(status.code, 0, "{status:?}");
        assert!(status.stdout.contains("not seen") && status.stdout.contains("workers"), "{status:?}");
        assert!(!format!("{status:?}").contains("hidden"), "{status:?}");
        let (code, found) = health(&away, &[]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["outbox_age", "outbox_failed", "inbox_age"]));
        let other = cli.clone().set("DATABASE_URL", pair.a.database.url.as_str());
        assert!(other.run(&["status"]).await.stdout.contains("belongs to app"));
        let (code, found) = health(&other.set("USE_DLQ", "false"), &[]).await;
        assert_eq!((code, findings(&found, "fault")), (4, of_tables.to_vec()), "{found}");

        pair.a.stop().await;
        pair.b.stop().await;
        stream.delete_durable(&pair.b.config.app_name).await;
        let (code, found) = health(&cli, &[]).await;
        assert_eq!((code, findings(&found, "fault")), (4, vec!["consumer", "consumer_lag", "consumer_age"]));
        assert!(found["checks"][1]["detail"].as_str().is_some_and(|text| text.contains("consumer not found")), "{found}");

        drop(nats);
        let status = cli.run(&["status", "--json"]).await;
        assert_eq!(status.code, 0, "{status:?}");
        let status = status.json();
        assert_eq!((&status["tables"]["pending_events"], &status["stream"]["is_fault"]), (&json!(0), &json!(true)));
        assert!(status["stream"]["unseen"].as_str().is_some_and(|why| why.contains("did not answer")), "{status}");
        let gone = cli.run(&["health", "--json"]).await;
        assert_eq!((gone.code, findings(&gone.json(), "fault")), (4, vec!["stream"]), "{gone:?}");
        assert!(!gone.stderr.contains("compare STREAM_NAME"), "nothing was looked for: {gone:?}");
        let blind = no_database.run(&["status"]).await;
        assert!(blind.code == 1 && blind.stderr.contains("error: nothing was seen"), "{blind:?}");
    }
}

/// In a file they would be in the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_logged_past_a_terminal_has_no_colours() {
    let pair = Pair::create(Backend::Sqlite).await;
    let cli = Cli::of(PROGRAM, &pair.a).set("RUST_LOG", "debug").set("NO_COLOR", "");
    let logged = cli.run(&["status"]).await.stderr;
    assert!(logged.contains("DEBUG") && !logged.contains('\u{1b}'), "{logged}");
}

/// Another stream than the one that is looked for would be shown as if it were that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_cannot_be_asked_for_is_not_guessed() {
    let proxy = Proxy::before_nats().await;
    let mut pair = pair(Backend::Sqlite).await;
    proxy.lose(|subject| subject == "$JS.API.STREAM.NAMES");
    let cli = Cli::of(PROGRAM, &pair.b);
    assert_eq!(cli.run(&["dlq", "list"]).await.code, 0);
    let lost = cli.set("NATS_URL", proxy.url()).run(&["dlq", "list"]).await;
    assert!(lost.code == 1 && lost.stderr.contains("no answer to `$JS.API.STREAM.NAMES`"), "{lost:?}");
    pair.a.stop().await;
    pair.b.stop().await;
}

/// A server on which `system_b` may only do what an app may, but for publishing.
async fn restrictive_server() -> NatsServer {
    let config = r#"
        authorization { users = [
            { user: root, password: secret }
            { user: narrow, password: secret, permissions: {
                publish: ["$JS.API.CONSUMER.INFO.s.system_b-workers"], subscribe: ["_INBOX.narrow.>"]
            } }
            { user: blind, password: secret, permissions: { publish: ["nothing"], subscribe: ["_INBOX.blind.>"] } }
            { user: system_b, password: secret, permissions: {
                publish: ["$JS.API.CONSUMER.INFO.s.system_b-workers", "$JS.API.STREAM.MSG.GET.s"]
                subscribe: ["_INBOX.system_b.>"]
            } }
        ] }
    "#;
    let options = NatsOptions { config: config.to_owned(), ..NatsOptions::default() };
    NatsServer::start(options).await.expect("nats-server starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_sees_what_it_may_and_is_told_of_the_rest() {
    let nats = restrictive_server().await;
    let url = |user: &str| format!("nats://{user}:secret@127.0.0.1:{}", nats.port());
    let name = |name: &str| if name.starts_with("a-") { "system_a" } else { "system_b" }.to_owned();
    let mut pair = Pair::configured(Backend::Sqlite, |mut config: Config| {
        (config.app_name, config.destination_app) = (name(&config.app_name), name(&config.destination_app));
        config.nats_url(url("root")).stream_name("s")
    })
    .await;
    pair.start_both().await;
    pair.until_attached().await;
    let refused = probe::send(&pair.a.db, "refuse", Orders::default()).await;
    pair.b.event_is(&refused.event_id, "dead").await;

    let cli = Cli::of(PROGRAM, &pair.b).set("NATS_URL", url("system_b")).set("AUTO_PROVISION", "false");
    let listed = cli.json(&["dlq", "list"]).await;
    assert_eq!(listed[0]["event_id"], refused.event_id);
    assert_eq!(cli.json(&["dlq", "show", &refused.event_id]).await["reason"], "handler_refused");
    let (code, found) = health(&cli, &[]).await;
    assert_eq!((code, findings(&found, "fault")), (4, vec!["dead_letters"]), "{found}");
    assert_eq!(findings(&found, "unknown"), ["stream"], "{found}");
    assert_eq!(health(&cli, &["--max-dead", "1"]).await.0, 0);
    let status = cli.json(&["status"]).await;
    assert_eq!((&status["peer"]["is_fault"], &status["consumer"]["lag"]), (&json!(false), &json!(0)), "{status}");

    let blind = cli.clone().set("NATS_URL", url("blind")).run(&["health", "--json"]).await;
    assert_eq!((blind.code, &blind.json()["healthy"]), (4, &json!(false)), "{blind:?}");
    assert_eq!(findings(&blind.json(), "fault"), ["stream"], "nothing else speaks against it: {blind:?}");
    assert!(blind.stderr.contains("neither the stream nor the consumer could be seen"), "{blind:?}");

    let replayed = cli.run(&["dlq", "replay", "--all"]).await;
    assert_eq!(replayed.code, 1);
    assert!(replayed.stderr.contains("denies") && replayed.stderr.contains("system_a.sync.system_b"), "{replayed:?}");
    assert!(replayed.stderr.contains("the letter stays") && !replayed.stderr.contains("outbox"), "{replayed:?}");
    let purged = cli.run(&["dlq", "purge", "--all", "--yes"]).await;
    assert_eq!(purged.code, 1);
    assert!(purged.stderr.contains("$JS.API.STREAM.MSG.DELETE.s"), "{purged:?}");
    assert_eq!(cli.json(&["dlq", "list"]).await.as_array().map(Vec::len), Some(1));

    pair.b.stop().await;
    let waiting = probe::send(&pair.a.db, "record", Orders::default()).await;
    eventually("it waits for its delivery", || async {
        let rows = inbox::outbox(&pair.a.db, &waiting.id).await?;
        Ok::<_, DbErr>((rows[0].status == "sent").then_some(()))
    })
    .await;
    let narrow = cli.set("NATS_URL", url("narrow"));
    let (code, found) = health(&narrow, &["--max-pending-age", "1ms"]).await;
    assert_eq!((code, findings(&found, "fault")), (0, vec![]), "{found}");
    assert_eq!(findings(&found, "unknown"), ["stream", "consumer_age", "dead_letters"], "{found}");
    let age = found["checks"][3]["detail"].as_str();
    assert!(age.is_some_and(|why| why.contains("$JS.API.STREAM.MSG.GET.s")), "{found}");
    assert!(narrow.run(&["status"]).await.stdout.contains("unknown"), "since when it waits");
    pair.stop().await;
}
