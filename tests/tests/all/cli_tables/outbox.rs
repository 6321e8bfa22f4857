//! `jsb outbox retry` and `discard`.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Pair, effects};
use sea_orm::ActiveValue::{Set, Unchanged};
use serde_json::json;

use super::{DECLINED, LONG_AGO, MANY, UNHEALTHY, cli, fill_outbox, organization, text, time};

on_both! {
    async fn an_event_that_was_too_large_is_retried_once_the_stream_takes_it(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let stream = pair.a.stream().await;
        let (a, b) = (&pair.a.config.app_name, &pair.b.config.app_name);
        let subjects = vec![format!("{a}.sync.{b}"), format!("{b}.sync.{a}"), format!("{a}.sync.dlq"), format!("{b}.sync.dlq")];
        let small = async_nats::jetstream::stream::Config { subjects, max_message_size: 5_000, ..Default::default() };
        stream.create(small).await;
        pair.start_both().await;
        let cli = cli(&pair.a);
        let large = organization(&pair.a, "large.example", &"x".repeat(10_000)).await;
        let fine = organization(&pair.a, "fine.example", "fine").await;
        pair.b.has(&fine).await;

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
        pair.b.has(&large).await;
        pair.stop().await;
    }

    async fn what_the_server_refused_for_now_is_due_at_once(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.backoff([Duration::from_secs(3_600); 5])).await;
        let probe = probe::send(&pair.a.db, "record", Orders::default()).await;
        let later = (Utc::now() + TimeDelta::minutes(30)).format("%Y-%m-%d %H:%M:%S+00:00");
        pair.a.sql(&format!("UPDATE outbox_events SET attempts = 4, available_at = '{later}'")).await;
        pair.start_both().await;
        let fresh = probe::send(&pair.a.db, "record", Orders::default()).await;
        pair.a.has_sent(1).await;
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

    async fn what_can_never_be_published_is_discarded(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.start_both().await;
        let large = organization(&pair.a, "large.example", &"x".repeat(2_000_000)).await;
        pair.a.has_events("outbox_events", "failed", 1).await;
        let change = organization::ActiveModel { id: Unchanged(large.id), name: Set("small".to_owned()), ..Default::default() };
        let small = change.update(&pair.a.db).await.expect("a save");
        pair.b.has(&small).await;
        pair.a.has_sent(1).await;
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
}
