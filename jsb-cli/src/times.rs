//! Times on the command line: how they are written, and how they are shown.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};

/// A time, written as RFC 3339 or as how long ago it was.
pub(crate) fn instant(text: &str) -> anyhow::Result<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let Ok(ago) = duration(text) else {
        bail!("`{text}` is neither a time such as 2026-11-21T20:00:00Z nor how long ago it was, such as 2h");
    };
    before(ago)
}

/// A duration as the bridge's variables have it.
pub(crate) fn duration(text: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(text).map_err(|error| anyhow!("`{text}` is no duration such as 30s, 5m or 7d: {error}"))
}

/// A duration in words, in whole days where it has them: humantime counts in months.
pub(crate) fn span(duration: Duration) -> String {
    const DAY: u64 = 24 * 60 * 60;
    match duration.as_secs() {
        seconds if seconds >= DAY && seconds.is_multiple_of(DAY) => format!("{}d", seconds / DAY),
        _ => humantime::format_duration(duration).to_string(),
    }
}

/// The time that was so long ago.
pub(crate) fn before(ago: Duration) -> anyhow::Result<DateTime<Utc>> {
    let time = chrono::TimeDelta::from_std(ago).ok().and_then(|ago| Utc::now().checked_sub_signed(ago));
    time.with_context(|| format!("{} ago is before all calendars", span(ago)))
}

/// A time in a table.
pub(crate) fn short(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A time in full.
pub(crate) fn full(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_days() {
        assert_eq!(span(Duration::from_secs(45 * 24 * 60 * 60)), "45d");
        assert_eq!(span(Duration::from_secs(90)), "1m 30s");
    }

    #[test]
    fn a_time_is_absolute_or_so_long_ago() {
        assert_eq!(instant("2026-11-21T21:00:00+01:00").map(full).expect("a time"), "2026-11-21T20:00:00Z");
        let then = instant("2h").expect("a time");
        let ago = Utc::now() - then;
        assert!((7_200..7_260).contains(&ago.num_seconds()), "{ago}");
        for text in ["", "yesterday", "2026-11-21", "-2h", "9999999999y"] {
            assert!(instant(text).is_err(), "{text:?}");
        }
    }
}
