//! P1, atomic capture: a row and its event commit together or not at all.

mod atomic;
mod direct;
mod kept;
mod published;
mod running;
mod transactions;

use std::time::{Duration, Instant};

use jsb_tests::entities::{guarded, tally, visitor};
use jsb_tests::{App, eventually, lasts, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
};
use uuid::Uuid;

/// How many tallies there are, and how many events.
async fn counts(app: &App) -> (u64, usize) {
    (tally::Entity::find().count(&app.db).await.expect("a count"), app.recorded().await.len())
}

async fn types(app: &App) -> Vec<String> {
    app.recorded().await.iter().map(|event| event["event_type"].as_str().unwrap_or_default().to_owned()).collect()
}

fn guarded(text: &str) -> guarded::ActiveModel {
    guarded::ActiveModel { id: Set(Uuid::now_v7()), text: Set(text.to_owned()), ..Default::default() }
}

/// Says of a visitor nothing but when this side saw them last.
fn seen(id: Uuid, nanos: i64) -> visitor::ActiveModel {
    let seen_at = Set(Some(chrono::DateTime::from_timestamp_nanos(nanos)));
    visitor::ActiveModel { id: Set(id), seen_at, ..Default::default() }
}

fn visitor(name: &str) -> visitor::ActiveModel {
    visitor::ActiveModel { id: Set(Uuid::now_v7()), name: Set(name.to_owned()), ..Default::default() }
}

/// What a user's generic code looks like: it reaches the trait's method, not the entity's own.
async fn insert_generically<A>(row: A, db: &impl ConnectionTrait) -> Result<(), DbErr>
where
    A: ActiveModelTrait + ActiveModelBehavior + Send,
    <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
{
    row.insert(db).await.map(drop)
}

/// The values of the tallies that `app` has sent, once this one is among them.
async fn sent(app: &App, value: i64) -> Vec<i64> {
    let stream = app.stream().await;
    let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
    eventually("it is sent", || async {
        let messages = stream.messages(&subject).await;
        let values: Vec<_> = messages.iter().filter_map(|event| event.json()["payload"]["value"].as_i64()).collect();
        Ok::<_, DbErr>(values.contains(&value).then_some(values))
    })
    .await
}

/// How long it takes until the event of a save is sent that comes when nothing has happened for long: the median of five.
pub(crate) async fn time_to_send(app: &App, save: impl AsyncFn(i64)) -> Duration {
    let mut waits = Vec::new();
    for number in 1..=5 {
        // By then the relay looks by itself every three seconds.
        lasts(Duration::from_secs(6)).await;
        let before = app.count("outbox_events", "sent").await;
        let began = Instant::now();
        save(number).await;
        until("it is sent", async || app.count("outbox_events", "sent").await > before).await;
        waits.push(began.elapsed());
    }
    waits.sort();
    waits[2]
}
