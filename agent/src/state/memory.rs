//! The agent's memory of the last tree of one source: its nodes, and what of each entry is compared but never sent.
//!
//! ```text
//! tree    "DBM" 1 | nodes: children count u32, plaintext bytes u32, kind u8, children, plaintext | index | index length u64
//! table   per entry in key order: ctime_ns i64, inode u64, device u64
//! head    "DBH" 1 | snapshot 16 | root 32 | sequence u64 | keyed hash of the index 32 | of the table 32 | of this head 32
//! ```
//! Written in this order, `head` last; what does not match it is no memory. Losing it costs one slower run. It does not compare.
//!
//! Invariant: a node is used only after its id was computed again, and the ids hang together from the root that `head` names.
//! Invariant: I10 — magic and version first.

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::id::{ChunkId, SessionId};
use common::keys::{ChunkKind, IdKey};
use common::limits::{MEMORY_FILE_BYTES_MAX, NODE_BYTES_MAX, NODE_CHILDREN_MAX, PAGED_FILE_BYTES};
use common::tree::node::{LeafReader, Node, read_branch};
use common::tree::path::EntryKey;

use crate::durable::{self, DurableError};
use crate::state::by_id::ById;
use crate::state::pages::PageFolder;

pub(super) const TREE_MAGIC: &[u8; 4] = b"DBM\x01";
const HEAD_MAGIC: &[u8; 4] = b"DBH\x01";
pub(super) const HEAD_BYTES: usize = 4 + 16 + 32 + 8 + 32 + 32 + 32;
pub(super) const INDEX_ITEM_BYTES: usize = 32 + 8;
pub(super) const NODE_HEADER_BYTES: usize = 9;
pub(super) const ROW_BYTES: usize = 24;

/// Why there is no usable memory.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// There is none.
    #[error("no memory of the last tree")]
    Absent,
    /// It is not what it was when it was written.
    #[error("memory of the last tree is damaged: {0}")]
    Damaged(&'static str),
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DurableError),
    /// The disk said no while a node was read.
    #[error("could not read the memory of the last tree")]
    Read(#[source] std::io::Error),
}

/// What is compared of an entry and never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Last change of anything, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// Inode number.
    pub inode: u64,
    /// Device of the file system.
    pub device: u64,
}

impl Row {
    /// Equals no item: the entry is looked at again next time.
    pub const UNKNOWN: Self = Self { ctime_ns: i64::MIN, inode: u64::MAX, device: u64::MAX };

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.ctime_ns.to_le_bytes());
        out.extend_from_slice(&self.inode.to_le_bytes());
        out.extend_from_slice(&self.device.to_le_bytes());
    }

    fn decode(bytes: &[u8; ROW_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes of a row"));
        Self { ctime_ns: word(0).cast_signed(), inode: word(8), device: word(16) }
    }
}

/// Which tree is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    /// The snapshot.
    pub snapshot: SessionId,
    /// Its root.
    pub root: ChunkId,
    /// Its place in the source's history.
    pub sequence: u64,
}

/// A leaf of the remembered tree.
#[derive(Debug, Clone, Copy)]
struct LeafSlot {
    id: ChunkId,
    first_row: usize,
    entries: usize,
}

/// The memory of one source, opened and checked.
pub struct Memory {
    tree: File,
    slots: ById<u64>,
    leaves: Vec<LeafSlot>,
    rows: Vec<Row>,
    id_key: IdKey,
    remembered: Remembered,
}

impl Memory {
    /// Opens the memory in `folder`. `id_key` names chunks, `memory_key` authenticates the files.
    ///
    /// # Errors
    /// Any [`MemoryError`]: nothing of it may then be used.
    pub fn open(folder: &Path, id_key: &IdKey, memory_key: &IdKey) -> Result<Self, MemoryError> {
        let head = durable::read(&head_path(folder), HEAD_BYTES)?.ok_or(MemoryError::Absent)?;
        let head = Head::decode(&head, memory_key)?;
        let table = durable::read(&table_path(folder), MEMORY_FILE_BYTES_MAX)?.ok_or(MemoryError::Absent)?;
        if keyed(memory_key, &table) != head.table {
            return Err(MemoryError::Damaged("table"));
        }
        let (rows, rest) = table.as_chunks::<ROW_BYTES>();
        if !rest.is_empty() {
            return Err(MemoryError::Damaged("table length"));
        }
        let tree = File::open(tree_path(folder)).map_err(MemoryError::Read)?;
        let slots = read_index(&tree, &head.index, memory_key)?;
        let rows = rows.iter().map(Row::decode).collect();
        let remembered = head.remembered;
        let mut memory = Self { tree, slots, leaves: Vec::new(), rows, id_key: id_key.clone(), remembered };
        memory.find_leaves()?;
        Ok(memory)
    }

