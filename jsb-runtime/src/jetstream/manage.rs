//! What the JetStream API is asked and told about streams and consumers. As raw JSON: a round trip through the client's
//! own types would reset settings that they do not know.

use async_nats::jetstream::Context;
use async_nats::jetstream::response::Response;
use futures_util::future::try_join_all;
use serde_json::{Map, Value as Json, json};

use super::connection::{LONGEST_WAY, REQUEST_TIMEOUT, Transport};
use super::provision::ProvisionError;
use crate::subject::api;
use crate::topology::{Change, Difference, Found, FoundStream, Plan, Wanted, object};

impl Transport {
    /// What the server has of what is wanted.
    pub(crate) async fn look(&self, wanted: &Wanted) -> Result<Found, ProvisionError> {
        let mut found = self.look_at_streams(wanted).await?;
        for consumer in &wanted.consumers {
            if let Some(settings) = self.consumer_settings(&wanted.stream.name, &consumer.name).await? {
                found.consumers.insert(consumer.name.clone(), settings);
            }
        }
        Ok(found)
    }

    /// The same, without the consumers.
    pub(super) async fn look_at_streams(&self, wanted: &Wanted) -> Result<Found, ProvisionError> {
        let carrier = async |subject: &String| {
            let stream = self.carrier_of(subject).await?;
            Ok::<_, ProvisionError>(stream.map(|stream| (subject.clone(), stream)))
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
    pub(super) async fn carrier_of(&self, subject: &str) -> Result<Option<String>, ProvisionError> {
        let names = self.ask(api::STREAM_NAMES.to_owned(), &json!({"subject": subject})).await?;
        // The server lets no two streams carry one subject.
        Ok(names["streams"][0].as_str().map(str::to_owned))
    }

    pub(super) async fn consumer_settings(&self, stream: &str, name: &str) -> Result<Option<Json>, ProvisionError> {
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
                Err(error) if error.is_conflict() => return Ok(Some(error.to_string())),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Makes one change; `false` if by now it is another one that is to be made.
    async fn carry_out(&self, change: &Change) -> Result<bool, ProvisionError> {
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

    async fn update_stream(&self, stream: &str, differences: &[Difference]) -> Result<bool, ProvisionError> {
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
    ) -> Result<bool, ProvisionError> {
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
    ) -> Result<bool, ProvisionError> {
        let request = json!({"stream_name": stream, "config": settings, "action": action});
        self.ask(api::put_consumer(stream, consumer), &request).await.map(|_| true)
    }

    async fn ask_for(&self, what: String) -> Result<Option<Json>, ProvisionError> {
        match self.ask(what, &json!({})).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.says_not_there() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn ask(&self, what: String, request: &Json) -> Result<Json, ProvisionError> {
        self.ask_by(&self.context, what, request).await
    }

    /// The same, for an answer that holds a message, which takes its way.
    pub(super) async fn ask_for_message(&self, what: String, request: &Json) -> Result<Json, ProvisionError> {
        let mut context = self.context.clone();
        context.set_timeout(REQUEST_TIMEOUT + LONGEST_WAY);
        self.ask_by(&context, what, request).await
    }

    async fn ask_by(&self, context: &Context, what: String, request: &Json) -> Result<Json, ProvisionError> {
        match self.unless_denied(&api::subject(&what), context.request(what.clone(), request)).await?? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(ProvisionError::Refused { what, error }),
        }
    }
}
