//! One node of the snapshot tree as bytes.
//!
//! ```text
//! "DBN" | version u8 | level u8 | items to the end
//! leaf (level 0)     item = key, entry bytes (length first)
//! branch (level 1…)  item = first key of the child, entry count, file bytes u64        item i stands for children[i]
//! key = bytes shared with the key before, length of the rest, the rest                 numbers are varints unless said otherwise
//! ```
//! It reads and writes single nodes; `builder` decides where they end, `cursor` checks one against another. Extents nodes share
//! the header only (`extents`).
//!
//! Invariant: I10 — magic and version first; an unknown version is an error.
//! Invariant: keys increase strictly, and share with the one before exactly what they have in common.

use crate::id::ChunkId;
use crate::keys::{ChunkKind, IdKey};
use crate::limits::{ENTRY_BYTES_MAX, NODE_BYTES_MAX, NODE_ITEMS_MAX, PATH_BYTES_MAX, TREE_LEVELS_MAX};
use crate::tree::path::{check_component, check_encoded};
use crate::tree::view::{EntryView, OwnerView};
use crate::tree::wire::{Malformed, Reader, put_bytes, put_varint};

const MAGIC: [u8; 3] = *b"DBN";
const VERSION: u8 = 1;

/// A node: what a frame of kind leaf, branch or extents holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Leaf, branch or extents.
    pub kind: ChunkKind,
    /// Its name.
    pub id: ChunkId,
    /// What it refers to, unique, in order of first use.
    pub children: Vec<ChunkId>,
    /// Its bytes.
    pub plaintext: Vec<u8>,
}

impl Node {
    /// Names a node that was written.
    pub(crate) fn new(key: &IdKey, kind: ChunkKind, children: Vec<ChunkId>, plaintext: Vec<u8>) -> Self {
        let id = key.chunk_id(kind, &children, &plaintext);
        Self { kind, id, children, plaintext }
    }
}

/// Appends the header of a node.
pub(crate) fn put_header(level: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, level]);
}

/// Reads the header: the level and the items.
pub(crate) fn open(plaintext: &[u8], children: usize) -> Result<(u8, Reader<'_>), Malformed> {
    if plaintext.len() + children * ChunkId::BYTES > NODE_BYTES_MAX {
        return Err(Malformed("node too large"));
    }
    let mut reader = Reader::new(plaintext);
    if *reader.array::<3>()? != MAGIC {
        return Err(Malformed("no magic"));
    }
    let [version, level] = *reader.array::<2>()?;
    if version != VERSION {
        return Err(Malformed("unknown node version"));
    }
    if usize::from(level) >= TREE_LEVELS_MAX { Err(Malformed("level out of range")) } else { Ok((level, reader)) }
}

/// Appends `key` as it stands after `before`.
pub(crate) fn put_key(before: &[u8], key: &[u8], out: &mut Vec<u8>) {
    let shared = before.iter().zip(key).take_while(|(a, b)| a == b).count();
    put_varint(out, shared as u64);
    put_bytes(out, &key[shared..]);
}

/// Keys of one node, rebuilt one after the other.
#[derive(Debug, Default)]
struct KeyReader {
    key: Vec<u8>,
    name_at: usize,
}

