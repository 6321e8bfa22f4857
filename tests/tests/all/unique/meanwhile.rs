//! Rows that step aside while others change, on either side.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::{App, Backend, Pair, Remote, eventually, until};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{is_tried_again, organization, plate, set_plate, swap_plates, time_of, two_plates};

async fn has_processed(app: &App, events: u64) {
    until("they are processed", async || app.status().await.processed_events >= events).await;
}

async fn parks(app: &App, event: &Json) {
    eventually("it is parked", || async { Ok::<_, ()>(time_of(app, event).await) }).await;
}

/// Has the timer leave alone what is parked, for as long as an event may wait.
async fn put_off(app: &App) {
    let later = (chrono::Utc::now() + chrono::TimeDelta::seconds(40)).to_rfc3339();
    app.sql(&format!("UPDATE inbox_events SET available_at = '{later}' WHERE status = 'parked'")).await;
}

/// The plates of B by the ids of their rows.
async fn plates(pair: &Pair) -> Vec<(Uuid, String)> {
    let (_, rows) = pair.rows::<plate::Entity>().await;
    rows.into_iter().map(|row| (row.id, row.plate)).collect()
}

/// The state of an event in the inbox, and when it is tried again.
async fn waiting(app: &App, event: &Json) -> Vec<String> {
    let id = event["event_id"].as_str().expect("an id");
    let state = "status || ' ' || COALESCE(CAST(available_at AS TEXT), '')";
    app.texts(&format!("SELECT {state} FROM inbox_events WHERE waits_for IS NOT NULL AND event_id = '{id}'")).await
}

/// Waits until an event is parked, and has the timer leave it alone.
async fn waits_unseen(app: &App, event: &Json) {
    eventually("an event is parked", || async { Ok::<_, ()>(waiting(app, event).await.pop()) }).await;
    put_off(app).await;
}

/// A pair whose B alone runs and has two plates of A's, and A's hand.
async fn two_plates_on_both(backend: Backend) -> (Pair, Remote, [Uuid; 2]) {
    let mut pair = Pair::create(backend).await;
    let plates = two_plates(&pair.a, 0).await;
    let remote = pair.receive().await;
    remote.publish_all(&pair.a.recorded().await).await;
    pair.b.has_settled(2).await;
    (pair, remote, plates)
}

