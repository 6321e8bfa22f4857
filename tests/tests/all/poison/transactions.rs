//! An event whose transaction is ended, by its handler or by the database.

use std::time::Duration;

use jsb_tests::entities::organization;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{Backend, Pair, effects, lasts};
use sea_orm::EntityTrait;

use super::{dead, effects_of, impatient_pair, others_flow};

on_both! {
    async fn a_handler_that_ignores_what_ended_its_transaction_loses_no_event(backend: Backend) {
        let pair = impatient_pair(backend).await;
        for kind in ["ignore", "cancel"] {
            let careless = probe::send(&pair.a.db, kind, Orders::default()).await;
            if backend == jsb_tests::Backend::Postgres || kind == "cancel" {
                let (row, _) = dead(&pair.b, &careless.event_id).await;
                let error = row.last_error.unwrap_or_default();
                assert!(error.contains("ctx.db().begin()"), "{error}");
                assert_eq!(effects::count(&pair.b.db, &careless.id).await.expect("the effects"), 0);
            } else {
                // A statement that fails ends nothing but itself here.
                assert_eq!(effects_of(&pair.b, &careless).await, 1);
            }
        }
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }
}

/// As when its row is on a damaged page, or a trigger crashes the backend: the database is there for everybody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_alone_finds_the_database_away_is_dead_and_holds_nobody_up() {
    let mut pair = Pair::configured(Backend::Postgres, |config| config.max_deliver(1)).await;
    let crash = "CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF NEW.domain = 'crash.example' THEN RAISE 'the backend is gone' USING ERRCODE = '57P02'; END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER crash BEFORE INSERT ON organizations FOR EACH ROW EXECUTE FUNCTION crash()";
    pair.b.sql(crash).await;
    pair.a.start().await;
    organization::new("crash.example").insert(&pair.a.db).await.expect("a save");
    let good = organization::new("good.example").insert(&pair.a.db).await.expect("a save");
    pair.b.start().await;
    let events = pair.a.recorded().await;
    let (row, _) = dead(&pair.b, events[0]["event_id"].as_str().expect("an id")).await;
    assert_eq!(row.reason.as_deref(), Some("max_attempts"));
    pair.quiet().await;
    assert_eq!(organization::Entity::find().all(&pair.b.db).await.expect("the rows"), [good]);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_take_longer_than_transactions_may_idle() {
    let mut pair = Pair::create(Backend::Postgres).await;
    let soon = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = 300', \
                current_database()); END $$";
    pair.b.sql(soon).await;
    pair.b.db = pair.b.database.connect().await;
    pair.start_both().await;
    let slow = Orders { gate: uuid::Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&slow.gate);
    let slow = probe::send(&pair.a.db, "wait", slow).await;
    gate.until_reached().await;
    lasts(Duration::from_secs(1)).await;
    gate.open();
    assert_eq!(effects_of(&pair.b, &slow).await, 1);
    assert_eq!(probe::attempts(&slow).len(), 1);
    pair.quiet().await;
    pair.stop().await;
}
