//! Values that move arrive in every order of their events, and without the one between.

use jsb_tests::entities::seat;
use jsb_tests::{App, Pair};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{arrives_in_every_order, organization, plate, set_plate, swap_plates, two_plates};

async fn seat(app: &App, organization_id: i64, number: i32) -> Uuid {
    let (id, organization_id, number) = (Set(Uuid::now_v7()), Set(organization_id), Set(number));
    let row = seat::ActiveModel { id, organization_id, number, ..Default::default() };
    row.insert(&app.db).await.expect("a seat").id
}

async fn set_seat(app: &App, id: Uuid, number: i32) {
    let change = seat::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
    change.update(&app.db).await.expect("a free seat");
}

async fn move_plate(app: &App, [x, y]: [Uuid; 2], n: usize) {
    set_plate(app, x, &format!("FREE-{n}")).await;
    set_plate(app, y, &format!("X-{n}")).await;
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
}
