//! The plan: what is to be made and changed, and what cannot be. Nothing is ever deleted to get there.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::difference::{Difference, lines};
use super::{Found, Wanted, WantedConsumer, rules};

/// What is to be done so that the server has what is wanted. Printed, it reads as a diff.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    pub(super) changes: Vec<Change>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) problems: Vec<String>,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Make the stream.
    CreateStream {
        /// Its name.
        stream: String,
        /// Its settings, in the server's units.
        settings: Map<String, Json>,
    },
    /// Change settings of the stream; its other settings stay.
    UpdateStream {
        /// Its name.
        stream: String,
        /// What changes.
        differences: Vec<Difference>,
    },
    /// Make a durable consumer.
    CreateConsumer {
        /// The stream.
        stream: String,
        /// Its name.
        consumer: String,
        /// Its settings, in the server's units.
        settings: Map<String, Json>,
    },
    /// Change settings of a durable consumer; its other settings and its position stay.
    UpdateConsumer {
        /// The stream.
        stream: String,
        /// Its name.
        consumer: String,
        /// What changes.
        differences: Vec<Difference>,
    },
}

/// What cannot be brought about without deleting something, which is left to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Refusal {
    /// A stream or a consumer, by name.
    pub about: String,
    /// What stands against it.
    pub reason: String,
    /// What a person can do.
    pub steps: String,
}

/// Compares what is wanted with what is found.
pub(crate) fn plan(wanted: &Wanted, found: &Found) -> Plan {
    let mut plan = Plan { refusals: rules::foreign_streams(&wanted.stream, found), ..Plan::default() };
    if !plan.refusals.is_empty() {
        // Where the subjects go is to be decided first.
        return plan;
    }
    match &found.stream {
        None => plan
            .changes
            .push(Change::CreateStream { stream: wanted.stream.name.clone(), settings: wanted.stream.settings() }),
        Some(stream) => {
            let (differences, refusals) = rules::stream(&wanted.stream, stream, found);
            plan.refusals.extend(refusals);
            plan.problems.extend(rules::dropped_by_shared(&wanted.stream, stream));
            if !differences.is_empty() {
                plan.changes.push(Change::UpdateStream { stream: wanted.stream.name.clone(), differences });
            }
        }
    }
    for consumer in &wanted.consumers {
        plan.add_consumer(&wanted.stream.name, consumer, found.consumers.get(&consumer.name));
    }
    plan
}

impl Plan {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.refusals.is_empty()
    }

    /// What is to be made and changed, in this order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// What cannot be done; while there is any, nothing of the plan is carried out.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What a person should look at, although it stands against nothing of the plan.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    pub(crate) fn add_consumer(&mut self, stream: &str, wanted: &WantedConsumer, found: Option<&Json>) {
        let (stream, consumer) = (stream.to_owned(), wanted.name.clone());
        let Some(found) = found else {
            let settings = wanted.settings();
            return self.changes.push(Change::CreateConsumer { stream, consumer, settings });
        };
        let (differences, refusals) = rules::consumer(wanted, &stream, found);
        self.refusals.extend(refusals);
        if !differences.is_empty() {
            self.changes.push(Change::UpdateConsumer { stream, consumer, differences });
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() && self.problems.is_empty() {
            return f.write_str("all is as wanted: nothing to do");
        }
        let changes = self.changes.iter().map(ToString::to_string);
        let refusals = self.refusals.iter().map(ToString::to_string);
        let problems = self.problems.iter().map(|problem| format!("? {problem}"));
        let parts: Vec<String> = changes.chain(refusals).chain(problems).collect();
        f.write_str(&parts.join("\n"))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateStream { stream, settings } => {
                write!(f, "+ stream {stream}")?;
                lines(settings).skip(1).try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::CreateConsumer { stream, consumer, settings } => {
                write!(f, "+ consumer {consumer} of stream {stream}")?;
                lines(settings).skip(1).try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::UpdateStream { stream, differences } => {
                write!(f, "~ stream {stream}")?;
                update(f, differences)
            }
            Self::UpdateConsumer { stream, consumer, differences } => {
                write!(f, "~ consumer {consumer} of stream {stream}")?;
                update(f, differences)
            }
        }
    }
}

fn update(f: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    differences.iter().try_for_each(|difference| match difference.added_subjects() {
        Some(added) => write!(f, "\n    + subjects: {added}"),
        None => write!(f, "\n    ~ {difference}"),
    })
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "! {}: {}\n    {}", self.about, self.reason, self.steps)
    }
}
