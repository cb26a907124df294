//! What a run leaves for the next day: files for whose content the contract has no room today.
//!
//! ```text
//! server refuses a batch ─► the pass ends ─► a second pass lays nothing: it asks which chunks are stored
//!    all chunks of a file are ─► its entry as usual
//!    some are not ─────────────► the entry of the last tree stays, or none; the file is listed as `deferred`
//!                                 what is stored of it is reached by a carried entry beside it
//! ```
//! A carried entry is a file with the digest [`CARRIED_DIGEST`] and the name of the file it waits for with a suffix. It makes the
//! snapshot reach what was sent, so that the contract counts it on the day on which it was sent and nothing purges it before the
//! file is whole. Readers of snapshots pass over it (`restore::walk`); the next run finds its chunks in the memory of the last tree.
//!
//! Invariant: I12 — a file that waits has its old content or no entry, never a part of the new one.
//! Invariant: whatever the size of a file and however small the allowance, each day adds what the day allows.

use std::collections::BTreeMap;

use common::limits::{MESSAGE_TARGET_BYTES, TIGHT_CHUNK_BYTES_MIN};
use common::tree::content::{Content, Extent};
use common::tree::entry::{CARRIED_DIGEST, Entry, EntryKind, FileContent};
use common::tree::path::EntryKey;

use crate::backup::split::ChunkParams;
use crate::backup::upload::Portions;
use crate::remote::account::{ChangePolicy, DayUse};

/// What is appended to the name of a file to name its carried entry.
const SUFFIX: &[u8] = b".dobaas-part";
/// One message takes at most this share of what the day still allows: a refused one leaves little unused.
const MESSAGE_SHARE: u64 = 16;

/// Files that wait for another day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deferred {
    /// How many.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// Carried entries until their place in the tree is reached.
#[derive(Debug, Default)]
pub struct Carried {
    waiting: BTreeMap<EntryKey, Entry>,
}

impl Carried {
    /// Carries the stored extents of the file at `key`, whose entry would be `like`; nothing if none is stored.
    pub fn add(&mut self, key: &EntryKey, like: &Entry, extents: Vec<Extent>) {
        let stored = extents.iter().any(|extent| extent.chunk.is_some());
        let name = [key.as_bytes(), SUFFIX].concat();
        // A path that leaves no room for the suffix is not carried: its chunks are sent again.
        if let (true, Ok(key)) = (stored, EntryKey::from_encoded(&name)) {
            let size = extents.iter().map(|extent| extent.bytes).sum();
            let content = Content::Inline(extents);
            let file = FileContent { size, digest: CARRIED_DIGEST, fuzzy: true, content };
            self.waiting.insert(key, Entry { kind: EntryKind::File(file), ..like.clone() });
        }
    }

    /// The next one that stands before `key`, or at the end of the tree; one whose name a real file has is dropped.
    pub fn before(&mut self, key: Option<&EntryKey>) -> Option<(EntryKey, Entry)> {
        let first = self.waiting.first_entry()?;
        match key {
            Some(key) if first.key() > key => None,
            Some(key) if first.key() == key => {
                first.remove();
                None
            }
            _ => Some(first.remove_entry()),
        }
    }

