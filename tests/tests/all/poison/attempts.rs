//! How often and when an event that fails is tried.

use std::time::Duration;

use jsb_tests::probe::{self, Orders};
use jsb_tests::{Pair, effects, eventually};
use sea_orm::DbErr;

use super::{BACKOFF, dead, effects_of, error, impatient_pair, others_flow, subject};

on_both! {
    async fn five_failures_end_in_the_dlq_while_others_flow(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let bad = probe::send(&a.db, "fail", error("no such account")).await;
        let good = probe::send(&a.db, "record", Orders::default()).await;
        assert_eq!(effects_of(b, &good).await, 1);
        let behind_the_good_one = probe::attempts(&bad).len();
        assert!(behind_the_good_one < 5, "the good event waited for all {behind_the_good_one} attempts on the bad one");

        let (row, letter) = dead(b, &bad.event_id).await;
        assert_eq!((row.attempts, row.reason.as_deref()), (5, Some("max_attempts")));
        assert!(row.last_error.is_some_and(|error| error.contains("no such account")));
        assert_eq!(effects::count(&b.db, &bad.id).await, Ok(0), "a failed attempt leaves nothing behind");

        let subject = subject(a, b);
        let stream = b.stream().await;
        let messages = stream.messages(&subject).await;
        let original = messages.iter().find(|message| message.headers["Nats-Msg-Id"] == bad.event_id);
        let original = original.expect("the original is in the stream");
        assert_eq!(letter.body, original.body);
        for name in ["traceparent", "Jsb-Hops"] {
            assert_eq!(letter.headers[name], original.headers[name]);
        }
        assert_eq!(letter.headers["x-dead-letter"], "true");
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        assert_eq!(letter.headers["x-deliveries"], "5");
        let context = letter.context();
        let published_at = context["published_at"].as_str().expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(published_at).is_ok(), "{published_at}");
        let error_message = context["error_message"].as_str().expect("a text");
        assert!(error_message.ends_with("no such account"), "{error_message}");
        let expected = serde_json::json!({
            "event_id": bad.event_id,
            "reason": "max_attempts",
            "error_class": "HandlerError",
            "error_message": error_message,
            "deliveries": 5,
            "original_subject": subject,
            "sequence": original.sequence,
            "consumer": format!("{}-workers", b.config.app_name),
            "stream": b.config.stream_name,
            "published_at": published_at,
        });
        assert_eq!(context, expected);

        let attempts = probe::attempts(&bad);
        assert_eq!(attempts.len(), 5);
        for (gap, delay) in attempts.windows(2).zip(BACKOFF.map(Duration::from_millis)) {
            assert!(gap[1] - gap[0] >= delay, "tried again after {:?} rather than {delay:?}", gap[1] - gap[0]);
        }
        b.until_idle().await;
        assert_eq!(probe::attempts(&bad).len(), 5, "a dead event is not tried again");
        pair.stop().await;
    }

    async fn delays_may_become_shorter(backend: Backend) {
        let delays = [10_000, 1_500, 1_000].map(Duration::from_millis);
        let mut pair = Pair::configured(backend, |config| config.backoff(delays)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "fail", error("no such account")).await;
        dead(&pair.b, &bad.event_id).await;
        let attempts = probe::attempts(&bad);
        assert_eq!(attempts.len(), 5);
        for (gap, delay) in attempts.windows(2).zip(delays) {
            assert!(gap[1] - gap[0] >= delay, "tried again after {:?} rather than {delay:?}", gap[1] - gap[0]);
        }
        let second = attempts[2] - attempts[1];
        assert!(second < delays[0], "tried again after {second:?}, no sooner than the first time");
        pair.stop().await;
    }

    async fn a_transient_failure_heals(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let orders = Orders { failures: 2, error: "not yet".to_owned(), ..Orders::default() };
        let shaky = probe::send(&pair.a.db, "fail", orders).await;
        assert_eq!(effects_of(&pair.b, &shaky).await, 1);
        assert_eq!(probe::attempts(&shaky).len(), 3);
        let row = pair.b.event_is(&shaky.event_id, "processed").await;
        assert_eq!(row.attempts, 2);
        assert!(pair.b.dead_letter(&shaky.event_id).await.is_none());
        pair.stop().await;
    }

    async fn a_permanent_error_is_not_retried(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let refused = probe::send(&pair.a.db, "refuse", error("never")).await;
        let (_, letter) = dead(&pair.b, &refused.event_id).await;
        assert_eq!(letter.headers["x-dlq-reason"], "handler_refused");
        assert_eq!(letter.headers["x-deliveries"], "1");
        assert_eq!(probe::attempts(&refused).len(), 1);
        assert_eq!(effects::count(&pair.b.db, &refused.id).await, Ok(0));
        pair.stop().await;
    }

    async fn a_panic_is_a_failure(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let panics = probe::send(&pair.a.db, "panic", error("index out of bounds")).await;
        let (row, letter) = dead(&pair.b, &panics.event_id).await;
        assert_eq!((row.attempts, probe::attempts(&panics).len()), (5, 5));
        assert_eq!(letter.headers["x-dlq-reason"], "max_attempts");
        let message = letter.context()["error_message"].to_string();
        assert!(message.contains("panicked: index out of bounds"), "{message}");
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }

    async fn an_event_is_tried_again_as_soon_as_its_back_off_says(backend: Backend) {
        let long = Duration::from_secs(4);
        let backoff = [Duration::from_millis(200), long, long, long, long];
        let mut pair = Pair::configured(backend, |config| config.backoff(backoff)).await;
        pair.start_both().await;
        let bad = probe::send(&pair.a.db, "fail", Orders { failures: 2, ..error("not yet") }).await;
        eventually("it is tried three times", || async {
            Ok::<_, DbErr>(Some(probe::attempts(&bad)).filter(|attempts| attempts.len() == 3))
        })
        .await;
        let attempts = probe::attempts(&bad);
        let waited = attempts[2] - attempts[1];
        assert!(waited >= long && waited < long + long / 2, "{waited:?}");
        pair.stop().await;
    }
}
