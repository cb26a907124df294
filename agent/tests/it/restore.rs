//! Restores of crafted snapshots: whole, in part, over what stands, cut and resumed, damaged.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use agent::restore::disk::DiskOutput;
use agent::restore::meta::Accounts;
use agent::restore::outcome::{Outcome, Problem, Progress};
use agent::restore::select::{Overwrite, Selection};
use agent::restore::{RestoreOptions, Snapshot, restore};
use common::id::ChunkId;
use common::tree::content::Extent;
use common::tree::entry::{Entry, EntryKind};
use common::tree::path::EntryKey;
use common::tree::xattrs::{Xattr, Xattrs};

use crate::crafted::{Crafted, file_of, plain};
use crate::oddities::noise;

/// A folder in memory where there is one: a restore ends with a sync of the whole file system, which others may be writing to.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn options() -> RestoreOptions {
    RestoreOptions {
        selection: Selection::all(),
        strip: None,
        overwrite: Overwrite::Never,
        dry_run: false,
        disks: DiskOutput::Raw,
        devices: false,
        privileges: false,
        accounts: Accounts::default(),
        threads: 2,
    }
}

pub fn run(store: &Crafted, root: ChunkId, target: &Path, options: &RestoreOptions) -> Outcome {
    let (unlock, stop) = (store.unlock(), AtomicBool::new(false));
    let snapshot = Snapshot { frames: store, unlock: &unlock, root };
    restore(snapshot, target, options, &Progress::default(), &stop).unwrap()
}

/// Paths and contents of everything below `at`; links as what they hold.
pub fn contents(at: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![at.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = fs::symlink_metadata(&path).unwrap().file_type();
            let name = path.strip_prefix(at).unwrap().to_string_lossy().into_owned();
            if kind.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                folders.push(path);
            } else if kind.is_symlink() {
                found.insert(name, fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec());
            } else {
                found.insert(name, if kind.is_file() { fs::read(&path).unwrap() } else { b"special".to_vec() });
            }
        }
    }
    found
}

fn problems(outcome: &Outcome) -> Vec<(String, Problem)> {
    let named =
        |p: &agent::restore::outcome::ItemProblem| (String::from_utf8_lossy(&p.path).into_owned(), p.problem.clone());
    outcome.problems.iter().map(named).collect()
}

/// A tree with small solid files, a large file in many chunks, an empty one, links and directories.
fn sample() -> Crafted {
    let mut store = Crafted::new();
    store.directory("srv");
    store.directory("srv/a");
    store.directory("srv/empty");
    store.solid(&[("srv/a/one", b"first"), ("srv/a/two", b"second file"), ("srv/zero", b"")]);
    store.file("srv/large", &noise(7, 3_000_000), 100_000);
    store.hard_link("srv/a/zlink", "srv/a/one");
    store.symlink("srv/sym", "../outside");
    store
}

#[test]
fn a_snapshot_comes_back_whole_with_its_metadata() {
    let mut store = sample();
    let root = store.root();
    let target = scratch();
    let outcome = run(&store, root, target.path(), &options());
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.files, outcome.directories, outcome.others), (4, 3, 2));
    let found = contents(target.path());
    assert_eq!(found.len(), 9, "{:?}", found.keys());
    assert_eq!(found["srv/a/two"], b"second file");
    assert_eq!(found["srv/large"], noise(7, 3_000_000));
    assert_eq!(found["srv/sym"], b"../outside");
    let one = fs::metadata(target.path().join("srv/a/one")).unwrap();
    assert_eq!(one.ino(), fs::metadata(target.path().join("srv/a/zlink")).unwrap().ino());
    for name in ["srv", "srv/a", "srv/a/one", "srv/large", "srv/sym"] {
        let metadata = fs::symlink_metadata(target.path().join(name)).unwrap();
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (1_600_000_000, 123_456_789), "{name}");
    }
    assert_eq!(fs::metadata(target.path().join("srv")).unwrap().permissions().mode() & 0o7777, 0o755);
    let data_chunks = 31;
    let asked = store.asked.lock();
    assert_eq!(asked.iter().filter(|id| store.frames[id][4] == 0).count(), data_chunks, "each chunk is fetched once");
}

