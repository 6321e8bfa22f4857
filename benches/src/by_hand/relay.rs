//! The relay by hand: claims a thousand, publishes them side by side, awaits the acknowledgements, marks them at once.

use std::collections::HashMap;

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use serde_json::value::RawValue;

use super::{Envelope, Hand, Pending};

/// Publishes and marks until nothing is pending.
pub(crate) async fn relay(hand: &Hand, context: &Context, producer: &str, subject: &str) -> Result<()> {
    loop {
        let pending = hand.claim().await?;
        if pending.is_empty() {
            return Ok(());
        }
        let messages = pending.iter().map(|row| message(row, producer)).collect::<Result<Vec<_>>>()?;
        publish_all(context, subject, messages).await?;
        hand.mark(&pending.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
    }
}

/// Publishes all messages, then awaits all acknowledgements.
pub(crate) async fn publish_all(context: &Context, subject: &str, messages: Vec<PublishMessage>) -> Result<()> {
    let mut acknowledgements = Vec::with_capacity(messages.len());
    for message in messages {
        acknowledgements.push(context.send_publish(subject.to_owned(), message).await?);
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await?;
    }
    Ok(())
}

fn message(row: &Pending, producer: &str) -> Result<PublishMessage> {
    let stored: HashMap<&str, &str> = serde_json::from_str(&row.headers)?;
    let trace = stored.get("traceparent").and_then(|trace| trace.get(19..35)).context("a traceparent")?;
    let envelope = Envelope {
        event_id: &row.event_id,
        schema_version: 1,
        event_type: &row.event_type,
        producer,
        resource_id: &row.resource_id,
        occurred_at: row.occurred_at,
        trace_id: trace,
        resource_type: &row.resource_type,
        payload: serde_json::from_str::<&RawValue>(&row.payload)?,
    };
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", row.event_id.as_str());
    for (name, value) in stored {
        headers.insert(name, value);
    }
    Ok(PublishMessage::build().headers(headers).payload(serde_json::to_vec(&envelope)?.into()))
}
