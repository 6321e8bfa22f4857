//! Why an event is dead that nobody can mend in time: what it lacks did not come within `PARK_FOR`, or its row breaks a constraint.

use std::time::Duration;

use chrono::TimeDelta;
use jsb_runtime::operate::inbox::{self, Details};
use jsb_tests::entities::{label, organization, tally};
use jsb_tests::{App, Backend, Pair, Remote};
use sea_orm::EntityTrait;
use serde_json::{Value as Json, json};
use uuid::Uuid;

const YEAR_S_BEGIN: &str = "2026-01-01T00:00:00Z";

/// What the inbox keeps of an event once it is dead, for the reason that its letter tells too.
async fn dead(app: &App, event_id: &str, reason: &str) -> Details {
    app.event_is(event_id, "dead").await;
    let source = &app.config.destination_app;
    let details = inbox::show(&app.db, &app.config, source, event_id).await.expect("the inbox").expect("its row");
    let letter = app.dead_letter(event_id).await.expect("its letter");
    let told = (details.event.reason.as_deref(), letter.headers["x-dlq-reason"].as_str());
    assert_eq!(told, (Some(reason), reason), "{event_id}");
    details
}

/// Has the values of tallies be numbers of at least zero, and what is local of a label be there.
async fn constrain(app: &App, backend: Backend) {
    let sql = match backend {
        Backend::Postgres => {
            "ALTER TABLE tallies ADD CHECK (value >= 0); ALTER TABLE labels ALTER COLUMN drawer SET NOT NULL"
        }
        Backend::Sqlite => {
            "DROP TABLE tallies; DROP TABLE labels; \
             CREATE TABLE tallies (id BLOB PRIMARY KEY, value BIGINT NOT NULL CHECK (value >= 0), remark TEXT NOT NULL, \
             updated_at TEXT NOT NULL); \
             CREATE TABLE labels (code TEXT PRIMARY KEY, caption TEXT NOT NULL, drawer TEXT NOT NULL, updated_at TEXT NOT NULL)"
        }
    };
    app.sql(sql).await;
}

on_both! {
    async fn what_does_not_get_what_it_lacks_is_dead_after_park_for(backend: Backend) {
        let park_for = Duration::from_secs(2);
        let mut pair = Pair::configured(backend, |config| config.park_for(park_for)).await;
        let remote = pair.receive().await;
        let b = &pair.b;
        organization::saved(&b.db, "taken.example").await;
        let orphan =
            json!({"id": 1, "organization_id": 5, "name": "Ada", "email": null, "updated_at": YEAR_S_BEGIN});
        let rival = organization::payload(1, "taken.example", YEAR_S_BEGIN);
        let events = [("orphan", "user", "parent_missing", orphan), ("rival", "organization", "unique_conflict", rival)];
        for (event_id, resource, _, payload) in &events {
            remote.publish(&Remote::event_with_id(event_id, resource, "created", 1, payload.clone())).await;
        }
        for (event_id, _, reason, _) in &events {
            let event = dead(b, event_id, reason).await.event;
            let waited = event.processed_at.expect("when it was dead") - event.received_at;
            assert!(waited >= TimeDelta::from_std(park_for).expect("seconds"), "{event_id} waited for {waited}");
            assert_eq!(event.attempts, 0, "waiting costs no attempt");
        }
        pair.stop().await;
    }

    async fn a_row_that_breaks_a_constraint_is_dead_at_once_and_holds_up_nobody(backend: Backend) {
        let mut pair = Pair::create(backend).await;
        constrain(&pair.b, backend).await;
        let remote = pair.receive().await;
        let tally = |event_id: &str, id: Uuid, value: i64, second: u32| -> Json {
            let payload = tally::payload(id, value, format!("2026-01-01T00:00:{second:02}Z"));
            Remote::event_with_id(event_id, "tally", "updated", id, payload)
        };
        let (sound, label) = (Uuid::now_v7(), json!({"code": "a", "title": "A", "updated_at": YEAR_S_BEGIN}));
        let together = [
            tally("below zero", Uuid::now_v7(), -1, 1),
            Remote::event_with_id("without a drawer", "label", "created", "a", label),
            tally("sound", sound, 1, 1),
        ];
        remote.publish_all(&together).await;
        pair.b.has_settled(3).await;
        // Of events of one row that come together only the newest is written.
        remote.publish(&tally("below zero again", sound, -1, 2)).await;
        pair.b.has_settled(4).await;
        for event_id in ["below zero", "without a drawer", "below zero again"] {
            let details = dead(&pair.b, event_id, "constraint_violated").await;
            let error = details.event.last_error.unwrap_or_default().to_lowercase();
            assert!(error.contains("constraint"), "{event_id}: {error}");
            assert_eq!(details.event.attempts, 0, "{event_id}");
        }
        let values = tally::Entity::find().all(&pair.b.db).await.expect("the rows");
        assert_eq!(values.iter().map(|row| row.value).collect::<Vec<_>>(), [1]);
        assert_eq!(label::Entity::find().all(&pair.b.db).await, Ok(vec![]));
        pair.stop().await;
    }
}