#[test]
fn a_second_restore_fetches_no_content_and_a_cut_one_is_finished() {
    let mut store = sample();
    let root = store.root();
    let target = scratch();
    run(&store, root, target.path(), &options());
    let wanted = contents(target.path());
    store.asked.lock().clear();
    let outcome = run(&store, root, target.path(), &options());
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.files, outcome.files_present), (0, 4));
    assert!(store.asked.lock().iter().all(|id| store.frames[id][4] != 0), "content was fetched again");

    // As a cut leaves it: a file missing, a temporary one, a directory without its metadata.
    fs::remove_file(target.path().join("srv/large")).unwrap();
    fs::write(target.path().join(format!("srv/.dobaas-partial-{}-5", root.short())), b"half").unwrap();
    fs::set_permissions(target.path().join("srv/a"), fs::Permissions::from_mode(0o1700)).unwrap();
    let outcome = run(&store, root, target.path(), &options());
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.files, outcome.files_present), (1, 3));
    assert_eq!(fs::metadata(target.path().join("srv/a")).unwrap().permissions().mode() & 0o7777, 0o755);
    assert!(contents(target.path()) == wanted);
}

#[test]
fn what_stands_is_kept_listed_or_replaced_as_told() {
    let mut store = sample();
    let root = store.root();
    let target = scratch();
    fs::create_dir_all(target.path().join("srv/a")).unwrap();
    fs::write(target.path().join("srv/a/one"), b"mine").unwrap();
    std::os::unix::fs::symlink("elsewhere", target.path().join("srv/large")).unwrap();
    let outcome = run(&store, root, target.path(), &options());
    // The link to `one` is not made either: what stands there is not the snapshot's file.
    assert_eq!(outcome.skipped, 2, "{outcome:?}");
    assert!(problems(&outcome).contains(&("srv/a/one".into(), Problem::Exists)));
    assert_eq!(contents(target.path())["srv/a/one"], b"mine");
    let always = RestoreOptions { overwrite: Overwrite::Always, ..options() };
    let outcome = run(&store, root, target.path(), &always);
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!(contents(target.path())["srv/a/one"], b"first");
    assert_eq!(contents(target.path())["srv/large"], noise(7, 3_000_000));
}

