//! How much the consumer asks for at a time.

use std::time::{Duration, Instant};

use async_nats::Subscriber;
use async_nats::jetstream::consumer::{FromConsumer, pull};
use futures_util::StreamExt;
use jsb_tests::entities::tally;
use jsb_tests::{App, Backend, DEADLINE, Pair, Proxy};
use serde_json::Value as Json;

use super::configured;

/// So long that on a slow machine too a batch comes in time.
const PATIENT: [Duration; 5] = [Duration::from_secs(30); 5];

async fn tallies(app: &App, rows: i64) {
    for value in 0..rows {
        tally::new(value).insert(&app.db).await.expect("a save");
    }
}

/// Hears what the consumer of `app` asks the server for.
async fn requests_of(app: &App) -> Subscriber {
    let (stream, config) = (app.stream().await, &app.config);
    let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}-workers", config.stream_name, config.app_name);
    let requests = stream.context.client().subscribe(subject).await.expect("a subscription");
    // What is asked behind it is answered once the server has the subscription.
    stream.stream().await;
    requests
}

/// What is asked for, up to the request that waits for the next message, since no other one is there.
async fn asked(mut requests: Subscriber) -> Vec<Json> {
    let mut asked: Vec<Json> = Vec::new();
    while asked.last().is_none_or(|request| request["expires"].is_null()) {
        let request = tokio::time::timeout(DEADLINE, requests.next()).await.expect("a request in time");
        asked.push(serde_json::from_slice(&request.expect("a request").payload).expect("what is asked for"));
    }
    asked
}

/// Its server lets a request wait for which it may not deliver enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_asked_for_than_may_wait_for_its_acknowledgement() {
    for most in [20, 1] {
        let mut pair = Pair::configured(Backend::Postgres, |config| config.max_ack_pending(most)).await;
        pair.start_both().await;
        pair.b.stop().await;
        tallies(&pair.a, 300).await;
        pair.b.start().await;
        let began = Instant::now();
        pair.quiet().await;
        assert!(began.elapsed() < Duration::from_secs(60), "with {most} it took {:?}", began.elapsed());
        let progress = pair.b.progress().await;
        assert_eq!(progress.delivered.consumer_sequence, 300, "each once");
        pair.stop().await;
    }
}

/// What the server's own limits of requests come to, or an operator sets: it refuses a request that asks for more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_is_asked_for_than_the_consumer_allows() {
    let mut pair = configured(Backend::Postgres, |config| config.backoff(PATIENT)).await;
    let (stream, app) = (pair.b.stream().await, pair.b.config.app_name.clone());
    let durable = stream.durable(&app).await;
    let limits = |config: &pull::Config| (config.max_batch, config.max_bytes, config.max_expires);
    let limited = pull::Config {
        max_batch: 70,
        max_bytes: 100_000,
        max_expires: Duration::from_secs(1),
        ..pull::Config::try_from_consumer_config(durable.cached_info().config.clone()).expect("a pull consumer")
    };
    let expected = limits(&limited);
    stream.stream().await.update_consumer(limited).await.expect("the limits");
    tallies(&pair.a, 300).await;
    pair.a.has_sent(300).await;
    let requests = requests_of(&pair.b).await;
    pair.b.start().await;
    let asked = asked(requests).await;
    let most = |what: &str| asked.iter().filter_map(|request| request[what].as_u64()).max();
    let most = ["batch", "max_bytes", "expires"].map(most);
    assert_eq!(most, [Some(70), Some(100_000), Some(1_000_000_000)], "{asked:?}");
    pair.quiet().await;
    let found = stream.durable(&app).await.cached_info().config.clone();
    assert_eq!((found.max_batch, found.max_bytes, found.max_expires), expected, "they stand");
    assert_eq!(pair.b.status().await.problems, [""; 0]);
    pair.stop().await;
}

/// Another process may have nothing to do meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_is_asked_for_behind_a_batch_that_took_long() {
    let mut pair = configured(Backend::Postgres, |config| config.backoff(PATIENT)).await;
    tallies(&pair.a, 200).await;
    pair.a.has_sent(200).await;
    pair.b.linger("tallies", 6).await;
    let requests = requests_of(&pair.b).await;
    pair.b.start().await;
    let asked = asked(requests).await;
    let numbers: Vec<_> = asked.iter().filter_map(|request| request["batch"].as_u64()).take(3).collect();
    // The second one is asked for while the first batch, which takes so long, is worked on.
    assert_eq!(numbers, [64, 128, 64], "{asked:?}");
    pair.quiet().await;
    pair.stop().await;
}

/// Whether it asks for more than one message.
fn asks_for_several(subject: &str, body: &[u8]) -> bool {
    let asks = |request: Json| request["batch"].as_u64() > Some(1);
    subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") && serde_json::from_slice(body).is_ok_and(asks)
}

/// A limit that the consumer's settings say nothing of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_is_asked_for_where_the_server_refuses_as_much() {
    const ROWS: usize = 5;
    let proxy = Proxy::before_nats().await;
    // The server refuses what it cannot read.
    proxy.spoil(asks_for_several);
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.batch_size(2)).await;
    pair.b.config.nats_url = proxy.url();
    for value in 0..ROWS as i64 {
        tally::new(value).insert(&pair.a.db).await.expect("a save");
    }
    pair.start_both().await;
    assert_eq!(pair.agree::<tally::Entity>().await.len(), ROWS);
    pair.stop().await;
}
