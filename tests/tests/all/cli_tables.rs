//! The commands on the outbox and the inbox, end to end.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dev_servers::{NatsOptions, NatsServer};
use jsb_runtime::Role;
use jsb_runtime::operate::{self, RepublishError};
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{organization, ticket, user};
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Cli, Pair, Remote, Stream, effects, eventually, inbox};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::sea_query::Query;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, TransactionTrait};
use serde_json::{Value as Json, json};
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use uuid::Uuid;

const DECLINED: i32 = 5;
const UNHEALTHY: i32 = 4;
/// More than one batch.
const MANY: i64 = 2_500;

fn cli(app: &App) -> Cli {
    Cli::of(env!("CARGO_BIN_EXE_cli"), app)
}

fn text<'a>(json: &'a Json, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_else(|| panic!("no text `{field}`: {json}"))
}

fn time(json: &Json, field: &str) -> DateTime<Utc> {
    text(json, field).parse().expect("a time of RFC 3339")
}

async fn organization(app: &App, domain: &str, name: &str) -> organization::Model {
    let row = organization::ActiveModel {
        name: Set(name.to_owned()),
        domain: Set(domain.to_owned()),
        active: Set(true),
        created_at: Set(Utc::now()),
        ..Default::default()
    };
    row.insert(&app.db).await.expect("a save")
}

async fn user(app: &App, organization_id: i64) -> user::Model {
    let name = Set("Ada".to_owned());
    user::ActiveModel { organization_id: Set(organization_id), name, ..Default::default() }
        .insert(&app.db)
        .await
        .expect("a save")
}

async fn ticket(app: &App) -> Uuid {
    let row = ticket::ActiveModel { id: Set(Uuid::now_v7()), number: Set(0), ..Default::default() };
    row.insert(&app.db).await.expect("a save").id
}

async fn renumber(app: &App, id: Uuid, numbers: impl IntoIterator<Item = i64>) {
    for number in numbers {
        let change = ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
        change.update(&app.db).await.expect("a save");
    }
}

/// The numbers of tickets that the stream holds from A, in its order.
async fn numbers(pair: &Pair) -> Vec<i64> {
    let subject = format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name);
    let messages = Stream::of(&pair.a.config).await.messages(&subject).await;
    messages.iter().map(|message| message.json()["payload"]["number"].as_i64().expect("a number")).collect()
}

async fn is_on(app: &App, row: &organization::Model) {
    let copy = eventually("the row is there", || organization::Entity::find_by_id(row.id).one(&app.db)).await;
    assert_eq!(&copy, row);
}

async fn has(app: &App, table: &'static str, status: &str, events: i64) {
    eventually(&format!("{events} events of {table} are {status}"), || async {
        Ok::<_, DbErr>((app.count(table, status).await == events).then_some(()))
    })
    .await;
}

async fn newest_is_sent(app: &App) {
    eventually("the newest event is sent", || async {
        let newest = app.texts("SELECT status FROM outbox_events ORDER BY id DESC LIMIT 1").await;
        Ok::<_, DbErr>((newest == ["sent"]).then_some(()))
    })
    .await;
}

/// Outbox rows by the thousand, of which nothing is published yet.
async fn fill_outbox(app: &App, backend: Backend, status: &str, sent_at: &str) {
    let numbers = match backend {
        Backend::Postgres => format!("SELECT n FROM generate_series(1, {MANY}) AS s(n)"),
        Backend::Sqlite => {
            format!("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {MANY}) SELECT n FROM s")
        }
    };
    app.sql(&format!(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, \
         status, attempts, available_at, created_at, sent_at) \
         SELECT '{status}-' || n, 'probe', '{status}-' || n, 'record', '{{}}', '{{}}', {sent_at}, '{status}', 1, \
         {sent_at}, {sent_at}, {sent_at} FROM ({numbers}) AS numbers"
    ))
    .await;
}

const LONG_AGO: &str = "'2026-01-01T00:00:00+00:00'";

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

