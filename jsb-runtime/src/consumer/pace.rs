//! How many messages are asked for at once: no more than come in time over the link that there is, since the server waits for the
//! acknowledgement of each from the moment when it sends it, and one that is still on its way cannot be held; and no more than
//! are soon worked off, since another process may have nothing to do.

use std::time::Duration;

use super::pulled::Pulled;

/// How many are asked for first.
const FIRST: usize = 64;

/// How long a batch may be worked on.
const LONGEST: Duration = Duration::from_secs(5);

pub(super) struct Pace {
    limit: usize,
    most: usize,
    /// Whether the last ones took long to work off.
    is_slow: bool,
}

impl Pace {
    pub(super) fn up_to(most: usize) -> Self {
        Self { limit: FIRST.min(most), most, is_slow: false }
    }

    /// How many messages to ask for.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Asks for half as many where these took long to work off.
    pub(super) fn worked_for(&mut self, took: Duration) {
        self.is_slow = took > LONGEST;
        if self.is_slow {
            self.slow_down();
        }
    }

    /// Asks for half as many where nothing came: the server may have a limit that is not known here.
    pub(super) fn slow_down(&mut self) {
        self.limit = (self.limit / 2).max(1);
    }

    /// Asks for half as many where these took longer to come than half of the time that the server waits, and for twice as
    /// many where there were as many as were asked for and the last ones were soon worked off.
    pub(super) fn adapt_to(&mut self, batch: &Pulled) {
        if batch.took() > batch.attached.ack_wait / 2 {
            self.limit = (batch.deliveries.len() / 2).max(1);
        } else if batch.is_full() && !self.is_slow {
            self.limit = (self.limit * 2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_to_work_off_is_asked_for_in_smaller_numbers() {
        let mut pace = Pace::up_to(1_000);
        pace.worked_for(LONGEST);
        assert_eq!(pace.limit(), FIRST);
        pace.worked_for(LONGEST * 2);
        assert_eq!(pace.limit(), FIRST / 2);
        (0..20).for_each(|_| pace.worked_for(LONGEST * 2));
        assert_eq!(pace.limit(), 1);
    }
}
