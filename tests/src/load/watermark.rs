//! Whether memory stays flat.

/// How much more memory than at its mark a process may use later that goes on as before: a quarter, or this much where a
/// quarter is less, since the pages that an allocator keeps come and go by megabytes.
pub(super) const FLAT: u64 = 8 << 20;
/// The same where it had little in hand at its mark and full batches later, each of which may have 8 MiB.
pub(super) const FULL_BATCHES: u64 = 64 << 20;

/// The highest memory of a process, up to a mark and after it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watermark {
    before: u64,
    after: Option<u64>,
    play: u64,
}

impl Watermark {
    /// Notes what a process uses now.
    pub fn note(&mut self, bytes: u64) {
        let highest = self.after.as_mut().unwrap_or(&mut self.before);
        *highest = (*highest).max(bytes);
    }

    /// Everything that is noted from now on is to be no higher than what was, but for some play, in bytes.
    pub fn mark(&mut self, play: u64) {
        self.after.get_or_insert(0);
        self.play = play;
    }

    /// The highest before and after the mark, if the memory has grown.
    pub fn growth(&self) -> Option<(u64, u64)> {
        let after = self.after?;
        (after > self.before + (self.before / 4).max(self.play)).then_some((self.before, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn growth(before: &[u64], after: &[u64]) -> Option<(u64, u64)> {
        let mut watermark = Watermark::default();
        before.iter().for_each(|megabytes| watermark.note(megabytes * MB));
        watermark.mark(FLAT);
        after.iter().for_each(|megabytes| watermark.note(megabytes * MB));
        watermark.growth()
    }

    #[test]
    fn memory_that_grows_after_its_mark_is_found_even_if_it_falls_again() {
        assert_eq!(growth(&[20, 100, 80], &[90, 126, 70]), Some((100 * MB, 126 * MB)));
        assert_eq!(growth(&[20], &[29]), Some((20 * MB, 29 * MB)));
    }

    #[test]
    fn memory_that_stays_below_its_mark_and_some_play_is_flat() {
        assert_eq!(growth(&[20, 100], &[125]), None);
        assert_eq!(growth(&[20], &[28]), None);
    }
}
