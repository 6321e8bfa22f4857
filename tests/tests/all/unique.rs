//! Unique values: a value that is taken here waits until it is given up, and values that rows exchange heal by themselves.

use std::collections::BTreeMap;

use jsb_tests::entities::{organization, plate, seat};
use jsb_tests::{App, Pair, Remote, eventually};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::EntityTrait;
use serde_json::Value as Json;
use uuid::Uuid;

async fn organization(app: &App, domain: &str) -> organization::Model {
    let row = organization::ActiveModel {
        name: Set(app.config.app_name.clone()),
        domain: Set(domain.to_owned()),
        active: Set(true),
        created_at: Set(chrono::Utc::now()),
        ..Default::default()
    };
    row.insert(&app.db).await.expect("an organization")
}

async fn plate(app: &App, text: &str) -> Uuid {
    let row = plate::ActiveModel { id: Set(Uuid::now_v7()), plate: Set(text.to_owned()), ..Default::default() };
    row.insert(&app.db).await.expect("a plate").id
}

async fn set_plate(app: &App, id: Uuid, text: &str) {
    let change = plate::ActiveModel { id: Unchanged(id), plate: Set(text.to_owned()), ..Default::default() };
    change.update(&app.db).await.expect("a free plate");
}

async fn seat(app: &App, organization_id: i64, number: i32) -> Uuid {
    let (id, organization_id, number) = (Set(Uuid::now_v7()), Set(organization_id), Set(number));
    let row = seat::ActiveModel { id, organization_id, number, ..Default::default() };
    row.insert(&app.db).await.expect("a seat").id
}

async fn set_seat(app: &App, id: Uuid, number: i32) {
    let change = seat::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
    change.update(&app.db).await.expect("a free seat");
}

/// Every order of these events.
fn orders(events: &[Json]) -> Vec<Vec<Json>> {
    let Some((first, rest)) = events.split_first() else { return vec![vec![]] };
    let insert = |order: Vec<Json>| {
        (0..=order.len()).map(move |place| {
            let mut longer = order.clone();
            longer.insert(place, first.clone());
            longer
        })
    };
    orders(rest).into_iter().flat_map(insert).collect()
}

/// Makes rows on A and has them on B, then has A do something once for each order in which its events can arrive, with
/// rows of its own each time, and ends with both sides equal.
macro_rules! arrives_in_every_order {
    ($backend:ident, $entity:ty, make: $make:expr, change: $change:expr, leave_out: $leave_out:expr) => {{
        let mut pair = Pair::create($backend).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        let (mut seen, mut order, mut count) = (0, 0, 1);
        while order < count {
            let made = $make(&pair.a, order).await;
            let recorded = pair.a.recorded().await;
            remote.publish_all(&recorded[seen..]).await;
            $change(&pair.a, made, order).await;
            let made = recorded.len();
            let changes: Vec<_> = pair.a.recorded().await.split_off(made);
            seen = made + changes.len();
            let left: Vec<_> =
                changes.iter().enumerate().filter(|(n, _)| !$leave_out.contains(n)).map(|(_, e)| e.clone()).collect();
            let orders = orders(&left);
            count = orders.len();
            remote.publish_all(&orders[order]).await;
            order += 1;
        }
        assert!(count > 1);
        eventually("both sides are equal", || async {
            let (a, b) = pair.rows::<$entity>().await;
            Ok::<_, ()>((a == b).then_some(()))
        })
        .await;
        pair.b.has_settled(0).await;
        let (a, b) = pair.rows::<$entity>().await;
        assert_eq!(a, b);
        assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
        pair.stop().await;
    }};
}

const NONE: [usize; 0] = [];

async fn two_plates(app: &App, n: usize) -> [Uuid; 2] {
    [plate(app, &format!("X-{n}")).await, plate(app, &format!("Y-{n}")).await]
}

