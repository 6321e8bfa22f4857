//! What becomes of an event, as closed sets: every decision of the consumer is one `match` over these.

use std::time::Duration;

use crate::dialect::{self, Fault};
use crate::event::Envelope;
use crate::payload::PayloadError;
use crate::reason::Reason;
use crate::upsert::{ApplyError, Effect};

/// What became of an event that was tried.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is settled: committed, or known to be.
    Settled(Settled),
    /// It failed and is tried again after a delay.
    Retry(Duration),
    /// It waits in the inbox for what it lacks.
    Parked,
    /// It is in the DLQ, or where that is off, in the inbox as dead.
    Dead,
    /// The database is away, or another process works on it: nothing is held against the event.
    Undecided,
}

/// What one try of an event came to.
pub(crate) enum Tried {
    /// Its outcome, which is recorded.
    Ended(Outcome),
    /// Its death, which is still to be told and recorded.
    Dead(Death),
}

impl From<Outcome> for Tried {
    fn from(outcome: Outcome) -> Self {
        Self::Ended(outcome)
    }
}

/// Why an event is dead.
pub(crate) struct Death {
    pub(crate) reason: Reason,
    /// What the DLQ calls the error.
    pub(crate) class: &'static str,
    pub(crate) error: String,
    /// Whether the DLQ has its letter.
    pub(crate) is_told: bool,
}

impl Death {
    /// By an error of its own.
    pub(crate) fn of(reason: Reason, error: &ApplyError) -> Self {
        Self { reason, class: error.class(), error: error.described(), is_told: false }
    }

    /// By what is known of it without a try.
    pub(crate) fn untried(reason: Reason, error: String) -> Self {
        Self { reason, class: reason.as_str(), error, is_told: false }
    }

    /// Of an event that ends its process, or of the first of events that wait for one another, of which one does.
    pub(crate) fn crash_loop() -> Self {
        let error = "it began five times, alone or with events that it waits for and that wait for it, and its process ended before \
                     there was an outcome";
        Self::untried(Reason::CrashLoop, error.to_owned())
    }
}

/// How an event was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// Its row is as it says, and its handlers have run.
    Applied,
    /// Its row was newer already, and its handlers have run; or its row is kept against its delete.
    Stale,
    /// It had been settled before.
    Duplicate,
}

impl From<Effect> for Settled {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Applied => Self::Applied,
            Effect::Stale => Self::Stale,
        }
    }
}

/// What a failed attempt calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Try the same again at once; it costs no attempt.
    AtOnce,
    /// Wait until the database is back; it costs no attempt.
    AwaitDatabase,
    /// Keep it in the inbox until what it lacks has changed.
    Park(Reason),
    /// Try again later; it costs an attempt.
    Retry,
    /// No retry heals it.
    Bury(Reason),
}

/// What the failure of an attempt on `event` calls for.
pub(crate) fn verdict(error: &ApplyError, event: &Envelope) -> Verdict {
    match error {
        ApplyError::Payload(_) => Verdict::Bury(Reason::InvalidPayload),
        ApplyError::Unknown { .. } => Verdict::Bury(Reason::UnknownEvent),
        ApplyError::VersionInFuture(_) => Verdict::Bury(Reason::VersionInFuture),
        ApplyError::OlderThanTombstones(_) => Verdict::Bury(Reason::OlderThanTombstones),
        ApplyError::Db(error) => refused(dialect::fault(error), event.deletes()),
        ApplyError::Handler { error, .. } if is_unreadable(error.error()) => Verdict::Bury(Reason::InvalidPayload),
        ApplyError::Handler { error, .. } if error.is_permanent() => Verdict::Bury(Reason::HandlerRefused),
        // If the database that a handler could not reach is ours, the failure cannot be recorded either, and costs no
        // attempt.
        ApplyError::Handler { error, .. } => match dialect::fault_behind(error.error()) {
            Some(Fault::Outage | Fault::Contention) => Verdict::AtOnce,
            _ => Verdict::Retry,
        },
    }
}

/// What it calls for that the database refused an event. The model of the protocol calls it too.
pub fn refused(fault: Fault, deletes: bool) -> Verdict {
    match fault {
        Fault::Outage => Verdict::AwaitDatabase,
        Fault::Contention => Verdict::AtOnce,
        Fault::ForeignKey if deletes => Verdict::Park(Reason::HasChildren),
        Fault::ForeignKey => Verdict::Park(Reason::ParentMissing),
        Fault::Unique => Verdict::Park(Reason::UniqueConflict),
        Fault::BadData => Verdict::Bury(Reason::ConstraintViolated),
        Fault::Other => Verdict::Retry,
    }
}

/// What becomes of an event that is parked, or would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It waits.
    Wait,
    /// It is the delete of a row whose children have had their time to go: the row is kept.
    Keep,
    /// It has waited for as long as it may.
    Bury,
}

/// What becomes of an event that is to be parked, received `age` ago. The model of the protocol calls it too.
pub fn patience(reason: Reason, age: Duration, keep_parent_after: Duration, park_for: Duration) -> Patience {
    match reason {
        _ if age < reason.longest_parking(keep_parent_after, park_for) => Patience::Wait,
        Reason::HasChildren => Patience::Keep,
        _ => Patience::Bury,
    }
}

/// Whether a handler failed since the payload has not the form that it asks for.
fn is_unreadable(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<PayloadError>() || matches!(error.downcast_ref(), Some(ApplyError::Payload(_)))
}
