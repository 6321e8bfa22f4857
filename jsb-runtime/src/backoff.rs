//! Every delay of the crate, as pure functions.

use std::time::Duration;

/// The delay after the `failures`-th failure (from 1) by a list whose last entry repeats.
///
/// ```
/// use std::time::Duration;
/// let list = [Duration::from_secs(1), Duration::from_secs(5)];
/// assert_eq!(jsb_runtime::backoff::listed(&list, 1), Duration::from_secs(1));
/// assert_eq!(jsb_runtime::backoff::listed(&list, 9), Duration::from_secs(5));
/// ```
pub fn listed(list: &[Duration], failures: u32) -> Duration {
    let index = (failures.max(1) as usize - 1).min(list.len().saturating_sub(1));
    list.get(index).copied().unwrap_or(Duration::from_secs(1))
}

/// `first`, doubled with every failure after the first, at most `longest`.
///
/// ```
/// use std::time::Duration;
/// let (first, longest) = (Duration::from_secs(1), Duration::from_secs(30));
/// assert_eq!(jsb_runtime::backoff::doubling(first, longest, 1), first);
/// assert_eq!(jsb_runtime::backoff::doubling(first, longest, 3), Duration::from_secs(4));
/// assert_eq!(jsb_runtime::backoff::doubling(first, longest, 99), longest);
/// ```
pub fn doubling(first: Duration, longest: Duration, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(31));
    first.saturating_mul(factor).min(longest)
}

/// The same delay, shortened by up to a quarter at random, so that many processes do not come back at once.
pub(crate) fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(1.0 - rand::random::<f64>() / 4.0)
}
