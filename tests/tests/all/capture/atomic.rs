//! Neither is there without the other.

use jsb_tests::Pair;
use jsb_tests::entities::{label, specimen, tally};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait,
    TransactionTrait,
};
use uuid::Uuid;

use super::{counts, guarded, insert_generically};
use crate::samples;

async fn delete_generically<A: ActiveModelTrait + ActiveModelBehavior + Send>(
    row: A,
    db: &impl ConnectionTrait,
) -> Result<(), DbErr> {
    row.delete(db).await.map(drop)
}

on_both! {
    async fn a_row_and_its_event_commit_together(backend: Backend) {
        let app = Pair::create(backend).await.a;
        tally::new(1).insert(&app.db).await.expect("a save on the pool");
        assert_eq!(counts(&app).await, (1, 1));

        let txn = app.db.begin().await.expect("a transaction");
        tally::new(2).insert(&txn).await.expect("a save in it");
        tally::new(3).insert(&txn).await.expect("another");
        txn.commit().await.expect("a commit");
        assert_eq!(counts(&app).await, (3, 3));
    }

    async fn a_rolled_back_save_leaves_nothing(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        tally::new(1).insert(&txn).await.expect("a save");
        insert_generically(tally::new(2), &txn).await.expect("a save by generic code");
        txn.rollback().await.expect("a rollback");
        assert_eq!(counts(&app).await, (0, 0));
    }

    async fn a_save_that_could_not_be_atomic_is_refused_before_it_writes(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = tally::new(1).insert(&app.db).await.expect("a save");
        let refused = insert_generically(tally::new(2), &app.db).await.expect_err("no transaction");
        let text = refused.to_string();
        assert!(text.contains("a `tally` must be saved within a transaction"), "{text}");
        assert!(text.contains("C: ConnectionTrait + TransactionTrait"), "{text}");
        delete_generically(kept.into_active_model(), &app.db).await.expect_err("no transaction");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_row_that_cannot_be_read_back_is_not_changed(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = samples::specimen().into_active_model().reset_all().insert(&app.db).await.expect("a save");
        app.sql("UPDATE specimens SET mood = 'neither'").await;
        let change = || specimen::ActiveModel { id: Unchanged(row.id), text: Set("changed".to_owned()), ..Default::default() };

        let txn = app.db.begin().await.expect("a transaction");
        change().update(&txn).await.expect_err("a mood that the entity does not know");
        // A transaction that failed may fail to commit: what counts is what it leaves.
        let _ = txn.commit().await;
        assert_eq!(app.texts("SELECT text FROM specimens").await, [row.text]);
        assert_eq!(app.recorded().await.len(), 1);
    }

    async fn an_update_of_no_row_leaves_its_transaction_as_it_was(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let txn = app.db.begin().await.expect("a transaction");
        let nobody = tally::ActiveModel { id: Unchanged(Uuid::now_v7()), value: Set(1), ..Default::default() };
        assert_eq!(nobody.update(&txn).await, Err(DbErr::RecordNotUpdated));
        tally::new(2).insert(&txn).await.expect("a save");
        txn.commit().await.expect("a commit");
        assert_eq!(counts(&app).await, (1, 1));
    }

    async fn a_row_whose_event_cannot_be_recorded_is_not_saved(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let kept = tally::new(1).insert(&app.db).await.expect("a save");
        app.sql("ALTER TABLE outbox_events RENAME TO outbox_elsewhere").await;
        tally::new(2).insert(&app.db).await.expect_err("no outbox");
        kept.clone().delete(&app.db).await.expect_err("no outbox");

        let txn = app.db.begin().await.expect("a transaction");
        tally::new(3).insert(&txn).await.expect_err("no outbox");
        // A commit of a transaction that failed may fail itself: what counts is what it leaves.
        let _ = txn.commit().await;
        let txn = app.db.begin().await.expect("a transaction");
        insert_generically(tally::new(4), &txn).await.expect_err("no outbox");
        let _ = txn.commit().await;

        app.sql("ALTER TABLE outbox_elsewhere RENAME TO outbox_events").await;
        assert_eq!(counts(&app).await, (1, 1));
        assert_eq!(tally::Entity::find().one(&app.db).await.expect("a row"), Some(kept));
    }

    async fn a_hook_that_ignores_that_its_event_was_not_recorded_keeps_no_row(backend: Backend) {
        let app = Pair::create(backend).await.a;
        app.sql("ALTER TABLE outbox_events RENAME TO outbox_elsewhere").await;
        let _ = guarded(guarded::CARELESS).insert(&app.db).await;
        app.sql("ALTER TABLE outbox_elsewhere RENAME TO outbox_events").await;
        assert_eq!(guarded::Entity::find().all(&app.db).await.expect("rows"), []);
    }

    async fn a_value_without_a_form_in_json_is_not_saved(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let no_number = || specimen::ActiveModel { double: Set(f64::NAN), ..samples::specimen().into() };
        no_number().insert(&app.db).await.expect_err("NaN is no JSON");
        let txn = app.db.begin().await.expect("a transaction");
        no_number().insert(&txn).await.expect_err("NaN is no JSON");
        let _ = txn.commit().await;
        assert_eq!(specimen::Entity::find().count(&app.db).await.expect("a count"), 0);
        assert_eq!(app.recorded().await.len(), 0);
    }

    async fn a_key_that_the_other_side_could_not_keep_is_refused(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let label = |bytes| label::ActiveModel { code: Set("x".repeat(bytes)), caption: Set(String::new()), ..Default::default() };
        label(512).insert(&app.db).await.expect("the longest key");
        let refused = label(513).insert(&app.db).await.expect_err("a longer key").to_string();
        assert!(refused.contains("`resource_id` is longer"), "{refused}");
        let found = label::Entity::find().count(&app.db).await.expect("a count");
        assert_eq!((found, app.recorded().await.len()), (1, 1));
    }
}