    /// Which tree it is.
    pub fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Number of leaves.
    pub fn leaf_count(&self) -> usize {
        self.leaves.len()
    }

    /// Number of entries.
    pub fn entry_count(&self) -> usize {
        self.rows.len()
    }

    /// True if this node is in the remembered tree.
    pub fn has_node(&self, id: &ChunkId) -> bool {
        self.slots.contains_key(id)
    }

    /// One leaf, its id computed again.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn leaf(&self, at: usize) -> Result<Node, MemoryError> {
        self.node(&self.leaves[at].id)
    }

    /// The rows of one leaf's entries.
    pub fn rows(&self, at: usize) -> &[Row] {
        let slot = &self.leaves[at];
        &self.rows[slot.first_row..slot.first_row + slot.entries]
    }

    /// One node of any kind, its id computed again.
    ///
    /// # Errors
    /// [`MemoryError::Damaged`] if it is not what its id says.
    pub fn node(&self, id: &ChunkId) -> Result<Node, MemoryError> {
        let offset = *self.slots.get(id).ok_or(MemoryError::Damaged("a node is missing"))?;
        // One read serves nearly all nodes: they end around 48 KiB.
        let mut bytes = vec![0; 96 << 10];
        let read = read_up_to(&self.tree, offset, &mut bytes)?;
        bytes.truncate(read);
        let (children, plain, kind) = node_header(&bytes).ok_or(MemoryError::Damaged("a node is cut"))?;
        let needed = NODE_HEADER_BYTES + children * ChunkId::BYTES + plain;
        if needed > bytes.len() {
            let had = bytes.len();
            bytes.resize(needed, 0);
            self.tree.read_exact_at(&mut bytes[had..], offset + had as u64).map_err(MemoryError::Read)?;
        }
        let (ids, plaintext) = bytes[NODE_HEADER_BYTES..needed].split_at(children * ChunkId::BYTES);
        let children: Vec<ChunkId> = ids.as_chunks().0.iter().copied().map(ChunkId::new).collect();
        if self.id_key.chunk_id(kind, &children, plaintext) != *id {
            return Err(MemoryError::Damaged("a node is not what its id says"));
        }
        Ok(Node { kind, id: *id, children, plaintext: plaintext.to_vec() })
    }

    /// Names of the page hashes of all its large files.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn page_names(&self, memory_key: &IdKey) -> Result<HashSet<String>, MemoryError> {
        let malformed = |_| MemoryError::Damaged("a node is malformed");
        let mut names = HashSet::new();
        for at in 0..self.leaf_count() {
            let leaf = self.leaf(at)?;
            let mut reader = LeafReader::open(&leaf).map_err(malformed)?;
            while let Some(view) = reader.advance().map_err(malformed)? {
                if view.is_file() && view.size() > PAGED_FILE_BYTES {
                    let key = EntryKey::from_encoded(reader.key()).map_err(|_| MemoryError::Damaged("a key"))?;
                    names.insert(PageFolder::name(&key, memory_key));
                }
            }
        }
        Ok(names)
    }

    /// Walks the branches down to the leaves, in key order.
    fn find_leaves(&mut self) -> Result<(), MemoryError> {
        let malformed = |_| MemoryError::Damaged("a node is malformed");
        let mut first_row = 0;
        let mut waiting = vec![(self.remembered.root, None)];
        while let Some((id, entries)) = waiting.pop() {
            let is_leaf_by_parent = matches!(entries, Some((0, _)));
            if let (true, Some((_, entries))) = (is_leaf_by_parent, entries) {
                self.leaves.push(LeafSlot { id, first_row, entries });
                first_row += entries;
                continue;
            }
            let node = self.node(&id)?;
            if node.kind == ChunkKind::Leaf {
                let mut reader = LeafReader::open(&node).map_err(malformed)?;
                while reader.advance().map_err(malformed)?.is_some() {}
                let entries = usize::try_from(reader.summary().entries).unwrap_or(usize::MAX);
                self.leaves.push(LeafSlot { id, first_row, entries });
                first_row = first_row.saturating_add(entries);
                continue;
            }
            let (level, items) = read_branch(&node).map_err(malformed)?;
            for item in items.into_iter().rev() {
                let entries = usize::try_from(item.entries).unwrap_or(usize::MAX);
                waiting.push((item.child, Some((level - 1, entries.min(self.rows.len())))));
            }
        }
        let is_whole = first_row == self.rows.len() && self.leaves.iter().all(|leaf| self.slots.contains_key(&leaf.id));
        if is_whole { Ok(()) } else { Err(MemoryError::Damaged("table and tree differ")) }
    }
}

