//! Every delay of the crate, as pure functions.

use std::time::Duration;

/// The delay after the `failures`-th failure (from 1) by a list whose last entry repeats.
pub(crate) fn listed(list: &[Duration], failures: u32) -> Duration {
    let index = (failures.max(1) as usize - 1).min(list.len().saturating_sub(1));
    list.get(index).copied().unwrap_or(Duration::from_secs(1))
}

/// `first`, doubled with every failure after the first, at most `longest`.
pub(crate) fn doubling(first: Duration, longest: Duration, failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(31));
    first.saturating_mul(factor).min(longest)
}

/// The same delay, shortened by up to a quarter at random, so that many processes do not come back at once.
pub(crate) fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(1.0 - rand::random::<f64>() / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_last_of_a_list_repeats() {
        let list = [SECOND, 5 * SECOND];
        assert_eq!([1, 2, 9].map(|failures| listed(&list, failures)), [SECOND, 5 * SECOND, 5 * SECOND]);
    }

    #[test]
    fn what_doubles_stays_below_the_longest() {
        let delays = [1, 3, 99].map(|failures| doubling(SECOND, 30 * SECOND, failures));
        assert_eq!(delays, [SECOND, 4 * SECOND, 30 * SECOND]);
    }
}
