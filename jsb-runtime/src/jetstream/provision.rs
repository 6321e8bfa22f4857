//! Brings the stream and the durable to what the plan says, and keeps looking after them.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, Info, IntoConsumerConfig, PullConsumer, pull};
use async_nats::jetstream::context::{CreateStreamError, GetStreamByNameError, GetStreamByNameErrorKind, RequestError};
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config as StreamConfig, ConsumerError, StorageType};
use serde_json::{Value as Json, json};

use super::connection::{Attached, Transport};
use super::denials::{Denied, Permission};
use crate::topology::{self, Found, StreamPlan, TopologyError, Wanted};

/// How far back the server recognises a message id; its default.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Why the stream or the consumer could not be brought about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// No plan does.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The server could not be asked which stream carries a subject.
    #[error("asking for the stream of a subject: {0}")]
    Lookup(#[from] GetStreamByNameError),
    /// A request got no answer.
    #[error("asking JetStream: {0}")]
    Request(#[from] RequestError),
    /// The server refused to make the stream.
    #[error("making stream `{stream}`: {source}")]
    Create {
        /// The stream.
        stream: String,
        /// Why.
        source: CreateStreamError,
    },
    /// The server refused a request.
    #[error("{what}: {error}")]
    Refused {
        /// What was asked.
        what: String,
        /// The server's answer.
        error: async_nats::jetstream::Error,
    },
    /// The server refused to make the consumer.
    #[error("making consumer `{consumer}` on stream `{stream}`: {source}")]
    Consumer {
        /// The consumer.
        consumer: String,
        /// The stream.
        stream: String,
        /// Why.
        source: ConsumerError,
    },
    /// The app may not do what is needed.
    #[error(
        "{0}; an app with AUTO_PROVISION=false needs no right to provision: an operator runs `jsb provision` for it"
    )]
    Denied(#[from] Denied),
    /// Provisioning is left to somebody else, who has not done it yet.
    #[error("not provisioned: stream `{stream}` has no consumer `{consumer}` ({source}), and AUTO_PROVISION is off")]
    Missing {
        /// The consumer.
        consumer: String,
        /// The stream.
        stream: String,
        /// Why.
        source: ConsumerError,
    },
}

impl Transport {
    /// Makes what is missing and attaches to it.
    pub(crate) async fn provision(&self) -> Result<(), ProvisionError> {
        let wanted = Wanted::of(&self.config);
        let (stream, consumer, is_unchecked) = if self.config.auto_provision {
            let provide = async {
                let stream = self.provide_stream(&wanted).await?;
                let consumer = self.provide_consumer(&wanted, &stream).await?;
                Ok::<_, ProvisionError>((stream, consumer, false))
            };
            let provided = self.unless(Permission::is_management, provide).await??;
            self.denials.all_work(Permission::is_management);
            provided
        } else {
            let (consumer, is_unchecked) = self.find_consumer(&wanted).await?;
            (wanted.stream.clone(), consumer, is_unchecked)
        };
        let config = &consumer.cached_info().config;
        let ack_wait = config.backoff.first().copied().unwrap_or(config.ack_wait);
        // The server writes -1 for a consumer without a limit.
        let max_deliver = u32::try_from(config.max_deliver).ok().filter(|limit| *limit > 0).unwrap_or(u32::MAX);
        tracing::info!(stream, consumer = wanted.durable, ?ack_wait, "attached to JetStream");
        self.attach(Attached { consumer, stream, max_deliver, ack_wait, is_unchecked });
        Ok(())
    }

    async fn provide_stream(&self, wanted: &Wanted) -> Result<String, ProvisionError> {
        match topology::plan(wanted, &self.look(wanted).await?)? {
            StreamPlan::Use(stream) => Ok(stream),
            StreamPlan::AddSubjects(stream, subjects) => {
                self.add_subjects(&stream, subjects.into_iter().collect()).await?;
                Ok(stream)
            }
            StreamPlan::Create => {
                let made = self.context.create_stream(stream_config(wanted)).await;
                made.map_err(|source| ProvisionError::Create { stream: wanted.stream.clone(), source })?;
                Ok(wanted.stream.clone())
            }
        }
    }

