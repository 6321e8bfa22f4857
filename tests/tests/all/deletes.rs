//! What tombstones are for, what becomes of them, and versions that nobody can have drawn.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, Pair, Remote, until};
use serde_json::Value as Json;
use uuid::Uuid;

/// An event of the other side's on a tally, whose value is the month of its version.
fn event(event_type: &str, id: Uuid, month: u32) -> Json {
    let version = format!("2026-{month:02}-01T00:00:00Z");
    Remote::event("tally", event_type, id, tally::payload(id, month, version))
}

/// A pair that does not run, and keeps no tombstones when it does.
async fn forgetful(backend: Backend) -> Pair {
    Pair::configured(backend, |config| {
        config.tombstone_retention(Duration::from_millis(1)).park_for(Duration::from_millis(1))
    })
    .await
}

/// The same with B running, and who publishes to it.
async fn forgetful_receiver(backend: Backend) -> (Pair, Remote) {
    let mut pair = forgetful(backend).await;
    let remote = pair.receive().await;
    (pair, remote)
}

/// Starts the bridge again, and waits until no tombstones are left: retention looks when a bridge starts.
async fn prune(app: &mut App) {
    app.stop().await;
    app.start().await;
    until("the tombstones are pruned", async || app.texts("SELECT resource_id FROM sync_tombstones").await.is_empty())
        .await;
}

async fn pruned_version(app: &App) -> Vec<String> {
    app.texts("SELECT CAST(pruned_version AS text) FROM sync_settings").await
}

on_both! {
    async fn a_version_more_than_a_year_ahead_is_dead(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        for days in [364, 367] {
            let (id, version) = (Uuid::now_v7(), Utc::now() + TimeDelta::days(days));
            let payload = tally::payload(id, days, version);
            remote.publish(&Remote::event_with_id(days, "tally", "created", id, payload)).await;
        }
        pair.b.has_settled(2).await;
        assert_eq!(pair.b.reasons_of_death().await, ["version_in_future"]);
        let (_, rows) = pair.rows::<tally::Entity>().await;
        assert_eq!(rows.iter().map(|row| row.value).collect::<Vec<_>>(), [364]);
        pair.stop().await;
    }

    async fn a_delete_needs_nothing_of_its_row_but_key_and_version(backend: Backend) {
        let (mut pair, remote) = Pair::receiving(backend).await;
        let ids = [0; 3].map(|_| Uuid::now_v7());
        remote.publish_all(&ids.map(|id| event("created", id, 1))).await;
        pair.b.has_settled(3).await;
        let unfit = |id| {
            let mut deleted = event("deleted", id, 2);
            deleted["payload"]["value"] = "a text".into();
            deleted
        };
        // Alone, and together with others.
        remote.publish(&unfit(ids[0])).await;
        pair.b.has_settled(4).await;
        pair.b.stop().await;
        remote.publish_all(&[unfit(ids[1]), unfit(ids[2])]).await;
        pair.b.start().await;
        pair.b.has_settled(6).await;
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        pair.stop().await;
    }

    async fn an_absent_row_that_may_have_been_deleted_does_not_come_back(backend: Backend) {
        let mut pair = forgetful(backend).await;
        pair.start_both().await;
        let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
        row.clone().delete(&pair.a.db).await.expect("a delete");
        pair.quiet().await;
        prune(&mut pair.b).await;

        let late = &pair.a.recorded().await[0];
        let mut replayed = late.clone();
        replayed["event_id"] = "replayed".into();
        Remote::of(&pair.b).await.publish(&replayed).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);

        let newer = tally::new(2).insert(&pair.a.db).await.expect("a save after the delete");
        pair.b.has_settled(4).await;
        assert_eq!(pair.rows::<tally::Entity>().await.1, [newer]);
        pair.stop().await;
    }

    async fn an_older_delete_after_the_pruned_one_does_not_make_up_for_it(backend: Backend) {
        let (mut pair, remote) = forgetful_receiver(backend).await;
        let id = Uuid::now_v7();
        remote.publish(&event("deleted", id, 3)).await;
        pair.b.has_settled(1).await;
        prune(&mut pair.b).await;
        remote.publish(&event("deleted", id, 1)).await;
        pair.b.has_settled(2).await;
        remote.publish(&event("updated", id, 2)).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        pair.stop().await;
    }

    async fn absent_rows_that_may_have_been_deleted_do_not_come_back_in_a_batch(backend: Backend) {
        let (mut pair, remote) = forgetful_receiver(backend).await;
        let here = Uuid::now_v7();
        remote.publish(&event("created", here, 1)).await;
        remote.publish(&event("deleted", Uuid::now_v7(), 3)).await;
        pair.b.has_settled(2).await;
        prune(&mut pair.b).await;
        pair.b.stop().await;
        let ids = [here, Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        remote.publish_all(&ids.map(|id| event("updated", id, 2))).await;
        pair.b.start().await;
        pair.b.has_settled(6).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"; 3]);
        let (_, rows) = pair.rows::<tally::Entity>().await;
        assert_eq!(rows.iter().map(|row| (row.id, row.value)).collect::<Vec<_>>(), [(here, 2)]);
        pair.stop().await;
    }

    async fn an_older_tombstone_that_is_pruned_after_a_newer_one_lets_nothing_back(backend: Backend) {
        let (mut pair, remote) = forgetful_receiver(backend).await;
        let id = Uuid::now_v7();
        remote.publish(&event("deleted", id, 3)).await;
        pair.b.has_settled(1).await;
        prune(&mut pair.b).await;
        let pruned = pruned_version(&pair.b).await;
        remote.publish(&event("deleted", Uuid::now_v7(), 1)).await;
        pair.b.has_settled(2).await;
        prune(&mut pair.b).await;
        assert_eq!(pruned_version(&pair.b).await, pruned);
        remote.publish(&event("updated", id, 2)).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, ["older_than_tombstones"]);
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        pair.stop().await;
    }

    async fn a_row_that_is_here_is_updated_whatever_was_pruned(backend: Backend) {
        let (mut pair, remote) = forgetful_receiver(backend).await;
        let id = Uuid::now_v7();
        remote.publish(&event("created", id, 1)).await;
        remote.publish(&event("deleted", Uuid::now_v7(), 3)).await;
        pair.b.has_settled(2).await;
        prune(&mut pair.b).await;
        remote.publish(&event("updated", id, 2)).await;
        pair.b.has_settled(3).await;
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        assert_eq!(pair.rows::<tally::Entity>().await.1[0].value, 2);
        pair.stop().await;
    }
}
