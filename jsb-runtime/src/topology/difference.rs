//! One setting that is not as wanted.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

/// The settings that the server counts in nanoseconds.
const DURATIONS: [&str; 5] = ["max_age", "duplicate_window", "ack_wait", "backoff", "inactive_threshold"];
const UNITS: [(u64, &str); 6] = [
    (86_400_000_000_000, "d"),
    (3_600_000_000_000, "h"),
    (60_000_000_000, "m"),
    (1_000_000_000, "s"),
    (1_000_000, "ms"),
    (1, "ns"),
];

/// A setting of a stream or a consumer that is not as wanted. Printed as `max_age: 7d -> 30d`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The setting, as the server calls it.
    pub setting: String,
    /// What the server has, in its units: durations in nanoseconds.
    pub found: Json,
    /// What is wanted.
    pub wanted: Json,
}

impl Difference {
    pub(super) fn new(setting: &str, found: &Json, wanted: &Json) -> Self {
        Self { setting: setting.to_owned(), found: found.clone(), wanted: wanted.clone() }
    }

    /// What the server has, as a person reads it.
    pub(super) fn shown_found(&self) -> String {
        shown(&self.setting, &self.found)
    }

    /// What is wanted, as a person reads it.
    pub(super) fn shown_wanted(&self) -> String {
        shown(&self.setting, &self.wanted)
    }

    /// Whether a consumer that is used all the same would lose what it is sent, or get what is somebody else's.
    pub(crate) fn loses_events(&self) -> bool {
        ["ack_policy", "filter_subject", "headers_only"].contains(&self.setting.as_str())
    }

    /// Sets it in the settings that the server has by now. Subjects are only added.
    pub(crate) fn set(&self, settings: &mut Map<String, Json>) {
        let mut wanted = self.wanted.clone();
        match (self.setting.as_str(), &mut wanted) {
            ("subjects", Json::Array(wanted)) => {
                let mut carried = settings.get("subjects").and_then(Json::as_array).cloned().unwrap_or_default();
                let found = self.found.as_array().cloned().unwrap_or_default();
                wanted.retain(|subject| !found.contains(subject) && !carried.contains(subject));
                carried.append(wanted);
                *wanted = carried;
            }
            ("filter_subject", _) => {
                settings.remove("filter_subjects");
            }
            _ => {}
        }
        settings.insert(self.setting.clone(), wanted);
    }

    /// The subjects to add, if it is about subjects.
    pub(super) fn added_subjects(&self) -> Option<String> {
        let found = self.found.as_array().filter(|_| self.setting == "subjects")?;
        let added = self.wanted.as_array()?.iter().filter(|subject| !found.contains(subject));
        Some(added.filter_map(Json::as_str).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.setting, self.shown_found(), self.shown_wanted())
    }
}

/// What of `wanted` is different in `found`, in the order of `wanted`.
pub(super) fn differences(found: &Json, wanted: &Map<String, Json>) -> Vec<Difference> {
    let differs = |(setting, wanted): (&String, &Json)| {
        let found = value(found, setting, wanted);
        (found != *wanted).then(|| Difference::new(setting, &found, wanted))
    };
    wanted.iter().filter_map(differs).collect()
}

/// The settings that are to be made; those that are off say nothing.
pub(super) fn lines(settings: &Map<String, Json>) -> impl Iterator<Item = String> {
    let is_set = |value: &Json| *value != false && *value != 0 && *value != "";
    settings
        .iter()
        .filter(move |(_, value)| is_set(value))
        .map(|(setting, value)| format!("{setting}: {}", shown(setting, value)))
}

/// What the server has, where it leaves out what is not set.
fn value(config: &Json, setting: &str, wanted: &Json) -> Json {
    match (&config[setting], wanted) {
        // One filter may stand in either place.
        (Json::Null, _) if setting == "filter_subject" => match config["filter_subjects"].as_array().map(Vec::as_slice)
        {
            Some([only]) => only.clone(),
            Some(several) => several.into(),
            None => "".into(),
        },
        (Json::Null, Json::Array(_)) => Json::Array(Vec::new()),
        (Json::Null, Json::Number(_)) => 0.into(),
        (Json::Null, Json::Bool(_)) => false.into(),
        (Json::Null, Json::String(_)) => "".into(),
        (found, _) => found.clone(),
    }
}

fn shown(setting: &str, value: &Json) -> String {
    let is_duration = DURATIONS.contains(&setting);
    match value {
        Json::Null => "none".to_owned(),
        Json::String(text) if text.is_empty() => "none".to_owned(),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.is_empty() => "none".to_owned(),
        Json::Array(items) => items.iter().map(|item| shown(setting, item)).collect::<Vec<_>>().join(", "),
        Json::Number(number) if is_duration => number.as_u64().map_or_else(|| number.to_string(), duration),
        other => other.to_string(),
    }
}

/// In the largest unit that fits, as the configuration takes it.
fn duration(nanoseconds: u64) -> String {
    if nanoseconds == 0 {
        return "none".to_owned();
    }
    let fits = |(size, _): &&(u64, &str)| nanoseconds.is_multiple_of(*size);
    UNITS.iter().find(fits).map_or_else(String::new, |(size, unit)| format!("{}{unit}", nanoseconds / size))
}
