//! The consumer by hand: fetches a thousand, writes them in one transaction, acknowledges them.

use anyhow::{Context as _, Result, anyhow};
use async_nats::Client;
use async_nats::jetstream::consumer::PullConsumer;
use futures_util::TryStreamExt;

use super::{Arrived, BATCH, Batch, Hand};

/// Applies `count` messages from the app `source`.
pub(crate) async fn apply(
    hand: &Hand,
    client: &Client,
    consumer: &PullConsumer,
    source: &str,
    count: usize,
) -> Result<()> {
    let mut applied = 0;
    while applied < count {
        let fetched = consumer.fetch().max_messages(BATCH).messages().await?;
        let messages: Vec<_> = fetched.try_collect().await.map_err(|error| anyhow!(error))?;
        let Some(subject) = messages.first().map(|message| message.subject.to_string()) else { continue };
        let read = |message: &async_nats::jetstream::Message| {
            let mut arrived: Arrived = serde_json::from_slice(&message.payload)?;
            arrived.sequence = message.info().map_err(|error| anyhow!(error))?.stream_sequence.try_into()?;
            Ok(arrived)
        };
        let events = messages.iter().map(read).collect::<Result<Vec<_>>>().context("an event that is understood")?;
        hand.write(&Batch { source: source.to_owned(), subject, events }).await?;
        for message in &messages {
            message.ack().await.map_err(|error| anyhow!(error))?;
        }
        applied += messages.len();
    }
    client.flush().await?;
    Ok(())
}
