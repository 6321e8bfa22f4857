//! Children that arrive before their parent.

use std::time::Duration;

use chrono::TimeDelta;
use jsb_tests::{Pair, until};

use super::{organization, parks, user};

on_both! {
    async fn children_that_are_too_large_to_be_read_at_once_follow_their_parent(backend: Backend) {
        const CHILDREN: usize = 15;
        let mut pair = Pair::create(backend).await;
        let acme = organization(&pair.a).await;
        // Together 12 MB, of which 8 MiB are read at a time.
        let name = "n".repeat(800_000);
        for _ in 0..CHILDREN {
            user(&pair.a, acme.id, &name).await;
        }
        let recorded = pair.a.recorded().await;
        let remote = pair.receive().await;
        remote.publish_all(&recorded[1..]).await;
        pair.b.has_events("inbox_events", "parked", CHILDREN as i64).await;
        remote.publish(&recorded[0]).await;
        pair.b.has_settled(CHILDREN as u64 + 1).await;
        pair.agree_now::<user::Entity>().await;
        pair.stop().await;
    }

    async fn children_that_arrive_first_wait_for_their_parent(backend: Backend) {
        // An event that waits for longer than any list says is due: a clock was ahead.
        let backoff = [1, 1, 1, 1, 2 * 60 * 60].map(Duration::from_secs);
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        let acme = organization(&pair.a).await;
        for number in 0..5 {
            user(&pair.a, acme.id, &format!("user {number}")).await;
        }
        let remote = pair.receive().await;
        let recorded = pair.a.recorded().await;
        remote.publish_all(&recorded[1..]).await;
        until("all children are parked", async || {
            let parked = [pair.b.status().await.parked_events, pair.b.health().await.parked_events];
            parked == [5, 5]
        })
        .await;
        let waits_for = pair.b.texts("SELECT DISTINCT waits_for FROM inbox_events").await;
        assert_eq!(waits_for, [format!("organization/{}", acme.id)]);
        // Not the timer brings them, but their parent.
        let later = (chrono::Utc::now() + TimeDelta::hours(1)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET available_at = '{later}'")).await;
        remote.publish(&recorded[0]).await;
        pair.b.has_settled(6).await;
        assert_eq!(pair.agree_now::<user::Entity>().await.len(), 5);
        pair.stop().await;
    }

    async fn a_parent_that_is_applied_together_with_others_brings_its_child(backend: Backend) {
        // An event that waits for longer than any list says is due: a clock was ahead.
        let backoff = [1, 1, 1, 1, 2 * 60 * 60].map(Duration::from_secs);
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        let acme = organization(&pair.a).await;
        for name in ["Ada", "Bob"] {
            user(&pair.a, acme.id, name).await;
        }
        let recorded = pair.a.recorded().await;
        let remote = pair.receive().await;
        remote.publish(&recorded[1]).await;
        parks(&pair.b, "parent_missing").await;
        pair.b.stop().await;
        // Not the timer brings it, but its parent.
        let later = (chrono::Utc::now() + TimeDelta::hours(1)).to_rfc3339();
        pair.b.sql(&format!("UPDATE inbox_events SET available_at = '{later}'")).await;
        remote.publish_all(&[recorded[0].clone(), recorded[2].clone()]).await;
        pair.b.start().await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.agree_now::<user::Entity>().await.len(), 2);
        pair.stop().await;
    }
}
