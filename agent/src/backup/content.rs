//! What the last tree already stores: chunks by id, contents of small files by digest.
//!
//! Built from the agent's memory when the first file has to be read, never for an unchanged backup. It asks nobody.
//!
//! Invariant: chunks that the server misses are never taken for stored.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use common::id::ChunkId;
use common::limits::SMALL_FILE_BYTES;
use common::tree::content::Content;
use common::tree::entry::EntryKind;
use common::tree::node::LeafReader;
use parking_lot::Mutex;

use crate::state::by_id::ById;
use crate::state::memory::{Memory, MemoryError};

/// Decoded leaves that are kept: neighbors in the tree are neighbors in the walk.
const DECODED_LEAVES_MAX: usize = 8;

type LeafContents = Arc<Vec<Option<([u8; 32], Content)>>>;

/// Where a content stands: the start of its digest, leaf and entry. A million of them are 16 MB.
type Position = (u64, u32, u32);

#[derive(Default)]
struct Maps {
    /// Sorted by the start of the digest; the whole one is compared when it is used.
    by_digest: Vec<Position>,
    chunks: ById<()>,
}

impl Maps {
    /// The first place of a content whose digest starts like this one.
    fn first(&self, digest: &[u8; 32]) -> Option<(u32, u32)> {
        let wanted = start(digest);
        let at = self.by_digest.partition_point(|(known, ..)| *known < wanted);
        self.by_digest.get(at).filter(|(known, ..)| *known == wanted).map(|(_, leaf, entry)| (*leaf, *entry))
    }
}

fn start(digest: &[u8; 32]) -> u64 {
    u64::from_le_bytes(*digest.first_chunk().expect("the start of a digest"))
}

/// The last tree as a store of contents.
pub struct KnownContent<'m> {
    memory: Option<&'m Memory>,
    missing: HashSet<ChunkId>,
    maps: OnceLock<Maps>,
    building: Mutex<()>,
    decoded: Mutex<Vec<(u32, LeafContents)>>,
}

impl<'m> KnownContent<'m> {
    /// What `memory` holds, without the chunks that are `missing` on the server.
    pub fn new(memory: Option<&'m Memory>, missing: HashSet<ChunkId>) -> Self {
        Self { memory, missing, maps: OnceLock::new(), building: Mutex::default(), decoded: Mutex::default() }
    }

    /// The memory behind it.
    pub fn memory(&self) -> Option<&'m Memory> {
        self.memory
    }

    /// True if the server said that it misses this chunk or node.
    pub fn is_missing(&self, id: &ChunkId) -> bool {
        !self.missing.is_empty() && self.missing.contains(id)
    }

    /// True if the server misses this chunk, this node or anything below it.
    pub fn misses(&self, id: &ChunkId) -> bool {
        let below = || {
            let node = self.memory.filter(|memory| memory.has_node(id)).map(|memory| memory.node(id));
            // A node that cannot be read is found out by whoever needs it.
            node.is_some_and(|node| node.is_ok_and(|node| node.children.iter().any(|child| self.misses(child))))
        };
        self.is_missing(id) || (self.has_missing() && below())
    }

    /// True if any chunk is missing.
    pub fn has_missing(&self) -> bool {
        !self.missing.is_empty()
    }

    /// True if the last tree refers to this chunk or holds this node.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn is_stored(&self, id: &ChunkId) -> Result<bool, MemoryError> {
        let Some(memory) = self.memory else { return Ok(false) };
        Ok(!self.is_missing(id) && (memory.has_node(id) || self.maps()?.chunks.contains_key(id)))
    }

    /// Where the last tree has a small content without holes.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn find(&self, digest: &[u8; 32], bytes: u64) -> Result<Option<Content>, MemoryError> {
        let Some(memory) = self.memory else { return Ok(None) };
        let Some((leaf, entry)) = self.maps()?.first(digest) else { return Ok(None) };
        let contents = self.decode(memory, leaf)?;
        let found = contents.get(entry as usize).and_then(Option::as_ref);
        let Some((_, content @ Content::Inline(extents))) = found.filter(|(found, _)| found == digest) else {
            return Ok(None);
        };
        let covered: u64 = extents.iter().map(|extent| extent.bytes).sum();
        let is_usable =
            covered == bytes && extents.iter().all(|extent| extent.chunk.is_some_and(|id| !self.is_missing(&id)));
        Ok(is_usable.then(|| content.clone()))
    }

    fn maps(&self) -> Result<&Maps, MemoryError> {
        if let Some(maps) = self.maps.get() {
            return Ok(maps);
        }
        // One thread builds it, the others wait: it is the largest thing that a run holds.
        let _building = self.building.lock();
        if let Some(maps) = self.maps.get() {
            return Ok(maps);
        }
        let built = self.build()?;
        Ok(self.maps.get_or_init(|| built))
    }

    fn build(&self) -> Result<Maps, MemoryError> {
        let mut maps = Maps::default();
        let Some(memory) = self.memory else { return Ok(maps) };
        maps.by_digest.reserve_exact(memory.entry_count());
        for at in 0..memory.leaf_count() {
            let leaf = memory.leaf(at)?;
            let mut reader = LeafReader::open(&leaf).map_err(malformed)?;
            let position = u32::try_from(at).map_err(|_| MemoryError::Damaged("too many leaves"))?;
            let mut entry = 0;
            while let Some(view) = reader.advance().map_err(malformed)? {
                if let Some(digest) = view.digest().filter(|_| view.size() > 0 && view.size() < SMALL_FILE_BYTES) {
                    maps.by_digest.push((start(digest), position, entry));
                }
                entry += 1;
            }
            add_chunks(memory, &leaf.children, &mut maps.chunks)?;
        }
        maps.by_digest.sort_unstable();
        Ok(maps)
    }

    fn decode(&self, memory: &Memory, leaf: u32) -> Result<LeafContents, MemoryError> {
        if let Some((_, contents)) = self.decoded.lock().iter().find(|(at, _)| *at == leaf) {
            return Ok(contents.clone());
        }
        let node = memory.leaf(leaf as usize)?;
        let mut reader = LeafReader::open(&node).map_err(malformed)?;
        let mut contents = Vec::new();
        while let Some(view) = reader.advance().map_err(malformed)? {
            contents.push(
                match view.is_file().then(|| view.to_entry(&node.children)).transpose().map_err(malformed)? {
                    Some(entry) => match entry.kind {
                        EntryKind::File(file) => Some((file.digest, file.content)),
                        _ => None,
                    },
                    None => None,
                },
            );
        }
        let contents = Arc::new(contents);
        let mut decoded = self.decoded.lock();
        if decoded.len() == DECODED_LEAVES_MAX {
            decoded.remove(0);
        }
        decoded.push((leaf, contents.clone()));
        Ok(contents)
    }
}

/// Adds data chunks, and what extents nodes among `children` refer to.
fn add_chunks(memory: &Memory, children: &[ChunkId], chunks: &mut ById<()>) -> Result<(), MemoryError> {
    let mut waiting = children.to_vec();
    while let Some(id) = waiting.pop() {
        if chunks.insert(id, ()).is_none() && memory.has_node(&id) {
            waiting.extend(memory.node(&id)?.children);
        }
    }
    Ok(())
}

/// A node whose id was computed again can only be malformed if it was written so.
pub fn malformed(_: common::tree::wire::Malformed) -> MemoryError {
    MemoryError::Damaged("a node is malformed")
}
