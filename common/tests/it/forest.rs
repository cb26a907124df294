//! Nodes in memory, and entries made from numbers, for the tests of trees.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;

use common::id::ChunkId;
use common::keys::{BoundaryKey, IdKey};
use common::tree::builder::{BuiltTree, TreeBuilder};
use common::tree::content::{Content, Extent};
use common::tree::cursor::Cursor;
use common::tree::entry::{DeviceNumber, Entry, EntryKind, FileContent, Owner};
use common::tree::node::{LeafReader, Node};
use common::tree::path::{EntryKey, KeyRange};
use common::tree::xattrs::{Xattr, Xattrs};

pub type Model = BTreeMap<EntryKey, Entry>;

/// A node that is not in the forest.
#[derive(Debug, thiserror::Error)]
#[error("no such node")]
pub struct NoSuchNode;

/// Every node ever built, and how many were fetched.
pub struct Forest {
    pub id_key: IdKey,
    pub boundary: BoundaryKey,
    pub nodes: HashMap<ChunkId, Node>,
    pub fetched: Cell<usize>,
}

impl Forest {
    pub fn new() -> Self {
        let (id_key, boundary) = (IdKey::new([1; 32]), BoundaryKey::new([2; 32]));
        Self { id_key, boundary, nodes: HashMap::new(), fetched: Cell::new(0) }
    }

    pub fn fetch(&self, id: &ChunkId) -> Result<Node, NoSuchNode> {
        self.fetched.set(self.fetched.get() + 1);
        self.nodes.get(id).cloned().ok_or(NoSuchNode)
    }

    pub fn add(&mut self, mut node: Node) -> ChunkId {
        node.id = self.id_key.chunk_id(node.kind, &node.children, &node.plaintext);
        let id = node.id;
        self.nodes.insert(id, node);
        id
    }

    /// Builds a tree entry by entry.
    pub fn build(&mut self, model: &Model) -> BuiltTree {
        let mut made = Vec::new();
        let sink = |node: Node| -> Result<(), Infallible> {
            made.push(node);
            Ok(())
        };
        let mut builder = TreeBuilder::new(&self.id_key, &self.boundary, sink);
        for (key, entry) in model {
            builder.push(key, entry).unwrap();
        }
        let built = builder.finish().unwrap();
        self.nodes.extend(made.into_iter().map(|node| (node.id, node)));
        built
    }

    /// Builds the tree of `model` from an old one, taking over every old leaf that can be; gives how many were.
    pub fn rebuild(&mut self, old: ChunkId, model: &Model) -> (BuiltTree, usize) {
        let (mut made, mut taken) = (Vec::new(), 0);
        let sink = |node: Node| -> Result<(), Infallible> {
            made.push(node);
            Ok(())
        };
        let mut builder = TreeBuilder::new(&self.id_key, &self.boundary, sink);
        let mut leaves = Cursor::new(old, KeyRange::all(), |id: &ChunkId| self.fetch(id));
        let mut ahead = model.iter().peekable();
        while let Some(leaf) = leaves.next_leaf().unwrap() {
            let (mut reader, mut old) = (LeafReader::open(&leaf).unwrap(), Vec::new());
            while let Some(view) = reader.advance().unwrap() {
                old.push((EntryKey::from_encoded(reader.key()).unwrap(), view.to_entry(&leaf.children).unwrap()));
            }
            let Some((last, _)) = old.last() else { continue };
            let mut new = Vec::new();
            while let Some((key, entry)) = ahead.next_if(|(key, _)| *key <= last) {
                new.push((key.clone(), entry.clone()));
            }
            if new == old && builder.push_unchanged_leaf(&leaf, &reader.summary()).unwrap() {
                taken += 1;
            } else {
                new.iter().for_each(|(key, entry)| builder.push(key, entry).unwrap());
            }
        }
        ahead.for_each(|(key, entry)| builder.push(key, entry).unwrap());
        let built = builder.finish().unwrap();
        self.nodes.extend(made.into_iter().map(|node| (node.id, node)));
        (built, taken)
    }

