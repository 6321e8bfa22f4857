//! Poison where there is no DLQ or no inbox.

use jsb_tests::entities::organization;
use jsb_tests::{Pair, eventually, probe};
use sea_orm::DbErr;

use super::{error, impatient, others_flow};

on_both! {
    async fn without_a_dlq_a_dead_event_stays_in_the_inbox(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| impatient(config).use_dlq(false)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "refuse", error("never")).await;
        let row = pair.b.event_is(&bad.event_id, "dead").await;
        assert_eq!(row.reason.as_deref(), Some("handler_refused"));
        let body = row.payload.expect("the body is kept");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("the original body");
        assert_eq!(body["event_id"], bad.event_id);
        others_flow(&pair.a, &pair.b).await;
        assert!(pair.b.dead_letter(&bad.event_id).await.is_none());
        pair.stop().await;
    }

    async fn without_an_inbox_events_are_applied_and_failures_end_in_the_dlq(backend: Backend) {
        let mut pair = Pair::configured(backend, |config| impatient(config).use_inbox(false)).await;
        pair.start_both().await;
        let (a, b) = (&pair.a, &pair.b);
        let saved = organization::new("no-inbox.example").insert(&a.db).await.expect("a save");
        b.has(&saved).await;
        let bad = probe::send(&a.db, "fail", error("always")).await;
        let stream = b.stream().await;
        let letter = eventually("it is in the DLQ", || async {
            Ok::<_, DbErr>(stream.dead_letter(&b.config.app_name, &bad.event_id).await)
        })
        .await;
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        assert_eq!(letter.headers["x-deliveries"], "5");
        assert_eq!(probe::attempts(&bad).len(), 5);
        assert_eq!(b.status().await.inbox_events, 0);
        pair.stop().await;
    }
}
