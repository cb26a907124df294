//! The page-exact increment of a large file, decided: what of it stays where the last tree has it, and what is laid.
//!
//! ```text
//! window with at least half of its pages unchanged   unchanged pages stay, the others are laid page by page
//! any other window                                   laid whole; neighbors of its kind are one stream, without a cut between them
//! pages of holes                                     stay holes
//! ```
//! And, after that, which old chunks are so little used that what is left of them is laid again. Values in, decisions out.
//!
//! Invariant: the parts of a file cover it exactly, in order.

use std::collections::HashMap;

use common::id::ChunkId;
use common::limits::PAGE_BYTES;

use crate::state::by_id::ById;
use crate::state::pages::{PageHash, WindowPages};

/// Chunks reached ÷ bytes used of them, in tenths, beyond which sparse chunks are laid again.
const SPARSE_FROM_TENTHS: u64 = 15;

/// Where a range of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Where the last tree has it.
    Kept,
    /// Nowhere: it is a hole.
    Hole,
    /// In the stream of its job, from this byte on.
    Laid(u64),
    /// Among the pages that wait to be laid, from this byte on.
    Waiting(u64),
}

/// A range of a file, after the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Length, at least 1.
    pub bytes: u64,
    /// Where it is.
    pub from: From,
}

/// The parts of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parts {
    all: Vec<Part>,
    /// Where waiting ones begin.
    waiting_from: usize,
}

impl Parts {
    /// Adds the next range.
    pub fn push(&mut self, bytes: u64, from: From) {
        let continues = |last: &Part| match (last.from, from) {
            (From::Kept, From::Kept) | (From::Hole, From::Hole) => true,
            (From::Laid(start), From::Laid(next)) | (From::Waiting(start), From::Waiting(next)) => {
                start + last.bytes == next
            }
            _ => false,
        };
        match self.all.last_mut() {
            Some(last) if continues(last) => last.bytes += bytes,
            _ if bytes == 0 => {}
            _ => self.all.push(Part { bytes, from }),
        }
    }

    /// Says where the waiting pages were laid: from this byte of the stream on.
    pub fn place_waiting(&mut self, start: u64) {
        for part in &mut self.all[self.waiting_from..] {
            if let From::Waiting(at) = part.from {
                part.from = From::Laid(start + at);
            }
        }
        self.waiting_from = self.all.len();
    }

    /// All of them.
    pub fn all(&self) -> &[Part] {
        &self.all
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(|part| part.bytes).sum()
    }

    /// True if nothing but what the last tree has is in it.
    pub fn is_kept(&self) -> bool {
        self.all.iter().all(|part| part.from == From::Kept)
    }

    /// True if it needs the last tree.
    pub fn has_kept(&self) -> bool {
        self.all.iter().any(|part| part.from == From::Kept)
    }

    /// The same with these kept ranges (position, length, place in the stream; sorted) laid instead.
    pub fn with_laid(&self, laid: &[(u64, u64, u64)]) -> Self {
        let (mut out, mut at) = (Self::default(), 0);
        let mut ahead = laid.iter().copied().peekable();
        for part in &self.all {
            let end = at + part.bytes;
            while let Some((start, bytes, place)) = ahead.next_if(|(start, ..)| *start < end) {
                out.push(start - at, From::Kept);
                out.push(bytes, From::Laid(place));
                at = start + bytes;
            }
            if at < end {
                let whole = end - at == part.bytes;
                out.push(end - at, if whole { part.from } else { From::Kept });
                at = end;
            }
        }
        out
    }
}

/// Which pages of a window stay where the last tree has them; `None` if the window is laid whole.
///
/// `lost` says of a page that what the last tree has of it is gone.
pub fn plan_window(
    pages: &[(PageHash, bool)],
    old: Option<&WindowPages>,
    lost: impl Fn(usize) -> bool,
) -> Option<Vec<bool>> {
    let old = old?;
    let is_unchanged = |(at, (hash, is_hole)): (usize, &(PageHash, bool))| {
        let same = if old.pages.is_empty() { *is_hole } else { old.pages.get(at) == Some(hash) };
        same && !lost(at)
    };
    let kept: Vec<bool> = pages.iter().enumerate().map(is_unchanged).collect();
    let count = kept.iter().filter(|kept| **kept).count();
    (count * 2 >= pages.len()).then_some(kept)
}

/// Length of page `at` of a window of `bytes` bytes.
pub fn page_bytes(bytes: usize, at: usize) -> usize {
    bytes.saturating_sub(at * PAGE_BYTES).min(PAGE_BYTES)
}

