//! Rows that were deleted, and that come back or do not.

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::Pair;
use jsb_tests::entities::tally;
use sea_orm::ActiveValue::Set;
use sea_orm::IntoActiveModel;
use uuid::Uuid;

use super::{event, find, set};

on_both! {
    async fn an_update_that_is_later_than_the_other_side_s_delete_brings_the_row_back(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        pair.agree::<tally::Entity>().await;
        pair.a.stop().await;
        pair.b.stop().await;
        row.clone().delete(&pair.a.db).await.expect("a delete on A");
        let later = skewed(TimeDelta::seconds(1), set(row.id, 1, &pair.b.db)).await;
        pair.start_both().await;
        assert_eq!(pair.agree::<tally::Entity>().await, std::slice::from_ref(&later));
        // It can be edited and deleted again like any other.
        set(row.id, 2, &pair.a.db).await;
        assert_eq!(pair.agree::<tally::Entity>().await[0].value, 2);
        find(row.id, &pair.b).await.expect("the row").delete(&pair.b.db).await.expect("a delete on B");
        assert_eq!(pair.agree::<tally::Entity>().await, []);
        pair.stop().await;
    }

    async fn a_key_that_was_deleted_by_a_clock_ahead_can_be_imported_and_edited(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        pair.agree::<tally::Entity>().await;
        skewed(TimeDelta::hours(2), row.clone().delete(&pair.b.db)).await.expect("a delete on B");
        assert_eq!(pair.agree::<tally::Entity>().await, []);
        let again = tally::ActiveModel { id: Set(row.id), value: Set(1), ..Default::default() };
        jsb_runtime::skip_publish(again.insert(&pair.a.db)).await.expect("an import");
        let edited = set(row.id, 2, &pair.a.db).await;
        assert_eq!(pair.agree::<tally::Entity>().await, std::slice::from_ref(&edited));

        // The same with the row as somebody has kept it, its version included.
        skewed(TimeDelta::hours(2), edited.clone().delete(&pair.b.db)).await.expect("a delete on B");
        assert_eq!(pair.agree::<tally::Entity>().await, []);
        jsb_runtime::skip_publish(edited.into_active_model().insert(&pair.a.db)).await.expect("an import");
        let edited = set(row.id, 3, &pair.a.db).await;
        assert_eq!(pair.agree::<tally::Entity>().await, [edited]);
        pair.stop().await;
    }

    async fn a_key_that_was_deleted_quietly_is_written_above_what_the_other_side_has(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = skewed(TimeDelta::hours(2), tally::new(0).insert(&pair.a.db)).await.expect("a save");
        assert_eq!(pair.agree::<tally::Entity>().await, std::slice::from_ref(&row));
        jsb_runtime::skip_publish(row.clone().delete(&pair.b.db)).await.expect("a delete on B");
        let again = tally::ActiveModel { id: Set(row.id), value: Set(1), ..Default::default() };
        let again = again.insert(&pair.b.db).await.expect("an insert of the deleted key");
        assert_eq!(pair.agree::<tally::Entity>().await, [again]);
        pair.stop().await;
    }

    async fn a_row_that_was_deleted_quietly_comes_back_by_newer_events_alone(backend: Backend) {
        let (pair, remote) = Pair::receiving(backend).await;
        let id = Uuid::now_v7();
        remote.publish(&event(id, "created", 2, 2)).await;
        pair.b.has_settled(1).await;
        let row = find(id, &pair.b).await.expect("the row");
        jsb_runtime::skip_publish(row.delete(&pair.b.db)).await.expect("a delete on B");
        remote.publish(&event(id, "updated", 1, 1)).await;
        pair.b.has_settled(2).await;
        assert_eq!(find(id, &pair.b).await, None);
        remote.publish(&event(id, "updated", 3, 3)).await;
        pair.b.has_settled(3).await;
        assert_eq!(find(id, &pair.b).await.expect("the row").value, 3);
        pair.stop().await;
    }

    async fn an_update_that_is_earlier_than_the_other_side_s_delete_is_lost_with_the_row(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        pair.agree::<tally::Entity>().await;
        pair.a.stop().await;
        pair.b.stop().await;
        set(row.id, 1, &pair.b.db).await;
        skewed(TimeDelta::seconds(1), row.delete(&pair.a.db)).await.expect("a delete on A");
        pair.start_both().await;
        assert_eq!(pair.agree::<tally::Entity>().await, []);
        pair.stop().await;
    }
}
