//! Writes a snapshot tree from entries in key order, in bounded memory: at most one open node per level.
//!
//! A node ends after an item when it holds [`NODE_PLAIN_BYTES_MIN`] and
//! `hash(level ‖ key) < 2³² × item bytes ÷ NODE_PLAIN_BYTES_TARGET`, and before an item that would not fit. A branch ends by that
//! rule only with [`BRANCH_ITEMS_MIN`] children. The top node is the first level that has one node, so no chain of single children
//! stands above it; the empty tree is one leaf without entries.
//! It does not store nodes: the sink does, and it sees children before parents.
//!
//! Invariant: equal content gives equal nodes, whether entries were pushed or leaves taken over, and whatever the history.

use crate::id::ChunkId;
use crate::keys::{BoundaryKey, ChunkKind, IdKey};
use crate::limits::{
    BRANCH_ITEMS_MIN, NODE_CHILDREN_MAX, NODE_ITEMS_MAX, NODE_PLAIN_BYTES_MAX, NODE_PLAIN_BYTES_MIN,
    NODE_PLAIN_BYTES_TARGET, TREE_LEVELS_MAX,
};
use crate::tree::content::ChildTable;
use crate::tree::entry::{Entry, InvalidEntry, Owner};
use crate::tree::node::{BranchItem, LeafSummary, Node, put_header, put_key};
use crate::tree::path::EntryKey;
use crate::tree::wire::put_bytes;

/// Why a tree cannot be written; `E` is the error of the sink.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E: std::error::Error + 'static> {
    /// A key that is not after the one before.
    #[error("entries are not in order at {}", String::from_utf8_lossy(&.key.path()))]
    OutOfOrder {
        /// The key.
        key: EntryKey,
    },
    /// An entry that the format cannot hold.
    #[error("write entry {}", String::from_utf8_lossy(&.key.path()))]
    Entry {
        /// Its key.
        key: EntryKey,
        /// Why.
        #[source]
        source: InvalidEntry,
    },
    /// More than [`TREE_LEVELS_MAX`] levels.
    #[error("tree is too deep")]
    TooDeep,
    /// The sink refused a node.
    #[error("hand over node")]
    Sink(#[source] E),
}

/// The root of a finished tree, and what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltTree {
    /// A leaf or a branch.
    pub root: ChunkId,
    /// How many entries.
    pub entries: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A node being filled.
#[derive(Default)]
struct OpenNode {
    plaintext: Vec<u8>,
    children: ChildTable,
    items: usize,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    last_owner: Option<Owner>,
    entries: u64,
    bytes: u64,
}

/// One level of the tree: its open node, and the nodes that it has ended.
#[derive(Default)]
struct Level {
    open: OpenNode,
    ended: u64,
}

/// Writes one tree; `S` takes each finished node.
pub struct TreeBuilder<'a, S> {
    id_key: &'a IdKey,
    boundary: &'a BoundaryKey,
    sink: S,
    levels: Vec<Level>,
    item: Vec<u8>,
    entry: Vec<u8>,
}

