//! An event that the inbox has a row of is tried by one at a time.

use std::time::Duration;

use jsb_tests::gate::gate;
use jsb_tests::{Backend, Pair, effects, eventually, inbox, probe, until};
use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

/// On SQLite nobody writes beside another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_has_failed_and_comes_twice_at_once_has_one_effect() {
    // The server brings again what failed in an hour.
    let hour = Duration::from_secs(3_600);
    let mut pair = Pair::configured(Backend::Postgres, |config| config.batch_size(1).backoff([hour; 5])).await;
    pair.b.start().await;
    let remote = pair.receive().await;
    let id = Uuid::new_v4().to_string();
    let gate = gate(&id);
    let event = probe::event("wait", &id, json!({"gate": id}));
    // The handler cannot leave its effect, so that it fails before it comes to the gate.
    pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
    remote.publish(&event).await;
    eventually("it has failed", || async {
        let row = inbox::find(&pair.b.db, &id).await?;
        Ok::<_, DbErr>(row.filter(|row| row.attempts > 0))
    })
    .await;
    pair.b.sql("ALTER TABLE effects_elsewhere RENAME TO effects").await;

    remote.publish_all(&[event.clone(), event]).await;
    until("one stands at the gate, and the other waits for what becomes of it", async || {
        assert!(gate.arrivals() < 2, "both try it at once");
        let waits = pair.b.somebody_waits("query LIKE '%inbox_events%FOR UPDATE%'").await;
        waits && gate.arrivals() == 1
    })
    .await;
    gate.open();
    pair.b.has_settled(1).await;
    // What is in hand comes to its end.
    pair.b.stop().await;
    assert_eq!((gate.arrivals(), effects::count(&pair.b.db, &id).await), (1, Ok(1)));
}
