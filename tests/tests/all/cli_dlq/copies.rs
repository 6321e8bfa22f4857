//! A replayed copy that has to wait: what the inbox keeps of it is the copy's, and not that of the message that died.

use jsb_tests::entities::organization;
use jsb_tests::{Cli, Pair, until};
use serde_json::{Value as Json, json};

use super::{PROGRAM, dlq, envelope, letters, pair, publish};

const AT: &str = "2026-11-01T00:00:00Z";

/// A user whose organization is not there.
fn user(pair: &Pair, event_id: &str) -> Json {
    let row = json!({"id": 1, "organization_id": 3, "name": "Ada", "email": null, "updated_at": AT});
    envelope(pair, event_id, "user", "created", row)
}

/// Replays the only letter, whose event then has to wait for its parent until that comes.
async fn replay_and_wait_for_the_parent(pair: &Pair, replay: &[&str]) {
    let summary = Cli::of(PROGRAM, &pair.b).json(replay).await;
    assert_eq!(summary["replayed"], 1, "{summary}");
    let has_parked = async || {
        let parked = pair.b.texts("SELECT reason FROM inbox_events WHERE status = 'parked'").await;
        parked == ["parent_missing"]
    };
    until("it waits for its parent", has_parked).await;
    let mut parent = envelope(pair, "parent", "organization", "created", organization::payload(3, "x.example", AT));
    parent["resource_id"] = "3".into();
    // Now it is read from the inbox.
    publish(pair, &[], &parent).await;
    until("its parent is there", async || pair.b.texts("SELECT name FROM users").await == ["Ada"]).await;
    until("all is done", async || {
        let statuses = pair.b.texts("SELECT DISTINCT status FROM inbox_events").await;
        statuses == ["processed"]
    })
    .await;
    assert!(dlq(&pair.b).await.is_empty());
}

on_both! {
    async fn a_copy_keeps_the_name_that_it_was_given(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        let mut nameless = user(&pair, "");
        nameless.as_object_mut().expect("an object").remove("event_id");
        publish(&pair, &[], &nameless).await;
        assert_eq!(letters(&pair.b, 1).await[0].headers["x-dlq-reason"], "malformed");
        replay_and_wait_for_the_parent(&pair, &["dlq", "replay", "--all"]).await;
        pair.stop().await;
    }

    async fn a_copy_s_hops_are_counted_anew_while_it_waits_too(backend: Backend) {
        let pair = pair(backend, |config| config).await;
        publish(&pair, &[("Jsb-Hops", "17"), ("Nats-Msg-Id", "m")], &user(&pair, "far")).await;
        assert_eq!(letters(&pair.b, 1).await[0].headers["x-dlq-reason"], "hop_limit");
        replay_and_wait_for_the_parent(&pair, &["dlq", "replay", "far", "--force"]).await;
        pair.stop().await;
    }
}
