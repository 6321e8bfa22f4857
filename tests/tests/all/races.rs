//! What is pruned is looked at once more when its turn comes. On SQLite nobody writes beside another one.

use chrono::{TimeDelta, Utc};
use jsb_runtime::operate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Backend, Pair};
use sea_orm::{ConnectionTrait, TransactionTrait};

/// Does both on what `table` holds: `prune` has chosen its rows by the time that `change` changes them.
async fn one_behind_the_other<A, B>(
    app: &App,
    table: &str,
    change: impl Future<Output = A>,
    prune: impl Future<Output = B>,
) -> (A, B) {
    let knock = "CREATE FUNCTION knock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$";
    app.sql(knock).await;
    app.sql(&format!("CREATE TRIGGER knock BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION knock()")).await;
    let held_up = app.db.begin().await.expect("a transaction");
    held_up.execute_unprepared("SELECT pg_advisory_xact_lock(1)").await.expect("a lock");
    let prune = async {
        app.until_somebody_waits("query LIKE 'UPDATE%'").await;
        prune.await
    };
    let let_go = async {
        app.until_somebody_waits("query LIKE 'DELETE%'").await;
        held_up.rollback().await.expect("an end");
    };
    let (changed, pruned, ()) = tokio::join!(change, prune, let_go);
    (changed, pruned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_retried_while_the_inbox_is_pruned_stays() {
    let mut pair = Pair::start(Backend::Postgres).await;
    let event = probe::send(&pair.a.db, "refuse", Orders::default()).await;
    pair.b.event_is(&event.event_id, "dead").await;
    pair.b.stop().await;
    let event_ids = [event.event_id];
    let retry = operate::inbox::retry(&pair.b.db, &pair.a.config.app_name, &event_ids);
    let prune = operate::inbox::prune(&pair.b.db, Utc::now(), |_| {});
    let (retried, pruned) = one_behind_the_other(&pair.b, "inbox_events", retry, prune).await;
    assert_eq!((retried.expect("a retry").changed, pruned), (1, Ok(0)));
    assert_eq!(pair.b.count("inbox_events", "parked").await, 1);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_republished_while_the_outbox_is_pruned_stays() {
    let app = Pair::create(Backend::Postgres).await.a;
    probe::send(&app.db, "record", Orders::default()).await;
    app.sql("UPDATE outbox_events SET status = 'sent', sent_at = created_at").await;
    let republish = operate::republish(&app.db, Utc::now() - TimeDelta::hours(1), None, |_| {});
    let prune = operate::outbox::prune(&app.db, Utc::now(), |_| {});
    let (republished, pruned) = one_behind_the_other(&app, "outbox_events", republish, prune).await;
    assert_eq!((republished.expect("pending events"), pruned), (1, Ok(0)));
    assert_eq!(app.count("outbox_events", "pending").await, 1);
}
