//! What the apps need: one stream, and a durable consumer for each app.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use super::difference::{Difference, differences};
use crate::config::{Config, STREAM_MAX_AGE};
use crate::subject;

/// How far back the server recognises a message id, unless the stream keeps its messages for less; its default.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// The stream and the consumers that a configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// The stream.
    pub stream: WantedStream,
    /// The durable consumers on it, one for each app.
    pub consumers: Vec<WantedConsumer>,
}

/// A stream with limits retention and file storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedStream {
    /// Its name.
    pub name: String,
    /// Of every pair both directions and both DLQs.
    pub subjects: BTreeSet<String>,
    /// On how many servers of a cluster it is kept. Where nobody says: on one if it is made, as it is if it is there.
    pub replicas: Option<usize>,
    /// How long it keeps its messages. Where nobody says: for 30 days if it is made, as it does if it is there.
    pub max_age: Option<Duration>,
}

/// A durable pull consumer with explicit acknowledgements.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WantedConsumer {
    /// Its durable name.
    pub name: String,
    /// What it delivers.
    pub filter: String,
    /// How often the server delivers a message.
    pub max_deliver: i64,
    /// How long the server waits for an acknowledgement: with a back-off list, its first entry.
    pub ack_wait: Duration,
    /// The delays between deliveries.
    pub backoff: Vec<Duration>,
    /// How many deliveries may wait for their acknowledgement. Those that wait for their next try count too: too many failures
    /// must not stop the rest.
    pub max_ack_pending: i64,
}

/// Why no stream can carry the apps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The subjects are spread over several streams.
    #[error(
        "the pair's subjects are carried by several streams ({}): one stream must carry them all; \
         remove them from all but one, or choose other app names",
        .0.join(", ")
    )]
    Spread(Vec<String>),
    /// A name cannot stand in a subject.
    #[error(
        "`{0}` is no name for an app or a stream: use letters, digits, `_` and `-`; an app must not be called `dlq`"
    )]
    Name(String),
    /// An app is to sync with itself, or with two others.
    #[error(
        "app `{0}` stands in the list more than once: an app syncs with one other app, so name each app in one pair"
    )]
    Repeated(String),
    /// There is nothing to provision.
    #[error("no pair of apps was named: name at least one")]
    NoPairs,
}

impl Wanted {
    /// What the application of `config` asks for: the pair's stream and its own consumer.
    pub fn of(config: &Config) -> Self {
        let (app, other) = (&config.app_name, &config.destination_app);
        Self {
            stream: WantedStream::carrying(subjects(app, other).into(), config),
            consumers: vec![WantedConsumer::of(app, other, config)],
        }
    }

    /// What an operator provides for pairs of apps that share a stream: two consumers per pair, and the other settings as
    /// `config` says; its own app names do not matter.
    ///
    /// # Errors
    ///
    /// [`TopologyError`] for a name that cannot stand in a subject, an app that appears twice, or no pair at all.
    ///
    /// ```
    /// use jsb_runtime::Config;
    /// use jsb_runtime::topology::Wanted;
    ///
    /// let config = Config::new("system_a", "system_b");
    /// let wanted = Wanted::pairs(&config, [("system_a", "system_b"), ("shop", "stock")])?;
    /// assert_eq!(wanted.stream.name, "sync-stream");
    /// assert_eq!(wanted.consumers.len(), 4);
    /// assert!(Wanted::pairs(&config, [("shop", "stock"), ("shop", "till")]).is_err());
    /// # Ok::<(), jsb_runtime::topology::TopologyError>(())
    /// ```
    pub fn pairs<A: AsRef<str>, B: AsRef<str>>(
        config: &Config,
        pairs: impl IntoIterator<Item = (A, B)>,
    ) -> Result<Self, TopologyError> {
        if !subject::is_token(&config.stream_name) {
            return Err(TopologyError::Name(config.stream_name.clone()));
        }
        let (mut carried, mut consumers, mut apps) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        for (a, b) in pairs {
            let (a, b) = (a.as_ref(), b.as_ref());
            for app in [a, b] {
                if !subject::is_app(app) {
                    return Err(TopologyError::Name(app.to_owned()));
                }
                if !apps.insert(app.to_owned()) {
                    return Err(TopologyError::Repeated(app.to_owned()));
                }
            }
            carried.extend(subjects(a, b));
            consumers.extend([WantedConsumer::of(a, b, config), WantedConsumer::of(b, a, config)]);
        }
        match consumers.is_empty() {
            true => Err(TopologyError::NoPairs),
            false => Ok(Self { stream: WantedStream::carrying(carried, config), consumers }),
        }
    }
}

