//! What a relay makes of the answers to its messages, where a test answers in the place of JetStream.

use async_nats::jetstream::stream;
use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use jsb_tests::entities::ticket;
use jsb_tests::{App, Backend, DEADLINE, Pair, Stream};
use sea_orm::ActiveValue::{Set, Unchanged};
use serde_json::{Value as Json, json};

/// Takes what an application publishes, and answers for the stream, which keeps silent.
struct Answerer {
    stream: Stream,
    client: Client,
    messages: Subscriber,
}

impl Answerer {
    async fn of(app: &App) -> Self {
        let stream = app.stream().await;
        let silent = stream::Config { no_ack: true, ..stream.config().await };
        stream.context.update_stream(silent).await.expect("a silent stream");
        let client = stream.context.client();
        let subject = format!("{}.sync.{}", app.config.app_name, app.config.destination_app);
        let messages = client.subscribe(subject).await.expect("a subscription");
        client.flush().await.expect("a subscription that the server knows");
        Self { stream, client, messages }
    }

    async fn next(&mut self) -> Message {
        let next = tokio::time::timeout(DEADLINE, self.messages.next());
        next.await.expect("a message in time").expect("a message")
    }

    /// Whether nothing has been published any more.
    async fn hears_nothing(&mut self) -> bool {
        // What the server answers comes behind the messages that it had before.
        self.stream.config().await;
        self.messages.next().now_or_never().is_none()
    }

    async fn answer(&self, message: &Message, answer: Json) {
        let reply = message.reply.clone().expect("somebody who waits");
        self.client.publish(reply, answer.to_string().into()).await.expect("an answer");
        self.client.flush().await.expect("an answer that went out");
    }
}

/// A pair whose A runs and hears of nobody but the test.
async fn answered_pair(backend: Backend) -> (Pair, Answerer) {
    let mut pair = Pair::create(backend).await;
    pair.a.start().await;
    let answerer = Answerer::of(&pair.a).await;
    (pair, answerer)
}

fn event_id(message: &Message) -> String {
    let event: Json = serde_json::from_slice(&message.payload).expect("an event");
    event["event_id"].as_str().expect("its id").to_owned()
}

fn stored(sequence: u64) -> Json {
    json!({"stream": "somewhere", "seq": sequence})
}

on_both! {
    /// As nats-server 2.10 says it that has lost the others of its cluster.
    async fn a_message_that_is_stored_nowhere_is_published_again(backend: Backend) {
        let (pair, mut answerer) = answered_pair(backend).await;
        ticket::saved(&pair.a.db).await;
        let first = answerer.next().await;
        answerer.answer(&first, json!({"stream": "somewhere", "seq": 0, "duplicate": true})).await;
        let again = answerer.next().await;
        assert_eq!(event_id(&again), event_id(&first));
        assert_eq!(pair.a.count("outbox_events", "sent").await, 0);
        answerer.answer(&again, stored(1)).await;
        pair.a.has_sent(1).await;
        pair.stop().await;
    }

    /// A replica that takes over draws ids again that the lost events had.
    async fn an_answer_marks_its_own_event_and_no_other_at_its_place(backend: Backend) {
        let (pair, mut answerer) = answered_pair(backend).await;
        ticket::saved(&pair.a.db).await;
        let lost = answerer.next().await;
        pair.a.sql("UPDATE outbox_events SET event_id = 'another'").await;
        answerer.answer(&lost, stored(1)).await;
        let other = answerer.next().await;
        assert_eq!(event_id(&other), "another");
        answerer.answer(&other, stored(2)).await;
        pair.a.has_sent(1).await;
        pair.stop().await;
    }

    /// Each event of a row waits for the one before, so that a batch of them takes as many round trips.
    async fn a_relay_that_stops_leaves_the_rest_of_its_batch(backend: Backend) {
        let (mut pair, mut answerer) = answered_pair(backend).await;
        pair.a.lend_lease("another").await;
        let id = ticket::saved(&pair.a.db).await;
        for number in 1..3 {
            let change = ticket::ActiveModel { id: Unchanged(id), number: Set(number), ..Default::default() };
            change.update(&pair.a.db).await.expect("a change");
        }
        pair.a.end_leases().await;
        let first = answerer.next().await;
        // It stops before it has the answer.
        let (app, answers) = (&mut pair.a, &answerer);
        tokio::join!(biased; app.stop(), answers.answer(&first, stored(1)));
        let counts = [pair.a.count("outbox_events", "sent").await, pair.a.count("outbox_events", "pending").await];
        assert_eq!(counts, [1, 2]);
        assert!(answerer.hears_nothing().await);
        pair.stop().await;
    }
}
