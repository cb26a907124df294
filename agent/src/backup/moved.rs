//! Large files that were moved or copied: what the last tree has of them, under another name.
//!
//! A guess from what a move leaves as it is (the inode) or a copy takes along (length and time). What is kept of it is decided page by page.
//! Without it, content that lies in many layers would be cut and laid once more: its chunks are not what cutting it gives.
//!
//! The list is made when the first large file with a new name is seen, never for an unchanged backup.

use common::limits::PAGED_FILE_BYTES;
use common::tree::entry::{CARRIED_DIGEST, EntryKind};
use common::tree::node::LeafReader;

use crate::backup::content::malformed;
use crate::backup::job::Old;
use crate::backup::plan::entry_key;
use crate::backup::previous::decode;
use crate::source::metadata::Stat;
use crate::state::memory::{Memory, MemoryError, Row};

/// A large file of the last tree.
struct Known {
    row: Row,
    bytes: u64,
    mtime_ns: i64,
    leaf: usize,
    entry: usize,
}

/// The large files of the last tree.
pub struct Moved<'m> {
    memory: Option<&'m Memory>,
    known: Option<Vec<Known>>,
}

impl<'m> Moved<'m> {
    /// Those of `memory`.
    pub fn new(memory: Option<&'m Memory>) -> Self {
        Self { memory, known: None }
    }

    /// What is known of a file whose name is new.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn find(&mut self, stat: &Stat) -> Result<Option<Old>, MemoryError> {
        let Some(memory) = self.memory else { return Ok(None) };
        let known = match &mut self.known {
            Some(known) => known,
            none => none.insert(list(memory)?),
        };
        let is_it = |known: &&Known| (known.row.inode, known.row.device) == (stat.inode, stat.device);
        let is_like_it = |known: &&Known| (known.bytes, known.mtime_ns) == (stat.size, stat.mtime_ns);
        let Some(found) = known.iter().find(is_it).or_else(|| known.iter().find(is_like_it)) else { return Ok(None) };
        let node = memory.leaf(found.leaf)?;
        let entry = decode(&node, memory.rows(found.leaf))?.into_iter().nth(found.entry);
        Ok(entry.and_then(|(key, entry, _)| match entry.kind {
            EntryKind::File(file) => Some(Old { key: entry_key(&key), file }),
            _ => None,
        }))
    }
}

fn list(memory: &Memory) -> Result<Vec<Known>, MemoryError> {
    let mut list = Vec::new();
    for leaf in 0..memory.leaf_count() {
        let (node, rows) = (memory.leaf(leaf)?, memory.rows(leaf));
        let mut reader = LeafReader::open(&node).map_err(malformed)?;
        for (entry, row) in rows.iter().enumerate() {
            let Some(view) = reader.advance().map_err(malformed)? else { break };
            if view.is_file() && view.size() > PAGED_FILE_BYTES && view.digest() != Some(&CARRIED_DIGEST) {
                list.push(Known { row: *row, bytes: view.size(), mtime_ns: view.mtime_ns, leaf, entry });
            }
        }
    }
    Ok(list)
}
