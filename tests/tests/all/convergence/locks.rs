//! Saves that wait for one another, by their key or their row.

use chrono::TimeDelta;
use jsb_runtime::testing::skewed;
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, Pair, until};
use sea_orm::ActiveValue::Set;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::set;

/// The seed of the keys' locks.
const KEY_LOCKS: i64 = 0x004a_5342;

/// Waits until a save on this PostgreSQL database waits for a lock of such a kind.
async fn waits<T>(save: &JoinHandle<T>, lock: &str, app: &App) {
    until("the save waits for a lock", async || {
        assert!(!save.is_finished(), "it waits for nobody");
        app.somebody_waits(&format!("wait_event = '{lock}'")).await
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
    pair.agree::<tally::Entity>().await;
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
    assert_eq!(pair.agree::<tally::Entity>().await, [updated]);
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
    assert_eq!(pair.agree::<tally::Entity>().await, [saved]);
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
    assert_eq!(pair.agree::<tally::Entity>().await, [saved]);
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
    assert_eq!(pair.agree::<tally::Entity>().await, [updated]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_waits_for_its_key() {
    let pair = Pair::start(Backend::Postgres).await;
    let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
    pair.agree::<tally::Entity>().await;
    let (txn, delete) = held_up(row.id, &pair.a, |db| async move { row.delete(&db).await }).await;
    txn.rollback().await.expect("the key is let go");
    delete.await.expect("a task").expect("a delete");
    assert_eq!(pair.agree::<tally::Entity>().await, []);
    pair.stop().await;
}
