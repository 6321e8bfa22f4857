//! How often an event has begun: an outage begins nothing anew, what began least often is tried first, and what one process has
//! begun is left to it.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use jsb_tests::entities::tally;
use jsb_tests::gate::gate;
use jsb_tests::probe::{self, Probe};
use jsb_tests::{Backend, Pair, Remote, effects, eventually, inbox};
use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

/// A pair whose B finds these events in its inbox at its next start, due in this order: what probe each is for, and how often it
/// has begun. Its gate has its name.
async fn with_due<const N: usize>(backend: Backend, events: [(&str, u32); N]) -> (Pair, [Probe; N]) {
    // The server brings again what failed in an hour.
    let hour = Duration::from_secs(3_600);
    let mut pair = Pair::configured(backend, |config| config.backoff([hour; 5])).await;
    let remote = pair.receive().await;
    // No handler can leave its effect, so that each fails.
    pair.b.sql("ALTER TABLE effects RENAME TO effects_elsewhere").await;
    let probes = events.map(|_| {
        let id = Uuid::new_v4().to_string();
        Probe { id: id.clone(), event_id: id }
    });
    for (Probe { id, .. }, (kind, _)) in probes.iter().zip(events) {
        remote.publish(&probe::event(kind, id, json!({"gate": id}))).await;
        eventually("it has failed", || async {
            Ok::<_, DbErr>(inbox::find(&pair.b.db, id).await?.filter(|row| row.attempts > 0))
        })
        .await;
    }
    pair.b.stop().await;
    pair.b.sql("ALTER TABLE effects_elsewhere RENAME TO effects").await;
    for (second, (Probe { id, .. }, (_, starts))) in probes.iter().zip(events).enumerate() {
        let is_due = format!(
            "UPDATE inbox_events SET status = 'parked', reason = 'deliveries_spent', starts = {starts}, \
             available_at = '2026-01-01T00:00:0{second}+00:00' WHERE event_id = '{id}'"
        );
        pair.b.sql(&is_due).await;
    }
    (pair, probes)
}

on_both! {
    async fn what_began_least_often_is_tried_first(backend: Backend) {
        let (mut pair, [suspect, other]) = with_due(backend, [("wait", 3), ("record", 0)]).await;
        pair.b.start().await;
        gate(&suspect.id).until_reached().await;
        assert_eq!(effects::count(&pair.b.db, &other.id).await, Ok(1));
        gate(&suspect.id).open();
        pair.b.event_is(&suspect.event_id, "processed").await;
        pair.stop().await;
    }
}

/// On SQLite nobody writes beside a handler.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_has_begun_meanwhile_is_left_to_it() {
    let (mut pair, [first, taken, last]) =
        with_due(Backend::Postgres, [("wait", 0), ("record", 0), ("record", 0)]).await;
    pair.b.start().await;
    gate(&first.id).until_reached().await;
    // It has read all three by now. Another process takes the second:
    let soon = (Utc::now() + TimeDelta::seconds(30)).to_rfc3339();
    let take = format!(
        "UPDATE inbox_events SET starts = starts + 1, available_at = '{soon}' WHERE event_id = '{}'",
        taken.event_id
    );
    pair.b.sql(&take).await;
    gate(&first.id).open();
    pair.b.event_is(&last.event_id, "processed").await;
    assert_eq!(probe::attempts(&taken).len(), 1, "two processes are at it");
    pair.stop().await;
}

/// SQLite knows no such errors of a trigger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_again_and_again_makes_no_crash_loop() {
    let backoff = [Duration::from_secs(1); 5];
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff(backoff)).await;
    // The event fails at first, so that it comes again; then the disk is full as often as an event may begin.
    let refuse = "CREATE SEQUENCE tries; \
                  CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE number bigint := nextval('tries'); \
                  BEGIN \
                  IF number = 1 THEN RAISE 'not yet'; END IF; \
                  IF number <= 6 THEN RAISE 'no room' USING ERRCODE = 'disk_full'; END IF; \
                  RETURN NEW; END $$; \
                  CREATE TRIGGER refuse BEFORE INSERT ON tallies FOR EACH ROW EXECUTE FUNCTION refuse()";
    pair.b.sql(refuse).await;
    pair.b.start().await;
    let id = Uuid::new_v4().to_string();
    let payload = tally::payload(&id, 1, "2026-01-01T00:00:00Z");
    Remote::of(&pair.b).await.publish(&Remote::event_with_id(&id, "tally", "created", &id, payload)).await;
    pair.b.has_settled(1).await;
    let row = inbox::find(&pair.b.db, &id).await.expect("the inbox").expect("its row");
    assert_eq!((row.status.as_str(), row.starts, row.attempts), ("processed", 1, 1));
    pair.stop().await;
}
