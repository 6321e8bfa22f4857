//! How long a child waits for its parent, whatever the clock said and whatever happened to it before.

use chrono::TimeDelta;
use jsb_runtime::Envelope;
use jsb_runtime::testing::skewed;
use jsb_tests::{App, Backend, Pair, Remote};
use sea_orm::TransactionTrait;

use super::{organization, parks, user};

/// A child whose parent is missing, and to which something happened years ago, and then `then`.
async fn waits_for_its_parent_since_it_began_to(backend: Backend, years_ago: &str, then: impl AsyncFn(&App)) {
    let mut pair = Pair::create(backend).await;
    let acme = organization(&pair.a).await;
    user(&pair.a, acme.id, "Ada").await;
    pair.b.start().await;
    let recorded = pair.a.recorded().await;
    Remote::of(&pair.b).await.publish(&recorded[1]).await;
    parks(&pair.b, "parent_missing").await;
    pair.b.stop().await;
    pair.b
        .sql("UPDATE inbox_events SET received_at = '2020-01-01T00:00:00+00:00', waits_for = NULL, attempts = 1")
        .await;
    pair.b.sql(&format!("UPDATE inbox_events SET {years_ago}")).await;
    then(&pair.b).await;
    pair.b.start().await;
    parks(&pair.b, "parent_missing").await;
    assert_eq!(pair.b.texts("SELECT event_id FROM inbox_events WHERE received_at < '2021-01-01'").await, [""; 0]);
    Remote::of(&pair.b).await.publish(&recorded[0]).await;
    pair.b.has_settled(2).await;
    assert_eq!(pair.agree_now::<user::Entity>().await.len(), 1);
    pair.stop().await;
}

on_both! {
    async fn a_child_that_was_parked_under_a_clock_hours_ahead_is_tried_again_under_the_right_one(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        user(&pair.a, acme.id, "Ada").await;
        skewed(TimeDelta::hours(5), pair.b.start()).await;
        let recorded = pair.a.recorded().await;
        Remote::of(&pair.b).await.publish(&recorded[1]).await;
        parks(&pair.b, "parent_missing").await;
        pair.b.stop().await;
        // Nothing that arrives wakes the child: the parent is there before.
        let txn = pair.b.db.begin().await.expect("a transaction");
        let parent = serde_json::to_vec(&recorded[0]).expect("JSON");
        let parent = Envelope::read(&parent, None, &pair.a.config.app_name).expect("an event");
        jsb_runtime::sync_from_event(&txn, &parent).await.expect("the parent is applied");
        txn.commit().await.expect("the parent is there");
        pair.b.start().await;
        pair.b.has_settled(1).await;
        assert_eq!(pair.agree_now::<user::Entity>().await.len(), 1);
        pair.stop().await;
    }

    async fn a_child_that_failed_long_ago_waits_for_its_parent_as_any_other(backend: Backend) {
        waits_for_its_parent_since_it_began_to(backend, "status = 'failed', reason = NULL, available_at = received_at", async |_| ()).await;
    }

    async fn a_child_that_died_long_ago_waits_for_its_parent_anew_once_it_is_retried(backend: Backend) {
        let dead = "status = 'dead', processed_at = CURRENT_TIMESTAMP, available_at = NULL";
        waits_for_its_parent_since_it_began_to(backend, dead, async |b: &App| {
            let event_ids = b.texts("SELECT event_id FROM inbox_events").await;
            let retried = jsb_runtime::operate::inbox::retry(&b.db, &b.config.destination_app, &event_ids).await;
            assert_eq!(retried.expect("a retry").changed, 1);
        })
        .await;
    }
}
