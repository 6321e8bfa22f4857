//! Edits of one row on both sides, by clocks that differ.

use chrono::TimeDelta;
use futures_util::future::join_all;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::tally;
use jsb_tests::{Backend, Pair};
use sea_orm::ActiveValue::Set;

use super::{becomes, set};

/// A pair that does not run, with one row on both sides whose version is ahead of both clocks: the next save on either
/// side draws the same version.
async fn ahead_of_clocks(backend: Backend) -> (Pair, tally::Model) {
    let mut pair = Pair::start(backend).await;
    let row = skewed(TimeDelta::days(1), tally::new(0).insert(&pair.a.db)).await.expect("a save");
    assert_eq!(pair.agree::<tally::Entity>().await, std::slice::from_ref(&row));
    pair.a.stop().await;
    pair.b.stop().await;
    (pair, row)
}

on_both! {
    async fn both_sides_edit_one_row_at_once(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        becomes(row.id, 0, &pair.b).await;
        for round in 1..=10 {
            tokio::join!(set(row.id, round, &pair.a.db), set(row.id, -round, &pair.b.db));
        }
        let rows = pair.agree::<tally::Entity>().await;
        assert_eq!((rows.len(), rows[0].value.abs()), (1, 10));
        pair.stop().await;
    }

    async fn of_two_updates_of_one_version_that_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let (a, b) = (set(row.id, 1, &pair.a.db).await, set(row.id, 2, &pair.b.db).await);
        assert_eq!(a.updated_at, b.updated_at);
        pair.start_both().await;
        assert_eq!(pair.agree::<tally::Entity>().await, [b]);
        pair.stop().await;
    }

    async fn of_an_update_and_a_delete_of_one_version_the_delete_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let updated = set(row.id, 1, &pair.a.db).await;
        row.delete(&pair.b.db).await.expect("a delete");
        assert_eq!(pair.b.recorded().await[0]["payload"]["updated_at"], pair.a.recorded().await[1]["payload"]["updated_at"]);
        pair.start_both().await;
        assert_eq!((pair.agree::<tally::Entity>().await, updated.value), (vec![], 1));
        pair.stop().await;
    }

    async fn of_a_delete_and_an_update_of_one_version_the_update_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let updated = set(row.id, 1, &pair.b.db).await;
        row.delete(&pair.a.db).await.expect("a delete");
        assert_eq!(pair.b.recorded().await[0]["payload"]["updated_at"], pair.a.recorded().await[1]["payload"]["updated_at"]);
        pair.start_both().await;
        assert_eq!(pair.agree::<tally::Entity>().await, [updated]);
        pair.stop().await;
    }

    async fn an_edit_wins_over_what_it_has_seen_however_far_apart_the_clocks_are(backend: Backend) {
        let two_hours = 2 * 3_600;
        for seconds in [5, -5, two_hours, -two_hours] {
            let offset = TimeDelta::seconds(seconds);
            let mut pair = Pair::create(backend).await;
            pair.a.start().await;
            skewed(offset, pair.b.start()).await;
            let row = tally::new(0).insert(&pair.a.db).await.expect("a save on A");
            becomes(row.id, 0, &pair.b).await;
            skewed(offset, set(row.id, 1, &pair.b.db)).await;
            becomes(row.id, 1, &pair.a).await;
            set(row.id, 2, &pair.a.db).await;
            becomes(row.id, 2, &pair.b).await;
            // And those that have not seen each other end equal.
            tokio::join!(set(row.id, 3, &pair.a.db), skewed(offset, set(row.id, 4, &pair.b.db)));
            let rows = pair.agree::<tally::Entity>().await;
            assert!(matches!(rows.as_slice(), [row] if [3, 4].contains(&row.value)), "{rows:?}");
            skewed(offset, rows[0].clone().delete(&pair.b.db)).await.expect("a delete");
            assert_eq!(pair.agree::<tally::Entity>().await, []);
            let again = tally::ActiveModel { id: Set(row.id), value: Set(5), ..Default::default() };
            let again = again.insert(&pair.a.db).await.expect("an insert of the deleted key");
            assert_eq!(pair.agree::<tally::Entity>().await, [again]);
            pair.stop().await;
        }
    }

    async fn a_save_by_a_process_whose_clock_is_ahead_of_the_relay_s_goes_out_at_once(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = skewed(TimeDelta::hours(2), tally::new(7).insert(&pair.a.db)).await.expect("a save");
        becomes(row.id, 7, &pair.b).await;
        pair.stop().await;
    }

    async fn sixteen_writers_on_one_row_draw_versions_in_commit_order(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        let writers = (1..=16).map(|writer| {
            let (id, db) = (row.id, pair.a.db.clone());
            tokio::spawn(async move {
                for round in 0..4 {
                    set(id, writer * 10 + round, &db).await;
                }
            })
        });
        join_all(writers).await.into_iter().for_each(|writer| writer.expect("a writer"));
        let recorded = pair.a.recorded().await;
        assert_eq!(recorded.len(), 1 + 64);
        let versions: Vec<_> = recorded.iter().map(|event| event["payload"]["updated_at"].as_str()).collect();
        assert!(versions.is_sorted_by(|one, next| one < next), "{versions:?}");
        let rows = pair.agree::<tally::Entity>().await;
        assert_eq!(rows[0].value, recorded[64]["payload"]["value"]);
        pair.stop().await;
    }
}