fn subjects(app: &str, other: &str) -> [String; 4] {
    [subject::sync(app, other), subject::sync(other, app), subject::dlq(app), subject::dlq(other)]
}

impl WantedStream {
    fn carrying(subjects: BTreeSet<String>, config: &Config) -> Self {
        Self {
            name: config.stream_name.clone(),
            subjects,
            replicas: config.stream_replicas,
            max_age: config.stream_max_age,
        }
    }

    /// As the server writes one that is made.
    pub(crate) fn settings(&self) -> Map<String, Json> {
        let max_age = self.max_age.unwrap_or(STREAM_MAX_AGE);
        object(json!({
            "name": self.name,
            "subjects": self.subjects,
            "retention": "limits",
            "storage": "file",
            "num_replicas": self.replicas.unwrap_or(1),
            "max_age": nanoseconds(max_age),
            "duplicate_window": nanoseconds(DUPLICATE_WINDOW.min(max_age)),
            // Without its acknowledgements no event ever counts as sent.
            "no_ack": false,
        }))
    }

    /// What somebody has set, and a stream with these settings has otherwise.
    pub(crate) fn unmet(&self, found: &Json) -> Vec<Difference> {
        let mut set = Map::new();
        set.extend(self.replicas.map(|replicas| ("num_replicas".to_owned(), replicas.into())));
        set.extend(self.max_age.map(|age| ("max_age".to_owned(), nanoseconds(age).into())));
        differences(found, &set)
    }

    /// The same of one that is there, with these settings: what nobody has set stays as it is, and no message id is forgotten
    /// sooner than now.
    pub(super) fn settings_beside(&self, found: &Json) -> Map<String, Json> {
        let mut settings = self.settings();
        if self.replicas.is_none() {
            settings["num_replicas"] = found["num_replicas"].clone();
        }
        if self.max_age.is_none() {
            settings["max_age"] = found["max_age"].clone();
        }
        let window = found["duplicate_window"].as_u64().unwrap_or_default().max(nanoseconds(DUPLICATE_WINDOW));
        // The server takes none that is longer than the age, and no age is for ever.
        let age = settings["max_age"].as_u64().filter(|age| *age > 0);
        settings["duplicate_window"] = age.map_or(window, |age| window.min(age)).into();
        settings
    }
}

impl WantedConsumer {
    /// The consumer of `app`, for what `other` sends.
    pub(crate) fn of(app: &str, other: &str, config: &Config) -> Self {
        // The server refuses a list that is longer than the number of deliveries, and waits for its first entry.
        let backoff: Vec<Duration> = config.backoff.iter().copied().take(config.max_deliver as usize).collect();
        Self {
            name: subject::durable(app),
            filter: subject::sync(other, app),
            max_deliver: config.max_deliver.into(),
            ack_wait: backoff.first().copied().unwrap_or(config.ack_wait),
            backoff,
            max_ack_pending: config.max_ack_pending.into(),
        }
    }

    /// As the server writes it.
    pub(crate) fn settings(&self) -> Map<String, Json> {
        object(json!({
            "durable_name": self.name,
            "filter_subject": self.filter,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": nanoseconds(self.ack_wait),
            "max_deliver": self.max_deliver,
            "backoff": self.backoff.iter().copied().map(nanoseconds).collect::<Vec<_>>(),
            "max_ack_pending": self.max_ack_pending,
            "deliver_subject": "",
            "headers_only": false,
            // It stays, and knows its position, while its app is away and the server restarts.
            "inactive_threshold": 0,
            "mem_storage": false,
        }))
    }

    /// What about a consumer is not as wanted.
    pub(crate) fn differences(&self, found: &Json) -> Vec<Difference> {
        differences(found, &self.settings())
    }
}

/// Settings as the object that they are.
pub(crate) fn object(settings: Json) -> Map<String, Json> {
    match settings {
        Json::Object(settings) => settings,
        _ => Map::new(),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
