//! Why an event is parked, dead or discarded: the words of the inbox, of dead letters and of the command line.

use std::time::Duration;

use crate::names::closed_set;

closed_set! {
    "reason":
    /// Why an event is parked or dead; the text is what the DLQ's `x-dlq-reason` and the inbox's `reason` say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    #[allow(missing_docs, reason = "docs/wire.md and docs/cli.md say what each means")]
    pub enum Reason {
        Malformed = "malformed",
        UnsupportedVersion = "unsupported_version",
        ForgedProducer = "forged_producer",
        HopLimit = "hop_limit",
        UnknownEvent = "unknown_event",
        InvalidPayload = "invalid_payload",
        ConstraintViolated = "constraint_violated",
        VersionInFuture = "version_in_future",
        OlderThanTombstones = "older_than_tombstones",
        HandlerRefused = "handler_refused",
        MaxAttempts = "max_attempts",
        CrashLoop = "crash_loop",
        ParentMissing = "parent_missing",
        HasChildren = "has_children",
        UniqueConflict = "unique_conflict",
        DeliveriesSpent = "deliveries_spent",
        Retried = "retried",
        Discarded = "discarded",
    }
}

impl Reason {
    /// What an event has that has been parked until something here changes, also when somebody has it tried in between.
    pub(crate) const WAITING: [Self; 4] = [Self::ParentMissing, Self::HasChildren, Self::UniqueConflict, Self::Retried];

    pub(crate) fn is_waiting(self) -> bool {
        Self::WAITING.contains(&self)
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

    /// Whether it lies in the event itself, so that it is dead for this without another try, which an operator may ask for.
    pub(crate) fn is_of_event(self) -> bool {
        !self.is_waiting() && !self.is_counted() && !matches!(self, Self::DeliveriesSpent | Self::Discarded)
    }

    /// Whether it is the event's counters in the inbox that say so.
    pub(crate) fn is_counted(self) -> bool {
        matches!(self, Self::MaxAttempts | Self::CrashLoop)
    }
}
