//! When messages are looked for that were given up while nobody listened, and how far.

use std::time::{Duration, Instant};

/// No end is known yet.
const OPEN_END: u64 = u64::MAX;

/// Where the look for messages stands that were given up while nobody listened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sweep {
    Due {
        /// Not before this time.
        at: Instant,
        /// No further than to this sequence: what is given up beyond it is heard.
        up_to: u64,
    },
    UnderWay,
    Done,
}

impl Sweep {
    pub(crate) fn due_in(wait: Duration) -> Self {
        Self::Due { at: Instant::now() + wait, up_to: OPEN_END }
    }

    pub(super) fn is_due(self) -> bool {
        matches!(self, Self::Due { at, .. } if at <= Instant::now())
    }

    /// Starts a sweep that is due; returns the sequence that it must not go beyond.
    pub(super) fn begin(&mut self) -> Option<u64> {
        let Self::Due { up_to, .. } = *self else { return None };
        self.is_due().then(|| {
            *self = Self::UnderWay;
            up_to
        })
    }

    /// It came to its end, unless another one has become due meanwhile.
    pub(super) fn end(&mut self) {
        if *self == Self::UnderWay {
            *self = Self::Done;
        }
    }

    /// It did not, and is to be taken again.
    pub(super) fn put_off(&mut self, wait: Duration, up_to: u64) {
        let up_to = if *self == Self::UnderWay { up_to } else { OPEN_END };
        *self = Self::Due { at: Instant::now() + wait, up_to };
    }

    /// Messages may have been given up unheard until now.
    pub(super) fn again(&mut self) {
        match self {
            Self::Due { up_to, .. } => *up_to = OPEN_END,
            Self::UnderWay | Self::Done => *self = Self::due_in(Duration::ZERO),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_heard_meanwhile_is_looked_for_beyond_the_end() {
        let mut sweep = Sweep::due_in(Duration::ZERO);
        assert_eq!(sweep.begin(), Some(OPEN_END));
        sweep.put_off(Duration::ZERO, 7);
        assert_eq!(sweep.begin(), Some(7));
        // Under way, and put off.
        sweep.again();
        sweep.put_off(Duration::ZERO, 7);
        assert_eq!(sweep.begin(), Some(OPEN_END));
        sweep.put_off(Duration::ZERO, 7);
        sweep.again();
        assert_eq!(sweep.begin(), Some(OPEN_END));
        sweep.again();
        sweep.end();
        assert!(sweep.is_due());
    }
}
