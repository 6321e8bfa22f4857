//! How long something took, most of the time and at worst.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest that is told apart, in microseconds; two digits of everything are kept, in the same memory for any count.
const LONGEST: u64 = 600_000_000;
const DIGITS: u8 = 2;

/// What was measured of many durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there were.
    pub count: u64,
    /// Half of them were no longer.
    pub p50: Duration,
    /// 99 of 100 were no longer.
    pub p99: Duration,
    /// None was longer.
    pub max: Duration,
}

/// Durations that are still coming in.
pub(super) struct Measuring(Histogram<u64>);

impl Measuring {
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST, DIGITS).expect("bounds that the crate allows"))
    }

    pub(super) fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST));
    }

    pub(super) fn so_far(&self) -> Latency {
        let at = |quantile| Duration::from_micros(self.0.value_at_quantile(quantile));
        Latency { count: self.0.len(), p50: at(0.5), p99: at(0.99), max: Duration::from_micros(self.0.max()) }
    }

    pub(super) fn reset(&mut self) {
        self.0.reset();
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1_000.0;
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", ms(self.p50), ms(self.p99), ms(self.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_added() {
        let mut measuring = Measuring::new();
        (1..=1_000).for_each(|ms| measuring.add(Duration::from_millis(ms)));
        let Latency { count, p50, p99, max } = measuring.so_far();
        let is_about = |found: Duration, ms: f64| (found.as_secs_f64() * 1_000.0 / ms - 1.0).abs() < 0.02;
        assert!(count == 1_000 && is_about(p50, 500.0) && is_about(p99, 990.0) && is_about(max, 1_000.0));
        measuring.reset();
        assert_eq!(measuring.so_far(), Latency::default());
    }
}
