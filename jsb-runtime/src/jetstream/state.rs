//! The state of a stream and of its consumers, as the server tells it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::call::StreamError;
use super::connection::Transport;
use crate::subject::api;

/// The state of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StreamState {
    /// Its name.
    pub name: String,
    /// How many messages it holds.
    pub messages: u64,
    /// How many bytes one copy of them takes in the store: subjects, headers and bodies, and what the server writes beside each,
    /// some 30 bytes in a file.
    pub bytes: u64,
    /// How many copies it is set to have, the leader's among them: 1 on a server without a cluster.
    pub replicas: u64,
    /// The server that leads it; none on a server without a cluster, or while there is no leader.
    pub leader: Option<String>,
    /// Whether it is clustered, and thus needs a leader.
    pub is_clustered: bool,
    /// When its oldest message was stored.
    pub first_at: Option<DateTime<Utc>>,
    /// When its newest message was stored.
    pub last_at: Option<DateTime<Utc>>,
}

/// The state of an app's consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConsumerState {
    /// Its name.
    pub name: String,
    /// How many messages wait for their first delivery.
    pub lag: u64,
    /// Since when the oldest of them is in the stream.
    pub oldest_waiting: Option<DateTime<Utc>>,
    /// How many deliveries wait for their acknowledgement.
    pub ack_pending: u64,
    /// How many of them were delivered before.
    pub redelivered: u64,
    /// How many requests wait for messages: a consumer that nobody pulls from has none.
    pub waiting_pulls: u64,
    /// When a message was last delivered.
    pub last_delivered: Option<DateTime<Utc>>,
    /// Up to which sequence all is acknowledged.
    pub acknowledged_sequence: u64,
    /// Up to which sequence all was delivered.
    pub delivered_sequence: u64,
    /// What it delivers.
    pub filter_subject: String,
    /// How often it delivers a message; -1 where that has no limit. If only once, it counts nothing as redelivered.
    #[serde(skip)]
    pub(crate) max_deliver: i64,
}

impl Transport {
    pub(crate) async fn stream(&self, name: &str) -> Result<StreamState, StreamError> {
        let info = self.ask(api::stream_info(name), &json!({})).await?;
        let (state, cluster) = (&info["state"], &info["cluster"]);
        let is_empty = state["messages"] == 0;
        Ok(StreamState {
            name: name.to_owned(),
            messages: number(&state["messages"]),
            bytes: number(&state["bytes"]),
            replicas: number(&info["config"]["num_replicas"]),
            leader: cluster["leader"].as_str().map(str::to_owned),
            is_clustered: cluster["name"].is_string(),
            first_at: time(&state["first_ts"]).filter(|_| !is_empty),
            last_at: time(&state["last_ts"]).filter(|_| !is_empty),
        })
    }

    pub(crate) async fn consumer(&self, stream: &str, name: &str) -> Result<ConsumerState, StreamError> {
        let info = self.ask(api::consumer_info(stream, name), &json!({})).await?;
        let (delivered, acknowledged) = (&info["delivered"], &info["ack_floor"]);
        Ok(ConsumerState {
            name: name.to_owned(),
            lag: number(&info["num_pending"]),
            oldest_waiting: None,
            ack_pending: number(&info["num_ack_pending"]),
            redelivered: number(&info["num_redelivered"]),
            waiting_pulls: number(&info["num_waiting"]),
            last_delivered: time(&delivered["last_active"]),
            acknowledged_sequence: number(&acknowledged["stream_seq"]),
            delivered_sequence: number(&delivered["stream_seq"]),
            filter_subject: filter(&info["config"]).to_owned(),
            max_deliver: info["config"]["max_deliver"].as_i64().unwrap_or(-1),
        })
    }

    /// How many messages a stream has of a subject.
    pub(crate) async fn count(&self, stream: &str, subject: &str) -> Result<u64, StreamError> {
        let info = self.ask(api::stream_info(stream), &json!({"subjects_filter": subject})).await?;
        Ok(number(&info["state"]["subjects"][subject]))
    }
}

/// What the server leaves out is zero.
fn number(json: &Json) -> u64 {
    json.as_u64().unwrap_or(0)
}

fn time(json: &Json) -> Option<DateTime<Utc>> {
    json.as_str()?.parse().ok()
}

/// The one subject that a consumer delivers, in either of the places where the server keeps it.
fn filter(config: &Json) -> &str {
    config["filter_subject"].as_str().or_else(|| config["filter_subjects"][0].as_str()).unwrap_or_default()
}
