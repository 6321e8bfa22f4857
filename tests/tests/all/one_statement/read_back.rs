//! Saves that stand, and whose rows the entity cannot read.

use std::time::Duration;

use jsb_runtime::Role;
use jsb_tests::entities::specimen;
use jsb_tests::{App, Backend, Pair};
use sea_orm::ActiveValue::{NotSet, Set, Unchanged};
use sea_orm::{ActiveModelTrait, IntoActiveModel, TransactionTrait};

use super::pair;
use crate::capture::time_to_send;
use crate::samples;

/// Leaves in every specimen, and by itself in new ones, what the entity cannot read; the database draws keys that are not given.
async fn forget_moods(app: &App) {
    app.sql(
        "UPDATE specimens SET mood = 'neither'; \
         ALTER TABLE specimens ALTER mood SET DEFAULT 'neither', ALTER id SET DEFAULT gen_random_uuid()",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_that_stands_though_its_row_cannot_be_read_back_says_so() {
    let pair = pair().await;
    let row = samples::specimen().into_active_model().reset_all().insert(&pair.a.db).await.expect("a save");
    forget_moods(&pair.a).await;
    let moodless = |text: &str| specimen::ActiveModel {
        mood: NotSet,
        text: Set(text.to_owned()),
        ..samples::specimen().into_active_model().reset_all()
    };
    let change = specimen::ActiveModel { id: Unchanged(row.id), text: Set("changed".to_owned()), ..Default::default() };
    let drawn = specimen::ActiveModel { id: NotSet, ..moodless("new") };
    for unread in [change.update(&pair.a.db).await, drawn.insert(&pair.a.db).await] {
        let unread = unread.expect_err("a mood that the entity does not know").to_string();
        for part in ["the `specimen` is saved and its event recorded", "neither"] {
            assert!(unread.contains(part), "{unread}");
        }
    }

    // The lock of its key has a transaction.
    let given = moodless("given").insert(&pair.a.db).await.expect_err("a mood that the entity does not know");
    assert!(!given.to_string().contains("is saved"), "{given}");
    let txn = pair.a.db.begin().await.expect("a transaction");
    let drawn = specimen::ActiveModel { id: NotSet, ..moodless("in a transaction") };
    drawn.insert(&txn).await.expect_err("a mood that the entity does not know");
    // A transaction that failed may fail to commit: what counts is what it leaves.
    let _ = txn.commit().await;

    assert_eq!(pair.a.texts("SELECT text FROM specimens ORDER BY text").await, ["changed", "new"]);
    let types: Vec<_> = pair.a.recorded().await.into_iter().map(|mut event| event["event_type"].take()).collect();
    assert_eq!(types, ["created", "updated", "created"]);
    pair.a.has_sent(3).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_save_whose_row_cannot_be_read_back_wakes_the_relay() {
    let mut app = Pair::configured(Backend::Postgres, |config| config.roles([Role::Relay])).await.a;
    app.start().await;
    let id = samples::specimen().into_active_model().reset_all().insert(&app.db).await.expect("a save").id;
    forget_moods(&app).await;
    let save = async |value| {
        let change = specimen::ActiveModel { id: Unchanged(id), big: Set(value), ..Default::default() };
        change.update(&app.db).await.expect_err("a mood that the entity does not know");
    };
    let wait = time_to_send(&app, save).await;
    assert!(wait < Duration::from_secs(1), "{wait:?}");
    app.stop().await;
}
