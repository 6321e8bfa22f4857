//! Values are swapped by way of null, or of others that are made up.

use chrono::{NaiveTime, TimeDelta};
use jsb_tests::entities::{gap, label, specimen};
use jsb_tests::{App, Backend, Pair};
use sea_orm::ActiveModelTrait;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::prelude::Date;
use uuid::Uuid;

use super::arrives_in_every_order;
use crate::samples;

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
}
