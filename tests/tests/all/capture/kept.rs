//! What stays here, and is published by nobody.

use jsb_tests::Pair;
use jsb_tests::entities::{keepsake, label, tally};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, TransactionTrait};
use uuid::Uuid;

use super::{counts, insert_generically, seen, types, visitor};

on_both! {
    async fn skip_publish_keeps_the_version_of_rows_and_tombstones(backend: Backend) {
        let app = Pair::create(backend).await.a;
        let row = tally::new(1).insert(&app.db).await.expect("a save");
        let quietly = async {
            let mut change = row.clone().into_active_model();
            change.value = Set(2);
            change.updated_at = Set(row.updated_at + chrono::TimeDelta::seconds(1));
            let changed = change.update(&app.db).await.expect("an update");
            assert_eq!((changed.value, changed.updated_at), (2, row.updated_at));
            changed.delete(&app.db).await.expect("a delete");
            tally::new(3).insert(&app.db).await.expect("an insert").delete(&app.db).await.expect("a delete");
            // The tombstone is to commit with the row, and the key's lock to be held until then.
            let refused = insert_generically(tally::new(4), &app.db).await.expect_err("a bare pool").to_string();
            assert!(refused.contains("within a transaction"), "{refused}");
        };
        jsb_runtime::skip_publish(quietly).await;
        assert_eq!(counts(&app).await, (0, 1));
        let select = format!("SELECT version FROM sync_tombstones WHERE resource_id = '{}'", row.id);
        let found = app.db.query_one_raw(sea_orm::Statement::from_string(app.db.get_database_backend(), select)).await;
        let tombstone = found.expect("a read").expect("the tombstone");
        assert_eq!(tombstone.try_get::<chrono::DateTime<chrono::Utc>>("", "version").expect("a version"), row.updated_at);
    }

    async fn a_delete_that_each_side_does_for_itself_is_not_published(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        let row = keepsake::ActiveModel { id: Set(Uuid::now_v7()), name: Set("ring".to_owned()), ..Default::default() };
        let row = row.insert(&pair.a.db).await.expect("a save");
        row.clone().delete(&pair.a.db).await.expect("a delete");
        assert_eq!(types(&pair.a).await, ["created"]);
        pair.start_both().await;
        pair.quiet().await;
        let (a, b) = pair.rows::<keepsake::Entity>().await;
        assert_eq!((a, b), (vec![], vec![row.clone()]));

        // A row that is made anew is newer than what the other side has by a clock that is ahead.
        let ahead = (chrono::Utc::now() + chrono::TimeDelta::hours(2)).format("%Y-%m-%d %H:%M:%S%.6f+00:00");
        pair.b.sql(&format!("UPDATE keepsakes SET updated_at = '{ahead}'")).await;
        let renamed = keepsake::ActiveModel { id: Unchanged(row.id), name: Set("old ring".to_owned()), ..Default::default() };
        renamed.update(&pair.b.db).await.expect("an update");
        pair.quiet().await;
        let found = keepsake::Entity::find().one(&pair.a.db).await.expect("a read").expect("the row is back");
        found.delete(&pair.a.db).await.expect("a delete");
        let anew = keepsake::ActiveModel { id: Set(row.id), name: Set("new ring".to_owned()), ..Default::default() };
        anew.insert(&pair.a.db).await.expect("a save");
        assert_eq!(pair.agree::<keepsake::Entity>().await[0].name, "new ring");
        pair.stop().await;
    }

    async fn a_skipped_column_stays_here(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = label::ActiveModel {
            code: Set("x".to_owned()),
            caption: Set("X".to_owned()),
            drawer: Set(Some("left".to_owned())),
            ..Default::default()
        };
        let row = row.insert(&pair.a.db).await.expect("a save");
        assert_eq!(pair.a.recorded().await[0]["payload"].as_object().expect("an object").len(), 3);
        pair.quiet().await;
        let (_, mut b) = pair.rows::<label::Entity>().await;
        let there = b.remove(0);
        assert_eq!(there, label::Model { drawer: None, ..row.clone() });
        let mut change = there.into_active_model();
        change.drawer = Set(Some("right".to_owned()));
        change.caption = Set("Y".to_owned());
        change.update(&pair.b.db).await.expect("an update");
        pair.quiet().await;
        let (a, b) = pair.rows::<label::Entity>().await;
        assert_eq!((a[0].caption.as_str(), a[0].drawer.as_deref()), ("Y", Some("left")));
        assert_eq!((b[0].caption.as_str(), b[0].drawer.as_deref()), ("Y", Some("right")));
        pair.stop().await;
    }

    async fn a_save_of_what_stays_here_undoes_no_edit_of_the_other_side(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let row = visitor("Ada").insert(&pair.a.db).await.expect("a save");
        pair.quiet().await;
        pair.a.stop().await;
        pair.b.stop().await;
        let renamed = visitor::ActiveModel { id: Unchanged(row.id), name: Set("Bob".to_owned()), ..Default::default() };
        renamed.update(&pair.b.db).await.expect("an edit on B");

        let saved = seen(row.id, 1_999).update(&pair.a.db).await.expect("an update");
        assert_eq!(saved, visitor::Model { seen_at: chrono::DateTime::from_timestamp_micros(1), ..row.clone() });
        let result = seen(row.id, 2_999).update_without_returning(&pair.a.db).await.expect("one that returns nothing");
        assert_eq!(result.rows_affected, 1);
        seen(row.id, 3_999).save(&pair.a.db).await.expect("a save of what is there");
        let txn = pair.a.db.begin().await.expect("a transaction");
        let saved = seen(row.id, 4_999).update(&txn).await.expect("an update in it");
        txn.commit().await.expect("a commit");
        assert_eq!(saved, visitor::Model { seen_at: chrono::DateTime::from_timestamp_micros(4), ..row });
        assert_eq!(seen(Uuid::now_v7(), 0).update(&pair.a.db).await, Err(DbErr::RecordNotUpdated));
        assert_eq!(types(&pair.a).await, ["created"]);

        pair.start_both().await;
        pair.quiet().await;
        let (a, b) = pair.rows::<visitor::Entity>().await;
        assert_eq!((a[0].name.as_str(), a[0].seen_at), ("Bob", saved.seen_at));
        assert_eq!((b[0].name.as_str(), b[0].seen_at), ("Bob", None));
        pair.stop().await;
    }
}