    async fn look(&self, wanted: &Wanted) -> Result<Found, ProvisionError> {
        let mut found = Found::default();
        for subject in &wanted.subjects {
            match self.context.stream_by_subject(subject.as_str()).await {
                Ok(stream) => found.carriers.push((subject.clone(), stream)),
                Err(error) if error.kind() == GetStreamByNameErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.stream_exists = self.stream_info(&wanted.stream).await.is_ok();
        Ok(found)
    }

    /// As raw JSON: a round trip through the client's own type would reset settings that it does not know.
    async fn stream_info(&self, stream: &str) -> Result<Json, ProvisionError> {
        self.ask(format!("STREAM.INFO.{stream}"), &json!({})).await
    }

    async fn add_subjects(&self, stream: &str, subjects: Vec<String>) -> Result<(), ProvisionError> {
        let mut config = self.stream_info(stream).await?["config"].take();
        let mut carried = config["subjects"].as_array().cloned().unwrap_or_default();
        // The other app, which starts at the same time, may have been faster.
        let missing: Vec<Json> =
            subjects.into_iter().map(Json::from).filter(|subject| !carried.contains(subject)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        carried.extend(missing);
        config["subjects"] = carried.into();
        self.ask(format!("STREAM.UPDATE.{stream}"), &config).await.map(drop)
    }

    async fn ask(&self, what: String, request: &Json) -> Result<Json, ProvisionError> {
        match self.context.request(what.clone(), request).await? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(ProvisionError::Refused { what, error }),
        }
    }

    async fn provide_consumer(&self, wanted: &Wanted, stream: &str) -> Result<PullConsumer, ProvisionError> {
        let made = self.context.create_consumer_on_stream(consumer_config(wanted), stream).await;
        made.map_err(|source| ProvisionError::Consumer {
            consumer: wanted.durable.clone(),
            stream: stream.to_owned(),
            source,
        })
    }

    /// The consumer that is to be there, and whether its settings could not be checked: without the right to ask for
    /// them, they are taken for what is configured.
    async fn find_consumer(&self, wanted: &Wanted) -> Result<(PullConsumer, bool), ProvisionError> {
        let (stream, durable) = (&wanted.stream, &wanted.durable);
        let found = self.context.get_consumer_from_stream(durable, stream);
        match self.unless_denied(&consumer_info_subject(stream, durable), found).await {
            Ok(found) => found.map(|consumer| (consumer, false)).map_err(|source| ProvisionError::Missing {
                consumer: durable.clone(),
                stream: stream.clone(),
                source,
            }),
            Err(denied) if self.is_deaf() => Err(denied.into()),
            Err(denied) => {
                tracing::warn!(
                    consumer = durable,
                    "could not check the consumer's settings, which are taken for what is configured here: {denied}"
                );
                let Some(info) = unchecked_info(wanted) else { return Err(denied.into()) };
                Ok((PullConsumer::new(consumer_config(wanted), info, self.context.clone()), true))
            }
        }
    }
}

/// Where the settings and the state of a consumer are asked for.
pub(super) fn consumer_info_subject(stream: &str, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.INFO.{stream}.{consumer}")
}

/// What the server would say of a new consumer that is as wanted.
fn unchecked_info(wanted: &Wanted) -> Option<Info> {
    let nothing = json!({"consumer_seq": 0, "stream_seq": 0});
    let info = json!({
        "stream_name": wanted.stream,
        "name": wanted.durable,
        "created": "1970-01-01T00:00:00Z",
        "config": consumer_config(wanted).into_consumer_config(),
        "delivered": nothing,
        "ack_floor": nothing,
        "num_ack_pending": 0,
        "num_redelivered": 0,
        "num_waiting": 0,
        "num_pending": 0,
    });
    serde_json::from_value(info).ok()
}

fn stream_config(wanted: &Wanted) -> StreamConfig {
    StreamConfig {
        name: wanted.stream.clone(),
        subjects: wanted.subjects.iter().cloned().collect(),
        storage: StorageType::File,
        num_replicas: wanted.replicas,
        max_age: wanted.max_age,
        duplicate_window: DUPLICATE_WINDOW,
        ..Default::default()
    }
}

fn consumer_config(wanted: &Wanted) -> pull::Config {
    pull::Config {
        durable_name: Some(wanted.durable.clone()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: wanted.ack_wait,
        max_deliver: wanted.max_deliver,
        backoff: wanted.backoff.clone(),
        filter_subject: wanted.filter.clone(),
        // Messages that wait for their next delivery count as pending; too many failures must not stop the rest.
        max_ack_pending: 20_000,
        ..Default::default()
    }
}