/// The file that is replaced last.
pub(super) struct Head {
    pub(super) remembered: Remembered,
    pub(super) index: [u8; 32],
    pub(super) table: [u8; 32],
}

impl Head {
    pub(super) fn encode(&self, key: &IdKey) -> Vec<u8> {
        let mut out = HEAD_MAGIC.to_vec();
        out.extend_from_slice(self.remembered.snapshot.as_bytes());
        out.extend_from_slice(self.remembered.root.as_bytes());
        out.extend_from_slice(&self.remembered.sequence.to_le_bytes());
        out.extend_from_slice(&self.index);
        out.extend_from_slice(&self.table);
        let hash = keyed(key, &out);
        out.extend_from_slice(&hash);
        out
    }

    pub(super) fn decode(bytes: &[u8], key: &IdKey) -> Result<Self, MemoryError> {
        let damaged = || MemoryError::Damaged("head");
        let body = bytes.strip_prefix(HEAD_MAGIC).filter(|_| bytes.len() == HEAD_BYTES).ok_or_else(damaged)?;
        if keyed(key, &bytes[..HEAD_BYTES - 32]) != bytes[HEAD_BYTES - 32..] {
            return Err(damaged());
        }
        let part = |from: usize, bytes: usize| &body[from..from + bytes];
        let hash = |from: usize| <[u8; 32]>::try_from(part(from, 32)).expect("32 bytes of a head");
        let remembered = Remembered {
            snapshot: SessionId::try_from(part(0, 16)).map_err(|_| damaged())?,
            root: ChunkId::new(hash(16)),
            sequence: u64::from_le_bytes(part(48, 8).try_into().map_err(|_| damaged())?),
        };
        Ok(Self { remembered, index: hash(56), table: hash(88) })
    }
}

fn read_index(tree: &File, wanted: &[u8; 32], key: &IdKey) -> Result<ById<u64>, MemoryError> {
    let file_bytes = tree.metadata().map_err(MemoryError::Read)?.len();
    let damaged = || MemoryError::Damaged("index");
    let mut magic = [0; TREE_MAGIC.len()];
    tree.read_exact_at(&mut magic, 0).map_err(MemoryError::Read)?;
    if magic != *TREE_MAGIC {
        return Err(MemoryError::Damaged("no magic"));
    }
    let mut length = [0; 8];
    let length_at = file_bytes.checked_sub(8).ok_or_else(damaged)?;
    tree.read_exact_at(&mut length, length_at).map_err(MemoryError::Read)?;
    let index_bytes = u64::from_le_bytes(length);
    let index_at = length_at.checked_sub(index_bytes).ok_or_else(damaged)?;
    let bytes = usize::try_from(index_bytes).ok().filter(|bytes| *bytes <= MEMORY_FILE_BYTES_MAX);
    let mut index = vec![0; bytes.ok_or_else(damaged)?];
    tree.read_exact_at(&mut index, index_at).map_err(MemoryError::Read)?;
    if keyed(key, &index) != *wanted {
        return Err(damaged());
    }
    let (items, rest) = index.as_chunks::<INDEX_ITEM_BYTES>();
    let item = |item: &[u8; INDEX_ITEM_BYTES]| {
        let (id, offset) = item.split_first_chunk::<32>().expect("an item starts with an id");
        (ChunkId::new(*id), u64::from_le_bytes(offset.try_into().expect("and ends with eight bytes")))
    };
    if rest.is_empty() { Ok(items.iter().map(item).collect()) } else { Err(damaged()) }
}

fn node_header(bytes: &[u8]) -> Option<(usize, usize, ChunkKind)> {
    let header = bytes.first_chunk::<NODE_HEADER_BYTES>()?;
    let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes")) as usize;
    let (children, plain, kind) = (word(0), word(4), ChunkKind::from_code(header[8])?);
    let fits = children <= NODE_CHILDREN_MAX && plain <= NODE_BYTES_MAX;
    fits.then_some((children, plain, kind))
}

fn read_up_to(file: &File, offset: u64, out: &mut [u8]) -> Result<usize, MemoryError> {
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], offset + done as u64).map_err(MemoryError::Read)? {
            0 => break,
            bytes => done += bytes,
        }
    }
    Ok(done)
}

