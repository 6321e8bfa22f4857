//! What tombstones are for, what becomes of them, and versions that nobody can have drawn.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jsb_tests::entities::tally;
use jsb_tests::{Pair, Remote, eventually};
use sea_orm::ActiveValue::Set;
use serde_json::json;
use uuid::Uuid;

fn tally(value: i64) -> tally::ActiveModel {
    tally::ActiveModel { id: Set(Uuid::now_v7()), value: Set(value), ..Default::default() }
}

on_both! {
    async fn a_version_more_than_a_year_ahead_is_dead(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        for days in [364, 367] {
            let (id, version) = (Uuid::now_v7(), Utc::now() + TimeDelta::days(days));
            let payload = json!({"id": id, "value": days, "remark": "", "updated_at": version});
            let event = json!({"event_id": days, "event_type": "created", "resource_type": "tally", "resource_id": id, "payload": payload});
            remote.publish(&event).await;
        }
        pair.b.has_settled(2).await;
        assert_eq!(pair.b.reasons_of_death().await, ["version_in_future"]);
        let (_, rows) = pair.rows::<tally::Entity>().await;
        assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [364]);
        pair.stop().await;
    }

    async fn an_absent_row_that_may_have_been_deleted_does_not_come_back(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.tombstone_retention = Some(Duration::from_millis(1));
            config
        })
        .await;
        pair.start_both().await;
        let row = tally(1).insert(&pair.a.db).await.expect("a save");
        row.clone().delete(&pair.a.db).await.expect("a delete");
        pair.quiet().await;
        // Retention looks when a bridge starts.
        pair.b.stop().await;
        pair.b.start().await;
        eventually("the tombstone is pruned", || async {
            Ok::<_, ()>(pair.b.texts("SELECT resource_id FROM sync_tombstones").await.is_empty().then_some(()))
        })
        .await;

        let late = &pair.a.recorded().await[0];
        let mut replayed = late.clone();
        replayed["event_id"] = "replayed".into();
        Remote::of(&pair.b).await.publish(&replayed).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);

        let newer = tally(2).insert(&pair.a.db).await.expect("a save after the delete");
        pair.b.has_settled(4).await;
        assert_eq!(pair.rows::<tally::Entity>().await.1, [newer]);
        pair.stop().await;
    }

    async fn an_older_delete_after_the_pruned_one_does_not_make_up_for_it(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.tombstone_retention = Some(Duration::from_millis(1));
            config
        })
        .await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        let id = Uuid::now_v7();
        let event = |event_id: &str, event_type: &str, version: &str| {
            json!({"event_id": event_id, "event_type": event_type, "resource_type": "tally", "resource_id": id,
                   "payload": {"id": id, "value": 1, "remark": "", "updated_at": version}})
        };
        remote.publish(&event("1", "deleted", "2026-03-01T00:00:00Z")).await;
        pair.b.has_settled(1).await;
        pair.b.stop().await;
        pair.b.start().await;
        eventually("the tombstone is pruned", || async {
            Ok::<_, ()>(pair.b.texts("SELECT resource_id FROM sync_tombstones").await.is_empty().then_some(()))
        })
        .await;
        remote.publish(&event("2", "deleted", "2026-01-01T00:00:00Z")).await;
        pair.b.has_settled(2).await;
        remote.publish(&event("3", "updated", "2026-02-01T00:00:00Z")).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        pair.stop().await;
    }

    async fn a_row_that_is_here_is_updated_whatever_was_pruned(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.tombstone_retention = Some(Duration::from_millis(1));
            config
        })
        .await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        let id = Uuid::now_v7();
        let event = |event_id: &str, event_type: &str, id: Uuid, value: i64, version: &str| {
            json!({"event_id": event_id, "event_type": event_type, "resource_type": "tally", "resource_id": id,
                   "payload": {"id": id, "value": value, "remark": "", "updated_at": version}})
        };
        remote.publish(&event("1", "created", id, 1, "2026-01-01T00:00:00Z")).await;
        remote.publish(&event("2", "deleted", Uuid::now_v7(), 0, "2026-03-01T00:00:00Z")).await;
        pair.b.has_settled(2).await;
        pair.b.stop().await;
        pair.b.start().await;
        eventually("the tombstone is pruned", || async {
            Ok::<_, ()>(pair.b.texts("SELECT resource_id FROM sync_tombstones").await.is_empty().then_some(()))
        })
        .await;
        remote.publish(&event("3", "updated", id, 2, "2026-02-01T00:00:00Z")).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        assert_eq!(pair.rows::<tally::Entity>().await.1[0].value, 2);
        pair.stop().await;
    }
}
