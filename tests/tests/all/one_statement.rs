//! On PostgreSQL a save is one statement where it can be. What keeps it from that comes to the same in more of them.

mod forms;
mod keys;
mod read_back;
mod travels;
mod versions;

use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, Pair};
use sea_orm::ActiveValue::Set;
use serde_json::Value as Json;

fn tally(value: i64) -> tally::ActiveModel {
    tally::ActiveModel { remark: Set("new".to_owned()), ..tally::new(value) }
}

/// The rows of a table as one statement has left them, together with their event.
async fn written_at_once(app: &App, table: &str) -> usize {
    let same_command = "t.id::text = o.resource_id AND t.xmin = o.xmin AND t.cmin::text = o.cmin::text";
    let sql = format!("SELECT t.id::text FROM {table} t JOIN outbox_events o ON {same_command}");
    app.texts(&sql).await.len()
}

/// The payload of the newest event.
async fn newest(app: &App) -> Json {
    app.recorded().await.pop().expect("an event")["payload"].take()
}

async fn pair() -> Pair {
    Pair::start(Backend::Postgres).await
}
