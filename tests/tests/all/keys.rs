//! Keys that two systems draw at once never collide, and a database is what its bridge takes it for.

mod drawn;
mod shares;
mod starts;
mod statements;

use jsb_tests::entities::organization;
use jsb_tests::{App, Remote};
use sea_orm_migration::SchemaManager;
use serde_json::Value as Json;

async fn next_drawn(app: &App) -> i64 {
    organization::new(format!("{}.example", uuid::Uuid::now_v7())).insert(&app.db).await.expect("a key that is free").id
}

/// Has node 1 of so many draw the keys, as if they had never been interleaved.
async fn interleave_anew(app: &App, node_count: u32) {
    app.sql("DELETE FROM sync_keys WHERE table_name = 'organizations'").await;
    let manager = SchemaManager::new(&app.db);
    let interleaved = jsb_migrations::interleave(&manager, "organizations", "id", 1, node_count).await;
    interleaved.expect("the keys are interleaved");
}

/// A `created` event of the other side's on the organization `id`.
fn created(id: i64, updated_at: &str) -> Json {
    Remote::event("organization", "created", id, organization::payload(id, &format!("{id}.example"), updated_at))
}
