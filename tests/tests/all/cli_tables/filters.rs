//! Which events of the inbox a command means, and what its flags say in place of variables.

use jsb_runtime::Role;
use jsb_tests::cli::Output;
use jsb_tests::entities::seat;
use jsb_tests::{App, Backend, Pair};
use sea_orm::ActiveValue::Set;
use serde_json::json;
use uuid::Uuid;

use super::{LONG_AGO, cli, organization, text, user};

/// A pair whose B has stopped, with four events in its inbox whose parent is missing, in this order: two of users, one of a
/// chair, and one of a user that came long ago. And their ids.
async fn with_parked(backend: Backend) -> (Pair, [String; 4]) {
    let mut pair = Pair::create(backend).await;
    let acme = organization(&pair.a, "acme.example", "Acme").await;
    let chair = seat::ActiveModel {
        id: Set(Uuid::now_v7()),
        organization_id: Set(acme.id),
        number: Set(1),
        ..Default::default()
    };
    user(&pair.a, acme.id).await;
    user(&pair.a, acme.id).await;
    chair.insert(&pair.a.db).await.expect("a save");
    user(&pair.a, acme.id).await;
    let (remote, events) = (pair.receive().await, pair.a.recorded().await);
    for (event, parked) in events[1..].iter().zip(1..) {
        remote.publish(event).await;
        pair.b.has_events("inbox_events", "parked", parked).await;
    }
    pair.b.stop().await;
    let ids = [1, 2, 3, 4].map(|place| text(&events[place], "event_id").to_owned());
    pair.b.sql(&format!("UPDATE inbox_events SET received_at = {LONG_AGO} WHERE event_id = '{}'", ids[3])).await;
    (pair, ids)
}

/// Puts a dead event of this id into the inbox, from each of two apps.
async fn with_dead_of_two(app: &App, id: &str) {
    for source in [&app.config.destination_app, "another"] {
        app.sql(&format!(
            "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, headers, status, \
             reason, payload, received_at, processed_at) VALUES ('{source}', '{id}', 'probe', '1', 'record', 's', '{{}}', \
             'dead', 'max_attempts', 'x', {LONG_AGO}, {LONG_AGO})"
        ))
        .await;
    }
}

/// Of whom the events of this status are.
async fn sources(app: &App, status: &str) -> Vec<String> {
    app.texts(&format!("SELECT source_app FROM inbox_events WHERE status = '{status}' ORDER BY source_app")).await
}

fn done(output: Output) -> Output {
    assert_eq!(output.code, 0, "{output:?}");
    output
}

on_both! {
    async fn the_inbox_is_listed_by_resource_time_and_number(backend: Backend) {
        let (pair, [one, two, chair, old]) = with_parked(backend).await;
        let cli = cli(&pair.b);
        let listed = async |args: &[&str]| {
            let listed = cli.json(&[&["inbox", "list"], args].concat()).await;
            let events = listed.as_array().expect("a list");
            events.iter().map(|event| text(event, "event_id").to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(listed(&[]).await, [&old, &one, &two, &chair].map(String::as_str));
        assert_eq!(listed(&["--resource", "user"]).await, [&old, &one, &two].map(String::as_str));
        assert_eq!(listed(&["--resource", "organization"]).await, [""; 0]);
        assert_eq!(listed(&["--since", "1h"]).await, [&one, &two, &chair].map(String::as_str));
        assert_eq!(listed(&["--since", "2100-01-01T00:00:00Z"]).await, [""; 0]);
        assert_eq!(listed(&["--limit", "2"]).await, [&two, &chair].map(String::as_str));
        assert_eq!(listed(&["--oldest", "--limit", "2"]).await, [&old, &one].map(String::as_str));
        assert_eq!(listed(&["--resource", "user", "--since", "1h", "--oldest", "--limit", "1"]).await, [one]);
        assert_eq!(cli.run(&["inbox", "list", "--since", "x"]).await.code, 2);
    }

    async fn only_events_of_the_resource_are_retried(backend: Backend) {
        let (pair, ids) = with_parked(backend).await;
        pair.b.sql("UPDATE inbox_events SET available_at = '2100-01-01T00:00:00+00:00'").await;
        let retried = cli(&pair.b).json(&["inbox", "retry", "--all", "--status", "parked", "--resource", "user"]).await;
        assert_eq!(retried["retried"], 3);
        let waits = pair.b.texts("SELECT event_id FROM inbox_events WHERE available_at >= '2100-01-01'").await;
        assert_eq!(waits, [ids[2].as_str()]);
        assert_eq!(cli(&pair.b).run(&["inbox", "retry", &ids[2], "--resource", "chair"]).await.code, 2);
    }

    async fn an_event_of_another_app_is_meant_by_its_source(backend: Backend) {
        let pair = Pair::create(backend).await;
        let (cli, other) = (cli(&pair.b), pair.a.config.app_name.as_str());
        with_dead_of_two(&pair.b, "twin").await;
        let unknown = cli.run(&["inbox", "discard", "twin", "--source", "nobody", "--yes"]).await;
        assert!(unknown.code == 1 && unknown.stderr.contains("twin: there is no such event"), "{unknown:?}");
        assert_eq!(sources(&pair.b, "dead").await, [other, "another"]);
        assert_eq!(cli.json(&["inbox", "discard", "twin", "--source", "another", "--yes"]).await["discarded"], 1);
        assert_eq!((sources(&pair.b, "dead").await, sources(&pair.b, "processed").await), (vec![other.to_owned()], vec!["another".to_owned()]));
        assert_eq!(cli.json(&["inbox", "discard", "twin", "--yes"]).await["discarded"], 1);
        assert_eq!(sources(&pair.b, "dead").await, [""; 0]);

        with_dead_of_two(&pair.b, "again").await;
        assert_eq!(cli.json(&["inbox", "retry", "again", "--source", "another"]).await["retried"], 1);
        assert_eq!(sources(&pair.b, "dead").await, [other]);
    }

    async fn a_flag_is_heard_before_its_variable(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.config.roles = [Role::Consumer].into();
        pair.start_both().await;
        let row = organization(&pair.a, "acme.example", "Acme").await;
        let (database, nats) = (pair.a.database.url.as_str(), pair.a.config.nats_url.as_str());
        let elsewhere = cli(&pair.a).set("DATABASE_URL", "sqlite:///nowhere/at/all").set("NATS_URL", "nats://127.0.0.1:1");
        let listed = ["outbox", "list", "--json", "--database-url", database];
        assert_eq!(done(elsewhere.run(&listed).await).json()[0]["resource_id"], row.id.to_string());
        assert_eq!(elsewhere.run(&["outbox", "list"]).await.code, 1);
        let published = ["outbox", "process-pending", "--json", "--database-url", database, "--nats-url", nats];
        assert_eq!(done(elsewhere.run(&published).await).json()["published"], json!(1));
        pair.b.has_settled(1).await;
        assert_eq!(pair.rows::<organization::Entity>().await.1, [row]);
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_of_a_flag_is_the_one_that_is_made() {
    let pair = Pair::create(Backend::Sqlite).await;
    let (cli, stream) = (cli(&pair.a).set("STREAM_NAME", "elsewhere"), pair.a.config.stream_name.as_str());
    let made = done(cli.run(&["provision", "--stream", stream]).await).stdout;
    assert!(made.contains(&format!("done: made stream {stream}\n")) && !made.contains("elsewhere"), "{made}");
}
