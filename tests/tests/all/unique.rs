//! Unique values: a value that is taken here waits until it is given up, and values that rows exchange heal by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Mutex;

use chrono::{NaiveTime, TimeDelta};
use jsb_runtime::testing::skewed;
use jsb_tests::entities::{gap, label, organization, plate, seat, specimen, stall};
use jsb_tests::{App, Backend, Pair, Remote, eventually, until};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::prelude::Date;
use sea_orm::{ActiveModelTrait, EntityTrait};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::samples;

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

async fn seat(app: &App, organization_id: i64, number: i32) -> Uuid {
    let (id, organization_id, number) = (Set(Uuid::now_v7()), Set(organization_id), Set(number));
    let row = seat::ActiveModel { id, organization_id, number, ..Default::default() };
    row.insert(&app.db).await.expect("a seat").id
}

async fn set_seat(app: &App, id: Uuid, number: i32) {
    let change = seat::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
    change.update(&app.db).await.expect("a free seat");
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
    pair.b.start().await;
    let remote = Remote::of(&pair.b).await;
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
    let (a, b) = pair.rows::<E>().await;
    assert_eq!(a, b);
    assert_eq!(pair.b.reasons_of_death().await, [""; 0]);
    pair.stop().await;
}

/// When a parked event is to be tried again; empty once it is settled.
async fn time_of(app: &App, event: &Json) -> Option<String> {
    let id = event["event_id"].as_str().expect("an event id");
    let times = "SELECT CAST(available_at AS TEXT) FROM inbox_events WHERE status = 'parked' AND event_id =";
    app.texts(&format!("{times} '{id}'")).await.pop()
}

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

pub(crate) async fn two_plates(app: &App, n: usize) -> [Uuid; 2] {
    [plate(app, &format!("X-{n}")).await, plate(app, &format!("Y-{n}")).await]
}

