//! What a bridge is attached to may be gone and there again before it looks: another stream under the same name, or the
//! same one after an outage. On SQLite a handler has the only lock for writing, so that no two can stand at their gates.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, Subject};
use futures_util::{Stream as Messages, StreamExt};
use jsb_tests::gate::{Gate, gate};
use jsb_tests::probe::{self, Orders, Probe};
use jsb_tests::{App, Backend, DEADLINE, Pair, Proxy, Stream, eventually, lasts};
use uuid::Uuid;

use super::deliveries::{pair, processed, spend};

/// An event whose handler stands at a gate.
async fn slow(pair: &Pair) -> (Probe, Arc<Gate>) {
    let orders = Orders { gate: Uuid::new_v4().to_string(), ..Orders::default() };
    let gate = gate(&orders.gate);
    (probe::send(&pair.a.db, "wait", orders).await, gate)
}

/// What is said of the deliveries to `app`; newer servers put domain and account first.
async fn words(stream: &Stream, app: &App) -> impl Messages<Item = Message> + Unpin + use<> {
    let client = stream.context.client();
    let deliveries = format!("{}.{}-workers.>", app.config.stream_name, app.config.app_name);
    let words = client.subscribe(format!("$JS.ACK.{deliveries}")).await.expect("a subscription");
    let newer = client.subscribe(format!("$JS.ACK.*.*.{deliveries}")).await.expect("a subscription");
    client.flush().await.expect("a server that knows both");
    futures_util::stream::select(words, newer)
}

/// Of which delivery this is said next.
async fn said_of(words: &mut (impl Messages<Item = Message> + Unpin), said: &str) -> Subject {
    let next = async {
        loop {
            let word = words.next().await.expect("a word");
            if word.payload[..] == *said.as_bytes() {
                return word.subject;
            }
        }
    };
    tokio::time::timeout(DEADLINE, next).await.expect("it is said")
}

/// Waits until nothing more is said of a delivery, while another one is held on and on.
async fn falls_silent(words: &mut (impl Messages<Item = Message> + Unpin), delivery: &Subject) {
    let silence = async {
        let mut of_the_other = 0;
        while of_the_other < 30 {
            let word = words.next().await.expect("a word");
            of_the_other = if word.subject == *delivery { 0 } else { of_the_other + 1 };
        }
    };
    tokio::time::timeout(DEADLINE, silence).await.expect("nothing more is said of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_said_to_a_new_stream_of_the_deliveries_of_the_old_one() {
    let mut pair = pair(Backend::Postgres, true).await;
    // Made within a second of each other, the two could not be told apart.
    lasts(Duration::from_secs(1)).await;
    pair.b.start().await;
    let (old, old_gate) = slow(&pair).await;
    old_gate.until_reached().await;
    pair.b.start().await;
    let stream = pair.b.stream().await;
    let mut words = words(&stream, &pair.b).await;
    let old_delivery = said_of(&mut words, "+WPI").await;

    stream.context.delete_stream(&pair.b.config.stream_name).await.expect("a stream that is gone");
    let (new, new_gate) = slow(&pair).await;
    new_gate.until_reached().await;
    // The server takes it for the delivery that the other process has in hand.
    assert_eq!(pair.b.progress().await.delivered.stream_sequence, 1);
    falls_silent(&mut words, &old_delivery).await;

    old_gate.open();
    processed(&pair.b, &old).await;
    let next = probe::send(&pair.a.db, "record", Orders::default()).await;
    // By the process that is done with the old one.
    processed(&pair.b, &next).await;
    assert_ne!(said_of(&mut words, "+ACK").await, old_delivery);
    new_gate.open();
    processed(&pair.b, &new).await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_is_over_before_anybody_looks_is_followed_by_a_sweep() {
    let proxy = Proxy::before_nats().await;
    let mut pair = pair(Backend::Postgres, true).await;
    let stream = pair.b.stream().await;
    pair.b.config.nats_url = proxy.url();
    pair.b.start().await;
    let (first, first_gate) = slow(&pair).await;
    first_gate.until_reached().await;

    // Another process takes the second one and crashes, again and again, until B hears that it is given up.
    let (second, second_gate) = slow(&pair).await;
    let durable = stream.durable(&pair.b.config.app_name).await;
    eventually("B tries it", || async {
        let messages = durable.batch().max_messages(1).expires(Duration::from_millis(200)).messages().await?;
        messages.for_each(|_| async {}).await;
        Ok::<_, async_nats::error::Error<_>>((second_gate.arrivals() > 0).then_some(()))
    })
    .await;
    first_gate.open();
    stream.until_idle(&pair.b.config.app_name).await;

    proxy.cut();
    pair.b.until_detached().await;
    let third = probe::send(&pair.a.db, "record", Orders::default()).await;
    pair.a.has_sent(3).await;
    spend(&stream, &pair.b).await;
    proxy.mend();
    pair.b.until_attached().await;
    // Who listens for what is given up has been at the second one all the while.
    second_gate.open();
    for probe in [&first, &second, &third] {
        processed(&pair.b, probe).await;
    }
    pair.stop().await;
}
