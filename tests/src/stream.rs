//! The stream of a pair as the server sees it: what a foreign producer or an operator would do with it.

use std::collections::BTreeMap;

use async_nats::jetstream::{self, consumer, stream};
use async_nats::{ConnectOptions, HeaderMap, ServerAddr};
use jsb_runtime::Config;
use serde_json::Value as Json;

use crate::until;

/// A connection to the server of a pair, and the name of its stream.
pub struct Stream {
    /// For what this harness has no word for.
    pub context: jetstream::Context,
    name: String,
}

/// A message of the stream.
#[derive(Clone, Debug)]
pub struct StreamMessage {
    /// Its place.
    pub sequence: u64,
    /// Its headers, names as they were sent.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Vec<u8>,
}

impl StreamMessage {
    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// The header `x-dlq-context` as JSON; null where there is none.
    pub fn context(&self) -> Json {
        let context = self.headers.get("x-dlq-context");
        context.map_or(Json::Null, |text| serde_json::from_str(text).expect("a JSON context"))
    }
}

impl Stream {
    /// The stream that `config` names, whether or not it is there yet.
    pub async fn of(config: &Config) -> Self {
        let server: ServerAddr = config.nats_url.parse().expect("one server");
        let options = match (server.username(), server.password()) {
            (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.into(), password.into()),
            _ => ConnectOptions::new(),
        };
        let client = options.connect(server).await.expect("a connection to NATS");
        Self { context: jetstream::new(client), name: config.stream_name.clone() }
    }

    /// Makes the stream before the bridges do, so that it is as a test wants it.
    pub async fn create(&self, config: stream::Config) {
        self.context.create_stream(stream::Config { name: self.name.clone(), ..config }).await.expect("a stream");
    }

    /// Removes every message, as a lost store does.
    pub async fn purge(&self) {
        self.stream().await.purge().await.expect("an empty stream");
    }

    /// Removes one message.
    pub async fn delete(&self, sequence: u64) {
        self.stream().await.delete_message(sequence).await.expect("a message that is gone");
    }

    /// The settings that the server has.
    pub async fn config(&self) -> stream::Config {
        self.stream().await.get_info().await.expect("the stream's info").config
    }

    /// Publishes as anybody could, and returns the message's sequence.
    pub async fn publish(&self, subject: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> u64 {
        let headers: HeaderMap = headers.iter().map(|(name, value)| header(name, value)).collect();
        let body: Vec<u8> = body.into();
        let sent = self.context.publish_with_headers(subject.to_owned(), headers, body.into()).await;
        sent.expect("a message that is sent").await.expect("a message that is stored").sequence
    }

    /// What the stream holds of a subject, in order.
    pub async fn messages(&self, subject: &str) -> Vec<StreamMessage> {
        let stream = self.stream().await;
        let mut messages: Vec<StreamMessage> = Vec::new();
        loop {
            let next = messages.last().map_or(1, |message| message.sequence + 1);
            let Ok(found) = stream.get_first_raw_message_by_subject(subject, next).await else { return messages };
            let header = |(name, values): (&async_nats::HeaderName, &Vec<async_nats::HeaderValue>)| {
                (name.to_string(), values[0].to_string())
            };
            messages.push(StreamMessage {
                sequence: found.sequence,
                headers: found.headers.iter().map(header).collect(),
                body: found.payload.to_vec(),
            });
        }
    }

    /// The dead letter of an event in the DLQ of `app`.
    pub async fn dead_letter(&self, app: &str, event_id: &str) -> Option<StreamMessage> {
        let letters = self.messages(&format!("{app}.sync.dlq")).await;
        letters.into_iter().find(|letter| letter.context()["event_id"] == event_id)
    }

    /// The durable of `app`.
    pub async fn durable(&self, app: &str) -> consumer::PullConsumer {
        self.stream().await.get_consumer(&format!("{app}-workers")).await.expect("the durable")
    }

    /// Deletes the durable of `app`.
    pub async fn delete_durable(&self, app: &str) {
        let deleted = self.stream().await.delete_consumer(&format!("{app}-workers")).await;
        deleted.expect("a durable that is gone");
    }

    /// How far the durable of `app` is.
    pub async fn progress(&self, app: &str) -> consumer::Info {
        self.durable(app).await.get_info().await.expect("the durable's info")
    }

    /// Whether the server has nothing for `app`: everything was delivered and acknowledged.
    pub async fn is_idle(&self, app: &str) -> bool {
        let info = self.progress(app).await;
        info.num_pending == 0 && info.num_ack_pending == 0
    }

    /// Waits until the server has nothing for `app`.
    pub async fn until_idle(&self, app: &str) {
        until(&format!("the consumer of {app} is idle"), async || self.is_idle(app).await).await;
    }

    /// As it is now.
    pub async fn stream(&self) -> stream::Stream {
        self.context.get_stream(&self.name).await.expect("the stream")
    }
}

fn header(name: &str, value: &str) -> (async_nats::HeaderName, async_nats::HeaderValue) {
    (name.parse().expect("a header name"), value.parse().expect("a header value"))
}
