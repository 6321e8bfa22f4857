//! Versions and the two decisions that make both sides converge: which version a save draws, and which event wins.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A row's version: a point in time in UTC, in whole microseconds, since that is what every database stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(DateTime<Utc>);

/// How far ahead of the clock a version may be: beyond it, one wrong clock would freeze a row for years.
pub(crate) const MAX_AHEAD: TimeDelta = TimeDelta::days(365);

impl Version {
    /// The version of this point in time, cut to microseconds.
    pub fn at(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(6))
    }

    /// The point in time.
    pub fn time(self) -> DateTime<Utc> {
        self.0
    }

    /// Whether no sane clock could have drawn this version by now.
    pub(crate) fn is_too_far_ahead(self, now: DateTime<Utc>) -> bool {
        self.0 > now + MAX_AHEAD
    }
}

/// The version of a local save: now, but above what it replaces, so that an edit made after seeing another wins over
/// it however far apart the two clocks are.
pub fn draw(now: DateTime<Utc>, above: Option<Version>) -> Version {
    let now = Version::at(now);
    match above {
        Some(Version(previous)) => now.max(Version(previous + TimeDelta::microseconds(1))),
        None => now,
    }
}

/// Whether an event of `source` applies at `here` over a row or tombstone of version `found`. Of equal versions the
/// app whose name sorts later wins, so that both sides decide alike.
pub fn wins(event: Version, source: &str, found: Option<Version>, here: &str) -> bool {
    match found {
        None => true,
        Some(found) if source > here => event >= found,
        Some(found) => event > found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(micros: i64) -> Version {
        Version::at(DateTime::from_timestamp_micros(micros).expect("a small timestamp is in range"))
    }

    #[test]
    fn a_save_goes_above_what_it_replaces_even_when_the_clock_is_behind() {
        assert_eq!(draw(version(5).time(), Some(version(9))), version(10));
        assert_eq!(draw(version(20).time(), Some(version(9))), version(20));
    }

    #[test]
    fn both_sides_decide_alike_on_equal_versions() {
        let a_on_b = wins(version(5), "system_a", Some(version(5)), "system_b");
        let b_on_a = wins(version(5), "system_b", Some(version(5)), "system_a");
        assert!(b_on_a && !a_on_b);
    }

    #[test]
    fn nanoseconds_are_cut() {
        let time = DateTime::from_timestamp_nanos(1_999);
        assert_eq!(Version::at(time), version(1));
    }
}