on_both! {
    async fn an_event_that_was_too_large_is_retried_once_the_stream_takes_it(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let stream = Stream::of(&pair.a.config).await;
        let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
        let subjects = vec![format!("{a}.sync.{b}"), format!("{b}.sync.{a}"), format!("{a}.sync.dlq"), format!("{b}.sync.dlq")];
        let small = async_nats::jetstream::stream::Config { subjects, max_message_size: 5_000, ..Default::default() };
        stream.create(small).await;
        pair.start_both().await;
        let cli = cli(&pair.a);
        let large = organization(&pair.a, "large.example", &"x".repeat(10_000)).await;
        let fine = organization(&pair.a, "fine.example", "fine").await;
        is_on(&pair.b, &fine).await;

        let failed = cli.json(&["outbox", "list", "--status", "failed"]).await;
        let [event] = failed.as_array().expect("a list").as_slice() else { panic!("one event: {failed}") };
        let (id, row) = (text(event, "event_id"), text(event, "resource_id"));
        assert_eq!(row, large.id.to_string());
        assert!(text(event, "last_error").contains("larger than the server"), "{event}");
        assert!((Utc::now() - time(event, "created_at")) < TimeDelta::minutes(3));
        let shown = cli.json(&["outbox", "show", id]).await;
        assert_eq!(shown["payload"]["name"], large.name);
        assert!(shown["headers"]["traceparent"].is_string(), "{shown}");

        let mut config = stream.config().await;
        config.max_message_size = -1;
        stream.context.update_stream(config).await.expect("a larger stream");
        let sent = cli.json(&["outbox", "list", "--status", "sent"]).await;
        let retried = cli.run(&["outbox", "retry", id, text(&sent[0], "event_id"), "nobody", "--json"]).await;
        assert_eq!(retried.code, 1, "what is sent or unknown was not retried");
        assert_eq!(retried.json()["retried"], 1);
        assert_eq!(retried.json()["unknown"], json!(["nobody"]));
        assert_eq!(retried.json()["refused"][0]["event_id"], sent[0]["event_id"]);
        assert!(retried.stderr.contains("it is sent") && retried.stderr.contains("nobody: there is no such event"));
        is_on(&pair.b, &large).await;
        pair.stop().await;
    }

    async fn the_outbox_is_listed_for_people_and_for_programs(backend: Backend) {
        let pair = Pair::create(backend).await;
        let cli = cli(&pair.a);
        assert_eq!(cli.run(&["outbox", "list"]).await.stdout, "No such events.\n");
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(probe::send(&pair.a.db, "record", Orders::default()).await.event_id);
        }
        let id = ticket(&pair.a).await;
        let listed = |args: &'static [&'static str]| {
            let cli = &cli;
            async move {
                let listed = cli.json(&[&["outbox", "list"], args].concat()).await;
                let events = listed.as_array().expect("a list");
                events.iter().map(|event| text(event, "event_id").to_owned()).collect::<Vec<_>>()
            }
        };
        assert_eq!(listed(&["--resource", "probe"]).await, ids);
        assert_eq!(listed(&["--resource", "probe", "--limit", "2"]).await, ids[1..]);
        assert_eq!(listed(&["--oldest", "--limit", "2"]).await, ids[..2]);
        assert_eq!(listed(&["--since", "1h"]).await.len(), 4);
        assert_eq!(listed(&["--since", "2100-01-01T00:00:00Z"]).await.len(), 0);
        assert_eq!(listed(&["--status", "sent"]).await.len(), 0);
        let table = cli.run(&["outbox", "list"]).await;
        assert!(table.stdout.contains(&format!("ticket/{id}")) && table.stdout.contains("pending"), "{table:?}");
        for wrong in [&["outbox", "list", "--status", "lost"][..], &["outbox", "retry"], &["outbox", "list", "--since", "x"]] {
            assert_eq!(cli.run(wrong).await.code, 2, "{wrong:?}");
        }
        let unknown = cli.run(&["outbox", "show", "nobody"]).await;
        assert!(unknown.code == 1 && unknown.stderr.contains("nobody"), "{unknown:?}");
        let orders = cli.run(&["outbox", "retry", "\u{1b}[2J"]).await;
        assert!(orders.code == 1 && orders.stderr.contains(r"\u001b[2J") && !orders.stderr.contains('\u{1b}'), "{orders:?}");
    }

    async fn programs_are_shown_json_whatever_it_holds(backend: Backend) {
        let pair = Pair::create(backend).await;
        let name = "tab\tbell\u{7}delete\u{7f}quote\u{92}last\u{9f}";
        organization(&pair.a, "odd.example", name).await;
        let cli = cli(&pair.a);
        let listed = cli.json(&["outbox", "list"]).await;
        let shown = cli.run(&["outbox", "show", text(&listed[0], "event_id"), "--json"]).await;
        assert_eq!(shown.json()["payload"]["name"], name);
        assert!(!shown.stdout.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }

    async fn what_the_server_refused_for_now_is_due_at_once(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.backoff([Duration::from_secs(3_600); 5])).await;
        let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
        let later = (Utc::now() + TimeDelta::minutes(30)).format("%Y-%m-%d %H:%M:%S+00:00");
        pair.a.sql(&format!("UPDATE outbox_events SET attempts = 4, available_at = '{later}'")).await;
        pair.start_both().await;
        let fresh = probe::send(&pair.a.db, "record", Orders::default()).await;
        has(&pair.a, "outbox_events", "sent", 1).await;
        let refused = cli(&pair.a).run(&["outbox", "retry", &fresh.event_id]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert_eq!(cli(&pair.a).json(&["outbox", "retry", "--all", "--resource", "other"]).await["retried"], 0);
        assert_eq!(cli(&pair.a).json(&["outbox", "retry", "--all"]).await["retried"], 1);
        assert_eq!(cli(&pair.a).json(&["outbox", "show", &probe.event_id]).await["attempts"], 0);
        pair.quiet().await;
        assert_eq!(effects::count(&pair.b.db, &probe.id).await, Ok(1));
        pair.stop().await;
    }

    async fn long_changes_go_in_batches_and_reach_everything(backend: Backend) {
        let pair = Pair::create(backend).await;
        fill_outbox(&pair.a, backend, "failed", LONG_AGO).await;
        fill_outbox(&pair.a, backend, "sent", LONG_AGO).await;
        let young = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.a.sql(&format!("UPDATE outbox_events SET status = 'sent', sent_at = '{}' WHERE event_id = '{}'", Utc::now().to_rfc3339(), young.event_id)).await;
        let cli = cli(&pair.a);
        assert_eq!(cli.json(&["outbox", "retry", "--all"]).await["retried"], MANY);
        assert_eq!(pair.a.count("outbox_events", "failed").await, 0);

        let prune = ["outbox", "prune", "--older-than", "7d"];
        let declined = cli.run(&prune).await;
        assert!(declined.code == DECLINED && declined.stderr.contains("--yes"), "{declined:?}");
        assert_eq!(pair.a.count("outbox_events", "sent").await, MANY + 1);
        assert_eq!(cli.json(&[&prune[..], &["--yes"]].concat()).await["pruned"], MANY);
        assert_eq!(pair.a.count("outbox_events", "sent").await, 1, "what is younger stays");
        assert_eq!(pair.a.count("outbox_events", "pending").await, MANY, "what waits stays");
        assert_eq!(cli.json(&prune).await["pruned"], 0, "nothing to ask");

        pair.a.sql(&format!("UPDATE outbox_events SET status = 'sent', sent_at = {LONG_AGO} WHERE status = 'pending'")).await;
        let republish = ["outbox", "republish", "--since", "2025-12-31T00:00:00Z", "--resource", "probe"];
        assert_eq!(cli.json(&[&republish[..], &["--yes"]].concat()).await["republished"], MANY + 1);
        assert_eq!(pair.a.count("outbox_events", "pending").await, MANY + 1);
    }

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
        let id = ticket(&pair.a).await;
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

    async fn only_what_fails_now_is_named_as_failed(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.config.roles = [Role::Consumer].into();
        pair.start_both().await;
        let large = organization(&pair.a, "large.example", &"x".repeat(2_000_000)).await;
        let known = probe::send(&pair.a.db, "record", Orders::default()).await.event_id;
        pair.a.sql(&format!("UPDATE outbox_events SET status = 'failed' WHERE event_id = '{known}'")).await;
        probe::send(&pair.a.db, "record", Orders::default()).await;
        let drained = cli(&pair.a).run(&["outbox", "process-pending", "--json"]).await;
        assert_eq!(drained.code, 1, "{drained:?}");
        assert_eq!((&drained.json()["published"], &drained.json()["failed"]), (&json!(1), &json!(1)), "{drained:?}");
        assert!(drained.stderr.contains(&format!("organization/{}", large.id)), "{drained:?}");
        assert!(!drained.stderr.contains(&known), "it failed long ago: {drained:?}");
        pair.stop().await;
    }

    async fn the_database_of_another_application_is_refused_by_every_command(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        pair.a.stop().await;
        pair.b.stop().await;
        let other = cli(&pair.a).set("DATABASE_URL", pair.b.database.url.as_str());
        let commands: [&[&str]; 15] = [
            &["outbox", "list"],
            &["outbox", "show", "some-id"],
            &["outbox", "retry", "--all", "--yes"],
            &["outbox", "process-pending"],
            &["outbox", "republish", "--since", "2026-01-01T00:00:00Z", "--yes"],
            &["outbox", "prune", "--older-than", "0s", "--yes"],
            &["outbox", "discard", "some-id", "--yes"],
            &["inbox", "discard", "some-id", "--yes"],
            &["inbox", "list"],
            &["inbox", "show", "some-id"],
            &["inbox", "retry", "--all", "--status", "failed", "--yes"],
            &["inbox", "prune", "--older-than", "0s", "--force", "--yes"],
            &["dlq", "replay", "--all"],
            &["dlq", "sweep"],
            &["dlq", "purge", "--settled", "--yes"],
        ];
        for command in commands {
            let refused = other.run(command).await;
            assert!(refused.code == 1 && refused.stderr.contains("belongs to app"), "{command:?}: {refused:?}");
        }
        let unnamed = cli(&pair.a).set("APP_NAME", "");
        for command in commands {
            let refused = unnamed.run(command).await;
            assert!(refused.code == 1 && refused.stderr.contains("APP_NAME"), "{command:?}: {refused:?}");
            assert!(!refused.stderr.contains("belongs to app"), "it was asked whose it is: {command:?}: {refused:?}");
        }
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
        is_on(&pair.b, &row).await;
        pair.stop().await;
    }

    async fn what_a_server_lost_is_published_again(backend: Backend) {
        let store = tempfile::tempdir().expect("a folder");
        let mut nats = NatsServer::start(NatsOptions { store_dir: Some(store.path().join("js")), ..Default::default() }).await.expect("a server");
        let url = nats.url();
        let mut pair = Pair::configured(backend, |config| config.nats_url(url.as_str())).await;
        pair.start_both().await;
        let known = organization(&pair.a, "known.example", "known").await;
        is_on(&pair.b, &known).await;
        pair.b.stop().await;
        let lost = [organization(&pair.a, "lost.example", "lost").await, organization(&pair.a, "gone.example", "gone").await];
        has(&pair.a, "outbox_events", "sent", 3).await;
        pair.a.sql(&format!("UPDATE outbox_events SET sent_at = {LONG_AGO} WHERE resource_id = '{}'", lost[1].id)).await;
        nats.kill().await;
        std::fs::remove_dir_all(store.path().join("js")).expect("the store is lost");
        nats.restart().await.expect("a server");

        let cli = cli(&pair.a);
        let republish = ["outbox", "republish", "--since", "1h"];
        let declined = cli.run(&republish).await;
        assert!(declined.code == DECLINED && declined.stderr.contains("2 events"), "{declined:?}");
        assert_eq!(pair.a.count("outbox_events", "sent").await, 3);
        let future = cli.json(&["outbox", "republish", "--since", "2100-01-01T00:00:00Z"]).await;
        assert_eq!(future["republished"], 0);
        assert_eq!(cli.json(&[&republish[..], &["--yes"]].concat()).await["republished"], 2);
        pair.b.start().await;
        is_on(&pair.b, &lost[0]).await;
        assert_eq!(organization::Entity::find_by_id(lost[1].id).one(&pair.b.db).await, Ok(None), "it was sent before");
        let earlier = ["outbox", "republish", "--since", "2025-12-31T00:00:00Z", "--yes"];
        assert_eq!(cli.json(&earlier).await["republished"], 3);
        is_on(&pair.b, &lost[1]).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.count("inbox_events", "processed").await, 3, "what was known is a duplicate");
        pair.stop().await;
    }

    async fn what_the_other_side_has_lost_is_published_again_however_soon(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.start_both().await;
        let row = organization(&pair.a, "lost.example", "lost").await;
        is_on(&pair.b, &row).await;
        has(&pair.a, "outbox_events", "sent", 1).await;
        // Twice within the server's duplicate window.
        for _ in 0..2 {
            pair.b.sql("DELETE FROM organizations").await;
            pair.b.sql("DELETE FROM inbox_events").await;
            let republished = cli(&pair.a).json(&["outbox", "republish", "--since", "1h", "--yes"]).await;
            assert_eq!(republished["republished"], 1);
            is_on(&pair.b, &row).await;
            has(&pair.a, "outbox_events", "sent", 1).await;
        }
        pair.stop().await;
    }

    async fn what_can_never_be_published_is_discarded(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.start_both().await;
        let large = organization(&pair.a, "large.example", &"x".repeat(2_000_000)).await;
        has(&pair.a, "outbox_events", "failed", 1).await;
        let change = organization::ActiveModel { id: Unchanged(large.id), name: Set("small".to_owned()), ..Default::default() };
        let small = change.update(&pair.a.db).await.expect("a save");
        is_on(&pair.b, &small).await;
        has(&pair.a, "outbox_events", "sent", 1).await;
        let (cli, events) = (cli(&pair.a), pair.a.recorded().await);
        assert_eq!(cli.run(&["health"]).await.code, UNHEALTHY);
        let [failed, sent] = events.iter().map(|event| text(event, "event_id")).collect::<Vec<_>>()[..] else { panic!("two events") };
        let discard = ["outbox", "discard", failed, sent, "nobody"];
        assert_eq!(cli.run(&discard).await.code, DECLINED);
        let discarded = cli.run(&[&discard[..], &["--yes", "--json"]].concat()).await;
        assert_eq!((discarded.code, &discarded.json()["discarded"]), (1, &json!(1)), "{discarded:?}");
        assert!(discarded.stderr.contains(&format!("{sent}: it is sent")) && discarded.stderr.contains("nobody"), "{discarded:?}");
        assert_eq!((pair.a.count("outbox_events", "failed").await, pair.a.count("outbox_events", "sent").await), (0, 1));
        assert_eq!(cli.run(&["health"]).await.code, 0);
        pair.stop().await;
    }

    async fn what_is_dead_is_discarded(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_dlq(false)).await;
        pair.start_both().await;
        let dead = probe::send(&pair.a.db, "refuse", Orders::default()).await.event_id;
        let applied = probe::send(&pair.a.db, "record", Orders::default()).await.event_id;
        pair.b.has_settled(2).await;
        let cli = cli(&pair.b).set("USE_DLQ", "false");
        assert_eq!(cli.run(&["health"]).await.code, UNHEALTHY);
        let discarded = cli.run(&["inbox", "discard", &dead, &applied, "--yes", "--json"]).await;
        assert_eq!((discarded.code, &discarded.json()["discarded"]), (1, &json!(1)), "{discarded:?}");
        assert!(discarded.stderr.contains(&format!("{applied}: it is processed")), "{discarded:?}");
        assert_eq!((pair.b.count("inbox_events", "dead").await, pair.b.count("inbox_events", "processed").await), (0, 2));
        assert_eq!(cli.run(&["health"]).await.code, 0);
        assert_eq!(cli.json(&["inbox", "list", "--reason", "discarded"]).await[0]["event_id"], dead);
        assert_eq!(cli.json(&["dlq", "sweep"]).await["found"], 0, "it would be tried again");
        pair.stop().await;
    }

    async fn what_is_published_again_is_not_overtaken(backend: Backend) {
        let pair = Pair::start(backend).await;
        let id = ticket(&pair.a).await;
        renumber(&pair.a, id, 1..5).await;
        pair.quiet().await;
        let stream = Stream::of(&pair.a.config).await;
        stream.context.delete_stream(&pair.a.config.stream_name).await.expect("the stream is lost");
        renumber(&pair.a, id, [5]).await;
        newest_is_sent(&pair.a).await;
        let cli = cli(&pair.a);
        let republish = tokio::spawn(async move { cli.json(&["outbox", "republish", "--since", "1h", "--yes"]).await });
        let mut next = 6;
        loop {
            assert!(!republish.is_finished(), "the relay does not stand still while events are made pending");
            renumber(&pair.a, id, [next]).await;
            next += 1;
            if tokio::time::timeout(Duration::from_secs(2), newest_is_sent(&pair.a)).await.is_err() {
                break;
            }
        }
        renumber(&pair.a, id, [next, next + 1]).await;
        assert!(republish.await.expect("a command")["republished"].as_i64() >= Some(6));
        pair.quiet().await;
        let numbers = numbers(&pair).await;
        let again = numbers.iter().position(|number| *number == 0).expect("the first one");
        assert!(numbers[again..].is_sorted(), "{numbers:?}");
        assert_eq!(BTreeSet::from_iter(numbers), BTreeSet::from_iter(0..=next + 1));
        pair.stop().await;
    }

    async fn a_parked_event_is_listed_with_what_it_waits_for(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a, "acme.example", "Acme").await;
        let ada = user(&pair.a, acme.id).await;
        pair.b.start().await;
        let (remote, events) = (Remote::of(&pair.b).await, pair.a.recorded().await);
        remote.publish(&events[1]).await;
        has(&pair.b, "inbox_events", "parked", 1).await;
        let cli = cli(&pair.b);
        let parked = cli.json(&["inbox", "list", "--status", "parked", "--reason", "parent_missing"]).await;
        let [event] = parked.as_array().expect("a list").as_slice() else { panic!("one event: {parked}") };
        assert_eq!(text(event, "waits_for"), format!("organization/{}", acme.id));
        assert_eq!(text(event, "resource_id"), ada.id.to_string());
        assert_eq!(time(event, "parked_until") - time(event, "received_at"), TimeDelta::days(7));
        assert!(time(event, "available_at") > time(event, "received_at"));
        let table = cli.run(&["inbox", "list"]).await;
        assert!(table.stdout.contains(&format!("organization/{}", acme.id)), "{table:?}");

        let id = text(event, "event_id");
        let shown = cli.json(&["inbox", "show", id]).await;
        assert_eq!(shown["payload"]["payload"]["name"], "Ada");
        assert_eq!(shown["subject"], format!("{}.sync.{}", pair.a.config.app_name, pair.b.config.app_name));
        remote.publish(&events[0]).await;
        pair.b.has_settled(2).await;
        let shown = cli.json(&["inbox", "show", id, "--source", &pair.a.config.app_name]).await;
        assert_eq!((&shown["status"], &shown["payload"], &shown["parked_until"]), (&json!("processed"), &json!(null), &json!(null)));
        let refused = cli.run(&["inbox", "retry", id]).await;
        assert!(refused.code == 1 && refused.stderr.contains("it is processed"), "{refused:?}");
        for unknown in [&["inbox", "show", "nobody"][..], &["inbox", "retry", "nobody"], &["inbox", "show", id, "--source", "x"]] {
            let output = cli.run(unknown).await;
            assert!(output.code == 1 && output.stderr.contains(unknown[2]), "{output:?}");
        }
        assert_eq!(cli.run(&["inbox", "retry", "--all", "--status", "processed"]).await.code, 2);
        assert_eq!(cli.run(&["inbox", "retry", "--all"]).await.code, 2);
        pair.stop().await;
    }

    async fn a_dead_event_is_applied_once_its_cause_is_mended(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.park_for = Duration::from_millis(1);
            config
        })
        .await;
        let acme = organization(&pair.a, "acme.example", "Acme").await;
        let ada = user(&pair.a, acme.id).await;
        pair.b.start().await;
        let (remote, events) = (Remote::of(&pair.b).await, pair.a.recorded().await);
        remote.publish(&events[1]).await;
        has(&pair.b, "inbox_events", "dead", 1).await;
        remote.publish(&events[0]).await;
        has(&pair.b, "inbox_events", "processed", 1).await;
        // As if it had also taken its process with it.
        pair.b.sql("UPDATE inbox_events SET starts = 5 WHERE status = 'dead'").await;
        let cli = cli(&pair.b);
        assert_eq!(cli.json(&["inbox", "retry", "--all", "--status", "failed"]).await["retried"], 0);
        assert_eq!(cli.json(&["inbox", "retry", text(&events[1], "event_id")]).await["retried"], 1);
        pair.b.has_settled(2).await;
        assert_eq!(pair.b.count("inbox_events", "processed").await, 2);
        let copy = user::Entity::find_by_id(ada.id).one(&pair.b.db).await.expect("a read");
        assert_eq!(copy, Some(ada));
        let letters = Stream::of(&pair.b.config).await;
        let letter = letters.dead_letter(&pair.b.config.app_name, text(&events[1], "event_id")).await;
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
        has(&pair.b, "inbox_events", "dead", 1).await;
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
        eventually("a consumer has it in hand", || async { Ok::<_, DbErr>((gate.arrivals() > 0).then_some(())) }).await;
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

    async fn only_what_is_settled_and_old_is_pruned_from_the_inbox(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        for _ in 0..3 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        pair.quiet().await;
        pair.b.stop().await;
        let ids = pair.b.texts("SELECT event_id FROM inbox_events ORDER BY event_id").await;
        pair.b.sql(&format!("UPDATE inbox_events SET processed_at = {LONG_AGO} WHERE event_id <> '{}'", ids[2])).await;
        pair.b.sql(&format!("UPDATE inbox_events SET status = 'parked' WHERE event_id = '{}'", ids[1])).await;
        let cli = cli(&pair.b);
        let refused = cli.run(&["inbox", "prune", "--older-than", "7d", "--yes"]).await;
        assert!(refused.code == 1 && refused.stderr.contains("INBOX_RETENTION"), "{refused:?}");
        let declined = cli.run(&["inbox", "prune", "--older-than", "7d", "--force"]).await;
        assert!(declined.code == DECLINED && declined.stderr.contains("1 event "), "{declined:?}");
        assert_eq!(pair.b.texts("SELECT event_id FROM inbox_events").await.len(), 3);
        assert_eq!(cli.json(&["inbox", "prune", "--older-than", "45d", "--yes"]).await["pruned"], 1);
        let left = pair.b.texts("SELECT event_id FROM inbox_events ORDER BY event_id").await;
        assert_eq!(left, ids[1..]);
        pair.stop().await;
    }

    async fn a_clock_that_is_ahead_prunes_nothing_that_is_young(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        for _ in 0..2 {
            probe::send(&pair.a.db, "record", Orders::default()).await;
        }
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        pair.a.sql(&format!("UPDATE outbox_events SET sent_at = {LONG_AGO} WHERE id = (SELECT MIN(id) FROM outbox_events)")).await;
        pair.b.sql(&format!("UPDATE inbox_events SET processed_at = {LONG_AGO} WHERE event_id = (SELECT MIN(event_id) FROM inbox_events)")).await;
        // What the wrong clock takes for a week ago.
        let ahead = TimeDelta::days(60);
        let before = Utc::now() + ahead - TimeDelta::days(7);
        let (a, b) = (&pair.a.db, &pair.b.db);
        skewed(ahead, async {
            assert_eq!(operate::outbox::sent_before(a, before).await, Ok(1));
            assert_eq!(operate::outbox::prune(a, before, |_| {}).await, Ok(1));
            assert_eq!(operate::inbox::settled_before(b, before).await, Ok(1));
            assert_eq!(operate::inbox::prune(b, before, |_| {}).await, Ok(1));
        })
        .await;
        assert_eq!((pair.a.count("outbox_events", "sent").await, pair.b.count("inbox_events", "processed").await), (1, 1));
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
    eventually("the lease is renewed for longer than it lives", || async {
        let found = pair.a.texts("SELECT expires_at::text FROM sync_leases").await;
        let mut ends = ends.lock().expect("no test panics here");
        ends.extend(found.iter().map(|end| end.parse::<i64>().expect("a number")));
        let kept = ends.last().zip(ends.first()).map_or(0, |(last, first)| last - first);
        // In milliseconds.
        Ok::<_, DbErr>((kept > 6_000).then_some(()))
    })
    .await;
    assert_eq!(pair.a.count("outbox_events", "pending").await, 0, "the first batch is still in hand");
    held_up.rollback().await.expect("an end");
    assert_eq!(republish.await.expect("a command")["republished"], MANY);
    assert_eq!(pair.a.count("outbox_events", "pending").await, MANY);
}

