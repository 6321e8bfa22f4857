//! P4, convergence: whatever happens at once, in whatever order it arrives and whatever the clocks say, both sides end equal.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use futures_util::future::join_all;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, Pair, Remote, eventually, until};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use sea_orm::ActiveValue::{Set, Unchanged};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait, IntoActiveModel, TransactionTrait,
};
use serde_json::Value as Json;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The seed of the keys' locks.
const KEY_LOCKS: i64 = 0x004a_5342;

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

/// Waits until the pair is quiet, finds both sides equal and gives back what they hold.
async fn agreed(pair: &Pair) -> Vec<tally::Model> {
    pair.quiet().await;
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!(a, b);
    a
}

/// A pair that does not run, with one row on both sides whose version is ahead of both clocks: the next save on either
/// side draws the same version.
async fn ahead_of_clocks(backend: Backend) -> (Pair, tally::Model) {
    let mut pair = Pair::start(backend).await;
    let row = skewed(TimeDelta::days(1), tally::new(0).insert(&pair.a.db)).await.expect("a save");
    assert_eq!(agreed(&pair).await, std::slice::from_ref(&row));
    pair.a.stop().await;
    pair.b.stop().await;
    (pair, row)
}

/// Waits until a save on this PostgreSQL database waits for a lock of such a kind.
async fn waits<T>(save: &JoinHandle<T>, lock: &str, app: &App) {
    let waiting = format!(
        "SELECT query FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = '{lock}'"
    );
    until("the save waits for a lock", async || {
        assert!(!save.is_finished(), "it waits for nobody");
        !app.texts(&waiting).await.is_empty()
    })
    .await;
}

/// Starts a save of this tally while a transaction has its key, as one does that writes the row, and waits until it waits.
async fn held_up<T, F>(
    id: Uuid,
    app: &App,
    save: impl FnOnce(DatabaseConnection) -> F,
) -> (DatabaseTransaction, JoinHandle<T>)
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let txn = app.db.begin().await.expect("a transaction");
    let lock = format!("SELECT pg_advisory_xact_lock(hashtextextended('tally/{id}', {KEY_LOCKS}))");
    txn.execute_unprepared(&lock).await.expect("the key's lock");
    let save = tokio::spawn(save(app.db.clone()));
    waits(&save, "advisory", app).await;
    (txn, save)
}

/// On SQLite nobody writes beside another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_waited_while_its_row_was_made_anew_is_above_the_new_one() {
    let mut pair = Pair::start(Backend::Postgres).await;
    let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
    agreed(&pair).await;
    let txn = pair.a.db.begin().await.expect("a transaction");
    row.clone().delete(&txn).await.expect("a delete");
    let db = pair.a.db.clone();
    let update = tokio::spawn(async move { set(row.id, 2, &db).await });
    waits(&update, "transactionid", &pair.a).await;
    let anew = tally::ActiveModel { id: Set(row.id), value: Set(1), ..Default::default() };
    let anew = skewed(TimeDelta::hours(1), anew.insert(&txn)).await.expect("a save by a clock that is ahead");
    txn.commit().await.expect("a commit");
    let updated = update.await.expect("an update");
    assert!(updated.updated_at > anew.updated_at, "{updated:?} replaced {anew:?}");
    assert_eq!(agreed(&pair).await, [updated]);
    pair.a.stop().await;
    pair.b.stop().await;
}

