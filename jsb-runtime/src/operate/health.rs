//! Health: what a report says, held against limits.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Part, Report};
use crate::clock;

/// What is still healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How long an event may wait in the outbox to be published, and in the stream to be delivered and acknowledged.
    pub max_pending_age: Duration,
    /// How many events may wait in the stream for their first delivery.
    pub max_lag: u64,
    /// How long an event may have failed, or wait for what it lacks.
    pub max_waiting_age: Duration,
    /// How many events of the outbox may be such as can never be published.
    pub max_unpublishable: u64,
    /// How many letters may be in the DLQ.
    pub max_dead: u64,
}

impl Default for Limits {
    /// Five minutes, 10,000 events, one hour, none, none.
    fn default() -> Self {
        Self {
            max_pending_age: Duration::from_secs(300),
            max_lag: 10_000,
            max_waiting_age: Duration::from_secs(3_600),
            max_unpublishable: 0,
            max_dead: 0,
        }
    }
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// All is well.
    Ok,
    /// An operator should look.
    Fault,
    /// It could not be looked at, which is nobody's fault.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What: `stream`, `consumer`, `consumer_lag`, `consumer_age`, `dead_letters`, `outbox_age`, `outbox_failed` or `inbox_age`.
    pub name: &'static str,
    /// What was found.
    pub finding: Finding,
    /// The numbers, or why they are not known.
    pub detail: String,
}

impl Check {
    /// Whether an operator should look.
    pub fn is_fault(&self) -> bool {
        self.finding == Finding::Fault
    }
}

impl Report {
    /// Holds what was seen against limits. Where neither the stream nor the consumer was seen, the stream is a fault.
    pub fn checks(&self, limits: &Limits) -> Vec<Check> {
        let now = clock::now();
        let old = |since: Option<DateTime<Utc>>, limit: Duration| {
            since.is_some_and(|since| (now - since).to_std().is_ok_and(|age| age > limit))
        };
        let age = |since: Option<DateTime<Utc>>| since.map_or_else(|| "none".to_owned(), |since| text(now - since));
        let (pending, waiting) = (limits.max_pending_age, limits.max_waiting_age);
        let mut stream = check("stream", &self.stream, |stream| match &stream.leader {
            None if stream.is_clustered => (false, format!("`{}` has no leader", stream.name)),
            _ => (true, format!("`{}` is there", stream.name)),
        });
        // A wrong name is denied too, and must not look healthy for ever.
        if self.is_blind() {
            stream.finding = Finding::Fault;
        }
        vec![
            stream,
            check("consumer", &self.consumer, |consumer| (true, format!("`{}` is there", consumer.name))),
            check("consumer_lag", &self.consumer, |consumer| {
                (consumer.lag <= limits.max_lag, format!("{} of at most {} wait", consumer.lag, limits.max_lag))
            }),
            check("consumer_age", &self.oldest_unacknowledged, |&oldest| {
                (!old(oldest, pending), format!("oldest that waits: {}, limit {}", age(oldest), human(pending)))
            }),
            check("dead_letters", &self.dead_letters, |dead| {
                (*dead <= limits.max_dead, format!("{dead} of at most {}", limits.max_dead))
            }),
            check("outbox_age", &self.tables, |tables| {
                let oldest = tables.oldest_pending;
                (!old(oldest, pending), format!("oldest pending: {}, limit {}", age(oldest), human(pending)))
            }),
            check("outbox_failed", &self.tables, |tables| {
                let (failed, most) = (tables.unpublishable_events, limits.max_unpublishable);
                (failed <= most, format!("{failed} of at most {most} cannot be published"))
            }),
            check("inbox_age", &self.tables, |tables| {
                let oldest = [tables.oldest_failed, tables.oldest_parked].into_iter().flatten().min();
                (!old(oldest, waiting), format!("oldest failed or parked: {}, limit {}", age(oldest), human(waiting)))
            }),
        ]
    }
}

fn check<T>(name: &'static str, part: &Part<T>, judge: impl FnOnce(&T) -> (bool, String)) -> Check {
    let (finding, detail) = match part {
        Part::Seen(seen) => match judge(seen) {
            (true, detail) => (Finding::Ok, detail),
            (false, detail) => (Finding::Fault, detail),
        },
        Part::Unseen { unseen, is_fault: true } => (Finding::Fault, unseen.clone()),
        Part::Unseen { unseen, is_fault: false } => (Finding::Unknown, unseen.clone()),
    };
    Check { name, finding, detail }
}

fn text(age: TimeDelta) -> String {
    human(Duration::from_secs(age.num_seconds().try_into().unwrap_or(0)))
}

fn human(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_neither_stream_nor_consumer_is_a_fault() {
        let report = Report {
            app: "a".to_owned(),
            destination: "b".to_owned(),
            is_connected: true,
            stream: Part::not_asked("it is denied"),
            consumer: Part::not_asked("it is denied"),
            oldest_unacknowledged: Part::not_asked("it is denied"),
            peer: Part::not_asked("it is denied"),
            dead_letters: Part::Seen(0),
            tables: Part::not_asked("there is none"),
            resources: Vec::new(),
        };
        let checks = report.checks(&Limits::default());
        let faults: Vec<_> = checks.iter().filter(|check| check.is_fault()).collect();
        assert_eq!((faults.len(), faults[0].name, faults[0].detail.as_str()), (1, "stream", "it is denied"));
    }
}
