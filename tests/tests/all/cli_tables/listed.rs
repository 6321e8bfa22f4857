//! What is listed and shown, and of whose database.

use chrono::TimeDelta;
use jsb_runtime::Role;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Pair};
use serde_json::json;

use super::{cli, organization, text, ticket, time, user};

on_both! {
    async fn the_outbox_is_listed_for_people_and_for_programs(backend: Backend) {
        let pair = Pair::create(backend).await;
        let cli = cli(&pair.a);
        assert_eq!(cli.run(&["outbox", "list"]).await.stdout, "No such events.\n");
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(probe::send(&pair.a.db, "record", Orders::default()).await.event_id);
        }
        let id = ticket::saved(&pair.a.db).await;
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

    async fn a_parked_event_is_listed_with_what_it_waits_for(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a, "acme.example", "Acme").await;
        let ada = user(&pair.a, acme.id).await;
        let (remote, events) = (pair.receive().await, pair.a.recorded().await);
        remote.publish(&events[1]).await;
        pair.b.has_events("inbox_events", "parked", 1).await;
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
