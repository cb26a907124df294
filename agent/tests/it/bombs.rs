//! Snapshots of a few kilobytes that ask for the whole machine, made by somebody who has the keys: what they declare is what they get at most, in bounded
//! memory. What a single frame may unpack to is shown in `common/src/frame.rs`.

use std::fs;
use std::path::Path;

use agent::restore::outcome::Outcome;
use common::id::ChunkId;
use common::keys::ChunkKind;
use common::limits::{ENTRY_EXTENTS_MAX, FRAME_PLAIN_BYTES_MAX, PATH_BYTES_MAX, XATTRS_BYTES_MAX};
use common::tree::builder::TreeBuilder;
use common::tree::content::Extent;
use common::tree::entry::{Entry, EntryKind};
use common::tree::node::Node;
use common::tree::xattrs::{Xattr, Xattrs, encode_xattrs};

use crate::crafted::{Crafted, file_of, keys, plain};
use crate::restore::{options, run, scratch};
use crate::support::campaign::{Campaign, Dice};

/// What the process of the proof may take in all.
const MEMORY_KIB_MAX: u64 = 256 << 10;

/// A case: what it makes, what its files declare together, and whether it is a tree at all.
type Bomb = fn(&mut Crafted, &mut Dice) -> (ChunkId, u64, Sound);

/// Whether a restore is complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sound {
    Yes,
    No,
    /// On some file systems.
    ForSome,
}

const BOMBS: [(&str, Bomb); 7] = [
    ("one chunk again and again", one_chunk_again_and_again),
    ("single bytes of one chunk", single_bytes_of_one_chunk),
    ("a branch over one leaf", |store, dice| branch_over_one_leaf(store, dice, false)),
    ("branches over one branch", |store, dice| branch_over_one_leaf(store, dice, true)),
    ("folders as deep as a path can be", deep_folders),
    ("holes as large as a number", holes),
    ("attributes", attributes),
];

/// Extents of a chunk that compresses to almost nothing, as many as an entry may have.
fn one_chunk_again_and_again(store: &mut Crafted, dice: &mut Dice) -> (ChunkId, u64, Sound) {
    let bytes = FRAME_PLAIN_BYTES_MAX / 16 + dice.index(1_000);
    let chunk = Some(store.data(&vec![0; bytes]));
    let content = vec![0; bytes * ENTRY_EXTENTS_MAX];
    let extents = vec![Extent { chunk, offset: 0, bytes: bytes as u64 }; ENTRY_EXTENTS_MAX];
    store.add("again", plain(file_of(&content, extents)));
    (store.root(), content.len() as u64, Sound::Yes)
}

/// Many files, each of single bytes from anywhere in one chunk.
fn single_bytes_of_one_chunk(store: &mut Crafted, dice: &mut Dice) -> (ChunkId, u64, Sound) {
    let mut chunk = vec![0; 1 << 20];
    dice.fill(&mut chunk);
    let id = Some(store.data(&chunk));
    let files = 300;
    for file in 0..files {
        let places: Vec<usize> = (0..ENTRY_EXTENTS_MAX).map(|_| dice.index(chunk.len())).collect();
        let content: Vec<u8> = places.iter().map(|at| chunk[*at]).collect();
        let extent = |at: &usize| Extent { chunk: id, offset: u32::try_from(*at).unwrap(), bytes: 1 };
        store.add(&format!("crumbs {file}"), plain(file_of(&content, places.iter().map(extent).collect())));
    }
    (store.root(), files * ENTRY_EXTENTS_MAX as u64, Sound::Yes)
}

const ENTRIES: u64 = 20_000;