/// A bridge was started, so that it is one statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_waits_for_its_key() {
    let pair = Pair::start(Backend::Postgres).await;
    let id = Uuid::now_v7();
    let row = tally::ActiveModel { id: Set(id), ..tally::new(1) };
    let (txn, insert) = held_up(id, &pair.a, |db| async move { row.insert(&db).await }).await;
    txn.rollback().await.expect("the key is let go");
    let saved = insert.await.expect("a task").expect("a save");
    assert_eq!(agreed(&pair).await, [saved]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_in_a_transaction_waits_for_its_key() {
    let pair = Pair::start(Backend::Postgres).await;
    let id = Uuid::now_v7();
    let row = tally::ActiveModel { id: Set(id), ..tally::new(1) };
    let in_a_transaction = |db: DatabaseConnection| async move {
        let txn = db.begin().await?;
        let saved = row.insert(&txn).await?;
        txn.commit().await?;
        Ok::<_, DbErr>(saved)
    };
    let (txn, insert) = held_up(id, &pair.a, in_a_transaction).await;
    txn.rollback().await.expect("the key is let go");
    let saved = insert.await.expect("a task").expect("a save");
    assert_eq!(agreed(&pair).await, [saved]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_of_a_missing_row_waits_for_its_key_and_is_above_what_was_made_meanwhile() {
    let pair = Pair::start(Backend::Postgres).await;
    let id = Uuid::now_v7();
    let (txn, update) = held_up(id, &pair.a, |db| async move { set(id, 2, &db).await }).await;
    let made = tally::ActiveModel { id: Set(id), ..tally::new(1) };
    let made = skewed(TimeDelta::hours(1), made.insert(&txn)).await.expect("a save by a clock that is ahead");
    txn.commit().await.expect("a commit");
    let updated = update.await.expect("an update");
    assert!(updated.updated_at > made.updated_at, "{updated:?} replaced {made:?}");
    assert_eq!(agreed(&pair).await, [updated]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_waits_for_its_key() {
    let pair = Pair::start(Backend::Postgres).await;
    let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
    agreed(&pair).await;
    let (txn, delete) = held_up(row.id, &pair.a, |db| async move { row.delete(&db).await }).await;
    txn.rollback().await.expect("the key is let go");
    delete.await.expect("a task").expect("a delete");
    assert_eq!(agreed(&pair).await, []);
    pair.stop().await;
}

/// An event of the other side on a tally, with a version of so many microseconds.
fn event(id: Uuid, event_type: &str, value: i64, micros: i64) -> Json {
    let version = DateTime::<Utc>::from_timestamp_micros(1_700_000_000_000_000 + micros).expect("a time");
    let version = version.to_rfc3339_opts(SecondsFormat::Micros, true);
    let mut event = Remote::event("tally", event_type, id, tally::payload(id, value, &version));
    event["occurred_at"] = version.into();
    event
}

on_both! {
    async fn both_sides_edit_one_row_at_once(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        becomes(row.id, 0, &pair.b).await;
        for round in 1..=10 {
            tokio::join!(set(row.id, round, &pair.a.db), set(row.id, -round, &pair.b.db));
        }
        let rows = agreed(&pair).await;
        assert_eq!((rows.len(), rows[0].value.abs()), (1, 10));
        pair.stop().await;
    }

    async fn of_two_updates_of_one_version_that_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let (a, b) = (set(row.id, 1, &pair.a.db).await, set(row.id, 2, &pair.b.db).await);
        assert_eq!(a.updated_at, b.updated_at);
        pair.start_both().await;
        assert_eq!(agreed(&pair).await, [b]);
        pair.stop().await;
    }

    async fn of_an_update_and_a_delete_of_one_version_the_delete_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let updated = set(row.id, 1, &pair.a.db).await;
        row.delete(&pair.b.db).await.expect("a delete");
        assert_eq!(pair.b.recorded().await[0]["payload"]["updated_at"], pair.a.recorded().await[1]["payload"]["updated_at"]);
        pair.start_both().await;
        assert_eq!((agreed(&pair).await, updated.value), (vec![], 1));
        pair.stop().await;
    }

    async fn of_a_delete_and_an_update_of_one_version_the_update_of_the_later_name_wins(backend: Backend) {
        let (mut pair, row) = ahead_of_clocks(backend).await;
        let updated = set(row.id, 1, &pair.b.db).await;
        row.delete(&pair.a.db).await.expect("a delete");
        assert_eq!(pair.b.recorded().await[0]["payload"]["updated_at"], pair.a.recorded().await[1]["payload"]["updated_at"]);
        pair.start_both().await;
        assert_eq!(agreed(&pair).await, [updated]);
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
            let rows = agreed(&pair).await;
            assert!(matches!(rows.as_slice(), [row] if [3, 4].contains(&row.value)), "{rows:?}");
            skewed(offset, rows[0].clone().delete(&pair.b.db)).await.expect("a delete");
            assert_eq!(agreed(&pair).await, []);
            let again = tally::ActiveModel { id: Set(row.id), value: Set(5), ..Default::default() };
            let again = again.insert(&pair.a.db).await.expect("an insert of the deleted key");
            assert_eq!(agreed(&pair).await, [again]);
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
        let rows = agreed(&pair).await;
        assert_eq!(rows[0].value, recorded[64]["payload"]["value"]);
        pair.stop().await;
    }

    async fn a_delete_and_an_older_update_of_one_key_by_two_consumers_at_once(backend: Backend) {
        let mut pair = Pair::configured(backend, |mut config| {
            config.batch_size = 1;
            config
        })
        .await;
        pair.b.start().await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        // Half of the keys have no row: "one statement" would not protect those.
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(60).collect();
        let created: Vec<_> = ids.iter().step_by(2).map(|id| event(*id, "created", 1, 1)).collect();
        remote.publish_all(&created).await;
        pair.b.has_settled(30).await;
        let at_once: Vec<_> = ids.iter().flat_map(|id| [event(*id, "updated", 2, 2), event(*id, "deleted", 2, 3)]).collect();
        remote.publish_all(&at_once).await;
        pair.b.has_settled(150).await;
        assert_eq!(pair.rows::<tally::Entity>().await.1, []);
        assert_eq!(pair.b.texts("SELECT resource_id FROM sync_tombstones").await.len(), 60);
        pair.stop().await;
    }

    async fn an_older_event_after_a_newer_one_changes_nothing(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
        let [lived, died] = [Uuid::now_v7(), Uuid::now_v7()];
        remote.publish(&event(lived, "updated", 2, 2)).await;
        remote.publish(&event(lived, "created", 1, 1)).await;
        remote.publish(&event(lived, "deleted", 0, 0)).await;
        remote.publish(&event(died, "deleted", 2, 2)).await;
        remote.publish(&event(died, "updated", 1, 1)).await;
        pair.b.has_settled(5).await;
        let (_, rows) = pair.rows::<tally::Entity>().await;
        assert_eq!(rows.iter().map(|row| (row.id, row.value)).collect::<Vec<_>>(), [(lived, 2)]);
        pair.stop().await;
    }

    async fn ten_thousand_events_shuffled_and_duplicated_end_as_the_newest_say(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        pair.b.start().await;
        let mut random = StdRng::seed_from_u64(42);
        let ids: Vec<_> = std::iter::repeat_with(Uuid::now_v7).take(400).collect();
        let mut events = Vec::new();
        let mut newest = BTreeMap::new();
        for version in 1..=20 {
            for id in &ids {
                let gone = version > 1 && random.random_ratio(1, 4);
                events.push(event(*id, if gone { "deleted" } else { "updated" }, version, version));
                newest.insert(*id, (!gone).then_some(version));
            }
        }
        for _ in 0..2_000 {
            events.push(events[random.random_range(0..8_000)].clone());
        }
        events.shuffle(&mut random);
        assert_eq!(events.len(), 10_000);
        Remote::of(&pair.b).await.publish_all(&events).await;
        // In steps, each with a deadline of its own: a slow machine is not a stuck one.
        for settled in [2_000, 4_000, 6_000, 8_000] {
            pair.b.has_settled(settled).await;
        }
        let (_, rows) = pair.rows::<tally::Entity>().await;
        let found: BTreeMap<_, _> = rows.iter().map(|row| (row.id, row.value)).collect();
        let expected: BTreeMap<_, _> = newest.into_iter().filter_map(|(id, value)| Some((id, value?))).collect();
        assert_eq!(found, expected);
        assert_eq!(pair.b.recorded().await.len(), 0);
        pair.stop().await;
    }

    async fn an_update_that_is_later_than_the_other_side_s_delete_brings_the_row_back(backend: Backend) {
        let mut pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        agreed(&pair).await;
        pair.a.stop().await;
        pair.b.stop().await;
        row.clone().delete(&pair.a.db).await.expect("a delete on A");
        let later = skewed(TimeDelta::seconds(1), set(row.id, 1, &pair.b.db)).await;
        pair.start_both().await;
        assert_eq!(agreed(&pair).await, std::slice::from_ref(&later));
        // It can be edited and deleted again like any other.
        set(row.id, 2, &pair.a.db).await;
        assert_eq!(agreed(&pair).await[0].value, 2);
        find(row.id, &pair.b).await.expect("the row").delete(&pair.b.db).await.expect("a delete on B");
        assert_eq!(agreed(&pair).await, []);
        pair.stop().await;
    }

    async fn a_key_that_was_deleted_by_a_clock_ahead_can_be_imported_and_edited(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = tally::new(0).insert(&pair.a.db).await.expect("a save");
        agreed(&pair).await;
        skewed(TimeDelta::hours(2), row.clone().delete(&pair.b.db)).await.expect("a delete on B");
        assert_eq!(agreed(&pair).await, []);
        let again = tally::ActiveModel { id: Set(row.id), value: Set(1), ..Default::default() };
        jsb_runtime::skip_publish(again.insert(&pair.a.db)).await.expect("an import");
        let edited = set(row.id, 2, &pair.a.db).await;
        assert_eq!(agreed(&pair).await, std::slice::from_ref(&edited));

        // The same with the row as somebody has kept it, its version included.
        skewed(TimeDelta::hours(2), edited.clone().delete(&pair.b.db)).await.expect("a delete on B");
        assert_eq!(agreed(&pair).await, []);
        jsb_runtime::skip_publish(edited.into_active_model().insert(&pair.a.db)).await.expect("an import");
        let edited = set(row.id, 3, &pair.a.db).await;
        assert_eq!(agreed(&pair).await, [edited]);
        pair.stop().await;
    }

    async fn a_key_that_was_deleted_quietly_is_written_above_what_the_other_side_has(backend: Backend) {
        let pair = Pair::start(backend).await;
        let row = skewed(TimeDelta::hours(2), tally::new(0).insert(&pair.a.db)).await.expect("a save");
        assert_eq!(agreed(&pair).await, std::slice::from_ref(&row));
        jsb_runtime::skip_publish(row.clone().delete(&pair.b.db)).await.expect("a delete on B");
        let again = tally::ActiveModel { id: Set(row.id), value: Set(1), ..Default::default() };
        let again = again.insert(&pair.b.db).await.expect("an insert of the deleted key");
        assert_eq!(agreed(&pair).await, [again]);
        pair.stop().await;
    }

    async fn a_row_that_was_deleted_quietly_comes_back_by_newer_events_alone(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.b.start().await;
        let remote = Remote::of(&pair.b).await;
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
        agreed(&pair).await;
        pair.a.stop().await;
        pair.b.stop().await;
        set(row.id, 1, &pair.b.db).await;
        skewed(TimeDelta::seconds(1), row.delete(&pair.a.db)).await.expect("a delete on A");
        pair.start_both().await;
        assert_eq!(agreed(&pair).await, []);
        pair.stop().await;
    }
}