async fn move_plate(app: &App, [x, y]: [Uuid; 2], n: usize) {
    set_plate(app, x, &format!("FREE-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
}

async fn swap_plates(app: &App, [x, y]: [Uuid; 2], n: usize) {
    set_plate(app, x, &format!("TMP-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
    set_plate(app, x, &format!("Y-{n}")).await;
}

async fn three_plates(app: &App, n: usize) -> [Uuid; 3] {
    let [x, y] = two_plates(app, n).await;
    [x, y, plate(app, &format!("Z-{n}")).await]
}

async fn rotate_plates(app: &App, [x, y, z]: [Uuid; 3], n: usize) {
    set_plate(app, x, &format!("TMP-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
    set_plate(app, z, &format!("Y-{n}")).await;
    set_plate(app, x, &format!("Z-{n}")).await;
}

async fn delete_and_take(app: &App, [x, y]: [Uuid; 2], n: usize) {
    let holder = plate::Entity::find_by_id(x).one(&app.db).await.expect("a read").expect("the row");
    holder.delete(&app.db).await.expect("a delete");
    set_plate(app, y, &format!("X-{n}")).await;
}

async fn two_seats(app: &App, n: usize) -> [Uuid; 2] {
    let hall = organization(app, &format!("hall-{n}.example")).await.id;
    [seat(app, hall, 1).await, seat(app, hall, 2).await]
}

async fn swap_seats(app: &App, [one, two]: [Uuid; 2], _: usize) {
    set_seat(app, one, 3).await;
    set_seat(app, two, 1).await;
    set_seat(app, one, 2).await;
}

on_both! {
    async fn a_value_that_moves_to_another_row_arrives_in_any_order(backend: Backend) {
        arrives_in_every_order!(backend, plate::Entity, make: two_plates, change: move_plate, leave_out: NONE);
    }

    async fn a_value_of_a_deleted_row_arrives_in_any_order(backend: Backend) {
        arrives_in_every_order!(backend, plate::Entity, make: two_plates, change: delete_and_take, leave_out: NONE);
    }

    async fn values_that_two_rows_swap_arrive_in_any_order(backend: Backend) {
        arrives_in_every_order!(backend, plate::Entity, make: two_plates, change: swap_plates, leave_out: NONE);
    }

    async fn values_that_two_rows_swap_arrive_without_the_event_between(backend: Backend) {
        arrives_in_every_order!(backend, plate::Entity, make: two_plates, change: swap_plates, leave_out: [0]);
    }

    async fn values_that_three_rows_exchange_arrive_without_the_event_between(backend: Backend) {
        arrives_in_every_order!(backend, plate::Entity, make: three_plates, change: rotate_plates, leave_out: [0]);
    }

    async fn a_unique_pair_with_a_foreign_key_is_swapped_without_the_event_between(backend: Backend) {
        arrives_in_every_order!(backend, seat::Entity, make: two_seats, change: swap_seats, leave_out: [0]);
    }

    async fn values_that_change_hands_all_the_time_end_with_the_same_rows(backend: Backend) {
        let mut random = StdRng::seed_from_u64(11);
        let mut pair = Pair::create(backend).await;
        let mut plates: Vec<(Uuid, String)> = Vec::new();
        for number in 0..6 {
            plates.push((plate(&pair.a, &number.to_string()).await, number.to_string()));
        }
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(6).await;
        let mut free = vec!["6".to_owned(), "7".to_owned()];
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
        eventually("both sides are equal", || async {
            let (a, b) = pair.rows::<plate::Entity>().await;
            Ok::<_, ()>((a == b).then_some(()))
        })
        .await;
        pair.stop().await;
    }

    async fn one_value_taken_on_both_sides_heals_by_an_edit(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let a = organization(&pair.a, "acme.example").await;
        let b = organization(&pair.b, "acme.example").await;
        pair.start_both().await;
        for (app, own) in [(&pair.a, a.id), (&pair.b, b.id)] {
            eventually("the other's row is parked", || async {
                let waits_for = app.texts("SELECT waits_for FROM inbox_events WHERE reason = 'unique_conflict'").await;
                Ok::<_, ()>((waits_for == [format!("organization/{own}")]).then_some(()))
            })
            .await;
        }
        assert_eq!((pair.a.status().await.parked_events, pair.b.status().await.parked_events), (1, 1));
        let (on_a, on_b) = pair.rows::<organization::Entity>().await;
        assert_eq!((on_a.len(), on_b.len()), (1, 1));

        let edit = organization::ActiveModel { id: Unchanged(a.id), domain: Set("acme-a.example".to_owned()), ..Default::default() };
        let edited = edit.update(&pair.a.db).await.expect("an edit");
        pair.quiet().await;
        let (on_a, on_b) = pair.rows::<organization::Entity>().await;
        assert_eq!((on_a.as_slice(), on_b), ([edited, b].as_slice(), on_a.clone()));
        pair.stop().await;
    }
}