async fn move_plate(app: &App, [x, y]: [Uuid; 2], n: usize) {
    set_plate(app, x, &format!("FREE-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
}

pub(crate) async fn swap_plates(app: &App, [x, y]: [Uuid; 2], n: usize) {
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

/// The n-th date.
fn date(n: usize) -> Option<Date> {
    Date::from_num_days_from_ce_opt(700_000 + n as i32)
}

async fn two_dates(app: &App, n: usize) -> [Uuid; 2] {
    let mut ids = [Uuid::now_v7(), Uuid::now_v7()];
    for (which, id) in ids.iter_mut().enumerate() {
        let row = gap::ActiveModel { id: Set(*id), date: Set(date(10 * n + which)), ..Default::default() };
        row.insert(&app.db).await.expect("a save");
    }
    ids
}

/// The dates of two rows that are unique, and before these one that is not.
async fn dates_of_which_one_is_taken_twice(app: &App, n: usize) -> [Uuid; 2] {
    let (old, flag) = (Set(Uuid::now_v7()), Set(Some(false)));
    let row = gap::ActiveModel { id: old, date: Set(date(10 * n)), flag, ..Default::default() };
    row.insert(&app.db).await.expect("a save");
    two_dates(app, n).await
}

async fn swap_dates(app: &App, [x, y]: [Uuid; 2], n: usize) {
    for (id, which) in [(x, 2), (y, 0), (x, 1)] {
        let row = gap::ActiveModel { id: Unchanged(id), date: Set(date(10 * n + which)), ..Default::default() };
        row.update(&app.db).await.expect("a save");
    }
}

async fn two_texts(app: &App, n: usize) -> [Uuid; 2] {
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for (which, id) in ids.into_iter().enumerate() {
        let text = Set(Some((10 * n + which).to_string()));
        let row = gap::ActiveModel { id: Set(id), text, ..Default::default() };
        row.insert(&app.db).await.expect("a save");
    }
    ids
}

async fn swap_texts(app: &App, [x, y]: [Uuid; 2], n: usize) {
    for (id, which) in [(x, 2), (y, 0), (x, 1)] {
        let text = Set(Some((10 * n + which).to_string()));
        let row = gap::ActiveModel { id: Unchanged(id), text, ..Default::default() };
        row.update(&app.db).await.expect("a save");
    }
}

async fn two_labels(app: &App, n: usize) -> [String; 2] {
    let codes = [format!("x-{n}"), format!("y-{n}")];
    for code in &codes {
        let (code, caption) = (Set(code.clone()), Set(code.clone()));
        label::ActiveModel { code, caption, ..Default::default() }.insert(&app.db).await.expect("a label");
    }
    codes
}

async fn swap_captions(app: &App, [x, y]: [String; 2], n: usize) {
    for (code, caption) in [(&x, format!("free-{n}")), (&y, x.clone()), (&x, y.clone())] {
        let (code, caption) = (Unchanged(code.clone()), Set(caption));
        label::ActiveModel { code, caption, ..Default::default() }.update(&app.db).await.expect("a free caption");
    }
}

/// The values of a specimen that are unique in the test.
fn unique_values(id: Uuid, n: usize) -> specimen::ActiveModel {
    let (date, time) = (date(n).expect("a date"), NaiveTime::default() + TimeDelta::seconds(n as i64));
    let naive = date.and_time(time);
    let (small, date, time) = (Set(n as i16), Set(date), Set(time));
    let (naive, utc) = (Set(naive), Set(naive.and_utc()));
    specimen::ActiveModel { id: Unchanged(id), small, date, time, naive, utc, ..Default::default() }
}

async fn two_specimens(app: &App, n: usize) -> [Uuid; 2] {
    let mut ids = [Uuid::now_v7(), Uuid::now_v7()];
    for (which, id) in ids.iter_mut().enumerate() {
        let specimen::ActiveModel { small, date, time, naive, utc, .. } = unique_values(*id, 10 * n + which);
        let row = specimen::ActiveModel { id: Set(*id), small, date, time, naive, utc, ..samples::specimen().into() };
        row.reset_all().insert(&app.db).await.expect("a save");
    }
    ids
}

async fn swap_specimens(app: &App, [x, y]: [Uuid; 2], n: usize) {
    for (id, which) in [(x, 2), (y, 0), (x, 1)] {
        unique_values(id, 10 * n + which).update(&app.db).await.expect("a save");
    }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_a_check_keeps_from_being_null_are_swapped_by_way_of_others() {
    let pair = Pair::create(Backend::Postgres).await;
    for app in [&pair.a, &pair.b] {
        app.sql("CREATE UNIQUE INDEX one_text ON gaps (text)").await;
        app.sql("ALTER TABLE gaps ADD CHECK (text IS NOT NULL)").await;
    }
    arrives_in_every_order::<gap::Entity, _>(pair, two_texts, swap_texts, &[0]).await;
}

on_both! {
    async fn a_row_that_steps_aside_for_another_gets_its_value_back(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
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
        let (a, b) = pair.rows::<plate::Entity>().await;
        assert_eq!(a, b);
        pair.stop().await;
    }

    async fn a_value_that_moves_to_another_row_arrives_in_any_order(backend: Backend) {
        arrives_in_every_order::<plate::Entity, _>(Pair::create(backend).await, two_plates, move_plate, &[]).await;
    }

    async fn a_value_of_a_deleted_row_arrives_in_any_order(backend: Backend) {
        arrives_in_every_order::<plate::Entity, _>(Pair::create(backend).await, two_plates, delete_and_take, &[]).await;
    }

    async fn values_that_two_rows_swap_arrive_in_any_order(backend: Backend) {
        arrives_in_every_order::<plate::Entity, _>(Pair::create(backend).await, two_plates, swap_plates, &[]).await;
    }

    async fn values_that_two_rows_swap_arrive_without_the_event_between(backend: Backend) {
        arrives_in_every_order::<plate::Entity, _>(Pair::create(backend).await, two_plates, swap_plates, &[0]).await;
    }

    async fn values_that_three_rows_exchange_arrive_without_the_event_between(backend: Backend) {
        arrives_in_every_order::<plate::Entity, _>(Pair::create(backend).await, three_plates, rotate_plates, &[0]).await;
    }

    async fn a_unique_pair_with_a_foreign_key_is_swapped_without_the_event_between(backend: Backend) {
        arrives_in_every_order::<seat::Entity, _>(Pair::create(backend).await, two_seats, swap_seats, &[0]).await;
    }

    async fn values_for_which_none_can_be_made_up_are_swapped_by_way_of_null(backend: Backend) {
        let pair = Pair::create(backend).await;
        for app in [&pair.a, &pair.b] {
            app.sql("CREATE UNIQUE INDEX one_date ON gaps (date)").await;
        }
        arrives_in_every_order::<gap::Entity, _>(pair, two_dates, swap_dates, &[0]).await;
    }

    async fn many_values_that_must_be_there_are_swapped_at_once(backend: Backend) {
        let pair = Pair::create(backend).await;
        for app in [&pair.a, &pair.b] {
            for column in ["small", "date", "time", "utc", "naive"] {
                app.sql(&format!("CREATE UNIQUE INDEX one_{column} ON specimens ({column})")).await;
            }
        }
        arrives_in_every_order::<specimen::Entity, _>(pair, two_specimens, swap_specimens, &[0]).await;
    }

    async fn values_are_swapped_under_an_index_of_some_rows(backend: Backend) {
        let pair = Pair::create(backend).await;
        for app in [&pair.a, &pair.b] {
            app.sql("CREATE UNIQUE INDEX one_date ON gaps (date) WHERE flag IS NULL").await;
        }
        let make = dates_of_which_one_is_taken_twice;
        arrives_in_every_order::<gap::Entity, _>(pair, make, swap_dates, &[0]).await;
    }

    async fn values_are_swapped_under_an_index_with_a_column_that_stays_at_home(backend: Backend) {
        let pair = Pair::create(backend).await;
        for app in [&pair.a, &pair.b] {
            // On one connection: on SQLite another one may not know yet what the first has changed.
            let place = "ALTER TABLE labels DROP COLUMN drawer; \
                         ALTER TABLE labels ADD COLUMN drawer text DEFAULT 'top'; \
                         CREATE UNIQUE INDEX one_place ON labels (drawer, caption)";
            app.sql(place).await;
        }
        arrives_in_every_order::<label::Entity, _>(pair, two_labels, swap_captions, &[0]).await;
    }

    async fn a_handler_that_refuses_one_of_an_exchange_is_heard(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let (twelve, thirteen) = (stall(&pair.a, 12).await, stall(&pair.a, 13).await);
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
        for (id, number) in [(twelve, 14), (thirteen, 12), (twelve, 13)] {
            set_stall(&pair.a, id, number).await;
        }
        let [.., one, other] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish_all(&[one.clone(), other.clone()]).await;
        until("it is dead", async || {
            let dead = pair.b.reasons_of_death().await;
            dead == ["handler_refused"]
        })
        .await;
        // What came with it is as if it had come alone.
        let states = "SELECT status || ' ' || event_id FROM inbox_events WHERE status <> 'processed' ORDER BY status";
        let state = |status: &str, event: &Json| format!("{status} {}", event["event_id"].as_str().expect("an id"));
        assert_eq!(pair.b.texts(states).await, [state("dead", other), state("parked", one)]);
        let (_, rows) = pair.rows::<stall::Entity>().await;
        let numbers: Vec<_> = rows.into_iter().map(|row| (row.id, row.number)).collect();
        assert_eq!(numbers, [(twelve, 12), (thirteen, 13)]);
        assert_eq!(pair.b.texts("SELECT probe FROM effects").await, [""; 0]);
        pair.stop().await;
    }

    async fn handlers_see_an_exchange_only_once_it_is_done(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let stalls = two_stalls(&pair.a).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
        swap_stalls(&pair.a, stalls).await;
        let [.., two_takes, one_takes] = &pair.a.recorded().await[..] else { panic!("the swap was not recorded") };
        remote.publish_all(&[two_takes.clone(), one_takes.clone()]).await;
        pair.b.has_settled(4).await;
        let (a, b) = pair.rows::<stall::Entity>().await;
        assert_eq!(a, b);
        assert_eq!(pair.b.texts("SELECT probe FROM effects").await, ["[1, 2]", "[1, 2]"]);
        pair.stop().await;
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
        let mut pair = Pair::create(backend).await;
        let [x, y] = two_plates(&pair.a, 0).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
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
        let mut pair = Pair::create(backend).await;
        let [x, y] = two_plates(&pair.a, 0).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        remote.publish_all(&pair.a.recorded().await).await;
        pair.b.has_settled(2).await;
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
        pair.quiet().await;
        let (on_a, on_b) = pair.rows::<organization::Entity>().await;
        assert_eq!((on_a.as_slice(), on_b), ([edited, b].as_slice(), on_a.clone()));
        pair.stop().await;
    }
}
