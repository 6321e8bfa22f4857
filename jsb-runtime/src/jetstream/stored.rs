//! What the stream holds, read and deleted message by message. No consumer is made, and nothing is delivered.

use std::collections::BTreeMap;

use async_nats::jetstream::ErrorCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::call::StreamError;
use super::connection::Transport;
use super::denials::Permission;
use super::headers;
use super::pull::PullError;
use crate::config::MAX_BATCH_BYTES;
use crate::message::Message;
use crate::subject::api;

/// How many messages are read at a time, as far as they fit in memory.
const BATCH: usize = 100;

/// A message where it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredMessage {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    pub(crate) stored_at: DateTime<Utc>,
}

impl StoredMessage {
    /// As a consumer gets it.
    pub(crate) fn into_message(self) -> Message {
        Message::read(self.subject, self.headers, self.body, self.sequence)
    }
}

/// A message as the server writes it, in base64.
#[derive(Deserialize)]
struct Raw {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
    #[serde(default)]
    hdrs: String,
    time: DateTime<Utc>,
}

impl Raw {
    fn decoded(self) -> Result<StoredMessage, async_nats::Error> {
        Ok(StoredMessage {
            subject: self.subject,
            sequence: self.seq,
            headers: headers::stored(&BASE64.decode(self.hdrs)?),
            body: BASE64.decode(self.data)?,
            stored_at: self.time,
        })
    }
}

impl Transport {
    /// The stream that carries the app's events: where the app may make it, the one that carries its subject already, as
    /// at a bridge's start; otherwise, or where this user may not ask, the one that is configured.
    pub(crate) async fn find_stream(&self, subject: &str) -> Result<String, StreamError> {
        let configured = self.config.stream_name.clone();
        if !self.config.auto_provision {
            return Ok(configured);
        }
        match self.carrier_of(subject).await {
            Err(error) if error.is_denied() => Ok(configured),
            found => Ok(found?.unwrap_or(configured)),
        }
    }

    /// The first message of a subject at or after a sequence.
    pub(crate) async fn stored_from(
        &self,
        stream: &str,
        subject: &str,
        sequence: u64,
    ) -> Result<Option<StoredMessage>, StreamError> {
        self.stored(stream, &json!({"seq": sequence, "next_by_subj": subject})).await
    }

    /// The next messages of a subject from one sequence to another, as many as fit in memory: at least one if there is any.
    pub(crate) async fn stored_within(
        &self,
        stream: &str,
        subject: &str,
        from: u64,
        to: u64,
    ) -> Result<Vec<StoredMessage>, StreamError> {
        let (mut found, mut next, mut bytes) = (Vec::new(), from, 0);
        while next <= to && found.len() < BATCH && bytes < MAX_BATCH_BYTES {
            let stored = self.stored_from(stream, subject, next).await?;
            let Some(message) = stored.filter(|message| message.sequence <= to) else { break };
            (next, bytes) = (message.sequence + 1, bytes + message.body.len());
            found.push(message);
        }
        Ok(found)
    }

    /// The first sequence between these two from which on the messages of a subject were stored at this time or later; one
    /// behind them if there is none. It halves what is left, since times rise with sequences: asking by time would take a
    /// newer server, or a consumer.
    pub(crate) async fn stored_since(
        &self,
        stream: &str,
        subject: &str,
        (mut from, to): (u64, u64),
        since: DateTime<Utc>,
    ) -> Result<u64, StreamError> {
        let mut end = to + 1;
        while from < end {
            let middle = from + (end - from) / 2;
            match self.stored_from(stream, subject, middle).await? {
                Some(message) if message.stored_at < since => from = message.sequence + 1,
                _ => end = middle,
            }
        }
        Ok(from)
    }

    /// The last message of a subject.
    pub(crate) async fn last_stored(&self, stream: &str, subject: &str) -> Result<Option<StoredMessage>, StreamError> {
        self.stored(stream, &json!({"last_by_subj": subject})).await
    }

    /// The message at a sequence.
    pub(crate) async fn stored_at(&self, stream: &str, sequence: u64) -> Result<Option<StoredMessage>, StreamError> {
        self.stored(stream, &json!({"seq": sequence})).await
    }

    async fn stored(&self, stream: &str, which: &Json) -> Result<Option<StoredMessage>, StreamError> {
        let call = api::get_message(stream);
        let mut answer = match self.ask_for_message(call.clone(), which).await {
            Err(error) if error.code() == Some(ErrorCode::NO_MESSAGE_FOUND) => return Ok(None),
            answer => answer?,
        };
        let read = |message: Json| serde_json::from_value::<Raw>(message).map_err(async_nats::Error::from)?.decoded();
        read(answer["message"].take()).map(Some).map_err(|source| StreamError::Unreadable { call, source })
    }

    /// Deletes one message; `false` if it is gone already.
    pub(crate) async fn delete_stored(&self, stream: &str, sequence: u64) -> Result<bool, StreamError> {
        match self.ask(api::delete_message(stream), &json!({"seq": sequence})).await {
            Ok(_) => Ok(true),
            // Its store, memory or file, decides how the server words it.
            Err(StreamError::Refused { .. }) if self.stored_at(stream, sequence).await?.is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The first message for this app at or after a sequence of the stream.
    pub(crate) async fn message_from(&self, sequence: u64) -> Result<Option<Message>, PullError> {
        let stream = self.attached().await.stream;
        Ok(self.stored_from(&stream, &self.config.incoming(), sequence).await?.map(StoredMessage::into_message))
    }

    /// The next messages for this app from one sequence of the stream to another, as many as fit in memory.
    pub(crate) async fn messages_within(&self, from: u64, to: u64) -> Result<Vec<Message>, PullError> {
        let stream = self.attached().await.stream;
        let stored = self.stored_within(&stream, &self.config.incoming(), from, to).await?;
        Ok(stored.into_iter().map(StoredMessage::into_message).collect())
    }

    /// Whether NATS denied looking for a message the last time.
    pub(crate) fn may_not_look(&self) -> bool {
        self.denials.stands(&Permission::Publish(api::subject(&api::get_message(&self.stream_name()))))
    }
}