pub(super) fn keyed(key: &IdKey, bytes: &[u8]) -> [u8; 32] {
    *blake3::keyed_hash(key.expose(), bytes).as_bytes()
}

/// Forgets the memory of a source.
///
/// # Errors
/// If it may still be there after a power cut.
pub fn forget(folder: &Path) -> Result<(), DurableError> {
    durable::remove(&head_path(folder))
}

pub(super) fn head_path(folder: &Path) -> PathBuf {
    folder.join("head")
}

pub(super) fn table_path(folder: &Path) -> PathBuf {
    folder.join("table")
}

pub(super) fn tree_path(folder: &Path) -> PathBuf {
    folder.join("tree")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use crate::state::recorder::Recorder;
    use common::keys::{BoundaryKey, ScopeSecret};
    use common::tree::builder::TreeBuilder;
    use common::tree::entry::{Entry, EntryKind, Owner};
    use common::tree::path::EntryKey;
    use common::tree::xattrs::Xattrs;

    fn remember(folder: &Path, old: Option<&Memory>, entries: u64) -> Remembered {
        let (keys, boundary) = (ScopeSecret::new([1; 32]).keys(), BoundaryKey::new([2; 32]));
        let recorder = std::cell::RefCell::new(Recorder::new(folder, old));
        let mut tree = TreeBuilder::new(&keys.id, &boundary, |node: Node| recorder.borrow_mut().add(&node));
        for at in 0..entries {
            let key = EntryKey::from_path(format!("{at:06}").as_bytes()).unwrap();
            let owner = Owner::default();
            let entry = Entry { kind: EntryKind::Fifo, mode: 0o644, owner, mtime_ns: 7, xattrs: Xattrs::none() };
            recorder.borrow_mut().row(Row { ctime_ns: 1, inode: at, device: 2 });
            tree.push(&key, &entry).unwrap();
        }
        let root = tree.finish().unwrap().root;
        let remembered = Remembered { snapshot: SessionId::new([3; 16]), root, sequence: entries };
        recorder.into_inner().finish(remembered, &keys.memory).unwrap();
        remembered
    }

    fn open(folder: &Path) -> Result<Memory, MemoryError> {
        let keys = ScopeSecret::new([1; 32]).keys();
        Memory::open(folder, &keys.id, &keys.memory)
    }

    #[test]
    fn a_tree_is_remembered_with_its_rows_whatever_its_size() {
        for entries in [0, 1, 500, 20_000] {
            let folder = tempfile::tempdir().unwrap();
            assert!(matches!(open(folder.path()), Err(MemoryError::Absent)));
            let remembered = remember(folder.path(), None, entries);
            let memory = open(folder.path()).unwrap();
            assert_eq!((memory.remembered(), memory.entry_count() as u64), (&remembered, entries));
            let mut inodes = Vec::new();
            for leaf in 0..memory.leaf_count() {
                memory.leaf(leaf).unwrap();
                inodes.extend(memory.rows(leaf).iter().map(|row| row.inode));
            }
            assert_eq!(inodes, (0..entries).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_unchanged_tree_keeps_its_file_and_a_smaller_one_replaces_it() {
        let folder = tempfile::tempdir().unwrap();
        remember(folder.path(), None, 5_000);
        let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(tree_path(folder.path())).unwrap());
        let before = inode();
        let memory = open(folder.path()).unwrap();
        remember(folder.path(), Some(&memory), 5_000);
        assert_eq!(inode(), before);
        for entries in [4_000, 1, 5_000] {
            let memory = open(folder.path()).unwrap();
            remember(folder.path(), Some(&memory), entries);
            assert_eq!(open(folder.path()).unwrap().entry_count() as u64, entries);
        }
    }

    #[test]
    fn a_wrong_byte_anywhere_is_found_before_it_is_used() {
        let folder = tempfile::tempdir().unwrap();
        remember(folder.path(), None, 800);
        let whole = |memory: &Memory| (0..memory.leaf_count()).try_for_each(|leaf| memory.leaf(leaf).map(drop));
        for path in [head_path(folder.path()), table_path(folder.path()), tree_path(folder.path())] {
            let bytes = std::fs::read(&path).unwrap();
            for at in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
                let mut wrong = bytes.clone();
                wrong[at] ^= 0x10;
                std::fs::write(&path, &wrong).unwrap();
                let is_found = open(folder.path()).and_then(|memory| whole(&memory)).is_err();
                assert!(is_found, "byte {at} of {}", path.display());
            }
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            assert!(open(folder.path()).is_err());
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(open(folder.path()).is_ok());
    }
}
