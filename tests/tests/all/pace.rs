//! How much the consumer asks for at a time.

use jsb_tests::entities::tally;
use jsb_tests::{Backend, Pair, Proxy, servers};
use serde_json::Value as Json;

/// Whether it asks for more than one message.
fn asks_for_several(subject: &str, body: &[u8]) -> bool {
    let asks = |request: Json| request["batch"].as_u64() > Some(1);
    subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") && serde_json::from_slice(body).is_ok_and(asks)
}

/// A limit that the consumer's settings say nothing of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn less_is_asked_for_where_the_server_refuses_as_much() {
    const ROWS: usize = 5;
    let proxy = Proxy::start(servers::nats().await.port()).await;
    // The server refuses what it cannot read.
    proxy.spoil(asks_for_several);
    let mut pair = Pair::configured(Backend::Sqlite, |config| config.batch_size(2)).await;
    pair.b.config.nats_url = proxy.url();
    for value in 0..ROWS as i64 {
        tally::new(value).insert(&pair.a.db).await.expect("a save");
    }
    pair.start_both().await;
    pair.quiet().await;
    let (a, b) = pair.rows::<tally::Entity>().await;
    assert_eq!((a.len(), &a), (ROWS, &b));
    pair.stop().await;
}
