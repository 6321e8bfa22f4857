//! What an application does about the stream and its durable: provides them or finds them, and attaches.

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{Consumer, FromConsumer, Info, PullConsumer, pull};
use async_nats::jetstream::context::{RequestError, RequestErrorKind};
use serde_json::{Value as Json, json};

use super::attached::Attached;
use super::call::StreamError;
use super::connection::Transport;
use super::denials::{Denied, Permission};
use crate::causes::chain;
use crate::problems::Task;
use crate::subject::api;
use crate::topology::{self, Difference, FoundStream, Plan, Refusal, TopologyError, Wanted, WantedConsumer};

/// How often the server is looked at anew when somebody else changes the same at the same time.
pub(crate) const ROUNDS: usize = 8;

/// Why the stream or the consumer could not be brought about, or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// No stream can carry the apps.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// A request got no answer.
    #[error("asking JetStream: {0}{hint}", hint = hint(.0))]
    Request(#[source] RequestError),
    /// The server refused a request.
    #[error("{call}: {error}")]
    Refused {
        /// What was asked.
        call: String,
        /// The server's answer.
        error: jetstream::Error,
    },
    /// The user may not do what is needed.
    #[error(
        "{0}; an app with AUTO_PROVISION=false needs no right to provision: an operator runs `jsb provision` for it"
    )]
    Denied(#[source] Denied),
    /// What is wanted cannot be had without deleting something, which is left to a person.
    #[error("cannot be provisioned:\n{}", lines(.0))]
    Unattainable(Vec<Refusal>),
    /// After several rounds it is still not as wanted.
    #[error(
        "somebody else keeps changing the same, or the server has limits of its own{}; still to be done:\n{plan}",
        .conflict.as_ref().map(|conflict| format!(" ({conflict})")).unwrap_or_default()
    )]
    Unsettled {
        /// What is still to be done.
        plan: Box<Plan>,
        /// What stood against it last.
        conflict: Option<String>,
    },
    /// Provisioning is left to somebody else, who has not done it yet.
    #[error(
        "not provisioned: stream `{stream}` with consumer `{consumer}` is not there, and AUTO_PROVISION is off; \
         run `jsb provision`"
    )]
    Missing {
        /// The consumer.
        consumer: String,
        /// The stream.
        stream: String,
        /// The server's answer.
        source: StreamError,
    },
    /// Provisioning is left to somebody else, who did it otherwise than this application is configured.
    #[error(
        "consumer `{consumer}` of stream `{stream}` is not as configured, and AUTO_PROVISION is off (found -> configured):\n\
         {}\nrun `jsb provision` with the same settings, or configure the application as the server is",
        lines(.differences)
    )]
    Differs {
        /// The consumer.
        consumer: String,
        /// The stream.
        stream: String,
        /// What is different: what was found, and what is configured.
        differences: Vec<Difference>,
    },
    /// The server's answer cannot be read, or the consumer is none that can be pulled from.
    #[error("consumer `{consumer}`: {source}")]
    Unusable {
        /// The consumer.
        consumer: String,
        /// Why.
        source: async_nats::Error,
    },
}

impl Transport {
    /// Makes what is missing, or finds what an operator made, and attaches to it.
    ///
    /// After [`ProvisionError::Differs`] it is attached all the same if it can be: the caller may go on with what is there.
    pub(crate) async fn provision(&self) -> Result<(), ProvisionError> {
        let wanted_consumer = self.wanted_consumer();
        let stream = match self.config.auto_provision {
            true => self.provide(&wanted_consumer).await?,
            false => self.config.stream_name.clone(),
        };
        if self.config.auto_provision {
            self.report_stream(&stream).await;
        }
        self.attach_as_found(&stream, &wanted_consumer).await
    }

    /// Attaches once more to the consumer that is attached, whose settings somebody has changed, or that somebody has made anew.
    /// They stay as they are until the next start or connection: another process of this app may be configured so.
    pub(super) async fn look_again(&self) -> Result<(), ProvisionError> {
        self.attach_as_found(&self.stream_name(), &self.wanted_consumer()).await
    }

