//! Writes the memory of a tree while that tree is built.
//!
//! The files and their order are those of `memory`, which reads them.
//!
//! Invariant: `head` is replaced last, after the files that it names are durable.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use common::id::ChunkId;
use common::keys::{ChunkKind, IdKey};
use common::tree::extents::child_nodes;
use common::tree::node::Node;

use crate::durable;
use crate::state::by_id::ById;
use crate::state::memory::{
    HEAD_BYTES, Head, INDEX_ITEM_BYTES, Memory, MemoryError, NODE_HEADER_BYTES, ROW_BYTES, Remembered, Row, TREE_MAGIC,
    head_path, keyed, table_path, tree_path,
};

/// Writes the memory of a tree while it is built.
///
/// As long as only nodes of the old memory come in, nothing is written: an unchanged tree keeps its file.
pub struct Recorder<'m> {
    folder: PathBuf,
    old: Option<&'m Memory>,
    kept: Vec<ChunkId>,
    /// Extents nodes of the old tree that are kept with all below them.
    kept_below: Vec<ChunkId>,
    tree: Option<NewTree>,
    rows: Vec<Row>,
}

struct NewTree {
    file: BufWriter<durable::Writer>,
    index: Vec<(ChunkId, u64)>,
    known: ById<()>,
    offset: u64,
}

impl<'m> Recorder<'m> {
    /// Starts the memory of a new tree in `folder`, beside the one of `old`.
    pub fn new(folder: &Path, old: Option<&'m Memory>) -> Self {
        let rows = Vec::with_capacity(old.map_or(0, Memory::entry_count));
        Self { folder: folder.to_owned(), old, kept: Vec::new(), kept_below: Vec::new(), tree: None, rows }
    }

    /// Adds a node of the new tree.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn add(&mut self, node: &Node) -> Result<(), MemoryError> {
        if self.tree.is_none() && self.old.is_some_and(|old| old.has_node(&node.id)) {
            self.kept.push(node.id);
            return Ok(());
        }
        self.new_tree()?.append(node)
    }

    /// Adds a leaf of the old tree, taken over whole with its rows.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub fn keep_leaf(&mut self, old: &Memory, at: usize, leaf: &Node) -> Result<(), MemoryError> {
        self.rows.extend_from_slice(old.rows(at));
        self.add(leaf)
    }

    /// Adds the extents nodes of the old tree among `children`, with all below them.
    ///
    /// # Errors
    /// If they cannot be copied.
    pub fn keep_below(&mut self, old: &Memory, children: &[ChunkId]) -> Result<(), MemoryError> {
        let nodes = children.iter().filter(|id| old.has_node(id));
        match &mut self.tree {
            None => self.kept_below.extend(nodes),
            Some(tree) => nodes.copied().try_for_each(|id| tree.append_below(old, &id))?,
        }
        Ok(())
    }

    /// Adds the row of the next entry that is not in a kept leaf.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Makes the new memory the memory of the source.
    ///
    /// # Errors
    /// If the disk refuses it; the next run then fetches the tree.
    pub fn finish(mut self, remembered: Remembered, memory_key: &IdKey) -> Result<(), MemoryError> {
        let is_same_tree = self.old.is_some_and(|old| old.remembered().root == remembered.root);
        if !is_same_tree {
            // A root that is an inner node of the old tree leaves nothing new to write, yet the index changes.
            self.new_tree()?;
        }
        let old_head = durable::read(&head_path(&self.folder), HEAD_BYTES)?;
        let old_head = old_head.and_then(|head| Head::decode(&head, memory_key).ok());
        let index = match (self.tree.take(), &old_head) {
            (Some(tree), _) => tree.finish(memory_key)?,
            (None, Some(head)) => head.index,
            (None, None) => return Err(MemoryError::Damaged("head")),
        };
        let mut table = Vec::with_capacity(self.rows.len() * ROW_BYTES);
        self.rows.iter().for_each(|row| row.encode(&mut table));
        let table_hash = keyed(memory_key, &table);
        if old_head.is_none_or(|head| head.table != table_hash) {
            durable::replace(&table_path(&self.folder), &table, 0o600)?;
        }
        let head = Head { remembered, index, table: table_hash };
        Ok(durable::replace(&head_path(&self.folder), &head.encode(memory_key), 0o600)?)
    }

    fn new_tree(&mut self) -> Result<&mut NewTree, MemoryError> {
        if self.tree.is_none() {
            let mut tree = NewTree::create(&self.folder)?;
            if let Some(old) = self.old {
                for id in self.kept.drain(..) {
                    tree.append(&old.node(&id)?)?;
                }
                for id in self.kept_below.drain(..) {
                    tree.append_below(old, &id)?;
                }
            }
            self.tree = Some(tree);
        }
        Ok(self.tree.as_mut().expect("it was just made"))
    }
}

impl NewTree {
    fn create(folder: &Path) -> Result<Self, MemoryError> {
        let mut file = BufWriter::with_capacity(256 << 10, durable::Writer::create(&tree_path(folder), 0o600)?);
        file.write_all(TREE_MAGIC).map_err(MemoryError::Read)?;
        Ok(Self { file, index: Vec::new(), known: ById::default(), offset: TREE_MAGIC.len() as u64 })
    }

    /// Copies an extents node and all below it.
    fn append_below(&mut self, old: &Memory, id: &ChunkId) -> Result<(), MemoryError> {
        if self.known.contains_key(id) {
            return Ok(());
        }
        let node = old.node(id)?;
        if node.kind == ChunkKind::Extents {
            let below = child_nodes(&node).map_err(|_| MemoryError::Damaged("a node is malformed"))?;
            below.iter().try_for_each(|child| self.append_below(old, child))?;
            self.append(&node)?;
        }
        Ok(())
    }

    fn append(&mut self, node: &Node) -> Result<(), MemoryError> {
        if self.known.insert(node.id, ()).is_some() {
            return Ok(());
        }
        let bytes = NODE_HEADER_BYTES + node.children.len() * ChunkId::BYTES + node.plaintext.len();
        let mut head = [0; NODE_HEADER_BYTES];
        head[..4].copy_from_slice(&u32::try_from(node.children.len()).unwrap_or(u32::MAX).to_le_bytes());
        head[4..8].copy_from_slice(&u32::try_from(node.plaintext.len()).unwrap_or(u32::MAX).to_le_bytes());
        head[8] = node.kind.code();
        let mut write = |bytes: &[u8]| self.file.write_all(bytes).map_err(MemoryError::Read);
        write(&head)?;
        node.children.iter().try_for_each(|child| write(child.as_bytes()))?;
        write(&node.plaintext)?;
        self.index.push((node.id, self.offset));
        self.offset += bytes as u64;
        Ok(())
    }

    fn finish(mut self, memory_key: &IdKey) -> Result<[u8; 32], MemoryError> {
        let mut index = Vec::with_capacity(self.index.len() * INDEX_ITEM_BYTES);
        for (id, offset) in &self.index {
            index.extend_from_slice(id.as_bytes());
            index.extend_from_slice(&offset.to_le_bytes());
        }
        self.file.write_all(&index).map_err(MemoryError::Read)?;
        self.file.write_all(&(index.len() as u64).to_le_bytes()).map_err(MemoryError::Read)?;
        let writer = self.file.into_inner().map_err(|error| MemoryError::Read(error.into_error()))?;
        writer.finish()?;
        Ok(keyed(memory_key, &index))
    }
}
