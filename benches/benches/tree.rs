//! How fast is a snapshot tree written, walked, taken over and compared?
#![allow(missing_docs, clippy::print_stdout)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::hint::black_box;

use benches::limit::{measure, rate};
use benches::table::{Against, print_count, print_limits};
use common::id::ChunkId;
use common::keys::{ChunkKind, ScopeKeys, ScopeSecret};
use common::tree::builder::{BuiltTree, TreeBuilder};
use common::tree::content::{Content, Extent};
use common::tree::cursor::{Cursor, find};
use common::tree::diff::Diff;
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::node::{LeafReader, Node};
use common::tree::path::{EntryKey, KeyRange};
use common::tree::xattrs::Xattrs;

const ENTRIES: usize = 80_000;
const FILES_PER_DIRECTORY: usize = 16;

/// Nodes by id.
type Forest = HashMap<ChunkId, Node>;

/// A node that is not in the forest.
#[derive(Debug, thiserror::Error)]
#[error("no such node")]
struct NoSuchNode;

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    let keys = ScopeSecret::new([1; 32]).keys();
    let entries: Vec<(EntryKey, Entry)> = (0..ENTRIES).map(|number| entry(number, 0)).collect();
    let mut forest = Forest::new();
    let tree = build(&keys, &entries, &mut forest);
    let leaves = forest.values().filter(|node| node.kind == ChunkKind::Leaf);
    let leaf_bytes: usize = leaves.map(|leaf| leaf.plaintext.len() + leaf.children.len() * ChunkId::BYTES).sum();
    println!("{ENTRIES} entries in {} nodes, {} bytes an entry", forest.len(), leaf_bytes / ENTRIES);
    let per_entry = leaf_bytes as f64 / ENTRIES as f64;
    let against = Against::new("BLAKE3 keyed of the leaves", limits.blake3 / per_entry);

    let per_second = rate(ENTRIES, || {
        black_box(build(&keys, &entries, &mut Forest::new()));
    });
    print_count("write", "entries", per_second, against);
    let per_second = rate(ENTRIES, || walk_views(&forest));
    print_count("walk leaves without copying", "entries", per_second, against);
    let per_second = rate(ENTRIES, || walk(&forest, tree.root));
    print_count("walk and decode everything", "entries", per_second, against);
    let per_second = rate(ENTRIES, || take_over(&keys, &forest, tree));
    print_count("walk and take over every leaf", "entries", per_second, against);
    compare(&keys, entries, &mut forest, tree);
    Ok(())
}

/// One changed entry in the middle: what it costs to find it, and to find it out.
fn compare(keys: &ScopeKeys, mut entries: Vec<(EntryKey, Entry)>, forest: &mut Forest, tree: BuiltTree) {
    let middle = ENTRIES / 2;
    entries[middle] = entry(middle, 1);
    let other = build(keys, &entries, forest);
    let key = &entries[middle].0;
    let finds = rate(1_000, || {
        for _ in 0..1_000 {
            black_box(find(tree.root, key, |id: &ChunkId| fetch(forest, id)).is_ok());
        }
    });
    println!("{:<44} {finds:>10.0} finds/s", "one entry, nodes in memory");
    let diffs = rate(100, || {
        for _ in 0..100 {
            let mut diff =
                Diff::new(Some(tree.root), Some(other.root), KeyRange::all(), |id: &ChunkId| fetch(forest, id));
            assert!(matches!(diff.next_change(), Ok(Some(_))) && matches!(diff.next_change(), Ok(None)));
        }
    });
    println!("{:<44} {diffs:>10.0} comparisons/s", "two trees that differ in one entry");
}

fn entry(number: usize, version: u8) -> (EntryKey, Entry) {
    let directory = number / FILES_PER_DIRECTORY;
    let path = format!("usr/src/linux/d{:03}/d{:03}/file_{:05}.c", directory / 64, directory % 64, number);
    let mut digest = [version; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    let mut chunk = [7; 32];
    chunk[..8].copy_from_slice(&(number / 40).to_le_bytes());
    let offset = u32::try_from(number % 40 * 13_000).expect("under a megabyte");
    let extents = vec![Extent { chunk: Some(ChunkId::new(chunk)), offset, bytes: 13_000 }];
    let file = FileContent { size: 13_000, digest, fuzzy: false, content: Content::Inline(extents) };
    let owner = Owner { uid: 0, gid: 0, user: b"root".to_vec(), group: b"root".to_vec() };
    let kind = EntryKind::File(file);
    let entry = Entry { kind, mode: 0o644, owner, mtime_ns: 1_670_000_000_000_000_000, xattrs: Xattrs::none() };
    (EntryKey::from_path(path.as_bytes()).expect("a path of names"), entry)
}

fn build(keys: &ScopeKeys, entries: &[(EntryKey, Entry)], forest: &mut Forest) -> BuiltTree {
    let sink = |node: Node| -> Result<(), Infallible> {
        forest.insert(node.id, node);
        Ok(())
    };
    let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, sink);
    entries.iter().for_each(|(key, entry)| builder.push(key, entry).expect("entries are valid and in order"));
    builder.finish().expect("entries are valid")
}

fn fetch(forest: &Forest, id: &ChunkId) -> Result<Node, NoSuchNode> {
    forest.get(id).cloned().ok_or(NoSuchNode)
}

fn walk_views(forest: &Forest) {
    for leaf in forest.values().filter(|node| node.kind == ChunkKind::Leaf) {
        let mut reader = LeafReader::open(leaf).expect("it was just written");
        while let Some(view) = reader.advance().expect("it was just written") {
            black_box((reader.key(), view.mtime_ns, view.size()));
        }
    }
}

fn walk(forest: &Forest, root: ChunkId) {
    let mut cursor = Cursor::new(root, KeyRange::all(), |id: &ChunkId| fetch(forest, id));
    while let Some(entry) = cursor.next_entry().expect("it was just written") {
        black_box(entry);
    }
}

fn take_over(keys: &ScopeKeys, forest: &Forest, tree: BuiltTree) {
    let mut leaves = Cursor::new(tree.root, KeyRange::all(), |id: &ChunkId| fetch(forest, id));
    let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, |_: Node| Ok::<(), Infallible>(()));
    while let Some(leaf) = leaves.next_leaf().expect("it was just written") {
        let mut reader = LeafReader::open(&leaf).expect("it was just written");
        while let Some(view) = reader.advance().expect("it was just written") {
            black_box(view.size());
        }
        if builder.push_unchanged_leaf(&leaf, &reader.summary()).expect("in order") {
            continue;
        }
        let mut reader = LeafReader::open(&leaf).expect("it was just read");
        while let Some(view) = reader.advance().expect("it was just read") {
            let key = EntryKey::from_encoded(reader.key()).expect("it was just read");
            builder.push(&key, &view.to_entry(&leaf.children).expect("it was just read")).expect("in order");
        }
    }
    assert_eq!(builder.finish().expect("in order"), tree);
}