impl<'a, S, E> TreeBuilder<'a, S>
where
    S: FnMut(Node) -> Result<(), E>,
    E: std::error::Error + 'static,
{
    /// Starts an empty tree.
    pub fn new(id_key: &'a IdKey, boundary: &'a BoundaryKey, sink: S) -> Self {
        Self { id_key, boundary, sink, levels: vec![Level::default()], item: Vec::new(), entry: Vec::new() }
    }

    /// Adds an entry; its key must be after every key before.
    ///
    /// # Errors
    /// Any [`BuildError`]; the builder is of no use afterwards.
    pub fn push(&mut self, key: &EntryKey, entry: &Entry) -> Result<(), BuildError<E>> {
        let open = &self.levels[0].open;
        if open.last_key.as_slice() >= key.as_bytes() {
            return Err(BuildError::OutOfOrder { key: key.clone() });
        }
        if !self.try_push(key, entry)? {
            self.end_node(0)?;
            let fits = self.try_push(key, entry)?;
            assert!(fits, "an entry fits an empty leaf: limits.rs checks it");
        }
        if self.levels[0].open.ends(0, self.item.len(), key.as_bytes(), self.boundary) {
            self.end_node(0)?;
        }
        Ok(())
    }

    /// True if an old leaf could be taken over now: no leaf is open.
    pub fn at_leaf_boundary(&self) -> bool {
        self.levels[0].open.items == 0
    }

    /// Takes over a leaf of an older tree whole, if that gives the same tree as pushing its entries; false (and nothing done) if
    /// not: a leaf is open, or the old one ended only because the tree did or the next entry did not fit.
    ///
    /// `summary` is what [`crate::tree::node::LeafReader::summary`] gives after the last entry. The sink does not see this leaf.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_unchanged_leaf(&mut self, leaf: &Node, summary: &LeafSummary) -> Result<bool, BuildError<E>> {
        let first_fits = self.levels[0].open.last_key < summary.first_key;
        let ends = ends_by_rule(0, leaf.plaintext.len(), summary.last_item_bytes, &summary.last_key, self.boundary);
        if !self.at_leaf_boundary() || !first_fits || !ends || summary.entries == 0 {
            return Ok(false);
        }
        let level = &mut self.levels[0];
        level.ended += 1;
        level.open.last_key.clone_from(&summary.last_key);
        let first_key = summary.first_key.clone();
        self.push_child(1, BranchItem { child: leaf.id, first_key, entries: summary.entries, bytes: summary.bytes })?;
        Ok(true)
    }

    /// Ends the tree: hands over what is open and names the root.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self) -> Result<BuiltTree, BuildError<E>> {
        if self.levels[0].ended == 0 && self.at_leaf_boundary() {
            let root = self.hand_over(ChunkKind::Leaf, OpenNode::start(0))?;
            return Ok(BuiltTree { root, entries: 0, bytes: 0 });
        }
        let mut level = 0;
        loop {
            if self.levels[level].open.items > 0 {
                if level > 0 && self.levels[level].ended == 0 && self.levels[level].open.items == 1 {
                    return Ok(self.only_child(level));
                }
                self.end_node(level)?;
            }
            level += 1;
        }
    }

    /// The tree whose top is the one child that `level` holds.
    fn only_child(&mut self, level: usize) -> BuiltTree {
        let open = &mut self.levels[level].open;
        let root = open.children.take()[0];
        BuiltTree { root, entries: open.entries, bytes: open.bytes }
    }

    /// Appends to the open leaf; false (and nothing changed) if it does not fit.
    fn try_push(&mut self, key: &EntryKey, entry: &Entry) -> Result<bool, BuildError<E>> {
        let open = &mut self.levels[0].open;
        open.start_if_empty(0);
        let children_before = open.children.len();
        let key_before: &[u8] = if open.items == 0 { &[] } else { &open.last_key };
        self.item.clear();
        put_key(key_before, key.as_bytes(), &mut self.item);
        self.entry.clear();
        entry
            .encode(open.last_owner.as_ref(), &mut open.children, &mut self.entry)
            .map_err(|source| BuildError::Entry { key: key.clone(), source })?;
        put_bytes(&mut self.item, &self.entry);
        if !open.fits(self.item.len()) {
            open.children.truncate(children_before);
            return Ok(false);
        }
        open.append(&self.item, key.as_bytes(), 1, entry.size());
        if open.last_owner.as_ref() != Some(&entry.owner) {
            open.last_owner = Some(entry.owner.clone());
        }
        Ok(true)
    }

    fn push_child(&mut self, level: usize, item: BranchItem) -> Result<(), BuildError<E>> {
        if level >= TREE_LEVELS_MAX {
            return Err(BuildError::TooDeep);
        }
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        if !self.try_push_child(level, &item) {
            self.end_node(level)?;
            let fits = self.try_push_child(level, &item);
            assert!(fits, "an item fits an empty branch: limits.rs checks it");
        }
        let open = &self.levels[level].open;
        if open.items >= BRANCH_ITEMS_MIN && open.ends(level, self.item.len(), &item.first_key, self.boundary) {
            self.end_node(level)?;
        }
        Ok(())
    }

    fn try_push_child(&mut self, level: usize, item: &BranchItem) -> bool {
        let open = &mut self.levels[level].open;
        open.start_if_empty(level);
        let children_before = open.children.len();
        let key_before: &[u8] = if open.items == 0 { &[] } else { &open.last_key };
        self.item.clear();
        item.encode(key_before, &mut self.item);
        open.children.index_of(item.child);
        let fits = open.fits(self.item.len());
        if fits {
            open.append(&self.item, &item.first_key, item.entries, item.bytes);
        } else {
            open.children.truncate(children_before);
        }
        fits
    }

    /// Ends the open node of `level`, hands it over and tells the level above.
    fn end_node(&mut self, level: usize) -> Result<(), BuildError<E>> {
        self.levels[level].ended += 1;
        let last_key = self.levels[level].open.last_key.clone();
        let mut open = std::mem::take(&mut self.levels[level].open);
        self.levels[level].open.last_key = last_key;
        let (first_key, entries, bytes) = (std::mem::take(&mut open.first_key), open.entries, open.bytes);
        let kind = if level == 0 { ChunkKind::Leaf } else { ChunkKind::Branch };
        let child = self.hand_over(kind, open)?;
        self.push_child(level + 1, BranchItem { child, first_key, entries, bytes })
    }

    fn hand_over(&mut self, kind: ChunkKind, mut open: OpenNode) -> Result<ChunkId, BuildError<E>> {
        let node = Node::new(self.id_key, kind, open.children.take(), open.plaintext);
        let id = node.id;
        (self.sink)(node).map_err(BuildError::Sink)?;
        Ok(id)
    }
}

impl OpenNode {
    fn start(level: usize) -> Self {
        let mut open = Self::default();
        open.start_if_empty(level);
        open
    }

    fn start_if_empty(&mut self, level: usize) {
        if self.plaintext.is_empty() {
            put_header(u8::try_from(level).expect("at most 16 levels"), &mut self.plaintext);
        }
    }

    /// True if an item of `item_bytes`, whose children are already in the table, may be appended.
    fn fits(&self, item_bytes: usize) -> bool {
        self.plaintext.len() + item_bytes <= NODE_PLAIN_BYTES_MAX
            && self.children.len() <= NODE_CHILDREN_MAX
            && self.items < NODE_ITEMS_MAX
    }

    fn append(&mut self, item: &[u8], key: &[u8], entries: u64, bytes: u64) {
        self.plaintext.extend_from_slice(item);
        if self.items == 0 {
            self.first_key = key.to_vec();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.items += 1;
        self.entries = self.entries.saturating_add(entries);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn ends(&self, level: usize, item_bytes: usize, key: &[u8], boundary: &BoundaryKey) -> bool {
        ends_by_rule(level, self.plaintext.len(), item_bytes, key, boundary)
    }
}

fn ends_by_rule(level: usize, node_bytes: usize, item_bytes: usize, key: &[u8], boundary: &BoundaryKey) -> bool {
    if node_bytes < NODE_PLAIN_BYTES_MIN {
        return false;
    }
    let level = u8::try_from(level).expect("at most 16 levels");
    let threshold = ((item_bytes as u64) << 32) / NODE_PLAIN_BYTES_TARGET as u64;
    u64::from(boundary.hash(level, &[key])) < threshold
}
