//! Maps by chunk id: ids are hashes already, so they are not hashed again.
//!
//! For ids that this agent computed or checked; whoever chooses ids chooses the buckets.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use common::id::ChunkId;

/// Takes eight bytes of an id as they are.
#[derive(Debug, Default, Clone)]
pub struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some((first, _)) = bytes.split_first_chunk::<8>() {
            self.0 ^= u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A map by chunk id.
pub type ById<T> = HashMap<ChunkId, T, BuildHasherDefault<IdHasher>>;
