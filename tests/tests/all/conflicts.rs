//! A deadlock, or a serialization failure, is nobody's fault: the event is tried again at once, and only where that does not help is
//! an attempt counted.

use std::time::Duration;

use jsb_tests::inbox::InboxRow;
use jsb_tests::{Backend, Pair, Remote, eventually, inbox};
use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

/// How often a transaction that lost is tried again at once.
const MOST: u32 = 20;

/// What becomes of an event whose first `losses` transactions PostgreSQL ends as it ends those that lose, and how many there were.
async fn after(losses: u32, sqlstate: &str) -> (InboxRow, u32) {
    // What is not tried again at once is tried again in an hour.
    let hour = Duration::from_secs(3_600);
    let mut pair = Pair::configured(Backend::Postgres, |config| config.backoff([hour; 5])).await;
    // What is rolled back does not take back a number of a sequence.
    let lose = format!(
        "CREATE SEQUENCE tries; \
         CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('tries') <= {losses} THEN RAISE 'it lost' USING ERRCODE = '{sqlstate}'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER lose BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION lose()"
    );
    pair.b.sql(&lose).await;
    pair.b.start().await;
    // A ticket has handlers, so that it is tried alone from the first.
    let id = Uuid::new_v4().to_string();
    let payload = json!({"id": id, "number": 1, "updated_at": "2026-01-01T00:00:00Z"});
    Remote::of(&pair.b).await.publish(&Remote::event_with_id(&id, "ticket", "created", &id, payload)).await;
    let row = eventually("it is processed, or has failed", || async {
        Ok::<_, DbErr>(inbox::find(&pair.b.db, &id).await?.filter(|row| row.status == "processed" || row.attempts > 0))
    })
    .await;
    let tries = pair.b.texts("SELECT last_value::text FROM tries").await.remove(0);
    pair.stop().await;
    (row, tries.parse().expect("a number"))
}

/// SQLite knows no such errors of a trigger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_loses_a_conflict_is_tried_again_at_once_and_costs_no_attempt() {
    for sqlstate in ["40P01", "40001"] {
        for losses in [3, MOST] {
            let (row, tries) = after(losses, sqlstate).await;
            assert_eq!((row.status.as_str(), row.attempts, tries), ("processed", 0, losses + 1), "{sqlstate}: {row:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_loses_again_and_again_has_failed_once() {
    let (row, tries) = after(MOST + 1, "40P01").await;
    assert_eq!((row.status.as_str(), row.attempts, tries), ("failed", 1, MOST + 1), "{row:?}");
    assert!(row.last_error.as_ref().is_some_and(|error| error.contains("it lost")), "{row:?}");
}
