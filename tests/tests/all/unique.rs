//! Unique values: a value that is taken here waits until it is given up, and values that rows exchange heal by themselves.

mod arrivals;
mod detours;
mod handlers;
mod meanwhile;
mod partial;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Mutex;

use jsb_tests::entities::{organization, plate, stall};
use jsb_tests::{App, Pair, until};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::EntityTrait;
use serde_json::Value as Json;
use uuid::Uuid;

async fn organization(app: &App, domain: &str) -> organization::Model {
    let row = organization::ActiveModel { name: Set(app.config.app_name.clone()), ..organization::new(domain) };
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

pub(crate) async fn stall(app: &App, number: i32) -> Uuid {
    let row = stall::ActiveModel { id: Set(Uuid::now_v7()), number: Set(number), ..Default::default() };
    row.insert(&app.db).await.expect("a stall").id
}

pub(crate) async fn set_stall(app: &App, id: Uuid, number: i32) {
    let change = stall::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
    change.update(&app.db).await.expect("a free stall");
}

pub(crate) async fn two_stalls(app: &App) -> [Uuid; 2] {
    [stall(app, 1).await, stall(app, 2).await]
}

pub(crate) async fn swap_stalls(app: &App, [one, two]: [Uuid; 2]) {
    for (id, number) in [(one, 3), (two, 1), (one, 2)] {
        set_stall(app, id, number).await;
    }
}

/// When a parked event is to be tried again; empty once it is settled.
async fn time_of(app: &App, event: &Json) -> Option<String> {
    let id = event["event_id"].as_str().expect("an event id");
    let times = "SELECT CAST(available_at AS TEXT) FROM inbox_events WHERE status = 'parked' AND event_id =";
    app.texts(&format!("{times} '{id}'")).await.pop()
}

/// Waits until a parked event was tried twice more, or is settled.
async fn is_tried_again(app: &App, event: &Json) {
    let times = Mutex::new(BTreeSet::new());
    until("it is tried again", async || {
        let time = time_of(app, event).await;
        let settled = time.is_none();
        let mut times = times.lock().expect("nobody panics here");
        times.extend(time);
        settled || times.len() > 2
    })
    .await;
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

/// Makes rows on A and has them on B, then has A change them, once for each order in which the events of that can
/// arrive, with rows of its own each time, and ends with both sides equal. Some of the events never arrive.
async fn arrives_in_every_order<E, R>(
    mut pair: Pair,
    make: impl AsyncFn(&App, usize) -> R,
    change: impl AsyncFn(&App, R, usize),
    lost: &[usize],
) where
    E: EntityTrait<Model: PartialEq + Debug>,
{
    let remote = pair.receive().await;
    let (mut turn, mut turns, mut seen) = (0, 1, 0);
    while turn < turns {
        let rows = make(&pair.a, turn).await;
        let made = pair.a.recorded().await;
        remote.publish_all(&made[seen..]).await;
        change(&pair.a, rows, turn).await;
        let recorded = pair.a.recorded().await;
        seen = recorded.len();
        let changes = recorded[made.len()..].iter().enumerate();
        let arriving: Vec<_> = changes.filter(|(n, _)| !lost.contains(n)).map(|(_, event)| event.clone()).collect();
        let orders = orders(&arriving);
        remote.publish_all(&orders[turn]).await;
        (turn, turns) = (turn + 1, orders.len());
    }
    assert!(turns > 1);
    until("both sides are equal", async || {
        let (a, b) = pair.rows::<E>().await;
        a == b
    })
    .await;
    // What is parked still is older, and changes nothing.
    pair.b.has_settled(0).await;
    pair.agree_now::<E>().await;
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    pair.stop().await;
}

pub(crate) async fn two_plates(app: &App, n: usize) -> [Uuid; 2] {
    [plate(app, &format!("X-{n}")).await, plate(app, &format!("Y-{n}")).await]
}

pub(crate) async fn swap_plates(app: &App, [x, y]: [Uuid; 2], n: usize) {
    set_plate(app, x, &format!("TMP-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
    set_plate(app, x, &format!("Y-{n}")).await;
}
