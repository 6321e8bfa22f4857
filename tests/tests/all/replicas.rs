//! A stream with replicas, as in production.

use std::time::Duration;

use jsb_tests::entities::ticket;
use jsb_tests::faults::broker::Broker;
use jsb_tests::{Backend, Pair, Stream, until};
use sea_orm::{EntityTrait, PaginatorTrait};

const EVENTS: usize = 200;
/// So few that most batches are full.
const BATCH_SIZE: usize = 7;
/// What is delivered and not acknowledged comes again after so long, which the test does not wait for.
const ACK_WAIT: Duration = Duration::from_secs(600);

/// The server's word that a batch is complete comes before the messages, which wait for the replicas.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_taken_whole_though_their_end_is_told_first() {
    let broker = Broker::start(3).await.expect("a cluster");
    let urls: Vec<String> = broker.ports().iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
    let mut pair = Pair::configured(Backend::Sqlite, |config| {
        config.nats_url(urls.join(",")).stream_replicas(3).batch_size(BATCH_SIZE).backoff([ACK_WAIT; 5])
    })
    .await;
    pair.a.start().await;
    for number in 0..EVENTS {
        ticket::new(number as i64).insert(&pair.a.db).await.expect("a ticket");
    }
    pair.a.has_sent(EVENTS as i64).await;
    pair.b.start().await;
    until("all is applied", async || ticket::Entity::find().count(&pair.b.db).await == Ok(EVENTS as u64)).await;
    let one_server = pair.b.config.clone().nats_url(urls[0].as_str());
    let progress = Stream::of(&one_server).await.progress(&pair.b.config.app_name).await;
    assert_eq!(progress.delivered.consumer_sequence, EVENTS as u64, "something was delivered twice");
    pair.stop().await;
}
