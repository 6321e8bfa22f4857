//! What the server has, from its raw answers: the client's own types drop what they do not know.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value as Json;

use super::{Difference, WantedStream};

/// What the server has of what is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Which stream carries a wanted subject, also through a wildcard.
    pub(crate) carriers: BTreeMap<String, String>,
    /// The stream of the wanted name, whatever it carries.
    pub(crate) stream: Option<FoundStream>,
    /// The settings of the wanted consumers that are there, by name.
    pub(crate) consumers: BTreeMap<String, Json>,
}

/// A stream that is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FoundStream {
    /// Its settings, as the server writes them.
    pub(crate) config: Json,
    /// The age of its oldest message, if it holds any.
    pub(crate) oldest: Option<Duration>,
}

impl FoundStream {
    /// Reads the answer to `STREAM.INFO`. Ages are the server's: clocks may differ.
    pub(crate) fn read(info: &Json) -> Self {
        let time = |value: &Json| value.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let state = &info["state"];
        let holds_any = state["messages"].as_u64().is_some_and(|messages| messages > 0);
        let oldest = time(&state["first_ts"]).filter(|_| holds_any).map(|first| {
            let now = time(&info["ts"]).unwrap_or_else(Utc::now);
            now.signed_duration_since(first).to_std().unwrap_or_default()
        });
        Self { config: info["config"].clone(), oldest }
    }

    pub(super) fn subjects(&self) -> Vec<&str> {
        self.config["subjects"].as_array().into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// What it carries beside what is wanted. With any, it is not for us alone to say how it is.
    pub(super) fn further_subjects(&self, wanted: &WantedStream) -> Vec<&str> {
        self.subjects().into_iter().filter(|subject| !wanted.subjects.contains(*subject)).collect()
    }

    /// What it drops of what is sent to it, which is no reason not to use it.
    pub(crate) fn drops(&self) -> Option<&'static str> {
        let drops = "it has interest retention: dead letters, and events that are sent before the other app's consumer is there, are \
                     dropped";
        (self.config["retention"] == "interest").then_some(drops)
    }

    /// Whether a change of `max_age` would make the server delete messages that it holds now.
    pub(crate) fn would_lose_messages(&self, change: &Difference) -> bool {
        let limit = change.wanted.as_u64().filter(|limit| *limit > 0 && change.setting == "max_age");
        limit.is_some_and(|limit| self.oldest.is_some_and(|age| age > Duration::from_nanos(limit)))
    }
}