impl KeyReader {
    fn advance(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let shared = reader.varint_up_to(self.key.len())?;
        let rest = reader.bytes(PATH_BYTES_MAX)?;
        let increases = rest.first().is_some_and(|next| self.key.get(shared).is_none_or(|before| next > before));
        if !increases {
            return Err(Malformed("keys out of order"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(rest);
        if self.key.len() > PATH_BYTES_MAX {
            return Err(Malformed("key too long"));
        }
        let same_directory = self.name_at > 0 && shared >= self.name_at;
        if same_directory {
            check_component(&self.key[self.name_at..]).map_err(|_| Malformed("not a key"))
        } else {
            self.name_at = check_encoded(&self.key).map_err(|_| Malformed("not a key"))?;
            Ok(())
        }
    }
}

/// What a leaf holds in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafSummary {
    /// Its first key.
    pub first_key: Vec<u8>,
    /// Its last key.
    pub last_key: Vec<u8>,
    /// How many entries.
    pub entries: u64,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Length of its last item, which decided whether the leaf ended there.
    pub(crate) last_item_bytes: usize,
}

/// Reads the entries of one leaf in order, without copying them.
#[derive(Debug)]
pub struct LeafReader<'a> {
    items: Reader<'a>,
    keys: KeyReader,
    owner: Option<OwnerView<'a>>,
    first_key: Vec<u8>,
    entries: u64,
    bytes: u64,
    last_item_bytes: usize,
}

impl<'a> LeafReader<'a> {
    /// Starts at the first entry of `leaf`.
    ///
    /// # Errors
    /// If it is not a leaf.
    pub fn open(leaf: &'a Node) -> Result<Self, Malformed> {
        let (level, items) = open(&leaf.plaintext, leaf.children.len())?;
        if level != 0 || leaf.kind != ChunkKind::Leaf {
            return Err(Malformed("not a leaf"));
        }
        let keys = KeyReader::default();
        Ok(Self { items, keys, owner: None, first_key: Vec::new(), entries: 0, bytes: 0, last_item_bytes: 0 })
    }

    /// The next entry, whose key is then [`Self::key`]; `None` at the end.
    ///
    /// # Errors
    /// If the bytes are not those of a leaf.
    pub fn advance(&mut self) -> Result<Option<EntryView<'a>>, Malformed> {
        if self.items.is_empty() {
            return Ok(None);
        }
        let before = self.items.rest().len();
        self.keys.advance(&mut self.items)?;
        let entry = EntryView::parse(self.items.bytes(ENTRY_BYTES_MAX)?, self.owner)?;
        self.owner = Some(entry.owner);
        if self.entries == 0 {
            self.first_key.clone_from(&self.keys.key);
        }
        self.entries += 1;
        if self.entries > NODE_ITEMS_MAX as u64 {
            return Err(Malformed("too many entries"));
        }
        self.bytes = self.bytes.checked_add(entry.size()).ok_or(Malformed("sizes out of range"))?;
        self.last_item_bytes = before - self.items.rest().len();
        Ok(Some(entry))
    }

    /// Key bytes of the entry that [`Self::advance`] gave last.
    pub fn key(&self) -> &[u8] {
        &self.keys.key
    }

    /// What was read so far: after the end, what the leaf holds.
    pub fn summary(&self) -> LeafSummary {
        LeafSummary {
            first_key: self.first_key.clone(),
            last_key: self.keys.key.clone(),
            entries: self.entries,
            bytes: self.bytes,
            last_item_bytes: self.last_item_bytes,
        }
    }
}

/// What a branch says of one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchItem {
    /// The child: a leaf, or a branch one level lower.
    pub child: ChunkId,
    /// First key below it.
    pub first_key: Vec<u8>,
    /// Entries below it.
    pub entries: u64,
    /// Bytes of the files below it.
    pub bytes: u64,
}

impl BranchItem {
    /// Appends the item as it stands after one with `key_before`.
    pub(crate) fn encode(&self, key_before: &[u8], out: &mut Vec<u8>) {
        put_key(key_before, &self.first_key, out);
        put_varint(out, self.entries);
        out.extend_from_slice(&self.bytes.to_le_bytes());
    }
}

/// Reads a whole branch: its level and its items, one per child.
///
/// # Errors
/// If it is not a branch, or its items are not one per child with increasing keys.
pub fn read_branch(branch: &Node) -> Result<(u8, Vec<BranchItem>), Malformed> {
    let (level, mut reader) = open(&branch.plaintext, branch.children.len())?;
    if level == 0 || branch.kind != ChunkKind::Branch {
        return Err(Malformed("not a branch"));
    }
    let (mut keys, mut items) = (KeyReader::default(), Vec::new());
    for child in &branch.children {
        keys.advance(&mut reader)?;
        let entries = reader.varint()?;
        let bytes = u64::from_le_bytes(*reader.array()?);
        items.push(BranchItem { child: *child, first_key: keys.key.clone(), entries, bytes });
    }
    if items.is_empty() || !reader.is_empty() {
        Err(Malformed("items and children differ"))
    } else {
        Ok((level, items))
    }
}
