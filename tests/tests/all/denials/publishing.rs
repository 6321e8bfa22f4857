//! What may not be published.

use std::time::{Duration, Instant};

use jsb_tests::entities::organization;
use jsb_tests::until;

use super::restricted::Restricted;
use super::{SILENCE, has_been_denied};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_publish_is_said_at_once_and_the_event_waits() {
    let mut app = Restricted::start(&[".sync.b-"]).await;
    let began = Instant::now();
    let row = organization::saved(&app.pair.a.db, "denied.example").await;
    let problem = app.a_has_problem("publish to `a-").await;
    assert!(problem.contains("events wait in the outbox") && problem.contains("jsb permissions"), "{problem}");
    // The relay has its answer at once: otherwise it could not have tried a second time by now.
    has_been_denied(&app.pair.a, 2).await;
    assert!(began.elapsed() < SILENCE, "the second attempt came after {:?}", began.elapsed());
    let attempts = app.pair.a.texts("SELECT CAST(attempts AS TEXT) || status FROM outbox_events").await;
    assert_eq!(attempts, ["0pending"], "a denial is not held against the event");
    let from_b = organization::saved(&app.pair.b.db, "not-denied.example").await;
    app.pair.a.has(&from_b).await;
    app.grant_everything().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_denied_for_long_goes_out_with_the_connection_on_which_it_is_granted() {
    let mut app = Restricted::start(&[".sync.b-"]).await;
    let row = organization::saved(&app.pair.a.db, "denied.example").await;
    // By itself the next attempt comes more than 22 seconds after the sixth.
    has_been_denied(&app.pair.a, 6).await;
    app.grant_everything().await;
    app.nats.restart().await.expect("nats-server starts");
    let granted = Instant::now();
    app.pair.b.has(&row).await;
    assert!(granted.elapsed() < Duration::from_secs(10), "it went out after {:?}", granted.elapsed());
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_that_are_denied_are_tried_one_at_a_time() {
    let app = Restricted::start(&[".sync.b-"]).await;
    for row in 0..50 {
        organization::saved(&app.pair.a.db, &format!("{row}.example")).await;
    }
    let before = app.violations();
    until("it was tried again and again", async || app.violations() >= before + 3).await;
    let tried = app.violations() - before;
    assert!(tried < 25, "three attempts at fifty events were denied {tried} times");
    app.pair.stop().await;
}