on_both! {
    async fn a_row_that_steps_aside_for_another_gets_its_value_back(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let [x, y] = two_plates(&pair.a, 0).await;
        for (id, text) in [(y, "FREE"), (x, "Y-0"), (y, "X-0"), (y, "Z-0"), (x, "X-0")] {
            set_plate(&pair.a, id, text).await;
        }
        let events = pair.a.recorded().await;
        let [_, _, _, x_takes_y, y_takes_x, y_moves_on, x_is_back] = events.as_slice() else { panic!("seven events") };
        remote.publish_all(&events[..2]).await;
        remote.publish(x_takes_y).await;
        parks(&pair.b, x_takes_y).await;
        // It is stale from now on, and is not tried for a while.
        put_off(&pair.b).await;
        remote.publish(x_is_back).await;
        has_processed(&pair.b, 3).await;
        // The two wait for each other now, but only one of them is to be applied.
        remote.publish(y_takes_x).await;
        parks(&pair.b, y_takes_x).await;
        is_tried_again(&pair.b, y_takes_x).await;
        remote.publish(y_moves_on).await;
        has_processed(&pair.b, 4).await;
        pair.agree_now::<plate::Entity>().await;
        pair.stop().await;
    }

    async fn values_that_change_hands_all_the_time_end_with_the_same_rows(backend: Backend) {
        let mut random = StdRng::seed_from_u64(11);
        let mut pair = Pair::create(backend).await;
        let mut plates: Vec<(Uuid, String)> = Vec::new();
        for number in 0..6 {
            plates.push((plate(&pair.a, &number.to_string()).await, number.to_string()));
        }
        let remote = pair.receive().await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(6).await;
        let mut free = ["6", "7"].map(str::to_owned);
        for _ in 0..60 {
            let (of, with) = (random.random_range(0..6), random.random_range(0..2));
            set_plate(&pair.a, plates[of].0, &free[with]).await;
            std::mem::swap(&mut plates[of].1, &mut free[with]);
        }
        // Every row's newest event arrives, of the others one in three, in any order.
        let changes = pair.a.recorded().await.split_off(6);
        let newest: BTreeMap<_, _> = changes.iter().map(|event| (event["resource_id"].to_string(), event)).collect();
        let mut arriving: Vec<_> = newest.values().map(|event| (*event).clone()).collect();
        arriving.extend(changes.iter().filter(|_| random.random_ratio(1, 3)).cloned());
        arriving.shuffle(&mut random);
        remote.publish_all(&arriving).await;
        until("both sides are equal", async || {
            let (a, b) = pair.rows::<plate::Entity>().await;
            a == b
        })
        .await;
        pair.stop().await;
    }

    async fn a_row_that_was_changed_here_meanwhile_keeps_its_value_when_others_exchange_theirs(backend: Backend) {
        let (pair, remote, [x, y]) = two_plates_on_both(backend).await;
        swap_plates(&pair.a, [x, y], 0).await;
        let [.., y_takes, x_takes] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish(y_takes).await;
        waits_unseen(&pair.b, y_takes).await;
        // What waits is older than this, but nobody has looked yet.
        skewed(TimeDelta::hours(1), set_plate(&pair.b, y, "Y-0")).await;
        remote.publish(x_takes).await;
        is_tried_again(&pair.b, x_takes).await;
        assert_eq!(plates(&pair).await, [(x, "X-0".to_owned()), (y, "Y-0".to_owned())]);

        set_plate(&pair.b, y, "FREE-0").await;
        until("X has what Y gave up", async || plates(&pair).await == [(x, "Y-0".to_owned()), (y, "FREE-0".to_owned())])
        .await;
        pair.stop().await;
    }

    async fn a_row_that_has_its_new_value_does_not_step_aside_again(backend: Backend) {
        let (pair, remote, [x, y]) = two_plates_on_both(backend).await;
        set_plate(&pair.a, x, "FREE-0").await;
        set_plate(&pair.a, y, "X-0").await;
        set_plate(&pair.a, y, "X-0").await;
        let [.., first, second] = &pair.a.recorded().await[..] else { panic!("nothing was recorded") };
        remote.publish(second).await;
        waits_unseen(&pair.b, second).await;
        // What it waits for is given up, but nobody has looked yet.
        set_plate(&pair.b, x, "HERE-0").await;
        remote.publish(first).await;
        until("Y has what X gave up", async || plates(&pair).await == [(x, "HERE-0".to_owned()), (y, "X-0".to_owned())])
        .await;
        set_plate(&pair.a, y, "Y-0").await;
        set_plate(&pair.a, x, "X-0").await;
        let [.., y_gives, x_takes] = &pair.a.recorded().await[..] else { panic!("nothing was recorded") };
        remote.publish(x_takes).await;
        is_tried_again(&pair.b, x_takes).await;
        assert_eq!(plates(&pair).await, [(x, "HERE-0".to_owned()), (y, "X-0".to_owned())]);

        remote.publish(y_gives).await;
        until("X has what Y gave up", async || plates(&pair).await == [(x, "X-0".to_owned()), (y, "Y-0".to_owned())])
        .await;
        pair.stop().await;
    }

    async fn one_value_taken_on_both_sides_heals_by_an_edit(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let a = organization(&pair.a, "acme.example").await;
        let b = organization(&pair.b, "acme.example").await;
        pair.start_both().await;
        for (app, own) in [(&pair.a, a.id), (&pair.b, b.id)] {
            until("the other's row is parked", async || {
                let waits_for = app.texts("SELECT waits_for FROM inbox_events WHERE reason = 'unique_conflict'").await;
                waits_for == [format!("organization/{own}")]
            })
            .await;
        }
        assert_eq!((pair.a.status().await.parked_events, pair.b.status().await.parked_events), (1, 1));
        let (on_a, on_b) = pair.rows::<organization::Entity>().await;
        assert_eq!((on_a.len(), on_b.len()), (1, 1));

        let edit = organization::ActiveModel { id: Unchanged(a.id), domain: Set("acme-a.example".to_owned()), ..Default::default() };
        let edited = edit.update(&pair.a.db).await.expect("an edit");
        assert_eq!(pair.agree::<organization::Entity>().await, [edited, b]);
        pair.stop().await;
    }
}