    fn wanted_consumer(&self) -> WantedConsumer {
        WantedConsumer::of(&self.config.app_name, &self.config.destination_app, &self.config)
    }

    async fn attach_as_found(&self, stream: &str, wanted_consumer: &WantedConsumer) -> Result<(), ProvisionError> {
        let FoundConsumer { consumer, differences, is_unchecked } = self.find_consumer(stream, wanted_consumer).await?;
        let found = Attached::to(consumer, stream, is_unchecked);
        tracing::info!(stream, consumer = wanted_consumer.name, ack_wait = ?found.ack_wait, "attached to JetStream");
        self.attach(found);
        match differences.is_empty() || self.config.auto_provision {
            true => Ok(()),
            false => {
                let (consumer, stream) = (wanted_consumer.name.clone(), stream.to_owned());
                Err(ProvisionError::Differs { consumer, stream, differences })
            }
        }
    }

    /// Detaches if the server says that the stream is gone: an app that may provision asks who carries what it publishes, any other
    /// one asks for its own consumer. A mere silence changes nothing: whoever is detached loses what is on its way here, and counts
    /// anew how long it has been attached.
    pub(crate) async fn doubt_stream(&self) {
        if !self.is_ready() {
            // Somebody looks already.
            return;
        }
        let is_there = match self.config.auto_provision {
            true => self.carrier_of(&self.config.outgoing()).await.map(|stream| stream.is_some()),
            false => {
                let settings = self.consumer_settings(&self.config.stream_name, &self.wanted_consumer().name).await;
                settings.map(|settings| settings.is_some())
            }
        };
        if matches!(is_there, Ok(false)) {
            self.detach();
        }
    }

    /// What keeps this app from being attached as it should be, for the status; what is denied stands there already.
    pub(crate) fn report_provisioned(&self, error: Option<&ProvisionError>) {
        let error = error.filter(|error| !matches!(error, ProvisionError::Denied(_)));
        self.problems.report(Task::Provisioner, error.map(|error| chain(error)));
    }

    /// Says so, once, while the stream, which is used as it is, keeps nothing that nobody listens for, or cannot be
    /// published to with an answer, or is not as somebody has set it.
    pub(crate) async fn report_stream(&self, stream: &str) {
        let Ok(info) = self.ask(api::stream_info(stream), &json!({})).await else { return };
        let interest = FoundStream::read(&info).drops().map(|drops| format!("{drops}; change it to limits"));
        let silence = (info["config"]["no_ack"] == true).then(|| {
            "it acknowledges nothing (no_ack), so that no event ever counts as sent; turn that off, or take the pair's subjects out of it"
                .to_owned()
        });
        let unmet = Wanted::of(&self.config).stream.unmet(&info["config"]);
        let unmet = unmet.iter().map(|difference| {
            format!(
                "an application leaves a stream that is there as it is, with {difference} still to do: run `jsb provision`, or set here \
                 what the stream has"
            )
        });
        let problems: Vec<String> = interest.into_iter().chain(silence).chain(unmet).collect();
        let problem = (!problems.is_empty()).then(|| format!("stream {stream}: {}", problems.join("; ")));
        if let Some(problem) = problem.as_ref().filter(|_| !self.problems.has(Task::Stream)) {
            tracing::warn!("{problem}");
        }
        self.problems.report(Task::Stream, problem);
    }

    /// Makes the stream and the durable, or adds to them what is missing, and says which stream carries the pair.
    async fn provide(&self, wanted_consumer: &WantedConsumer) -> Result<String, ProvisionError> {
        let wanted = Wanted::of(&self.config);
        let mut rounds = 0..ROUNDS;
        let mut conflict = None;
        loop {
            let (stream, mut plan) = topology::adopt(&wanted, &self.look_at_streams(&wanted).await?)?;
            plan.add_consumer(
                &stream,
                wanted_consumer,
                self.consumer_settings(&stream, &wanted_consumer.name).await?.as_ref(),
            );
            if plan.is_empty() {
                self.denials.all_work(Permission::is_management);
                return Ok(stream);
            }
            if rounds.next().is_none() {
                return Err(ProvisionError::Unsettled { plan: Box::new(plan), conflict });
            }
            conflict = self.carry_out_all(&plan, |change| tracing::info!(%change, "provisioned")).await?;
        }
    }

