//! How an event came, which decides who would bring it again.

use std::time::Duration;

use chrono::{DateTime, Utc};

#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    /// The server delivered it; this was delivery `number` of at most `of`.
    Delivery { number: u32, of: u32 },
    /// The server delivered it as often as it does, and crashes or restarts spent the deliveries.
    GivenUp,
    /// It was kept in the inbox, where it waits for this long, and may have died before it was retried.
    Stored { age: Duration, died_before: Option<DateTime<Utc>> },
}

impl Origin {
    /// Whether this is the first that is seen of it.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::Delivery { number: 1, .. })
    }

    /// Whether the server keeps it from being tried by two processes at once.
    pub(crate) fn is_delivery(self) -> bool {
        matches!(self, Self::Delivery { .. })
    }

    /// Whether the server delivers it again if it is not acknowledged.
    pub(crate) fn comes_again(self) -> bool {
        matches!(self, Self::Delivery { number, of } if number < of)
    }

    /// How often it was delivered, as far as that is known.
    pub(crate) fn deliveries(self, limit: u32) -> u32 {
        match self {
            Self::Delivery { number, .. } => number,
            Self::GivenUp => limit,
            Self::Stored { .. } => 1,
        }
    }

    /// How long ago it was received.
    pub(crate) fn age(self) -> Duration {
        match self {
            Self::Delivery { .. } | Self::GivenUp => Duration::ZERO,
            Self::Stored { age, .. } => age,
        }
    }

    /// When it had died before, if it was retried since.
    pub(crate) fn died_before(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Delivery { .. } | Self::GivenUp => None,
            Self::Stored { died_before, .. } => died_before,
        }
    }
}