#[test]
fn a_part_comes_back_alone_and_without_its_parents_if_asked() {
    let mut store = sample();
    let root = store.root();
    let key = |path: &str| EntryKey::from_path(path.as_bytes()).unwrap();
    let part = |roots: &[&str], include: &[String], strip: Option<&str>| {
        let target = scratch();
        let selection = Selection::new(roots.iter().map(|root| key(root)).collect(), include, &[]).unwrap();
        let outcome =
            run(&store, root, target.path(), &RestoreOptions { selection, strip: strip.map(key), ..options() });
        assert!(outcome.is_complete(), "{outcome:?}");
        contents(target.path()).into_keys().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(part(&["srv/a/two"], &[], None), "srv/ srv/a/ srv/a/two");
    assert_eq!(part(&["srv/a/two"], &[], Some("srv/a")), "two");
    assert_eq!(part(&["srv/a"], &[], Some("srv")), "a/ a/one a/two a/zlink");
    assert_eq!(part(&["srv/a"], &[], Some("srv/a")), "one two zlink");
    assert_eq!(part(&["srv/a/zlink"], &[], Some("srv/a")), "zlink");
    assert_eq!(part(&[], &["t*".into(), "zero".into()], None), "srv/ srv/a/ srv/a/two srv/zero");
}

#[test]
fn a_dry_run_changes_nothing_and_counts_the_same() {
    let mut store = sample();
    let root = store.root();
    let target = scratch();
    let dry = RestoreOptions { dry_run: true, ..options() };
    for path in [target.path().to_path_buf(), target.path().join("not/there")] {
        let outcome = run(&store, root, &path, &dry);
        assert!(outcome.is_complete(), "{outcome:?}");
        assert_eq!(outcome.files, 4);
    }
    assert!(contents(target.path()).is_empty());
    assert!(store.asked.lock().iter().all(|id| store.frames[id][4] != 0));
}

#[test]
fn holes_come_back_as_holes_and_their_digest_is_checked() {
    let mut store = Crafted::new();
    let mut content = noise(1, 8_192);
    content.extend(vec![0; 4 << 20]);
    content.extend(noise(2, 4_096));
    content.extend(vec![0; 1 << 20]);
    let data = |store: &mut Crafted, part: &[u8]| Extent {
        chunk: Some(store.data(part)),
        offset: 0,
        bytes: part.len() as u64,
    };
    let hole = |bytes| Extent { chunk: None, offset: 0, bytes };
    let (head, tail) = (data(&mut store, &content[..8_192]), data(&mut store, &content[8_192 + (4 << 20)..][..4_096]));
    let extents = vec![head, hole(4 << 20), tail, hole(1 << 20)];
    store.add("sparse", plain(file_of(&content, extents.clone())));
    store.add("all-hole", plain(file_of(&vec![0; 1 << 20], vec![hole(1 << 20)])));
    let mut lie = content.clone();
    lie[5_000_000] ^= 1;
    store.add("lie", plain(file_of(&lie, extents)));
    let root = store.root();
    let target = scratch();
    let outcome = run(&store, root, target.path(), &options());
    assert_eq!(problems(&outcome), [("lie".to_owned(), Problem::Digest)]);
    let found = contents(target.path());
    assert_eq!(found.len(), 2);
    assert_eq!(found["sparse"], content);
    let sparse = fs::metadata(target.path().join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 64 << 10, "{} blocks", sparse.blocks());
}

#[test]
fn a_damaged_chunk_costs_the_files_that_use_it_and_a_damaged_leaf_what_it_lists() {
    let mut store = sample();
    store.file("srv/large", &noise(7, 300_000), 100_000);
    let many: Vec<(String, Vec<u8>)> = (0..1_500).map(|n| (format!("srv/empty/f{n:05}"), noise(n, 20))).collect();
    let files: Vec<(&str, &[u8])> = many.iter().map(|(path, content)| (path.as_str(), content.as_slice())).collect();
    store.solid(&files);
    let root = store.root();
    let wanted = {
        let target = scratch();
        store.asked.lock().clear();
        assert!(run(&store, root, target.path(), &options()).is_complete());
        contents(target.path())
    };
    let mut ids: Vec<ChunkId> = store.asked.lock().clone();
    ids.sort();
    ids.dedup();
    let leaves = ids.iter().filter(|id| store.frames[id][4] == 1).count();
    assert!(leaves > 2 && ids.len() > leaves + 5, "{leaves} leaves of {}", ids.len());
    for id in ids.iter().filter(|id| **id != root) {
        let good = store.frames[id].clone();
        for how in ["flip", "cut", "swap", "gone"] {
            match how {
                "flip" => *store.frames.get_mut(id).unwrap().last_mut().unwrap() ^= 1,
                "cut" => store.frames.get_mut(id).unwrap().truncate(good.len() / 2),
                "swap" => drop(store.frames.insert(*id, store.frames[&root].clone())),
                _ => drop(store.frames.remove(id)),
            }
            let target = scratch();
            let outcome = run(&store, root, target.path(), &options());
            assert!(outcome.failed > 0, "{how} {id}");
            let found = contents(target.path());
            assert!(found.len() < wanted.len() && !found.is_empty(), "{how} {id}");
            assert!(found.iter().all(|(path, content)| wanted.get(path) == Some(content)), "{how} {id}: wrong bytes");
            let content_only = |problem: &Problem| matches!(problem, Problem::Content(_) | Problem::Tree);
            assert!(good[4] != 0 || problems(&outcome).iter().all(|(_, problem)| content_only(problem)));
            store.frames.insert(*id, good.clone());
        }
    }
}

#[test]
fn attributes_and_modes_come_back_and_privileges_only_when_asked_for() {
    let mut store = Crafted::new();
    let xattr = |name: &str, value: &[u8]| Xattr { name: name.into(), value: value.into() };
    let content = b"#!/bin/sh\n";
    let extents = vec![Extent { chunk: Some(store.data(content)), offset: 0, bytes: content.len() as u64 }];
    let xattrs = Xattrs::Inline(vec![xattr("user.color", b"blue"), xattr("user.empty", b"")]);
    store.add("suid", Entry { mode: 0o4755, xattrs, ..plain(file_of(content, extents)) });
    store.add("sticky", Entry { mode: 0o1777, ..plain(EntryKind::Directory) });
    store.add("pipe", Entry { mode: 0o640, ..plain(EntryKind::Fifo) });
    store.add("socket", plain(EntryKind::Socket));
    let root = store.root();
    for privileges in [false, true] {
        let target = scratch();
        let outcome = run(&store, root, target.path(), &RestoreOptions { privileges, ..options() });
        let mode = |name: &str| fs::metadata(target.path().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode("suid"), if privileges { 0o4755 } else { 0o755 });
        assert_eq!((mode("sticky"), mode("pipe")), (0o1777, 0o640));
        assert_eq!(xattr::get(target.path().join("suid"), "user.color").unwrap().unwrap(), b"blue");
        assert_eq!(xattr::list(target.path().join("suid")).unwrap().count(), 2);
        assert_eq!(outcome.is_complete(), privileges, "{outcome:?}");
        assert_eq!(outcome.notices, 1, "the socket: {outcome:?}");
    }
}
