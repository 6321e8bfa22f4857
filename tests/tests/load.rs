//! Short runs of the load harness; `tests/README.md` says how to run it for longer.

use jsb_tests::entities::tally;
use jsb_tests::load::{Scenario, run};
use jsb_tests::{Backend, DEADLINE, Pair};
use sea_orm::ActiveValue::Set;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};
use tokio::sync::Mutex;
use uuid::Uuid;

/// One run at a time: each measures.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn holds(scenario: Scenario) {
    let _alone = ALONE.lock().await;
    let problems = run(scenario, env!("CARGO_BIN_EXE_load-actor").as_ref()).await.expect("two applications that work");
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steady_load_leaves_the_applications_their_pools() {
    holds(Scenario::Steady { events: 1_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_nats_drains_beside_new_saves() {
    holds(Scenario::Outage { pending: 1_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn updates_of_one_row_arrive_in_order() {
    holds(Scenario::HotRow { updates: 100 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transaction_arrives() {
    holds(Scenario::OneTransaction { rows: 1_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_the_pool_with_the_bridge() {
    holds(Scenario::Writers { writers: 64, saves: 4 }).await;
}

async fn save_many(txn: &DatabaseTransaction) -> Result<(), DbErr> {
    for _ in 0..1_000 {
        tally::ActiveModel { id: Set(Uuid::new_v4()), value: Set(0), ..Default::default() }.insert(txn).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_many_rows_do_not_wait_for_each_other() -> Result<(), DbErr> {
    let mut pair = Pair::create(Backend::Postgres).await;
    pair.a.start().await;
    let (one, other) = (pair.a.db.begin().await?, pair.a.db.begin().await?);
    save_many(&one).await?;
    let saved = tokio::time::timeout(DEADLINE / 3, save_many(&other)).await;
    saved.expect("a transaction that waits for none of the other's rows")?;
    other.commit().await?;
    one.commit().await?;
    pair.stop().await;
    Ok(())
}
