//! Reads the entries of a snapshot in key order and goes on beside what is damaged.
//!
//! Invariant: a node that cannot be read is told once, with the path after which something is missing; nothing is left out in
//! silence.
//! Invariant: carried entries (`backup::carry`) are no files and are met by nobody.

use std::cell::RefCell;
use std::ops::ControlFlow;

use common::id::ChunkId;
use common::tree::TreeError;
use common::tree::cursor::Cursor;
use common::tree::entry::Entry;
use common::tree::path::{EntryKey, KeyRange};

use super::fetch::{FetchError, Fetcher};
use super::nodes::{NodeError, Nodes};

/// What a walk meets.
pub enum Met {
    /// An entry.
    Entry(EntryKey, Entry),
    /// A node that cannot be read: entries after this path (from the top if it is empty) are missing.
    Lost(Vec<u8>),
}

/// Walks `range` of the tree at `root`; `Break` from `each` ends it early and is handed on.
///
/// # Errors
/// The connection's, or those of `each`.
pub fn walk<E: From<FetchError>>(
    fetcher: &Fetcher<'_>,
    root: ChunkId,
    range: KeyRange,
    mut each: impl FnMut(Met) -> Result<ControlFlow<()>, E>,
) -> Result<ControlFlow<()>, E> {
    let nodes = RefCell::new(Nodes::for_walk(fetcher));
    let mut cursor = Cursor::new(root, range, |id| nodes.borrow_mut().get(id));
    let mut last = Vec::new();
    loop {
        let met = match cursor.next_entry() {
            Ok(None) => return Ok(ControlFlow::Continue(())),
            Ok(Some((key, entry))) => {
                last.clear();
                last.extend_from_slice(key.as_bytes());
                if entry.is_carried() {
                    continue;
                }
                Met::Entry(key, entry)
            }
            Err(TreeError::Fetch { source: NodeError::Fetch(error), .. }) => return Err(error.into()),
            // The cursor goes on with what follows the node.
            Err(TreeError::Fetch { source: NodeError::Chunk(_), .. } | TreeError::Malformed { .. }) => {
                Met::Lost(EntryKey::from_encoded(&last).map_or(Vec::new(), |key| key.path()))
            }
        };
        if each(met)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
}
