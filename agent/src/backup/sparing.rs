//! Which windows of a disk are not read, because a change map says that they are what they were; and which of those are read all
//! the same, to check the map.
//!
//! Values in, decisions out.
//!
//! Invariant: whatever the map says, some windows that it calls unchanged are read in each run, others in the next.

use std::ops::Range;

use common::limits::{DISK_SAMPLES, WINDOW_BYTES};

/// A change map, with what is known of the disk that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeMap {
    /// What was written to, in order.
    changed: Vec<Range<u64>>,
    /// One window in so many is read.
    every: u64,
    /// Which of them.
    first: u64,
}

impl ChangeMap {
    /// The map of a disk of `bytes` bytes; `seed` says which windows are samples.
    pub fn new(changed: Vec<Range<u64>>, bytes: u64, seed: u64) -> Self {
        let every = bytes.div_ceil(WINDOW_BYTES as u64).div_ceil(DISK_SAMPLES).max(2);
        Self { changed, every, first: seed % every }
    }

    /// True if nothing of the window at `range` was written to.
    pub fn is_unchanged(&self, range: &Range<u64>) -> bool {
        let next = self.changed.partition_point(|changed| changed.end <= range.start);
        self.changed.get(next).is_none_or(|changed| changed.start >= range.end)
    }

    /// True if the window at `at` is read whatever the map says.
    pub fn is_sample(&self, at: u64) -> bool {
        at / WINDOW_BYTES as u64 % self.every == self.first
    }

    /// Bytes that were written to.
    pub fn changed_bytes(&self) -> u64 {
        self.changed.iter().map(|range| range.end - range.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_unchanged_if_no_byte_of_it_was_written_to() {
        let map = ChangeMap::new(vec![10..20, 30..40], 1 << 40, 3);
        for (range, wanted) in
            [(0..10, true), (0..11, false), (20..30, true), (39..50, false), (40..90, true), (12..13, false)]
        {
            assert_eq!(map.is_unchanged(&range), wanted, "{range:?}");
        }
        assert_eq!(map.changed_bytes(), 20);
    }

    #[test]
    fn samples_are_bounded_and_others_in_another_run() {
        let windows = 100_000;
        let samples = |seed| {
            let map = ChangeMap::new(Vec::new(), windows * WINDOW_BYTES as u64, seed);
            (0..windows).filter(|window| map.is_sample(window * WINDOW_BYTES as u64)).collect::<Vec<_>>()
        };
        assert!((DISK_SAMPLES / 2..=DISK_SAMPLES).contains(&(samples(1).len() as u64)));
        assert_ne!(samples(1), samples(2));
        // Of a small disk every other window is one.
        let small = ChangeMap::new(Vec::new(), 4 * WINDOW_BYTES as u64, 0);
        assert_eq!((0..4).filter(|window| small.is_sample(window * WINDOW_BYTES as u64)).count(), 2);
    }
}
