//! The wire: what foreign producers send is applied, what we send is just what others expect, and the stream is theirs
//! as much as ours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::stream::{self, ConsumerLimits, DiscardPolicy, RetentionPolicy, StorageType};
use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Config;
use jsb_tests::entities::organization;
use jsb_tests::{Backend, Pair, Stream, eventually, inbox};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::problems::problem_of;

const FROM_B: &str = "system_b.sync.system_a";

/// The pair under the names that the fixtures use, on a server of its own, where nobody else has them.
async fn named_pair(backend: Backend) -> (NatsServer, Pair) {
    let nats = NatsServer::start(NatsOptions::default()).await.expect("nats-server starts");
    let url = nats.url();
    let name = |name: &str| if name.starts_with("a-") { "system_a" } else { "system_b" }.to_owned();
    let pair = Pair::configured(backend, |mut config: Config| {
        (config.app_name, config.destination_app) = (name(&config.app_name), name(&config.destination_app));
        config.nats_url(url.as_str()).stream_name("sync-stream")
    });
    let pair = pair.await;
    (nats, pair)
}

/// A message of a foreign producer, and what must come of it.
#[derive(Deserialize)]
struct Fixture {
    why: String,
    headers: BTreeMap<String, String>,
    body: Json,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    event_id: String,
    row: Json,
}

fn fixtures() -> Vec<Fixture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let files = std::fs::read_dir(folder).expect("the fixtures").map(|entry| entry.expect("a file").path());
    let read = |path| serde_json::from_slice(&std::fs::read(path).expect("a fixture")).expect("a fixture's form");
    files.map(read).collect()
}