/// A tree whose branches all lead to the same node: a walk that believed it would see it ten thousand times, or its square.
fn branch_over_one_leaf(store: &mut Crafted, dice: &mut Dice, twice: bool) -> (ChunkId, u64, Sound) {
    // Names that fill a branch soon.
    for _ in 0..ENTRIES {
        let name: String = (0..200).map(|_| char::from(dice.pick(b"abcdefgh"))).collect();
        let chunk = Some(store.data(b"x"));
        store.add(&name, plain(file_of(b"x", vec![Extent { chunk, offset: 0, bytes: 1 }])));
    }
    let (mut branches, keys, entries) = (Vec::new(), keys(), store.entries.clone());
    let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, |node: Node| {
        if node.kind == ChunkKind::Branch {
            branches.push(node.clone());
        }
        store.node(&node);
        Ok::<(), std::convert::Infallible>(())
    });
    for (key, entry) in &entries {
        builder.push(key, entry).unwrap();
    }
    builder.finish().unwrap();
    let mut top = branches.pop().unwrap();
    assert!(!twice || !branches.is_empty(), "a tree of two levels of branches");
    let same = top.children[dice.index(top.children.len())];
    top.children.iter_mut().for_each(|child| *child = same);
    if twice {
        top.children[0] = top.id;
    }
    top.id = keys.id.chunk_id(top.kind, &top.children, &top.plaintext);
    store.node(&top);
    (top.id, ENTRIES, Sound::No)
}

/// One folder in another until the path is as long as one may be.
fn deep_folders(store: &mut Crafted, dice: &mut Dice) -> (ChunkId, u64, Sound) {
    let letter = char::from(dice.pick(b"abc"));
    let mut path = String::from(letter);
    // Each level has its own entry, with its whole path: a limit on paths bounds the tree. Half as deep as one path of the system may go.
    while path.len() + 2 < PATH_BYTES_MAX / 16 {
        store.directory(&path);
        path.push('/');
        path.push(letter);
    }
    store.solid(&[(path.as_str(), b"deep")]);
    (store.root(), 4, Sound::Yes)
}

/// Sizes up to the largest number, of holes.
fn holes(store: &mut Crafted, dice: &mut Dice) -> (ChunkId, u64, Sound) {
    for (name, bytes) in [("exabyte", 1 << 60), ("all", u64::MAX >> 1), ("any", dice.roll(1 << 62))] {
        let EntryKind::File(mut file) = file_of(b"", vec![Extent { chunk: None, offset: 0, bytes }]) else { panic!() };
        file.size = bytes;
        store.add(name, plain(EntryKind::File(file)));
    }
    (store.root(), 0, Sound::ForSome)
}

/// A file with as many and as long attributes as an entry may have.
fn attributes(store: &mut Crafted, dice: &mut Dice) -> (ChunkId, u64, Sound) {
    let value = vec![b'v'; 60_000];
    let xattr = |number: usize| Xattr { name: format!("user.{number:06}").into_bytes(), value: value.clone() };
    let all: Vec<Xattr> = (0..XATTRS_BYTES_MAX / value.len() - 10 - dice.index(10)).map(xattr).collect();
    let encoded = encode_xattrs(&all);
    let extent = |part: &[u8]| Extent { chunk: Some(store.data(part)), offset: 0, bytes: part.len() as u64 };
    let extents = encoded.chunks(FRAME_PLAIN_BYTES_MAX).map(extent).collect();
    store.add("attributes", Entry { xattrs: Xattrs::Extents(extents), ..plain(file_of(b"", Vec::new())) });
    (store.root(), 0, Sound::ForSome)
}

#[test]
fn a_bomb_gets_what_it_declares_at_most_in_bounded_memory() {
    let mut campaign = Campaign::begin("C18", "bombs", 2);
    for round in 0..campaign.rounds() {
        for (name, bomb) in BOMBS {
            let mut dice = campaign.dice_of(round);
            let (folder, mut store) = (scratch(), Crafted::new());
            let (root, declared, sound) = bomb(&mut store, &mut dice);
            let outcome: Outcome = run(&store, root, folder.path(), &options());
            let written = written_bytes(folder.path());
            assert!(written <= declared, "{name}: {written} bytes for {declared}");
            let is_sound = outcome.is_complete() && written == declared;
            assert!(sound == Sound::ForSome || is_sound == (sound == Sound::Yes), "{name}: {written}, {outcome:?}");
            let memory = memory_kib_max();
            assert!(memory < MEMORY_KIB_MAX, "{name}: {memory} KiB of memory");
            campaign.count("bombs", 1);
            campaign.count("bytes written", written);
        }
    }
    campaign.count("KiB of memory at most", memory_kib_max());
    campaign.pass();
}

/// What files below a folder hold, holes left out.
fn written_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let (mut folders, mut bytes) = (vec![folder.to_owned()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => bytes += metadata.len().min(metadata.blocks() * 512),
            }
        }
    }
    bytes
}

/// The most that this process ever had.
fn memory_kib_max() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
