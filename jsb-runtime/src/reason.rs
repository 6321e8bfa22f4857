//! Why an event is parked, dead or discarded: the words of the inbox, of dead letters and of the command line.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::{EnumIter, Iterable};

use crate::names::{UnknownName, named};

/// Why an event is parked or dead; the text is what the DLQ's `x-dlq-reason` and the inbox's `reason` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter)]
#[non_exhaustive]
#[allow(missing_docs, reason = "docs/wire.md and docs/cli.md say what each means")]
pub enum Reason {
    Malformed,
    UnsupportedVersion,
    ForgedProducer,
    HopLimit,
    UnknownEvent,
    InvalidPayload,
    ConstraintViolated,
    VersionInFuture,
    OlderThanTombstones,
    HandlerRefused,
    MaxAttempts,
    CrashLoop,
    ParentMissing,
    HasChildren,
    UniqueConflict,
    DeliveriesSpent,
    Retried,
    Discarded,
}

impl Reason {
    /// What an event has that has been parked until something here changes, also when somebody has it tried in between.
    pub(crate) const WAITING: [Self; 4] = [Self::ParentMissing, Self::HasChildren, Self::UniqueConflict, Self::Retried];

    pub(crate) fn is_waiting(self) -> bool {
        Self::WAITING.contains(&self)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnsupportedVersion => "unsupported_version",
            Self::ForgedProducer => "forged_producer",
            Self::HopLimit => "hop_limit",
            Self::UnknownEvent => "unknown_event",
            Self::InvalidPayload => "invalid_payload",
            Self::ConstraintViolated => "constraint_violated",
            Self::VersionInFuture => "version_in_future",
            Self::OlderThanTombstones => "older_than_tombstones",
            Self::HandlerRefused => "handler_refused",
            Self::MaxAttempts => "max_attempts",
            Self::CrashLoop => "crash_loop",
            Self::ParentMissing => "parent_missing",
            Self::HasChildren => "has_children",
            Self::UniqueConflict => "unique_conflict",
            Self::DeliveriesSpent => "deliveries_spent",
            Self::Retried => "retried",
            Self::Discarded => "discarded",
        }
    }

    /// The reason of this name, if events are parked for it until something here changes.
    pub(crate) fn of_waiting(name: &str) -> Option<Self> {
        Self::WAITING.into_iter().find(|reason| reason.as_str() == name && *reason != Self::Retried)
    }

    /// How long an event may be parked for this: then its row is kept, or it is dead.
    pub(crate) fn longest_parking(self, keep_parent_after: Duration, park_for: Duration) -> Duration {
        match self {
            // Kept before it could be buried: a buried delete leaves the two sides different for ever.
            Self::HasChildren => keep_parent_after.min(park_for),
            _ => park_for,
        }
    }

    /// Whether it is the event's counters in the inbox that say so.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Self::MaxAttempts | Self::CrashLoop)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        named(text, "reason", Self::iter().collect::<Vec<_>>())
    }
}
