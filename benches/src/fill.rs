//! Fills outboxes, inboxes and streams with events of rows of their own.

use anyhow::Result;
use async_nats::HeaderMap;
use async_nats::jetstream::message::PublishMessage;
use chrono::Utc;
use serde_json::value::to_raw_value;

use crate::by_hand::{Envelope, Row, publish_all};
use crate::site::Site;

/// How many messages are on their way at a time.
const WAVE: usize = 1000;

/// Puts `count` rows into the outbox.
pub(crate) async fn outbox(site: &Site, count: usize, status: &str) -> Result<()> {
    let sent_at = if status == "sent" { "CURRENT_TIMESTAMP" } else { "NULL" };
    let payload = r#"{"id":%s,"name":"Organization %s","domain":"%s.example","active":true,"created_at":"2026-11-21T20:23:31.306124Z","updated_at":"2026-11-21T20:23:31.306124Z"}"#;
    let numbers = numbers(site, count);
    site.sql(&format!(
        "INSERT INTO outbox_events (event_id, resource_type, resource_id, event_type, payload, headers, occurred_at, status, \
         available_at, created_at, sent_at) \
         {numbers} SELECT {EVENT_ID}, 'organization', CAST(n AS text), 'created', format('{payload}', n, n, n), \
         '{{\"traceparent\":\"00-0000000000000000ca75060ac181a789-ca75060ac181a789-01\"}}', CURRENT_TIMESTAMP, '{status}', \
         CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, {sent_at} FROM numbers"
    ))
    .await
}

/// Puts `count` events that were processed into the inbox.
pub(crate) async fn inbox(site: &Site, count: usize) -> Result<()> {
    let (source, subject, numbers) = (&site.config.destination_app, site.incoming(), numbers(site, count));
    site.sql(&format!(
        "INSERT INTO inbox_events (source_app, event_id, resource_type, resource_id, event_type, subject, status, stream_seq, \
         received_at, processed_at) \
         {numbers} SELECT '{source}', {EVENT_ID}, 'organization', CAST(n AS text), 'created', '{subject}', 'processed', n, \
         CURRENT_TIMESTAMP, CURRENT_TIMESTAMP FROM numbers"
    ))
    .await
}

/// Ascending as those of UUIDv7 are, on both databases.
const EVENT_ID: &str = "'01900000-0000-7000-8000-' || (100000000000 + n)";

fn event_id(number: u64) -> String {
    format!("01900000-0000-7000-8000-{}", 100_000_000_000 + number)
}

fn numbers(site: &Site, count: usize) -> String {
    let (first, last) = site.numbers(count);
    format!(
        "WITH RECURSIVE numbers (n) AS (SELECT {first} WHERE {first} <= {last} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
    )
}

/// Publishes `count` events for this site.
pub(crate) async fn stream(site: &Site, count: usize) -> Result<()> {
    let (first, last) = site.numbers(count);
    let messages =
        (first..=last).map(|number| message(&site.config.destination_app, number)).collect::<Result<Vec<_>>>()?;
    for wave in messages.chunks(WAVE) {
        publish_all(&site.nats.context, &site.incoming(), wave.to_vec()).await?;
    }
    Ok(())
}

fn message(producer: &str, number: u64) -> Result<PublishMessage> {
    let (event_id, now) = (event_id(number), Utc::now());
    let row = Row {
        id: number.try_into()?,
        name: format!("Organization {number}"),
        domain: format!("{number}.example"),
        active: true,
        created_at: now,
        updated_at: now,
    };
    let envelope = Envelope {
        event_id: &event_id,
        schema_version: 1,
        event_type: "created",
        producer,
        resource_id: &number.to_string(),
        occurred_at: now,
        trace_id: "ca75060ac181a789",
        resource_type: "organization",
        payload: &to_raw_value(&row)?,
    };
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", event_id.as_str());
    headers.insert("traceparent", "00-0000000000000000ca75060ac181a789-ca75060ac181a789-01");
    Ok(PublishMessage::build().headers(headers).payload(serde_json::to_vec(&envelope)?.into()))
}
