//! P4, convergence: whatever happens at once, in whatever order it arrives and whatever the clocks say, both sides end equal.

mod arrivals;
mod deleted;
mod edits;
mod locks;

use chrono::{DateTime, SecondsFormat, Utc};
use jsb_tests::entities::tally;
use jsb_tests::{App, Remote, eventually};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait};
use serde_json::Value as Json;
use uuid::Uuid;

/// Sets the value, knowing nothing else of the row.
async fn set(id: Uuid, value: i64, db: &DatabaseConnection) -> tally::Model {
    let change = tally::ActiveModel { id: Unchanged(id), value: Set(value), ..Default::default() };
    change.update(db).await.expect("an update")
}

async fn find(id: Uuid, app: &App) -> Option<tally::Model> {
    tally::Entity::find_by_id(id).one(&app.db).await.expect("a read")
}

/// Waits until the row has this value.
async fn becomes(id: Uuid, value: i64, app: &App) -> tally::Model {
    eventually("the edit arrives", || async {
        let found = tally::Entity::find_by_id(id).one(&app.db).await?;
        Ok::<_, DbErr>(found.filter(|row| row.value == value))
    })
    .await
}

/// An event of the other side on a tally, with a version of so many microseconds.
fn event(id: Uuid, event_type: &str, value: i64, micros: i64) -> Json {
    let version = DateTime::<Utc>::from_timestamp_micros(1_700_000_000_000_000 + micros).expect("a time");
    let version = version.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut event = Remote::event("tally", event_type, id, tally::payload(id, value, &version));
    event["occurred_at"] = version.into();
    event
}