/// Chunks to lay again: once the chunks reached are over 1.5 times the bytes used of them, those of which less than half is
/// used, least used first, at most `budget_bytes` of what is left of them.
///
/// `used` is what the file uses of each old chunk, `lengths` how long each is, `new_bytes` what was laid into new chunks.
pub fn plan_relaying(
    used: &ById<u64>,
    lengths: &ById<u32>,
    new_bytes: u64,
    budget_bytes: u64,
) -> HashMap<ChunkId, u64> {
    let length = |id: &ChunkId, used: u64| lengths.get(id).map_or(used, |bytes| u64::from(*bytes).max(used));
    let used_bytes: u64 = used.values().sum::<u64>() + new_bytes;
    let reached_bytes: u64 = used.iter().map(|(id, used)| length(id, *used)).sum::<u64>() + new_bytes;
    if reached_bytes.saturating_mul(10) <= used_bytes.saturating_mul(SPARSE_FROM_TENTHS) {
        return HashMap::new();
    }
    let sparse = used.iter().filter(|(id, used)| **used * 2 < length(id, **used));
    let mut sparse: Vec<(u64, ChunkId, u64)> =
        sparse.map(|(id, used)| ((used << 20) / length(id, *used).max(1), *id, *used)).collect();
    sparse.sort_unstable();
    let mut left = budget_bytes;
    let fits = |(_, id, used): (u64, ChunkId, u64)| {
        left = left.checked_sub(used)?;
        Some((id, used))
    };
    sparse.into_iter().map_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(pages: &[u8]) -> WindowPages {
        WindowPages { value: [0; 32], pages: pages.iter().map(|page| [*page; 16]).collect() }
    }

    fn plan(pages: &[u8], old: Option<&WindowPages>, lost: &[usize]) -> Option<Vec<bool>> {
        let pages: Vec<_> = pages.iter().map(|page| ([*page; 16], *page == 0)).collect();
        plan_window(&pages, old, |at| lost.contains(&at))
    }

    #[test]
    fn half_of_the_pages_unchanged_keeps_a_window_and_less_does_not() {
        let old = window(&[1, 2, 3, 4]);
        assert_eq!(plan(&[1, 2, 9, 9], Some(&old), &[]), Some(vec![true, true, false, false]));
        assert_eq!(plan(&[1, 9, 9, 9], Some(&old), &[]), None);
        assert_eq!(plan(&[1, 2, 3, 4], None, &[]), None);
        assert_eq!(plan(&[1, 2, 3, 4], Some(&old), &[0]), Some(vec![false, true, true, true]));
        assert_eq!(plan(&[1, 2, 3, 4], Some(&old), &[0, 1, 2]), None);
        assert_eq!(plan(&[1, 2, 3, 4, 5, 6, 7], Some(&old), &[]).map(|kept| kept.len()), Some(7));
        // A window that was one hole has no hashes: its pages are unchanged while they are holes.
        let hole = window(&[]);
        assert_eq!(plan(&[0, 0, 7, 0], Some(&hole), &[]), Some(vec![true, true, false, true]));
    }

    #[test]
    fn parts_join_and_kept_ones_are_split_by_what_is_laid_again() {
        let mut parts = Parts::default();
        for (bytes, from) in [
            (10, From::Kept),
            (0, From::Hole),
            (10, From::Kept),
            (5, From::Waiting(0)),
            (5, From::Waiting(5)),
            (7, From::Hole),
            (20, From::Laid(100)),
            (8, From::Kept),
        ] {
            parts.push(bytes, from);
        }
        parts.place_waiting(40);
        let part = |bytes, from| Part { bytes, from };
        let wanted = [
            part(20, From::Kept),
            part(10, From::Laid(40)),
            part(7, From::Hole),
            part(20, From::Laid(100)),
            part(8, From::Kept),
        ];
        assert_eq!((parts.all(), parts.bytes()), (&wanted[..], 65));
        let again = parts.with_laid(&[(3, 4, 200), (7, 2, 204), (60, 5, 206)]);
        let wanted = [
            part(3, From::Kept),
            part(6, From::Laid(200)),
            part(11, From::Kept),
            part(10, From::Laid(40)),
            part(7, From::Hole),
            part(20, From::Laid(100)),
            part(3, From::Kept),
            part(5, From::Laid(206)),
        ];
        assert_eq!((again.all(), again.bytes()), (&wanted[..], 65));
        assert!(parts.has_kept() && !parts.is_kept());
    }

    #[test]
    fn the_least_used_chunks_are_laid_again_within_the_budget() {
        let id = |byte| ChunkId::new([byte; 32]);
        let lengths: ById<u32> = (1..=5).map(|at| (id(at), 1_000)).collect();
        let used: ById<u64> =
            [(1, 100), (2, 300), (3, 499), (4, 500), (5, 900)].into_iter().map(|(at, used)| (id(at), used)).collect();
        let chosen = |budget| {
            let mut chosen: Vec<u8> =
                plan_relaying(&used, &lengths, 100, budget).into_keys().map(|id| id.as_bytes()[0]).collect();
            chosen.sort_unstable();
            chosen
        };
        for (budget, wanted) in [(99, &[][..]), (100, &[1]), (399, &[1]), (400, &[1, 2]), (10_000, &[1, 2, 3])] {
            assert_eq!(chosen(budget), wanted, "{budget}");
        }
        // 5,000 reached of 3,300 used or more: dense enough.
        assert!(plan_relaying(&used, &lengths, 10_000, 10_000).is_empty());
    }
}