    /// True if none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Extents with those that are not stored as holes.
pub fn stored_part(extents: Vec<Extent>, stored: &[bool]) -> Vec<Extent> {
    let keep =
        |(extent, stored): (Extent, &bool)| if *stored { extent } else { Extent { chunk: None, offset: 0, ..extent } };
    let mut parts: Vec<Extent> = Vec::new();
    for extent in extents.into_iter().zip(stored).map(keep) {
        match parts.last_mut() {
            Some(last) if last.chunk.is_none() && extent.chunk.is_none() => last.bytes += extent.bytes,
            _ => parts.push(extent),
        }
    }
    // What follows the last stored one says nothing.
    while parts.last().is_some_and(|last| last.chunk.is_none()) {
        parts.pop();
    }
    parts
}

/// How much goes into a message and a chunk, so that a day that allows little is used to its end.
pub fn portions(today: &DayUse) -> Portions {
    let usual = Portions { message_bytes: MESSAGE_TARGET_BYTES, chunk_bytes: ChunkParams::V1.bytes_max };
    if today.policy == ChangePolicy::Flag || today.allowed_bytes == 0 {
        return usual;
    }
    let left = today.allowed_bytes.saturating_sub(today.counted_bytes).saturating_sub(today.uncommitted_bytes);
    let bounded = |bytes: u64, min: usize, max: usize| usize::try_from(bytes).unwrap_or(max).clamp(min, max);
    // A power of two below one day's allowance: the same from day to day, so that what was cut once is cut so again.
    let one_day = today.allowed_bytes / u64::from(today.days.max(1));
    let rounded = 1 << (u64::BITS - 1 - one_day.max(1).leading_zeros());
    Portions {
        message_bytes: bounded(left / MESSAGE_SHARE, 1, usual.message_bytes),
        chunk_bytes: bounded(rounded, TIGHT_CHUNK_BYTES_MIN, usual.chunk_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::id::ChunkId;
    use common::tree::entry::Owner;
    use common::tree::xattrs::Xattrs;

    fn key(path: &str) -> EntryKey {
        EntryKey::from_path(path.as_bytes()).unwrap()
    }

    fn extent(chunk: u8, bytes: u64) -> Extent {
        Extent { chunk: (chunk > 0).then(|| ChunkId::new([chunk; 32])), offset: 0, bytes }
    }

    #[test]
    fn what_is_not_stored_becomes_one_hole_and_the_end_is_cut() {
        let extents = || vec![extent(1, 10), extent(2, 20), extent(3, 30), extent(4, 40), extent(5, 50)];
        for (stored, wanted) in [
            ([true, false, false, true, false], vec![extent(1, 10), extent(0, 50), extent(4, 40)]),
            ([false, false, true, false, false], vec![extent(0, 30), extent(3, 30)]),
            ([false; 5], vec![]),
        ] {
            assert_eq!(stored_part(extents(), &stored), wanted);
        }
    }

    #[test]
    fn carried_entries_come_in_key_order_and_give_way_to_real_files() {
        let like =
            Entry { kind: EntryKind::Fifo, mode: 0o600, owner: Owner::default(), mtime_ns: 1, xattrs: Xattrs::none() };
        let mut carried = Carried::default();
        for path in ["srv/b", "srv/a", "srv/none"] {
            let stored = if path.ends_with("none") { vec![] } else { vec![extent(1, 10)] };
            carried.add(&key(path), &like, stored);
        }
        assert_eq!(carried.before(Some(&key("srv/a"))), None);
        let (first, entry) = carried.before(Some(&key("srv/az"))).unwrap();
        assert_eq!(first, key("srv/a.dobaas-part"));
        assert!(entry.is_carried() && entry.size() == 10);
        assert_eq!(carried.before(Some(&key("srv/b.dobaas-part"))), None, "somebody has a file of that name");
        assert!(carried.is_empty() && carried.before(None).is_none());
    }

    #[test]
    fn portions_fit_into_what_a_day_allows() {
        let usual = Portions { message_bytes: 1 << 20, chunk_bytes: 2 << 20 };
        let today = |policy, allowed_bytes, counted_bytes, days| DayUse {
            policy,
            allowed_bytes,
            counted_bytes,
            days,
            ..DayUse::default()
        };
        for (today, wanted) in [
            (today(ChangePolicy::Flag, 1_000, 0, 1), usual),
            (today(ChangePolicy::Defer, 0, 0, 1), usual),
            (today(ChangePolicy::Defer, 1 << 30, 0, 1), usual),
            (today(ChangePolicy::Refuse, 1 << 30, (1 << 30) - 160, 1), Portions { message_bytes: 10, ..usual }),
            (today(ChangePolicy::Defer, 20_000, 0, 1), Portions { message_bytes: 1_250, chunk_bytes: 16_384 }),
            (today(ChangePolicy::Defer, 40_000, 0, 2), Portions { message_bytes: 2_500, chunk_bytes: 16_384 }),
            (today(ChangePolicy::Defer, 20_000, 30_000, 1), Portions { message_bytes: 1, chunk_bytes: 16_384 }),
            (today(ChangePolicy::Defer, 100, 0, 1), Portions { message_bytes: 6, chunk_bytes: 4_096 }),
        ] {
            assert_eq!(portions(&today), wanted, "{today:?}");
        }
    }
}