fn micros(time: chrono::DateTime<chrono::Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

fn as_payload(row: &organization::Model) -> Json {
    json!({
        "id": row.id,
        "name": row.name,
        "domain": row.domain,
        "active": row.active,
        "created_at": micros(row.created_at),
        "updated_at": micros(row.updated_at),
    })
}

fn organization(domain: &str) -> organization::ActiveModel {
    organization::ActiveModel {
        name: Set("Acme \"Corp\" é\u{1f4a5}\n".to_owned()),
        internal_note: Set(Some("stays here".to_owned())),
        ..organization::new(domain)
    }
}

/// All settings of a stream, as the server writes them.
async fn settings(stream: &Stream, name: &str) -> Json {
    let answer: Json = stream.context.request(format!("STREAM.INFO.{name}"), &json!({})).await.expect("an answer");
    answer["config"].clone()
}

on_both! {
    async fn what_foreign_producers_send_is_applied_once(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        pair.a.start().await;
        let stream = pair.a.stream().await;
        let fixtures = fixtures();
        for fixture in fixtures.iter().chain(&fixtures) {
            let headers: Vec<_> = fixture.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            stream.publish(FROM_B, &headers, fixture.body.to_string()).await;
        }
        for Fixture { why, expected, .. } in &fixtures {
            let row = eventually(why, || inbox::find(&pair.a.db, &expected.event_id)).await;
            assert_eq!(row.status, "processed", "{why} {row:?}");
            let id = expected.row["id"].as_i64().expect("an id");
            let row = organization::Entity::find_by_id(id).one(&pair.a.db).await.expect("the rows").expect(why);
            assert_eq!(as_payload(&row), expected.row, "{why}");
        }
        stream.until_idle("system_a").await;
        let status = pair.a.status().await;
        assert_eq!(status.inbox_events, fixtures.len() as u64);
        assert_eq!(status.outbox_events, 0, "an applied event was published back");
        pair.stop().await;
    }

    async fn our_messages_are_just_what_others_expect(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        pair.a.start().await;
        let mut rows = vec![organization("acme.example").insert(&pair.a.db).await.expect("a save")];
        let mut change: organization::ActiveModel = rows[0].clone().into();
        change.active = Set(false);
        rows.push(change.update(&pair.a.db).await.expect("a save"));
        rows[1].clone().delete(&pair.a.db).await.expect("a delete");
        let stream = pair.a.stream().await;
        let messages = eventually("three messages are in the stream", || async {
            Ok::<_, DbErr>(Some(stream.messages("system_a.sync.system_b").await).filter(|found| found.len() == 3))
        })
        .await;
        let recorded = inbox::outbox(&pair.a.db, &rows[0].id.to_string()).await.expect("the outbox");
        // A delete carries the last row, at the version of its tombstone.
        let mut last = rows[1].clone();
        let version = messages[2].json()["payload"]["updated_at"].as_str().expect("a time").to_owned();
        last.updated_at = version.parse().expect("a time");
        assert!(last.updated_at > rows[1].updated_at);
        rows.push(last);
        for (number, event_type) in ["created", "updated", "deleted"].into_iter().enumerate() {
            let (message, row) = (&messages[number], &rows[number]);
            let body = message.json();
            let (event_id, trace_id) = (&recorded[number].event_id, body["trace_id"].as_str().expect("a trace"));
            let occurred_at = body["occurred_at"].as_str().expect("a time");
            let head = format!(
                "{{\"event_id\":\"{event_id}\",\"schema_version\":1,\"event_type\":\"{event_type}\",\
                 \"producer\":\"system_a\",\"resource_id\":\"{}\",\"occurred_at\":\"{occurred_at}\",\
                 \"trace_id\":\"{trace_id}\",\"resource_type\":\"organization\",\"payload\":{{",
                row.id,
            );
            let text = String::from_utf8_lossy(&message.body);
            assert!(text.starts_with(&head), "{text} does not begin with {head}");
            assert_eq!(body["payload"], as_payload(row));
            let time: chrono::DateTime<chrono::Utc> = occurred_at.parse().expect("a time");
            assert_eq!(micros(time), occurred_at, "six digits");
            let uuid: uuid::Uuid = event_id.parse().expect("a UUID");
            assert_eq!(uuid.get_version_num(), 7);
            assert!(trace_id.len() == 16 && trace_id.bytes().all(|c| c.is_ascii_hexdigit()), "{trace_id}");
            let names: BTreeSet<&str> = message.headers.keys().map(String::as_str).collect();
            assert_eq!(names, BTreeSet::from(["Jsb-Hops", "Nats-Msg-Id", "traceparent"]));
            assert_eq!(&message.headers["Nats-Msg-Id"], event_id);
            assert_eq!(message.headers["Jsb-Hops"], "0");
            let parent: Vec<&str> = message.headers["traceparent"].split('-').collect();
            let [version, trace, span, flags] = parent[..] else { panic!("{parent:?}") };
            assert_eq!((version, trace, flags), ("00", format!("{trace_id:0>32}").as_str(), "01"));
            assert_eq!(span.len(), 16);
        }
        pair.stop().await;
    }

    async fn two_apps_that_start_at_once_agree_on_the_stream(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        tokio::join!(pair.a.start(), pair.b.start());
        pair.until_attached().await;
        let stream = pair.a.stream().await;
        let config = stream.config().await;
        let subjects = ["system_a.sync.dlq", "system_a.sync.system_b", "system_b.sync.dlq", FROM_B];
        assert_eq!(config.subjects.iter().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(subjects));
        assert_eq!(config.max_age, Duration::from_secs(30 * 24 * 60 * 60));
        assert_eq!((config.num_replicas, config.storage), (1, StorageType::File));
        assert_eq!((config.retention, config.max_messages, config.max_bytes), (RetentionPolicy::Limits, -1, -1));
        for (app, filter) in [("system_a", FROM_B), ("system_b", "system_a.sync.system_b")] {
            let durable = stream.progress(app).await.config;
            assert_eq!(durable.durable_name, Some(format!("{app}-workers")));
            assert_eq!(durable.filter_subject, filter);
            assert_eq!((durable.ack_policy, durable.deliver_policy), (AckPolicy::Explicit, DeliverPolicy::All));
            assert_eq!(durable.max_deliver, 5);
            assert_eq!(durable.backoff, [1, 5, 15, 30, 60].map(Duration::from_secs));
        }
        for (from, to) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
            let row = organization(&from.config.app_name).insert(&from.db).await.expect("a save");
            eventually("the row is there", || organization::Entity::find_by_id(row.id).one(&to.db)).await;
        }
        pair.stop().await;
    }

    async fn a_stream_that_carries_the_subjects_is_used_as_it_is(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        let theirs = stream::Config {
            name: "RAILS".to_owned(),
            subjects: vec!["system_a.sync.*".to_owned(), "system_b.sync.*".to_owned()],
            max_messages: 77,
            max_bytes: 10_000_000,
            max_message_size: 100_000,
            max_age: Duration::from_secs(3_600),
            discard: DiscardPolicy::New,
            storage: StorageType::Memory,
            description: Some("theirs".to_owned()),
            ..Default::default()
        };
        let stream = pair.a.stream().await;
        stream.context.create_stream(theirs).await.expect("a stream");
        let before = settings(&stream, "RAILS").await;
        pair.start_both().await;
        let row = organization("acme.example").insert(&pair.a.db).await.expect("a save");
        eventually("the row is there", || organization::Entity::find_by_id(row.id).one(&pair.b.db)).await;
        assert_eq!(settings(&stream, "RAILS").await, before);
        assert!(stream.context.get_stream("sync-stream").await.is_err(), "a second stream was made");
        pair.stop().await;
    }

    async fn what_is_amiss_with_a_stream_that_is_used_as_it_is_stands_in_the_status(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        let theirs = stream::Config {
            name: "RAILS".to_owned(),
            subjects: vec!["system_a.sync.*".to_owned(), "system_b.sync.*".to_owned()],
            retention: RetentionPolicy::Interest,
            no_ack: true,
            consumer_limits: Some(ConsumerLimits { max_ack_pending: 100, ..Default::default() }),
            ..Default::default()
        };
        pair.a.stream().await.context.create_stream(theirs).await.expect("a stream");
        pair.a.config.max_ack_pending = 100;
        pair.a.start().await;
        pair.a.until_attached().await;
        let problems = pair.a.status().await.problems;
        for says in ["dead letters", "it acknowledges nothing"] {
            assert!(problems.iter().any(|problem| problem.contains(says)), "{says}: {problems:?}");
        }
        pair.a.stop().await;
    }

    async fn a_stream_that_is_kept_otherwise_than_it_is_set_here_is_used_and_the_status_says_so(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        pair.a.start().await;
        pair.a.until_attached().await;
        assert_eq!(problem_of(&pair.a, "stream").await, None);
        pair.a.stop().await;
        pair.a.config.stream_max_age = Some(Duration::from_secs(29 * 24 * 60 * 60));
        pair.a.start().await;
        pair.a.until_attached().await;
        let problem = problem_of(&pair.a, "stream").await.expect("a problem");
        assert!(problem.contains("max_age: 30d -> 29d") && problem.contains("run `jsb provision`"), "{problem}");
        pair.a.stop().await;
    }

    async fn missing_subjects_are_added_and_nothing_else_changes(backend: Backend) {
        let (_nats, mut pair) = named_pair(backend).await;
        let theirs = stream::Config {
            name: "RAILS".to_owned(),
            subjects: vec!["orders.>".to_owned(), "system_a.sync.system_b".to_owned(), FROM_B.to_owned()],
            max_messages: 77,
            max_message_size: 100_000,
            max_age: Duration::from_secs(3_600),
            discard: DiscardPolicy::New,
            allow_direct: true,
            metadata: [("owner".to_owned(), "rails".to_owned())].into(),
            ..Default::default()
        };
        let stream = pair.a.stream().await;
        stream.context.create_stream(theirs).await.expect("a stream");
        let mut expected = settings(&stream, "RAILS").await;
        tokio::join!(pair.a.start(), pair.b.start());
        let row = organization("acme.example").insert(&pair.a.db).await.expect("a save");
        eventually("the row is there", || organization::Entity::find_by_id(row.id).one(&pair.b.db)).await;
        let mut found = settings(&stream, "RAILS").await;
        let subjects = |config: &mut Json| -> BTreeSet<String> {
            serde_json::from_value(config["subjects"].take()).expect("subjects")
        };
        let mut wanted = subjects(&mut expected);
        wanted.extend(["system_a.sync.dlq", "system_b.sync.dlq"].map(str::to_owned));
        assert_eq!(subjects(&mut found), wanted);
        assert_eq!(found, expected);
        pair.stop().await;
    }
}
