//! What the JetStream API is asked and told about streams and consumers. As raw JSON: a round trip through the client's
//! own types would reset settings that they do not know.

use async_nats::jetstream::ErrorCode;
use futures_util::future::try_join_all;
use serde_json::{Map, Value as Json, json};

use super::call::StreamError;
use super::connection::Transport;
use super::provision::ProvisionError;
use crate::subject::api;
use crate::topology::{Change, Difference, Found, FoundStream, Plan, Wanted, object};

impl Transport {
    /// What the server has of what is wanted.
    pub(crate) async fn look(&self, wanted: &Wanted) -> Result<Found, StreamError> {
        let mut found = self.look_at_streams(wanted).await?;
        for consumer in &wanted.consumers {
            if let Some(settings) = self.consumer_settings(&wanted.stream.name, &consumer.name).await? {
                found.consumers.insert(consumer.name.clone(), settings);
            }
        }
        Ok(found)
    }

    /// The same, without the consumers.
    pub(super) async fn look_at_streams(&self, wanted: &Wanted) -> Result<Found, StreamError> {
        let carrier = async |subject: &String| {
            let stream = self.carrier_of(subject).await?;
            Ok::<_, StreamError>(stream.map(|stream| (subject.clone(), stream)))
        };
        let carriers = try_join_all(wanted.stream.subjects.iter().map(carrier)).await?;
        let info = self.ask_for(api::stream_info(&wanted.stream.name)).await?;
        Ok(Found {
            carriers: carriers.into_iter().flatten().collect(),
            stream: info.as_ref().map(FoundStream::read),
            ..Found::default()
        })
    }

    /// The stream that carries a subject.
    pub(super) async fn carrier_of(&self, subject: &str) -> Result<Option<String>, StreamError> {
        let names = self.ask(api::STREAM_NAMES.to_owned(), &json!({"subject": subject})).await?;
        // The server lets no two streams carry one subject.
        Ok(names["streams"][0].as_str().map(str::to_owned))
    }

    pub(super) async fn consumer_settings(&self, stream: &str, name: &str) -> Result<Option<Json>, StreamError> {
        let info = self.ask_for(api::consumer_info(stream, name)).await?;
        Ok(info.map(|mut info| info["config"].take()))
    }

    /// Carries out a plan, or as much of it as goes before somebody else changes the same: then says how it met that, and the
    /// plan is to be made anew.
    pub(crate) async fn carry_out_all(
        &self,
        plan: &Plan,
        mut done: impl FnMut(&Change),
    ) -> Result<Option<String>, ProvisionError> {
        if !plan.refusals().is_empty() {
            return Err(ProvisionError::Unattainable(plan.refusals().to_vec()));
        }
        for change in plan.changes() {
            match self.carry_out(change).await {
                Ok(true) => done(change),
                Ok(false) => return Ok(Some(format!("meanwhile something else holds for: {change}"))),
                Err(error) if is_conflict(&error) => return Ok(Some(error.to_string())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    /// Makes one change; `false` if by now it is another one that is to be made.
    async fn carry_out(&self, change: &Change) -> Result<bool, StreamError> {
        match change {
            Change::CreateStream { stream, settings } => {
                self.ask(api::create_stream(stream), &json!(settings)).await.map(|_| true)
            }
            Change::UpdateStream { stream, differences } => self.update_stream(stream, differences).await,
            Change::CreateConsumer { stream, consumer, settings } => {
                self.put_consumer(stream, consumer, "create", settings).await
            }
            Change::UpdateConsumer { stream, consumer, differences } => {
                self.update_consumer(stream, consumer, differences).await
            }
        }
    }

    async fn update_stream(&self, stream: &str, differences: &[Difference]) -> Result<bool, StreamError> {
        let info = self.ask(api::stream_info(stream), &json!({})).await?;
        let found = FoundStream::read(&info);
        if differences.iter().any(|difference| found.would_lose_messages(difference)) {
            return Ok(false);
        }
        let mut settings = object(found.config);
        for difference in differences {
            difference.set(&mut settings);
        }
        self.ask(api::update_stream(stream), &json!(settings)).await.map(|_| true)
    }

    async fn update_consumer(
        &self,
        stream: &str,
        consumer: &str,
        differences: &[Difference],
    ) -> Result<bool, StreamError> {
        let Some(found) = self.consumer_settings(stream, consumer).await? else { return Ok(false) };
        let mut settings = object(found);
        for difference in differences {
            difference.set(&mut settings);
        }
        self.put_consumer(stream, consumer, "update", &settings).await
    }

    async fn put_consumer(
        &self,
        stream: &str,
        consumer: &str,
        action: &str,
        settings: &Map<String, Json>,
    ) -> Result<bool, StreamError> {
        let request = json!({"stream_name": stream, "config": settings, "action": action});
        self.ask(api::put_consumer(stream, consumer), &request).await.map(|_| true)
    }
}

/// Whether the server has changed since it was looked at.
fn is_conflict(error: &StreamError) -> bool {
    const CONFLICTS: [ErrorCode; 5] = [
        ErrorCode::STREAM_NAME_EXIST,
        ErrorCode::STREAM_SUBJECT_OVERLAP,
        ErrorCode::CONSUMER_NAME_EXIST,
        ErrorCode::CONSUMER_ALREADY_EXISTS,
        ErrorCode::CONSUMER_DOES_NOT_EXIST,
    ];
    error.is_not_found() || error.code().is_some_and(|code| CONFLICTS.contains(&code))
}
