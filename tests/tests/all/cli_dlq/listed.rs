//! `jsb dlq list` and `show`: letters are looked for, named and read.

use futures_util::TryStreamExt;
use jsb_runtime::operate::Connection;
use jsb_tests::{Backend, Cli};
use serde_json::json;

use super::{LARGE, PROGRAM, broken, dlq, envelope, incoming, letters, pair, publish, why};

on_both! {
    async fn letters_are_listed_and_shown(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let cli = Cli::of(PROGRAM, &pair.b);
        let none = cli.run(&["dlq", "list"]).await;
        assert_eq!((none.code, none.stdout.trim()), (0, "No letters."));

        let (refused, _) = broken(&pair).await;
        letters(&pair.b, 1).await;
        let body = "no JSON at all";
        let sequence = pair.b.stream().await.publish(&incoming(&pair), &[("X-Own", "kept")], body).await;
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_another_make_is_listed_and_not_sent_elsewhere() {
    let pair = pair(Backend::Sqlite, |config| config).await;
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
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
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
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
    let (cli, stream) = (Cli::of(PROGRAM, &pair.b), pair.b.stream().await);
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
