//! Events that arrive in another order than they were made in, or more than once.

use std::collections::BTreeMap;

use jsb_tests::entities::tally;
use jsb_tests::{Pair, Remote};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use super::event;

on_both! {
    async fn a_delete_and_an_older_update_of_one_key_by_two_consumers_at_once(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.batch_size = 1;
            config
        })
        .await;
        pair.b.start().await;
        let remote = pair.receive().await;
        // Half of the keys have no row: "one statement" would not protect those.
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(60).collect();
        let created: Vec<_> = ids.iter().step_by(2).map(|id| event(*id, "created", 1, 1)).collect();
        remote.publish_all(&created).await;
        pair.b.has_settled(30).await;
        let at_once: Vec<_> = ids.iter().flat_map(|id| [event(*id, "updated", 2, 2), event(*id, "deleted", 2, 3)]).collect();
        remote.publish_all(&at_once).await;
        pair.b.has_settled(150).await;
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        assert_eq!(pair.b.texts("SELECT resource_id FROM sync_tombstones").await.len(), 60);
        pair.stop().await;
    }

    async fn an_older_event_after_a_newer_one_changes_nothing(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let [lived, died] = [Uuid::now_v7(), Uuid::now_v7()];
        remote.publish(&event(lived, "updated", 2, 2)).await;
        remote.publish(&event(lived, "created", 1, 1)).await;
        remote.publish(&event(lived, "deleted", 0, 0)).await;
        remote.publish(&event(died, "deleted", 2, 2)).await;
        remote.publish(&event(died, "updated", 1, 1)).await;
        pair.b.has_settled(5).await;
        let (_, rows) = pair.rows::<tally::Entity>().await;
        assert_eq!(rows.iter().map(|row| (row.id, row.value)).collect::<Vec<_>>(), [(lived, 2)]);
        pair.stop().await;
    }

    async fn ten_thousand_events_shuffled_and_duplicated_end_as_the_newest_say(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        pair.b.start().await;
        let mut random = StdRng::seed_from_u64(42);
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(400).collect();
        let mut events = Vec::new();
        let mut newest = BTreeMap::new();
        for version in 1..=20 {
            for id in &ids {
                let gone = version > 1 && random.random_ratio(1, 4);
                events.push(event(*id, if gone { "deleted" } else { "updated" }, version, version));
                newest.insert(*id, (!gone).then_some(version));
            }
        }
        for _ in 0..2_000 {
            events.push(events[random.random_range(0..8_000)].clone());
        }
        events.shuffle(&mut random);
        assert_eq!(events.len(), 10_000);
        Remote::of(&pair.b).await.publish_all(&events).await;
        // In steps, each with a deadline of its own: a slow machine is not a stuck one.
        for settled in [2_000, 4_000, 6_000, 8_000] {
            pair.b.has_settled(settled).await;
        }
        let (_, rows) = pair.rows::<tally::Entity>().await;
        let found: BTreeMap<_, _> = rows.iter().map(|row| (row.id, row.value)).collect();
        let expected: BTreeMap<_, _> = newest.into_iter().filter_map(|(id, value)| Some((id, value?))).collect();
        assert_eq!(found, expected);
        assert_eq!(pair.b.recorded().await.len(), 0);
        pair.stop().await;
    }
}
