//! What may not be looked at, or heard of.

use std::time::Instant;

use futures_util::StreamExt;
use jsb_tests::entities::organization;
use jsb_tests::{DEADLINE, eventually};

use super::SILENCE;
use super::restricted::Restricted;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_may_not_be_read_are_taken_for_what_is_configured() {
    let mut app = Restricted::create(&["CONSUMER.INFO"]).await;
    let began = Instant::now();
    app.pair.start_both().await;
    assert!(began.elapsed() < SILENCE, "both started after {:?}", began.elapsed());
    let problem = app.a_has_problem("CONSUMER.INFO").await;
    assert!(problem.contains("could not be checked"), "{problem}");
    app.syncs("unchecked").await;
    assert!(app.pair.a.status().await.jetstream_connected);
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.syncs("checked").await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_may_not_look_stops_nothing() {
    let mut app = Restricted::create(&[]).await;
    app.pair.b.start().await;
    organization::saved(&app.pair.b.db, "spent.example").await;
    app.swap();
    app.delivered_to_nobody().await;
    app.swap();
    app.deny(&["STREAM.MSG.GET"]).await;
    app.pair.a.start().await;
    let problem = app.a_has_problem("STREAM.MSG.GET").await;
    assert!(problem.contains("not looked for"), "{problem}");
    let place = async || app.pair.a.texts("SELECT CAST(swept_seq AS text) FROM sync_settings").await;
    let looked_up_to = place().await;
    let (began, before) = (Instant::now(), app.violations());
    for occasion in ["blind", "and", "not", "asking", "all", "the", "time"] {
        app.syncs(occasion).await;
    }
    let asked = (app.violations() - before) as u64;
    assert!(asked <= 1 + began.elapsed().as_secs() / 10, "it was denied {asked} times in {:?}", began.elapsed());

    // The next start is to look from there on, however far the server is.
    let stream = app.admin.get_stream(&app.pair.a.config.stream_name).await.expect("the stream");
    let durable = format!("{}-workers", app.pair.a.config.app_name);
    eventually("the server is done with what was not looked at", || async {
        let info = stream.consumer_info(&durable).await?;
        Ok::<_, async_nats::Error>((info.ack_floor.stream_sequence > 0).then_some(()))
    })
    .await;
    let asks = format!("$JS.API.CONSUMER.INFO.*.{durable}");
    let asks = app.admin.client().subscribe(asks).await.expect("a subscription");
    // Of these at least three, one after the other, are after the place up to which all is settled.
    let asked = tokio::time::timeout(DEADLINE, asks.take(6).count()).await;
    assert_eq!(asked, Ok(6), "how far the server is");
    assert_eq!(place().await, looked_up_to);
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn advisories_that_are_denied_stop_nothing() {
    let mut app = Restricted::start(&["ADVISORY"]).await;
    let problem = app.a_has_problem("subscribe to `$JS.EVENT.ADVISORY").await;
    assert!(problem.contains("not looked for"), "{problem}");
    app.syncs("deaf-to-advisories").await;
    app.grant_everything().await;
    app.nothing_is_wrong().await;
    app.pair.stop().await;
}