    /// All entries of a range.
    pub fn read(&self, root: ChunkId, range: KeyRange) -> Vec<(EntryKey, Entry)> {
        let mut cursor = Cursor::new(root, range, |id: &ChunkId| self.fetch(id));
        std::iter::from_fn(|| cursor.next_entry().unwrap()).collect()
    }
}

/// Splitmix64: a number with nothing left of the pattern of `seed`.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A chunk id made from a number.
pub fn chunk(number: u64) -> ChunkId {
    let mut id = [0; 32];
    for (part, salt) in id.chunks_exact_mut(8).zip(0..) {
        part.copy_from_slice(&mix(number ^ (salt << 60)).to_le_bytes());
    }
    ChunkId::new(id)
}

/// The key of the `number`-th path: a few levels of directories, some long names.
pub fn key(number: u64) -> EntryKey {
    let (a, b) = (number / 400 % 7, number / 40 % 10);
    let name = if number.is_multiple_of(97) { "é".repeat(100) } else { String::new() };
    EntryKey::from_path(format!("dir{a}/sub{b}/file {number}{name}").as_bytes()).unwrap()
}

/// An entry of any kind, made from a number.
pub fn entry(number: u64) -> Entry {
    let digit = |at: u32| mix(number) >> at & 15;
    let kind = match mix(number) % 20 {
        0 => EntryKind::Directory,
        1 => EntryKind::Symlink { target: format!("../{number}").into_bytes() },
        2 => EntryKind::HardLink { to: key(number / 2) },
        3 => EntryKind::Fifo,
        4 => EntryKind::Socket,
        5 => EntryKind::CharDevice(DeviceNumber { major: 1, minor: 3 }),
        6 => EntryKind::BlockDevice(DeviceNumber { major: 259, minor: u32::MAX }),
        _ => EntryKind::File(file(number)),
    };
    let xattrs = match digit(8) {
        0 => Xattrs::Inline(vec![
            Xattr { name: b"user.a".to_vec(), value: vec![0; 9] },
            Xattr { name: b"user.b".to_vec(), value: Vec::new() },
        ]),
        1 => Xattrs::Extents(vec![Extent { chunk: Some(chunk(number)), offset: 5, bytes: 70_000 }]),
        _ => Xattrs::none(),
    };
    let owner = match digit(12) {
        0 => Owner { uid: 0, gid: 0, user: b"root".to_vec(), group: b"root".to_vec() },
        1 => Owner { uid: u32::MAX, gid: 7, ..Owner::default() },
        _ => Owner { uid: 1000, gid: 1000, user: b"marie".to_vec(), group: b"\xe9quipe".to_vec() },
    };
    Entry { kind, mode: (mix(number) % 0o10000) as u16, owner, mtime_ns: mix(number) as i64, xattrs }
}

fn file(number: u64) -> FileContent {
    let mut extents = Vec::new();
    let count = if number.is_multiple_of(50) { 64 } else { mix(number + 1) % 3 };
    for at in 0..count {
        let hole = mix(number + at).is_multiple_of(5);
        let shared = chunk(number / 30);
        let id = if at == 0 { shared } else { chunk(number + (at << 32)) };
        let offset = if hole { 0 } else { (number % 1_000) as u32 };
        extents.push(Extent { chunk: (!hole).then_some(id), offset, bytes: 1 + mix(number) % 3_000 });
    }
    let size = extents.iter().map(|extent| extent.bytes).sum();
    let digest = *chunk(number ^ 77).as_bytes();
    FileContent { size, digest, fuzzy: number.is_multiple_of(11), content: Content::Inline(extents) }
}

/// Paths and entries for these numbers.
pub fn model(numbers: impl IntoIterator<Item = u64>) -> Model {
    numbers.into_iter().map(|number| (key(number), entry(number))).collect()
}
