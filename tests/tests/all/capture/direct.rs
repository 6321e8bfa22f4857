//! Without an outbox events go out after the commit.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jsb_runtime::prelude::*;
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, Pair, Remote};
use sea_orm::{DatabaseConnection, TransactionTrait};
use serde_json::{Value as Json, json};

use super::{counts, sent};

/// Saves a tally that says which attempt this is, and then fails the first time.
#[handler(resource = "capture", event = "retried")]
async fn save_and_fail_once(_: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    tally::new(ctx.attempt().into()).insert(ctx.db()).await?;
    if ctx.attempt() == 1 { Err("not yet".into()) } else { Ok(()) }
}

/// The databases that handlers save to beside their own, by what their events are of.
static OTHERS: Mutex<BTreeMap<String, DatabaseConnection>> = Mutex::new(BTreeMap::new());

/// Saves a tally here, and one in a transaction on another database.
#[handler(resource = "capture", event = "shared")]
async fn save_here_and_elsewhere(event: &Event<Json>, ctx: &HandlerContext<'_>) -> HandlerResult {
    tally::new(1).insert(ctx.db()).await?;
    let others = OTHERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let txn = others[&event.resource_id].begin().await?;
    tally::new(2).insert(&txn).await.map_err(HandlerError::permanent)?;
    txn.commit().await?;
    Ok(())
}

/// Has a handler of `app` save here, and on the database of the other one.
async fn share(app: &App, other: &App) {
    let id = app.config.app_name.clone();
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), other.db.clone());
    let event = json!({"event_id": id, "event_type": "shared", "resource_type": "capture", "resource_id": id});
    Remote::of(app).await.publish(&event).await;
}

/// From now on no transaction commits in which the thirteenth tally was saved.
async fn refuse_the_thirteenth(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$; \
             CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tallies DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW WHEN (NEW.value = 13) EXECUTE FUNCTION refuse()"
        }
        Backend::Sqlite => {
            "CREATE TABLE creditors (id BIGINT PRIMARY KEY); \
             CREATE TABLE debts (id BIGINT REFERENCES creditors (id) DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER refuse AFTER INSERT ON tallies WHEN NEW.value = 13 \
             BEGIN INSERT INTO debts (id) VALUES (NEW.value); END"
        }
    };
    app.sql(sql).await;
}

on_both! {
    async fn without_an_outbox_events_go_out_after_the_commit(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_outbox(false)).await;
        pair.start_both().await;
        let row = tally::new(1).insert(&pair.a.db).await.expect("a save");
        pair.b.has_settled(1).await;
        let txn = pair.a.db.begin().await.expect("a transaction");
        let refused = tally::new(2).insert(&txn).await.expect_err("nobody tells when it commits").to_string();
        assert!(refused.contains("USE_OUTBOX is off"), "{refused}");
        let _ = txn.commit().await;
        assert_eq!(pair.agree_now::<tally::Entity>().await, std::slice::from_ref(&row));
        row.delete(&pair.b.db).await.expect("a delete");
        pair.a.has_settled(1).await;
        assert_eq!(counts(&pair.a).await, (0, 0));
        pair.a.stop().await;
        let refused = tally::new(3).insert(&pair.a.db).await.expect_err("no bridge").to_string();
        assert!(refused.contains("no bridge for this database runs"), "{refused}");
        assert_eq!(counts(&pair.a).await, (0, 0));
        pair.b.stop().await;
    }

    async fn without_an_outbox_what_is_rolled_back_does_not_go_out(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| config.use_outbox(false)).await;
        pair.start_both().await;
        refuse_the_thirteenth(&pair.a, backend).await;
        tally::new(13).insert(&pair.a.db).await.expect_err("a commit that is refused");
        tally::new(1).insert(&pair.a.db).await.expect("a save");
        assert_eq!(sent(&pair.a, 1).await, [1]);

        let event = json!({"event_id": "1", "event_type": "retried", "resource_type": "capture", "resource_id": "1"});
        Remote::of(&pair.b).await.publish(&event).await;
        assert_eq!(sent(&pair.b, 2).await, [2]);
        pair.stop().await;
    }

    async fn without_an_outbox_a_save_on_another_database_goes_its_own_way(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        pair.a.config = pair.a.config.clone().use_outbox(false);
        pair.start_both().await;
        share(&pair.a, &pair.b).await;
        pair.a.has_settled(1).await;
        assert_eq!(pair.b.recorded().await.len(), 1, "the other database has an outbox");
        assert_eq!(sent(&pair.a, 1).await, [1]);

        pair.b.has_settled(1).await;
        share(&pair.b, &pair.a).await;
        pair.b.has_settled(2).await;
        let errors = pair.b.texts("SELECT last_error FROM inbox_events WHERE status = 'dead'").await;
        assert!(errors.len() == 1 && errors[0].contains("nobody tells JSB"), "{errors:?}");
        assert_eq!(pair.b.recorded().await.len(), 1);
        for app in [&pair.a, &pair.b] {
            OTHERS.lock().unwrap_or_else(PoisonError::into_inner).remove(&app.config.app_name);
        }
        pair.stop().await;
    }
}