    /// The consumer that is to be there. This is all that an application asks which may not manage anything; without the
    /// right to ask even that, its settings are taken for what is configured.
    async fn find_consumer(&self, stream: &str, wanted: &WantedConsumer) -> Result<FoundConsumer, ProvisionError> {
        let (consumer, stream) = (wanted.name.clone(), stream.to_owned());
        let (info, is_unchecked) = match self.ask(api::consumer_info(&stream, &consumer), &json!({})).await {
            Err(source) if source.is_not_found() => {
                return Err(ProvisionError::Missing { consumer, stream, source });
            }
            Err(StreamError::Denied(denied)) if !self.is_deaf() => {
                tracing::warn!(
                    consumer,
                    "could not check the consumer's settings, which are taken for what is configured here: {denied}"
                );
                (unchecked_info(&stream, wanted), true)
            }
            info => (info?, false),
        };
        let differences = if is_unchecked { Vec::new() } else { wanted.differences(&info["config"]) };
        let unusable = |source| ProvisionError::Unusable { consumer: consumer.clone(), source };
        let info: Info = serde_json::from_value(info).map_err(|error| unusable(error.into()))?;
        if info.config.deliver_subject.is_some() || differences.iter().any(Difference::loses_events) {
            // It may have been as it should be until now.
            self.detach();
            return Err(ProvisionError::Differs { consumer, stream, differences });
        }
        let config = pull::Config::try_from_consumer_config(info.config.clone()).map_err(unusable)?;
        Ok(FoundConsumer { consumer: Consumer::new(config, info, self.context.clone()), differences, is_unchecked })
    }
}

/// The consumer of this app, and what about it is not as wanted.
struct FoundConsumer {
    consumer: PullConsumer,
    differences: Vec<Difference>,
    /// The server could not be asked for its settings.
    is_unchecked: bool,
}

/// What the server would say of a new consumer that is as wanted.
fn unchecked_info(stream: &str, wanted: &WantedConsumer) -> Json {
    let nothing = json!({"consumer_seq": 0, "stream_seq": 0});
    let mut settings = wanted.settings();
    // Any text, even an empty one, is a push consumer to the client.
    settings["deliver_subject"] = Json::Null;
    json!({
        "stream_name": stream,
        "name": wanted.name,
        "created": "1970-01-01T00:00:00Z",
        "config": settings,
        "delivered": nothing,
        "ack_floor": nothing,
        "num_ack_pending": 0,
        "num_redelivered": 0,
        "num_waiting": 0,
        "num_pending": 0,
    })
}

impl ProvisionError {
    /// Whether JetStream is away: nobody answers, or only a server without the others of its cluster.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::Request(_) => true,
            Self::Refused { error, .. } => error.error_code() == ErrorCode::CLUSTER_NOT_AVAILABLE,
            _ => false,
        }
    }
}

fn hint(error: &RequestError) -> &'static str {
    match error.kind() {
        RequestErrorKind::NoResponders => {
            "; see that nats-server runs with JetStream (`-js`); if this user came with a reload, reload once more"
        }
        _ => "",
    }
}

fn lines(items: &[impl ToString]) -> String {
    items.iter().map(|item| format!("  {}", item.to_string())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_jetstream_is_told_from_one_that_is_silent() {
        let said = |kind: RequestErrorKind| ProvisionError::Request(kind.into()).to_string();
        let hint = said(RequestErrorKind::NoResponders);
        assert!(hint.contains("; see that nats-server runs with JetStream (`-js`)"), "{hint}");
        assert!(hint.ends_with("; if this user came with a reload, reload once more"), "{hint}");
        assert_eq!(said(RequestErrorKind::TimedOut), "asking JetStream: timed out");
    }
}
