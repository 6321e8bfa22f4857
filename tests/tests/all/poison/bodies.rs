//! Bodies that are no event of ours, or too large for one.

use jsb_tests::entities::organization;
use jsb_tests::{Pair, eventually, inbox};
use sea_orm::ActiveValue::Set;
use sea_orm::{DbErr, EntityTrait};

use super::{impatient_pair, others_flow, subject};

on_both! {
    async fn what_can_never_be_applied_goes_to_the_dlq_at_once(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let stream = a.stream().await;
        let producer = a.config.app_name.as_str();
        let event = |id: &str, change: serde_json::Value| {
            let mut event = serde_json::json!({
                "event_id": id, "schema_version": 1, "event_type": "record", "producer": producer, "resource_id": id,
                "occurred_at": "2026-11-21T20:23:31.306124Z", "trace_id": "ca75060ac181a789", "resource_type": "probe",
                "payload": {},
            });
            let fields = event.as_object_mut().expect("an object");
            fields.extend(change.as_object().expect("an object").clone());
            event.to_string()
        };
        let ahead = (chrono::Utc::now() + chrono::TimeDelta::days(400)).to_rfc3339();
        let org = |id: &str, change: serde_json::Value| {
            let now = chrono::Utc::now().to_rfc3339();
            let mut payload = serde_json::json!({
                "id": 1, "name": "n", "domain": id, "active": true, "created_at": now, "updated_at": now,
            });
            payload.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
            event(id, serde_json::json!({"resource_type": "organization", "resource_id": "1", "event_type": "created",
                                         "payload": payload}))
        };
        let cases = [
            ("malformed", "{\"event_id\": \"cut of".to_owned()),
            ("malformed", "no JSON at all".to_owned()),
            ("malformed", String::new()),
            ("malformed", "[]".to_owned()),
            ("malformed", event("nul", serde_json::json!({"event_type": "rec\0ord"}))),
            ("malformed", event("long", serde_json::json!({"event_type": "x".repeat(4_000)}))),
            ("unknown_event", event("unknown", serde_json::json!({"resource_type": "spaceship"}))),
            ("unknown_event", event("unheard", serde_json::json!({"event_type": "unheard_of"}))),
            ("unsupported_version", event("newer", serde_json::json!({"schema_version": 2}))),
            ("forged_producer", event("forged", serde_json::json!({"producer": b.config.app_name}))),
            ("invalid_payload", org("not-a-bool", serde_json::json!({"active": "maybe"}))),
            ("invalid_payload", event("no-object", serde_json::json!({"payload": "text"}))),
            ("version_in_future", org("future", serde_json::json!({"updated_at": ahead}))),
            ("invalid_payload", org("null-name", serde_json::json!({"name": serde_json::Value::Null}))),
        ];
        let mut sent = Vec::new();
        for (reason, body) in cases {
            // Found in the DLQ by their sequence, since some have no id.
            let sequence = stream.publish(&subject(a, b), &[("X-Case", reason)], body.clone()).await;
            sent.push((sequence, reason, body));
        }
        others_flow(a, b).await;
        for (sequence, reason, body) in sent {
            let letter = eventually(&format!("message {sequence} ({reason}) is in the DLQ"), || async {
                let letters = stream.messages(&format!("{}.sync.dlq", b.config.app_name)).await;
                Ok::<_, DbErr>(letters.into_iter().find(|letter| letter.context()["sequence"] == sequence))
            })
            .await;
            assert_eq!(letter.headers["x-dlq-reason"], reason, "{body}: {}", letter.context());
            assert_eq!(letter.headers["X-Case"], reason);
            assert_eq!(letter.headers["x-deliveries"], "1");
            assert_eq!(letter.body, body.as_bytes());
        }
        b.has_events("inbox_events", "dead", 14).await;
        pair.stop().await;
    }

    async fn a_row_that_is_too_large_fails_and_later_rows_go_on(backend: Backend) {
        let pair = Pair::start(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let name = Set("x".repeat(2_000_000));
        let large = organization::ActiveModel { name, ..organization::new("large.example") };
        let large = large.insert(&a.db).await.expect("a save");
        let small = organization::new("small.example").insert(&a.db).await.expect("a save");
        b.has(&small).await;
        let rows = inbox::outbox(&a.db, &large.id.to_string()).await.expect("the outbox");
        let [row] = rows.as_slice() else { panic!("one event, not {rows:?}") };
        assert_eq!(row.status, "failed");
        let error = row.last_error.as_deref().unwrap_or_default();
        assert!(error.contains("larger than the server"), "{error}");
        assert_eq!(organization::Entity::find_by_id(large.id).one(&b.db).await, Ok(None));

        let mut smaller: organization::ActiveModel = large.into();
        smaller.name = Set("smaller".to_owned());
        let smaller = smaller.update(&a.db).await.expect("a save");
        b.has(&smaller).await;
        pair.stop().await;
    }
}
