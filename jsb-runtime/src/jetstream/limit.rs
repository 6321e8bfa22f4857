//! How large a message may be. A user's own limit may be below the server's, and the client does not hear of it: the server ends
//! the connection, and says of no message that it was too large.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::locked::locked;

/// How long a message that was not answered may still be on its way, over a new connection too.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// How long a size counts as too large: the limit may be raised.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// What is on its way, and what was found to be too large. Sizes are in bytes, of headers and body.
#[derive(Default)]
pub(super) struct Limit(Mutex<Sizes>);

#[derive(Default)]
struct Sizes {
    next: u64,
    under_way: BTreeMap<u64, (usize, Instant)>,
    largest_answered: usize,
    too_large: Option<(usize, Instant)>,
}

impl Limit {
    fn sizes(&self) -> MutexGuard<'_, Sizes> {
        locked(&self.0)
    }

    /// Notes that a message of this size goes out; its number.
    pub(super) fn begin(&self, bytes: usize) -> u64 {
        let mut sizes = self.sizes();
        while let Some(oldest) = sizes.under_way.first_entry()
            && oldest.get().1.elapsed() > FORGOTTEN_AFTER
        {
            oldest.remove();
        }
        sizes.next += 1;
        let number = sizes.next;
        sizes.under_way.insert(number, (bytes, Instant::now()));
        number
    }

    /// Notes that JetStream has answered to a message, whatever it said.
    pub(super) fn answered(&self, number: u64) {
        let mut sizes = self.sizes();
        if let Some((bytes, _)) = sizes.under_way.remove(&number) {
            sizes.largest_answered = sizes.largest_answered.max(bytes);
        }
    }

    /// Notes that a message does not go out after all.
    pub(super) fn withdraw(&self, number: u64) {
        self.sizes().under_way.remove(&number);
    }

    /// Notes that the server has ended the connection for the size of a message: whichever it was, the largest of all is too large.
    pub(super) fn exceeded(&self) {
        let mut sizes = self.sizes();
        let largest = sizes.under_way.iter().map(|(number, (bytes, _))| (*bytes, *number)).max();
        let Some((bytes, number)) = largest.filter(|(bytes, _)| *bytes > sizes.largest_answered) else {
            tracing::warn!(
                "NATS ended the connection: a message is larger than this user's limit, which may be lower than before"
            );
            sizes.largest_answered = 0;
            return;
        };
        tracing::warn!(bytes, "NATS ended the connection: a message is larger than this user's limit");
        // Another one of its size may be on its way still.
        sizes.under_way.remove(&number);
        sizes.too_large = Some((bytes, Instant::now()));
    }

    /// Notes that there is a connection, over which all that was left goes out now.
    pub(super) fn connected(&self) {
        self.sizes().under_way.values_mut().for_each(|(_, since)| *since = Instant::now());
    }

    /// Whether a message of this size is known to be too large.
    pub(super) fn is_too_large(&self, bytes: usize) -> bool {
        self.sizes().too_large.is_some_and(|(least, since)| bytes >= least && since.elapsed() < KNOWN_FOR)
    }
}

/// Whether the server ends the connection for the size of a message, by its words.
pub(super) fn is_exceeded(error: &str) -> bool {
    error.to_ascii_lowercase().contains("maximum payload violation")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_on_its_way_is_too_large_and_nothing_that_was_answered() {
        let limit = Limit::default();
        let [small, _, _, other] = [100, 900, 900, 500].map(|bytes| limit.begin(bytes));
        limit.answered(small);
        for _ in 0..2 {
            limit.exceeded();
            assert!(limit.is_too_large(900) && !limit.is_too_large(899), "either of the two");
        }
        limit.withdraw(other);
        limit.begin(100);
        limit.exceeded();
        assert!(!limit.is_too_large(100), "such a one was answered");
    }

    #[test]
    fn a_limit_that_is_lower_than_before_is_found() {
        let limit = Limit::default();
        let before = limit.begin(900);
        limit.answered(before);
        limit.begin(700);
        limit.exceeded();
        assert!(!limit.is_too_large(700));
        limit.exceeded();
        assert!(limit.is_too_large(700) && !limit.is_too_large(699));
    }
}