/// Waits until the relay's lease has run out, and lets another process have it for a moment.
async fn another_has_had_the_lease(app: &App) {
    eventually("the lease has run out", || async {
        let ends = app.texts("SELECT CAST(expires_at AS text) FROM sync_leases").await;
        let is_over = |end: &String| end.parse::<i64>().expect("a number") < Utc::now().timestamp_millis();
        Ok::<_, DbErr>(ends.iter().all(is_over).then_some(()))
    })
    .await;
    app.lend_lease("another").await;
    app.end_leases().await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_not_made() {
    let (pair, folder) = (Pair::create(Backend::Sqlite).await, tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("none.sqlite").display().to_string();
    let cli = cli(&pair.a).set("DATABASE_URL", format!("sqlite://{file}?mode=rwc"));
    let refused = cli.run(&["outbox", "list"]).await;
    assert!(refused.code == 1 && refused.stderr.contains(&format!("`{file}` is not there")), "{refused:?}");
    assert!(!std::path::Path::new(&file).exists());
}

/// Its handler may hang. On SQLite a handler has the only lock for writing.
async fn is_not_waited_for(b: &App, event_id: &str, status: &str) {
    let named = cli(b).run(&["inbox", "retry", event_id]).await;
    assert!(named.code == 1 && named.stderr.contains("has it in hand"), "{named:?}");
    let all = cli(b).json(&["inbox", "retry", "--all", "--status", status]).await;
    assert_eq!(all["retried"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_failed_and_is_in_hand_again_is_not_retried() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff([Duration::from_secs(1); 5])).await;
    let name = Uuid::new_v4().to_string();
    // The handler cannot leave its effect, so that it fails before it comes to the gate.
    pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
    pair.start_both().await;
    let probe = probe::send(&pair.a.db, "wait", Orders { gate: name.clone(), ..Orders::default() }).await;
    eventually("it has failed", || inbox::with_status(&pair.b.db, &probe.event_id, "failed")).await;
    pair.b.sql("ALTER TABLE effects_elsewhere RENAME TO effects").await;
    let gate = gate(&name);
    eventually("a consumer has it in hand", || async { Ok::<_, DbErr>((gate.arrivals() > 0).then_some(())) }).await;
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
    eventually("a consumer has it in hand", || async { Ok::<_, DbErr>((gate.arrivals() > 0).then_some(())) }).await;
    eventually("its time is up", || async {
        let due = pair.b.texts("SELECT event_id FROM inbox_events WHERE starts > 0 AND available_at < now()").await;
        Ok::<_, DbErr>((!due.is_empty()).then_some(()))
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
