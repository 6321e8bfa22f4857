//! What the pair needs of JetStream, compared with what is there: pure, so that it can be shown and tested.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::config::Config;
use crate::subject;

/// The stream and the consumer that a configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The stream to make where no stream carries the subjects yet.
    pub stream: String,
    /// Both directions and both DLQs.
    pub subjects: BTreeSet<String>,
    /// Replicas of a stream that is made.
    pub replicas: usize,
    /// Age limit of a stream that is made.
    pub max_age: Duration,
    /// The durable consumer of this app.
    pub durable: String,
    /// What the durable delivers.
    pub filter: String,
    /// How often the server delivers a message.
    pub max_deliver: i64,
    /// How long the server waits for an acknowledgement.
    pub ack_wait: Duration,
    /// The delays between deliveries.
    pub backoff: Vec<Duration>,
}

impl Wanted {
    /// What `config` asks for.
    pub fn of(config: &Config) -> Self {
        let (app, other) = (&config.app_name, &config.destination_app);
        Self {
            stream: config.stream_name.clone(),
            subjects: [subject::sync(app, other), subject::sync(other, app), subject::dlq(app), subject::dlq(other)]
                .into(),
            replicas: config.stream_replicas,
            max_age: config.stream_max_age,
            durable: subject::durable(app),
            filter: subject::sync(other, app),
            max_deliver: config.max_deliver.into(),
            ack_wait: config.ack_wait,
            // The server refuses a list that is longer than the number of deliveries.
            backoff: config.backoff.iter().copied().take(config.max_deliver as usize).collect(),
        }
    }
}

/// What the server has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Which stream carries each of the wanted subjects, if any does.
    pub carriers: Vec<(String, String)>,
    /// Whether the wanted stream is there, whatever it carries.
    pub stream_exists: bool,
}

/// What is to be done about the stream. A stream is never deleted, and of one that is there nothing changes but its
/// subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPlan {
    /// Make the wanted stream.
    Create,
    /// Add subjects to this stream; its other settings stay.
    AddSubjects(String, BTreeSet<String>),
    /// Use this stream as it is.
    Use(String),
}

/// Why no stream can carry the pair.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The subjects are spread over several streams.
    #[error(
        "the pair's subjects are carried by several streams ({}): one stream must carry them all; \
         remove them from all but one, or choose other app names",
        .0.join(", ")
    )]
    Spread(Vec<String>),
}

/// Compares what is wanted with what is found.
///
/// # Errors
///
/// [`TopologyError`] when no change short of deleting something would do.
pub fn plan(wanted: &Wanted, found: &Found) -> Result<StreamPlan, TopologyError> {
    let streams: BTreeSet<&String> = found.carriers.iter().map(|(_, stream)| stream).collect();
    let carried: BTreeSet<&String> = found.carriers.iter().map(|(subject, _)| subject).collect();
    let missing: BTreeSet<String> =
        wanted.subjects.iter().filter(|subject| !carried.contains(subject)).cloned().collect();
    match streams.into_iter().collect::<Vec<_>>().as_slice() {
        [] if found.stream_exists => Ok(StreamPlan::AddSubjects(wanted.stream.clone(), missing)),
        [] => Ok(StreamPlan::Create),
        [stream] if missing.is_empty() => Ok(StreamPlan::Use((*stream).clone())),
        [stream] => Ok(StreamPlan::AddSubjects((*stream).clone(), missing)),
        several => Err(TopologyError::Spread(several.iter().map(|stream| (*stream).clone()).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted::of(&Config::new("system_a", "system_b"))
    }

    fn carried_by(streams: &[(&str, &str)]) -> Found {
        let carriers = streams.iter().map(|(subject, stream)| ((*subject).to_owned(), (*stream).to_owned())).collect();
        Found { carriers, stream_exists: false }
    }

    #[test]
    fn nothing_there_is_made() {
        assert_eq!(plan(&wanted(), &Found::default()), Ok(StreamPlan::Create));
    }

    #[test]
    fn a_stream_that_carries_everything_is_used_whatever_its_name() {
        let wanted = wanted();
        let carriers = wanted.subjects.iter().map(|subject| (subject.clone(), "rails".to_owned())).collect();
        let found = Found { carriers, stream_exists: true };
        assert_eq!(plan(&wanted, &found), Ok(StreamPlan::Use("rails".to_owned())));
    }

    #[test]
    fn missing_subjects_are_added_to_the_stream_that_carries_the_others() {
        let found = carried_by(&[("system_a.sync.system_b", "rails"), ("system_b.sync.system_a", "rails")]);
        let dlqs = ["system_a.sync.dlq", "system_b.sync.dlq"].map(str::to_owned).into();
        assert_eq!(plan(&wanted(), &found), Ok(StreamPlan::AddSubjects("rails".to_owned(), dlqs)));
    }

    #[test]
    fn subjects_spread_over_streams_are_refused_and_the_streams_named() {
        let found = carried_by(&[("system_a.sync.system_b", "one"), ("system_b.sync.system_a", "two")]);
        let refused = TopologyError::Spread(vec!["one".to_owned(), "two".to_owned()]);
        assert_eq!(plan(&wanted(), &found), Err(refused));
    }
}
