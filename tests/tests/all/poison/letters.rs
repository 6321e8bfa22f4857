//! What a dead letter says, and what becomes of one that is not taken.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jsb_tests::probe::{self, Orders};
use jsb_tests::{App, Pair, Proxy, eventually, inbox, until};
use sea_orm::DbErr;

use super::{dead, error, impatient, impatient_pair, others_flow, subject};

/// How many letters were on their way, by their subjects.
static LETTERS: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

fn is_letter(subject: &str) -> bool {
    let is_letter = subject.ends_with(".sync.dlq");
    if is_letter {
        *LETTERS.lock().unwrap_or_else(PoisonError::into_inner).entry(subject.to_owned()).or_default() += 1;
    }
    is_letter
}

fn letters_of(app: &App) -> usize {
    let subject = format!("{}.sync.dlq", app.config.app_name);
    LETTERS.lock().unwrap_or_else(PoisonError::into_inner).get(&subject).copied().unwrap_or_default()
}

on_both! {
    async fn a_body_without_room_for_its_reasons_stays_in_the_inbox(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let (a, b) = (&pair.a, &pair.b);
        let stream = a.stream().await;
        let body = format!("not JSON {}", "x".repeat(1024 * 1024 - 100));
        let sequence = stream.publish(&subject(a, b), &[], body.clone()).await;
        let (row, letter) = dead(b, &format!("seq-{sequence}")).await;
        assert_eq!(letter.headers["x-dlq-reason"], "malformed");
        let reference = serde_json::json!({
            "event_id": format!("seq-{sequence}"),
            "source_app": a.config.app_name,
            "body_bytes": body.len(),
            "body_in": "inbox_events",
        });
        assert_eq!(letter.json(), reference);
        assert_eq!(row.payload, Some(body.into_bytes()));
        others_flow(a, b).await;
        pair.stop().await;
    }

    async fn the_text_of_an_error_may_be_anything(backend: Backend) {
        let pair = impatient_pair(backend).await;
        let long = "Zeile ".repeat(5_000);
        let texts = ["first line\nsecond line\r\n\tthird", "größer als 5 € – naïve 日本語 \u{1f4a5}", "a\0b", "", long.as_str()];
        let mut sent = Vec::new();
        for text in texts {
            let refused = probe::send(&pair.a.db, "refuse", error(text)).await;
            let failing = probe::send(&pair.a.db, "fail", error(text)).await;
            sent.push((text, refused, failing));
        }
        for (text, refused, failing) in sent {
            let (_, letter) = dead(&pair.b, &refused.event_id).await;
            let message = letter.context()["error_message"].as_str().expect("a text").to_owned();
            // PostgreSQL stores no NUL.
            let kept: String = text.replace('\0', "\u{fffd}").chars().take(500).collect();
            assert!(message.contains(&kept), "{message:?} lacks {kept:?}");
            let (row, _) = dead(&pair.b, &failing.event_id).await;
            assert_eq!(row.attempts, 5);
        }
        others_flow(&pair.a, &pair.b).await;
        pair.stop().await;
    }

    async fn a_dead_letter_that_is_not_taken_is_not_lost(backend: Backend) {
        let proxy = Proxy::before_nats().await;
        proxy.lose(is_letter);
        let mut pair = Pair::configured(backend, impatient).await;
        pair.b.config.nats_url = proxy.url();
        pair.start_both().await;
        let (a, b) = (&pair.a, &pair.b);
        let bad = probe::send(&a.db, "refuse", error("never")).await;
        let orders = Orders { failures: u32::MAX, ..error("not today") };
        let worn = probe::send(&a.db, "fail", orders).await;
        // More often than an event may begin without an outcome.
        until("their letters were sent again and again", async || letters_of(b) > 14).await;
        let attempts = probe::attempts(&bad).len();
        assert!(attempts <= 5, "it was tried {attempts} times, though it is dead whatever is tried");
        let dlq_problem = async || b.status().await.problems.into_iter().find(|problem| problem.starts_with("dlq:"));
        eventually("the status says so", async || Ok::<_, DbErr>(dlq_problem().await)).await;
        others_flow(a, b).await;
        let row = inbox::with_status(&b.db, &bad.event_id, "dead").await.expect("the inbox");
        assert!(row.is_none(), "it counts as dead before the DLQ has it");
        proxy.lose(|_| false);
        let (row, letter) = dead(b, &bad.event_id).await;
        assert_eq!(row.reason.as_deref(), Some("handler_refused"));
        assert_eq!(letter.headers["x-dlq-reason"], "handler_refused");
        let (row, letter) = dead(b, &worn.event_id).await;
        assert_eq!(row.reason.as_deref(), Some("max_attempts"));
        let message = letter.context()["error_message"].to_string();
        assert!(message.contains("not today"), "{message}");
        until("the status says nothing of it any more", async || dlq_problem().await.is_none()).await;
        pair.stop().await;
    }
}
