//! What may not be received, or acknowledged.

use std::time::Instant;

use futures_util::{FutureExt, StreamExt};
use jsb_tests::entities::organization;
use jsb_tests::probe::{self, Orders};
use jsb_tests::{effects, eventually, until};

use super::restricted::Restricted;
use super::{SILENCE, has_been_denied};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_pull_is_said_at_once_and_does_not_spin() {
    let mut app = Restricted::start(&["MSG.NEXT"]).await;
    let began = Instant::now();
    let problem = app.a_has_problem("MSG.NEXT").await;
    assert!(problem.contains("nothing is received"), "{problem}");
    has_been_denied(&app.pair.a, 4).await;
    assert!(began.elapsed() < SILENCE, "the fourth attempt came after {:?}", began.elapsed());
    // A publishes all the while, and pulls ever more seldom.
    let from_a = organization::saved(&app.pair.a.db, "still-sent.example").await;
    app.pair.b.has(&from_a).await;
    let asks = format!("$JS.API.CONSUMER.INFO.*.{}-workers", app.pair.a.config.app_name);
    let mut asked = app.admin.client().subscribe(asks).await.expect("a subscription");
    let (before, began) = (app.violations(), Instant::now());
    until("some time has passed", async || began.elapsed() >= SILENCE).await;
    let denied = app.violations() - before;
    assert!(denied < 10, "{denied} pulls were denied within {SILENCE:?}");
    let mut looks = 0;
    while asked.next().now_or_never().flatten().is_some() {
        looks += 1;
    }
    // One every five seconds is after the place up to which all is settled.
    assert!(
        looks <= 2,
        "there is nothing to attach to again, which would hold up what is published, but {looks} times"
    );
    let from_b = organization::saved(&app.pair.b.db, "received-late.example").await;
    app.grant_everything().await;
    app.pair.a.has(&from_b).await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_acknowledgement_is_a_problem_until_it_is_answered() {
    let mut app = Restricted::start(&["$JS.ACK"]).await;
    let probe = probe::send(&app.pair.b.db, "record", Orders::default()).await;
    let problem = app.a_has_problem("publish to `$JS.ACK.").await;
    assert!(problem.contains("delivers again what is done"), "{problem}");
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.syncs("acknowledged").await;
    assert_eq!(effects::count(&app.pair.a.db, &probe.id).await.expect("a count"), 1);
    let stream = app.admin.get_stream(&app.pair.a.config.stream_name).await.expect("the stream");
    let durable = format!("{}-workers", app.pair.a.config.app_name);
    eventually("the server knows that all is done", || async {
        let info = stream.consumer_info(&durable).await?;
        Ok::<_, async_nats::Error>((info.num_ack_pending == 0 && info.num_pending == 0).then_some(()))
    })
    .await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_may_not_receive_answers_says_so_and_recovers() {
    let mut app = Restricted::start(&[]).await;
    app.syncs("before").await;
    app.deny(&["_INBOX"]).await;
    let began = Instant::now();
    let problem = app.a_has_problem("subscribe to `_INBOX.a-").await;
    assert!(began.elapsed() < SILENCE, "it was said after {:?}", began.elapsed());
    assert!(problem.contains("no answer"), "{problem}");
    let row = organization::saved(&app.pair.a.db, "waits.example").await;
    app.grant_everything().await;
    app.pair.b.has(&row).await;
    app.nothing_is_wrong().await;
    app.syncs("after").await;
    app.pair.stop().await;
}
