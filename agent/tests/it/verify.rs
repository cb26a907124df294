//! Verification and dump of crafted snapshots.

use std::sync::atomic::AtomicBool;

use agent::restore::Snapshot;
use agent::restore::dump::{DumpError, dump};
use agent::restore::fetch::Fetcher;
use agent::restore::outcome::{Outcome, Problem, Progress};
use agent::restore::unlock::ChunkFailure;
use agent::restore::verify::{VerifyOptions, verify};
use common::id::ChunkId;
use common::tree::content::{Content, Extent};
use common::tree::entry::{Entry, EntryKind, FileContent};
use common::tree::path::EntryKey;

use crate::crafted::{Crafted, file_of, plain};
use crate::oddities::noise;

fn check(store: &Crafted, root: ChunkId, percent: u8) -> Outcome {
    let (unlock, stop) = (store.unlock(), AtomicBool::new(false));
    let snapshot = Snapshot { frames: store, unlock: &unlock, root };
    verify(snapshot, VerifyOptions { percent, seed: 9, threads: 2 }, &Progress::default(), &stop).unwrap()
}

fn file<'a>(store: &'a Crafted, path: &str) -> &'a FileContent {
    match &store.entries[&EntryKey::from_path(path.as_bytes()).unwrap()] {
        Entry { kind: EntryKind::File(file), .. } => file,
        other => panic!("{other:?}"),
    }
}

fn dumped(store: &Crafted, path: &str) -> (Result<(), DumpError>, Vec<u8>) {
    let (unlock, stop) = (store.unlock(), AtomicBool::new(false));
    let fetcher = Fetcher { source: store, unlock: &unlock, threads: 2, stop: &stop };
    let mut out = Vec::new();
    (dump(&fetcher, file(store, path), &mut out), out)
}

fn sample() -> Crafted {
    let mut store = Crafted::new();
    store.directory("d");
    let small: Vec<(String, Vec<u8>)> = (0..200).map(|n| (format!("d/s{n}"), noise(n, 100))).collect();
    store.solid(&small.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect::<Vec<_>>());
    store.file("d/spans", &noise(900, 5_000), 2_000);
    store.file("d/large", &noise(901, 3_000_000), 100_000);
    store.file("empty", b"", 1);
    let hole = Extent { chunk: None, offset: 0, bytes: 200_000 };
    store.add("hole", plain(file_of(&vec![0; 200_000], vec![hole])));
    store
}

#[test]
fn a_good_snapshot_verifies_whole_and_in_part() {
    let mut store = sample();
    let root = store.root();
    let outcome = check(&store, root, 100);
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.files, outcome.directories), (204, 1));
    assert_eq!(outcome.bytes, 20_000 + 5_000 + 3_000_000 + 200_000);
    let tenth = check(&store, root, 10);
    assert!(tenth.is_complete() && tenth.files > 5 && tenth.files < 50, "{tenth:?}");
}

#[test]
fn a_damaged_chunk_fails_the_files_that_use_it_each_once() {
    let mut store = sample();
    let root = store.root();
    let (spans, large) = (chunk_of(&store, "d/spans"), chunk_of(&store, "d/large"));
    *store.frames.get_mut(&spans).unwrap().last_mut().unwrap() ^= 1;
    store.frames.remove(&large);
    let outcome = check(&store, root, 100);
    let named: Vec<_> = outcome.problems.iter().map(|p| (p.path.as_slice(), p.problem.clone())).collect();
    let large = (&b"d/large"[..], Problem::Content(ChunkFailure::Missing));
    assert_eq!(named, [large, (&b"d/spans"[..], Problem::Content(ChunkFailure::Damaged))]);
    assert_eq!(outcome.files, 202);
}

fn chunk_of(store: &Crafted, path: &str) -> ChunkId {
    match &file(store, path).content {
        Content::Inline(extents) => extents[1].chunk.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_dump_is_exact_and_ends_with_a_prefix_when_something_is_damaged() {
    let mut store = sample();
    for (path, content) in [("d/large", noise(901, 3_000_000)), ("d/s7", noise(7, 100)), ("empty", Vec::new())] {
        let (result, out) = dumped(&store, path);
        result.unwrap();
        assert!(out == content, "{path}");
    }
    assert!(dumped(&store, "hole").1 == vec![0; 200_000]);
    let large = chunk_of(&store, "d/large");
    store.frames.remove(&large);
    let (result, out) = dumped(&store, "d/large");
    assert!(matches!(result, Err(DumpError::Content(ChunkFailure::Missing))));
    assert!(noise(901, 3_000_000).starts_with(&out) && out.len() == 100_000, "{}", out.len());
}
