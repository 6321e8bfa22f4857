//! What the JetStream API is asked and told about streams and consumers. As raw JSON: a round trip through the client's
//! own types would reset settings that they do not know.

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use serde_json::{Map, Value as Json, json};

use super::connection::Transport;
use super::provision::ProvisionError;
use crate::topology::{Change, Difference, Found, FoundStream, Plan, Wanted};

/// The server has changed since it was looked at: look again.
const CONFLICTS: [ErrorCode; 8] = [
    ErrorCode::STREAM_NAME_EXIST,
    ErrorCode::STREAM_SUBJECT_OVERLAP,
    ErrorCode::STREAM_NOT_FOUND,
    ErrorCode::CONSUMER_NAME_EXIST,
    ErrorCode::CONSUMER_EXISTING_ACTIVE,
    ErrorCode::CONSUMER_ALREADY_EXISTS,
    ErrorCode::CONSUMER_DOES_NOT_EXIST,
    ErrorCode::CONSUMER_NOT_FOUND,
];

impl Transport {
    /// What the server has of what is wanted.
    pub(crate) async fn look(&self, wanted: &Wanted) -> Result<Found, ProvisionError> {
        let mut found = Found::default();
        for subject in &wanted.stream.subjects {
            let names = self.ask("STREAM.NAMES".to_owned(), &json!({"subject": subject})).await?;
            // The server lets no two streams carry one subject.
            if let Some(stream) = names["streams"][0].as_str() {
                found.carriers.insert(subject.clone(), stream.to_owned());
            }
        }
        let stream = &wanted.stream.name;
        let info = self.ask_for(format!("STREAM.INFO.{stream}"), ErrorCode::STREAM_NOT_FOUND).await?;
        found.stream = info.as_ref().map(FoundStream::read);
        if found.stream.is_some() {
            for consumer in &wanted.consumers {
                if let Some(config) = self.consumer_settings(stream, &consumer.name).await? {
                    found.consumers.insert(consumer.name.clone(), config);
                }
            }
        }
        Ok(found)
    }

    pub(super) async fn consumer_settings(&self, stream: &str, name: &str) -> Result<Option<Json>, ProvisionError> {
        let info = self.ask_for(format!("CONSUMER.INFO.{stream}.{name}"), ErrorCode::CONSUMER_NOT_FOUND).await?;
        Ok(info.map(|mut info| info["config"].take()))
    }

    /// Carries out a plan until somebody else comes between, so that it is to be made anew.
    pub(crate) async fn carry_out_all(&self, plan: &Plan, mut done: impl FnMut(&Change)) -> Result<(), ProvisionError> {
        if !plan.refusals().is_empty() {
            return Err(ProvisionError::Unattainable(plan.refusals().to_vec()));
        }
        for change in plan.changes() {
            if !self.carry_out(change).await? {
                break;
            }
            done(change);
        }
        Ok(())
    }

    /// Makes one change. `false` when somebody else has changed the same: then look again.
    async fn carry_out(&self, change: &Change) -> Result<bool, ProvisionError> {
        let done = match change {
            Change::CreateStream { stream, settings } => {
                self.ask(format!("STREAM.CREATE.{stream}"), &json!(settings)).await.map(|_| true)
            }
            Change::UpdateStream { stream, differences } => self.update_stream(stream, differences).await,
            Change::CreateConsumer { stream, consumer, settings } => {
                self.put_consumer(stream, consumer, "create", settings.clone()).await
            }
            Change::UpdateConsumer { stream, consumer, differences } => {
                self.update_consumer(stream, consumer, differences).await
            }
        };
        match done {
            Err(ProvisionError::Refused { error, .. }) if CONFLICTS.contains(&error.error_code()) => Ok(false),
            done => done,
        }
    }

    async fn update_stream(&self, stream: &str, differences: &[Difference]) -> Result<bool, ProvisionError> {
        let info = self.ask(format!("STREAM.INFO.{stream}"), &json!({})).await?;
        let found = FoundStream::read(&info);
        if differences.iter().any(|difference| found.would_lose_messages(difference)) {
            return Ok(false);
        }
        let mut settings = object(found.config);
        for difference in differences {
            difference.set(&mut settings);
        }
        self.ask(format!("STREAM.UPDATE.{stream}"), &json!(settings)).await.map(|_| true)
    }

    async fn update_consumer(
        &self,
        stream: &str,
        consumer: &str,
        differences: &[Difference],
    ) -> Result<bool, ProvisionError> {
        let Some(found) = self.consumer_settings(stream, consumer).await? else { return Ok(false) };
        let mut settings = object(found);
        for difference in differences {
            difference.set(&mut settings);
        }
        self.put_consumer(stream, consumer, "update", settings).await
    }

    async fn put_consumer(
        &self,
        stream: &str,
        consumer: &str,
        action: &str,
        settings: Map<String, Json>,
    ) -> Result<bool, ProvisionError> {
        let request = json!({"stream_name": stream, "config": settings, "action": action});
        self.ask(format!("CONSUMER.DURABLE.CREATE.{stream}.{consumer}"), &request).await.map(|_| true)
    }

    async fn ask_for(&self, what: String, absent: ErrorCode) -> Result<Option<Json>, ProvisionError> {
        match self.ask(what, &json!({})).await {
            Ok(answer) => Ok(Some(answer)),
            Err(ProvisionError::Refused { error, .. }) if error.error_code() == absent => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn ask(&self, what: String, request: &Json) -> Result<Json, ProvisionError> {
        match self.context.request(what.clone(), request).await? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(ProvisionError::Refused { what, error }),
        }
    }
}

fn object(settings: Json) -> Map<String, Json> {
    match settings {
        Json::Object(settings) => settings,
        _ => Map::new(),
    }
}
