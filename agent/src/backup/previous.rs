//! The last tree read in key order beside the walk, leaf by leaf.
//!
//! It does not decide what is unchanged. A leaf in which nothing changed is never decoded into entries.

use common::tree::entry::{CARRIED_DIGEST, Entry};
use common::tree::node::{LeafReader, Node};

use crate::backup::content::{KnownContent, malformed};
use crate::state::memory::{Memory, MemoryError, Row};

/// One entry of the last tree, as far as it is compared.
#[derive(Debug, Clone, Copy)]
pub struct OldItem {
    key_end: usize,
    /// Last change of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Length of a file, 0 for anything else.
    pub size: u64,
    /// True for a regular file (not for further names of one).
    pub is_file: bool,
    /// True for a directory.
    pub is_directory: bool,
    /// True for chunks that wait for a file, which nobody had.
    pub is_carried: bool,
}

/// The leaf that is being compared.
struct OldLeaf {
    at: usize,
    node: Node,
    keys: Vec<u8>,
    items: Vec<OldItem>,
    /// Filled when the first entry is asked for; each is given out once.
    decoded: Vec<Option<(Vec<u8>, Entry, Row)>>,
    /// True if the server misses something below it: none of its files counts as unchanged.
    is_suspect: bool,
}

/// A cursor over the last tree.
pub struct Previous<'m> {
    memory: Option<&'m Memory>,
    leaf: Option<OldLeaf>,
    next_leaf: usize,
    next: usize,
}

impl<'m> Previous<'m> {
    /// Starts at the first entry; without a memory there is none.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn new(known: &KnownContent<'m>) -> Result<Self, MemoryError> {
        let mut previous = Self { memory: known.memory(), leaf: None, next_leaf: 0, next: 0 };
        previous.enter_leaf(known)?;
        Ok(previous)
    }

    /// Key and facts of the next entry; `None` at the end of the tree.
    pub fn peek(&self) -> Option<(&[u8], &OldItem)> {
        let leaf = self.leaf.as_ref()?;
        let item = leaf.items.get(self.next)?;
        let start = self.next.checked_sub(1).map_or(0, |before| leaf.items[before].key_end);
        Some((&leaf.keys[start..item.key_end], item))
    }

    /// The row of the next entry.
    pub fn row(&self) -> Row {
        let (Some(memory), Some(leaf)) = (self.memory, &self.leaf) else { return Row::UNKNOWN };
        if leaf.is_suspect { Row::UNKNOWN } else { memory.rows(leaf.at)[self.next] }
    }

    /// Position of the next entry in its leaf.
    pub fn position(&self) -> usize {
        self.next
    }

    /// The leaf's number.
    pub fn leaf(&self) -> usize {
        self.leaf.as_ref().map_or(usize::MAX, |leaf| leaf.at)
    }

    /// Passes an entry; true if that was the last one of its leaf, which then is [`Self::enter_leaf`]'s turn.
    pub fn advance(&mut self) -> bool {
        self.next += 1;
        self.leaf.as_ref().is_some_and(|leaf| self.next == leaf.items.len())
    }

    /// Goes on to the next leaf.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn enter_leaf(&mut self, known: &KnownContent<'m>) -> Result<(), MemoryError> {
        self.leaf = None;
        self.next = 0;
        let Some(memory) = self.memory else { return Ok(()) };
        while self.next_leaf < memory.leaf_count() {
            let leaf = OldLeaf::read(memory, self.next_leaf, known)?;
            self.next_leaf += 1;
            if !leaf.items.is_empty() {
                self.leaf = Some(leaf);
                break;
            }
        }
        Ok(())
    }

    /// One entry of the leaf, decoded, with its key and row; the leaf is decoded once.
    ///
    /// # Errors
    /// If the leaf is malformed.
    pub fn decode_one(&mut self, at: usize) -> Result<(Vec<u8>, Entry, Row), MemoryError> {
        let none = || MemoryError::Damaged("no such entry");
        let (Some(memory), Some(leaf)) = (self.memory, &mut self.leaf) else { return Err(none()) };
        if leaf.decoded.is_empty() {
            leaf.decoded = decode(&leaf.node, memory.rows(leaf.at))?.into_iter().map(Some).collect();
        }
        leaf.decoded.get_mut(at).and_then(Option::take).ok_or_else(none)
    }
}

/// The entries of a leaf with their keys and rows.
///
/// # Errors
/// If the leaf is malformed or has another number of rows.
pub fn decode(node: &Node, rows: &[Row]) -> Result<Vec<(Vec<u8>, Entry, Row)>, MemoryError> {
    let mut reader = LeafReader::open(node).map_err(malformed)?;
    let mut entries = Vec::with_capacity(rows.len());
    while let Some(view) = reader.advance().map_err(malformed)? {
        let row = *rows.get(entries.len()).ok_or(MemoryError::Damaged("table and tree differ"))?;
        entries.push((reader.key().to_vec(), view.to_entry(&node.children).map_err(malformed)?, row));
    }
    Ok(entries)
}

impl OldLeaf {
    fn read(memory: &Memory, at: usize, known: &KnownContent<'_>) -> Result<Self, MemoryError> {
        let node = memory.leaf(at)?;
        let rows = memory.rows(at).len();
        let (mut keys, mut items) = (Vec::with_capacity(rows * 40), Vec::with_capacity(rows));
        let mut reader = LeafReader::open(&node).map_err(malformed)?;
        while let Some(view) = reader.advance().map_err(malformed)? {
            keys.extend_from_slice(reader.key());
            items.push(OldItem {
                key_end: keys.len(),
                mtime_ns: view.mtime_ns,
                size: view.size(),
                is_file: view.is_file(),
                is_directory: view.is_directory(),
                is_carried: view.digest() == Some(&CARRIED_DIGEST),
            });
        }
        if items.len() != rows {
            return Err(MemoryError::Damaged("table and tree differ"));
        }
        let is_suspect = known.has_missing()
            && (known.is_missing(&node.id) || node.children.iter().any(|child| known.misses(child)));
        Ok(Self { at, node, keys, items, decoded: Vec::new(), is_suspect })
    }
}
