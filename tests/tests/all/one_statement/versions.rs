//! Versions are drawn above what is there, also when many save at once.

use futures_util::future::join_all;
use jsb_tests::App;
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{DatabaseConnection, EntityTrait, IntoActiveModel};
use serde_json::Value as Json;
use uuid::Uuid;

use super::{pair, tally};

/// The versions of all events, in their order.
async fn versions(app: &App) -> Vec<String> {
    let version = |event: Json| event["payload"]["updated_at"].as_str().expect("a time").to_owned();
    app.recorded().await.into_iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_goes_above_a_version_that_is_ahead_but_not_by_a_year() {
    let pair = pair().await;
    let row = tally(1).insert(&pair.a.db).await.expect("a tally");
    let update = async |value| {
        let change = tally::ActiveModel { id: Unchanged(row.id), value: Set(value), ..Default::default() };
        change.update(&pair.a.db).await
    };
    pair.a.sql("UPDATE tallies SET updated_at = now() + interval '364 days'").await;
    let ahead = tally::Entity::find_by_id(row.id).one(&pair.a.db).await.expect("a read").expect("the row").updated_at;
    let saved = update(2).await.expect("an update");
    assert_eq!(saved.updated_at, ahead + chrono::TimeDelta::microseconds(1));
    pair.a.sql("UPDATE tallies SET updated_at = now() + interval '366 days'").await;
    let refused = update(3).await.expect_err("a version that no save can go above");
    assert!(refused.to_string().contains("more than a year ahead"), "{refused}");
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_deleted_comes_back_above_its_tombstone() {
    let pair = pair().await;
    let row = tally(1).insert(&pair.a.db).await.expect("a tally");
    let ahead = chrono::TimeDelta::hours(1);
    jsb_runtime::testing::skewed(ahead, row.clone().delete(&pair.a.db)).await.expect("a delete");
    let again = tally::ActiveModel { id: Set(row.id), ..tally(2) };
    let again = again.insert(&pair.a.db).await.expect("a new row");
    assert!(again.updated_at > chrono::Utc::now() + ahead / 2, "{again:?}");
    assert_eq!(pair.agree::<tally::Entity>().await.len(), 1);
    pair.stop().await;
}

/// Reads the row and counts it up, until it was the one who did.
async fn count_up(id: Uuid, db: DatabaseConnection) {
    for _ in 0..25 {
        let row = tally::Entity::find_by_id(id).one(&db).await.expect("a read").expect("the tally");
        let value = Set(row.value + 1);
        let mut change = row.into_active_model();
        change.value = value;
        change.update(&db).await.expect("an update");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_a_row_that_many_save_at_once_are_in_the_order_of_its_versions() {
    let pair = pair().await;
    let id = tally(0).insert(&pair.a.db).await.expect("a tally").id;
    let writers = (0..6).map(|_| tokio::spawn(count_up(id, pair.a.db.clone())));
    join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
    let versions = versions(&pair.a).await;
    assert_eq!(versions.len(), 151);
    assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    pair.agree::<tally::Entity>().await;
    pair.stop().await;
}

/// Updates the row again and again; how often it was not refused.
async fn update_often(id: Uuid, db: DatabaseConnection) -> usize {
    let mut saved = 0;
    for value in 1..=25 {
        let change = tally::ActiveModel { id: Unchanged(id), value: Set(value), ..Default::default() };
        match change.update(&db).await {
            Ok(_) => saved += 1,
            Err(refused) => assert!(refused.to_string().contains("READ COMMITTED"), "{refused}"),
        }
    }
    saved
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_read_committed_a_save_goes_above_what_it_replaces_or_is_refused() {
    let pair = pair().await;
    let id = tally(0).insert(&pair.a.db).await.expect("a tally").id;
    let name = pair.a.texts("SELECT current_database()::text").await.remove(0);
    pair.a.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'")).await;
    let db = pair.a.database.connect().await;
    let refused = tally(1).insert(&db).await.expect_err("a tombstone may be newer than the snapshot");
    assert!(refused.to_string().contains("READ COMMITTED"), "{refused}");
    let writers = (0..6).map(|_| tokio::spawn(update_often(id, db.clone())));
    let saved: usize = join_all(writers).await.into_iter().map(|writer| writer.expect("a writer")).sum();
    let versions = versions(&pair.a).await;
    assert_eq!(versions.len(), 1 + saved);
    assert!(saved > 0 && versions.is_sorted_by(|one, next| one < next), "{versions:?}");
    pair.stop().await;
}
