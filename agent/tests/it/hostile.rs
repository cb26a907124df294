//! Hostile snapshots: whatever the tree says, nothing outside the target is written, made, removed or given other metadata.
//!
//! Each case restores a crafted tree into `sandbox/target`; `sandbox/outside` is held against what it was, by an oracle.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use agent::restore::RestoreOptions;
use agent::restore::outcome::{Outcome, Problem};
use agent::restore::select::Overwrite;
use agent::restore::unlock::ChunkFailure;
use common::id::ChunkId;
use common::keys::ChunkKind;
use common::tree::content::Extent;
use common::tree::entry::{DeviceNumber, Entry, EntryKind, Owner};
use common::tree::node::Node;
use common::tree::path::EntryKey;
use common::tree::xattrs::{Xattr, Xattrs};

use crate::crafted::{Crafted, file_of, keys, plain};
use crate::oddities::noise;
use crate::oracle;
use crate::restore::{options, run, scratch};
use crate::support::campaign::Campaign;

/// A folder with something to protect and a target beside it.
struct Sandbox {
    folder: tempfile::TempDir,
    before: oracle::Listing,
}

impl Sandbox {
    fn new() -> Self {
        let folder = scratch();
        let outside = folder.path().join("outside");
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::write(outside.join("canary"), b"canary").unwrap();
        fs::set_permissions(outside.join("canary"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("target")).unwrap();
        let before = oracle::listing(&outside);
        Self { folder, before }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Restores with every overwrite rule, all permissions granted, and looks outside each time.
    fn check(&self, store: &mut Crafted) -> Outcome {
        let root = store.root();
        self.check_root(store, root)
    }

    fn check_root(&self, store: &Crafted, root: ChunkId) -> Outcome {
        let first = run(store, root, &self.target(), &options());
        for overwrite in [Overwrite::Older, Overwrite::Changed, Overwrite::Always] {
            run(store, root, &self.target(), &RestoreOptions { overwrite, privileges: true, ..options() });
            self.assert_untouched();
        }
        first
    }

    fn assert_untouched(&self) {
        oracle::assert_same("outside", &self.before, &oracle::listing(&self.folder.path().join("outside")));
        let names: Vec<_> = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

fn problem(outcome: &Outcome, path: &str) -> Problem {
    let found = outcome.problems.iter().find(|problem| problem.path == path.as_bytes());
    found.unwrap_or_else(|| panic!("no problem with {path}: {outcome:?}")).problem.clone()
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

#[test]
fn a_file_below_a_link_of_the_tree_is_refused() {
    for to in ["../outside", "/", "..", ".", "../target/../outside"] {
        let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
        store.symlink("a", to);
        store.solid(&[("a/canary", b"evil"), ("a/sub/evil", b"evil"), ("fine", b"fine")]);
        let outcome = sandbox.check(&mut store);
        assert_eq!(problem(&outcome, "a/canary"), Problem::Tree);
        assert_eq!(problem(&outcome, "a/sub/evil"), Problem::Tree);
        assert!(exists(&sandbox.target().join("fine")));
    }
}

#[test]
fn links_that_stand_in_the_target_are_never_followed() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    symlink("../outside", sandbox.target().join("dir")).unwrap();
    symlink("../outside/canary", sandbox.target().join("canary")).unwrap();
    symlink("../outside/new", sandbox.target().join("dangling")).unwrap();
    store.directory("dir");
    store.solid(&[("dir/canary", b"evil!!"), ("dir/evil", b"evil"), ("canary", b"evil!!"), ("dangling", b"evil")]);
    let outcome = sandbox.check(&mut store);
    assert_eq!(problem(&outcome, "dir/evil"), Problem::InTheWay);
    assert_eq!(problem(&outcome, "canary"), Problem::Exists);
    // What was a link and may be replaced is a file of its own afterwards.
    assert_eq!(fs::read(sandbox.target().join("canary")).unwrap(), b"evil!!");
    assert!(fs::symlink_metadata(sandbox.target().join("dangling")).unwrap().is_file());
}

#[test]
fn hard_links_lead_only_to_files_that_the_snapshot_has_there() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    symlink("../outside/canary", sandbox.target().join("linked")).unwrap();
    symlink("../outside", sandbox.target().join("dir")).unwrap();
    store.symlink("asym", "../outside/canary");
    store.hard_link("to-symlink", "asym");
    store.hard_link("to-nothing", "nowhere");
    store.hard_link("to-itself", "to-itself");
    store.directory("adir");
    store.hard_link("to-directory", "adir");
    store.solid(&[("linked", b"canary"), ("dir/canary", b"canary")]);
    store.directory("dir");
    store.hard_link("to-standing-link", "linked");
    store.hard_link("to-below-link", "dir/canary");
    let outcome = sandbox.check(&mut store);
    for path in ["to-symlink", "to-nothing", "to-itself", "to-directory", "to-standing-link"] {
        assert_eq!(problem(&outcome, path), Problem::Tree, "{path}");
    }
    assert_ne!(outcome.failed, 0);
    for name in ["to-symlink", "to-below-link"] {
        assert!(!exists(&sandbox.target().join(name)), "{name}");
    }
}

#[test]
fn names_that_climb_are_refused_by_the_tree_itself() {
    for (good, evil) in [
        ("QQ", ".."),
        ("Q", "."),
        ("QQQ", "a/b"),
        ("QQQ", "a\0b"),
        ("QQQQQQQQQQQ", "/tmp/escape"),
        ("QQQQQQQQQQQQQQQQQQ", "../outside/escaped"),
        ("Q", "/"),
        ("Q", "\0"),
    ] {
        let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
        store.directory("dir");
        let inside = format!("dir/{good}");
        store.solid(&[(good, b"evil"), (inside.as_str(), b"evil")]);
        let root = rewritten_root(&mut store, |bytes| replace(bytes, good.as_bytes(), evil.as_bytes()));
        let outcome = sandbox.check_root(&store, root);
        assert!(outcome.failed > 0, "{evil:?}: {outcome:?}");
        assert!(!exists(&sandbox.target().join("dir/escape")));
    }
}

/// The root leaf with other bytes, under the id that these bytes have: written by somebody who has the keys.
fn rewritten_root(store: &mut Crafted, change: impl FnOnce(&mut Vec<u8>)) -> ChunkId {
    let mut leaf = None;
    let keys = keys();
    let mut builder = common::tree::builder::TreeBuilder::new(&keys.id, &keys.boundary, |node: Node| {
        leaf = Some(node);
        Ok::<(), std::convert::Infallible>(())
    });
    for (key, entry) in &store.entries {
        builder.push(key, entry).unwrap();
    }
    builder.finish().unwrap();
    let mut leaf = leaf.unwrap();
    assert_eq!(leaf.kind, ChunkKind::Leaf);
    change(&mut leaf.plaintext);
    leaf.id = keys.id.chunk_id(leaf.kind, &leaf.children, &leaf.plaintext);
    store.node(&leaf);
    leaf.id
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let at: Vec<usize> =
        bytes.windows(from.len()).enumerate().filter(|(_, it)| *it == from).map(|(at, _)| at).collect();
    assert!(!at.is_empty());
    assert_eq!(from.len(), to.len());
    at.into_iter().for_each(|at| bytes[at..at + from.len()].copy_from_slice(to));
}

#[test]
fn random_changes_of_a_tree_by_a_key_holder_neither_panic_nor_escape() {
    let sandbox = Sandbox::new();
    let mut store = Crafted::new();
    store.directory("d");
    store.symlink("d/link", "../../outside");
    store.hard_link("d/zhard", "d/file");
    store.solid(&[("d/file", b"content"), ("d/other", b"more"), ("top", b"top")]);
    store.add("d/pipe", plain(EntryKind::Fifo));
    let mut campaign = Campaign::begin("C17", "hostile trees", 400);
    let seed = campaign.seed();
    for round in 0..campaign.rounds() {
        let root = rewritten_root(&mut store, |bytes| {
            for word in noise(seed.wrapping_mul(1_000) + round, 12).chunks_exact(3) {
                // The magic stays: what follows is what is to be tried.
                let at = 5 + usize::from(u16::from_le_bytes([word[0], word[1]])) % (bytes.len() - 5);
                bytes[at] =
                    if word[2] % 4 == 0 { b"./\0\xff"[usize::from(word[2] / 4 % 4)] } else { bytes[at] ^ word[2] };
            }
        });
        run(&store, root, &sandbox.target(), &options());
        if round % 20 == 0 {
            // A folder may have come back that even its owner may not enter.
            let _ = std::process::Command::new("chmod").args(["-R", "u+rwx"]).arg(sandbox.target()).output();
            fs::remove_dir_all(sandbox.target()).unwrap();
        }
    }
    fs::create_dir_all(sandbox.target()).unwrap();
    sandbox.assert_untouched();
    campaign.count("trees restored", campaign.rounds());
    campaign.pass();
}

#[test]
fn devices_sockets_and_privileges_need_to_be_asked_for() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    let null = DeviceNumber { major: 1, minor: 3 };
    store.add("null", plain(EntryKind::CharDevice(null)));
    store.add("disk", plain(EntryKind::BlockDevice(DeviceNumber { major: 7, minor: 0 })));
    store.add("socket", plain(EntryKind::Socket));
    let extent = Extent { chunk: Some(store.data(b"x")), offset: 0, bytes: 1 };
    let capability = Xattr {
        name: b"security.capability".to_vec(),
        value: vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    };
    store.add("suid", Entry { mode: 0o6755, ..plain(file_of(b"x", vec![extent])) });
    store.add("capable", Entry { xattrs: Xattrs::Inline(vec![capability]), ..plain(file_of(b"x", vec![extent])) });
    store.add(
        "nobody",
        Entry {
            owner: Owner { uid: u32::MAX, gid: u32::MAX, ..Owner::default() },
            mode: 0o4755,
            ..plain(file_of(b"x", vec![extent]))
        },
    );
    let root = store.root();
    let outcome = run(&store, root, &sandbox.target(), &options());
    for (path, expected) in [
        ("null", Problem::Device),
        ("disk", Problem::Device),
        ("socket", Problem::Socket),
        ("suid", Problem::Privilege),
        ("capable", Problem::Privilege),
        ("nobody", Problem::Owner),
    ] {
        assert_eq!(problem(&outcome, path), expected, "{path}");
    }
    for name in ["suid", "nobody"] {
        assert_eq!(fs::metadata(sandbox.target().join(name)).unwrap().permissions().mode() & 0o7777, 0o755, "{name}");
    }
    assert!(xattr::get(sandbox.target().join("capable"), "security.capability").unwrap().is_none());
    assert!(!exists(&sandbox.target().join("null")));
    if rustix::process::geteuid().is_root() {
        let all = RestoreOptions { devices: true, privileges: true, overwrite: Overwrite::Always, ..options() };
        let outcome = run(&store, root, &sandbox.target(), &all);
        assert_eq!(outcome.failed, 0, "{outcome:?}");
        assert!(fs::metadata(sandbox.target().join("null")).unwrap().file_type().is_char_device());
        // Nobody's file gets no privilege, whatever is asked for.
        assert_eq!(fs::metadata(sandbox.target().join("nobody")).unwrap().permissions().mode() & 0o7777, 0o755);
    }
    sandbox.assert_untouched();
}

#[test]
fn odd_names_are_only_names() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    let names =
        ["..\\evil", "...", "-rf", "new\nline", " ", "a\\..\\b", ".dobaas-partial-x", "C:evil", "~", "$(id)", "%2e%2e"];
    names.iter().for_each(|name| store.file(name, name.as_bytes(), 10));
    let bytes = EntryKey::from_components([&b"\xff\xfe\xe9"[..]]).unwrap();
    store.entries.insert(bytes, plain(file_of(b"", Vec::new())));
    store.file(&"n".repeat(300), b"too long for a file system", 100);
    store.file(&"n".repeat(255), b"just right", 100);
    let outcome = sandbox.check(&mut store);
    assert_eq!(outcome.failed, 1, "{outcome:?}");
    assert!(matches!(problem(&outcome, &"n".repeat(300)), Problem::System { .. }));
    assert_eq!(fs::read_dir(sandbox.target()).unwrap().count(), names.len() + 2);
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long_comes_back() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    let mut path = String::new();
    for level in 0..300 {
        path.push_str(&format!("{}{level:020}", if level > 0 { "/" } else { "" }));
        store.directory(&path);
    }
    store.file(&format!("{path}/leaf"), b"deep", 10);
    let outcome = sandbox.check(&mut store);
    assert!(outcome.is_complete(), "{outcome:?}");
    assert_eq!((outcome.files, outcome.directories), (1, 300));
}

#[test]
fn sizes_that_lie_end_in_an_error_and_holes_fill_no_disk() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    let chunk = Some(store.data(b"short"));
    let beyond = Extent { chunk, offset: 3, bytes: 100 };
    store.add("beyond", plain(file_of(&[0; 100], vec![beyond])));
    let node = store.root();
    store.add("node", plain(file_of(&[0; 10], vec![Extent { chunk: Some(node), offset: 0, bytes: 10 }])));
    let hole = Extent { chunk: None, offset: 0, bytes: 1 << 60 };
    let EntryKind::File(mut file) = file_of(b"", vec![hole]) else { panic!() };
    file.size = 1 << 60;
    store.add("exabyte", plain(EntryKind::File(file)));
    let outcome = sandbox.check(&mut store);
    assert_eq!(problem(&outcome, "beyond"), Problem::Content(ChunkFailure::Unfitting));
    assert_eq!(problem(&outcome, "node"), Problem::Content(ChunkFailure::Unfitting));
    // A file system that can hold it gets a hole, any other says no; in both cases nothing is written.
    assert!(matches!(problem(&outcome, "exabyte"), Problem::DigestNotChecked | Problem::System { .. }));
    let used = fs::metadata(sandbox.target().join("exabyte"))
        .map_or(0, |metadata| std::os::unix::fs::MetadataExt::blocks(&metadata));
    assert_eq!(used, 0);
}

#[test]
fn a_pipe_that_stands_in_the_way_stops_nobody() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, sandbox.target().join("file"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    store.solid(&[("file", b"")]);
    let outcome = sandbox.check(&mut store);
    assert_eq!(problem(&outcome, "file"), Problem::Exists);
    assert!(fs::symlink_metadata(sandbox.target().join("file")).unwrap().is_file());
}

#[test]
fn a_directory_swapped_for_a_link_while_files_are_written_leads_nowhere() {
    let (sandbox, mut store) = (Sandbox::new(), Crafted::new());
    store.directory("d");
    let names: Vec<String> = (0..60).map(|n| format!("d/f{n}")).collect();
    names.iter().enumerate().for_each(|(n, name)| store.file(name, &noise(n as u64, 5_000), 1_000));
    let root = store.root();
    let (target, over) = (sandbox.target(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let _ = fs::rename(target.join("d"), target.join("moved"));
                let _ = symlink("../outside", target.join("d"));
                let _ = fs::remove_file(target.join("d"));
                let _ = fs::rename(target.join("moved"), target.join("d"));
            }
        });
        for _ in 0..30 {
            run(&store, root, &target, &RestoreOptions { overwrite: Overwrite::Always, ..options() });
        }
        over.store(true, Ordering::Relaxed);
    });
    sandbox.assert_untouched();
}

/// All of the above by a process without any privilege, if this one has some: what root may do hides what the rules forbid.
#[test]
fn every_case_holds_for_somebody_who_is_not_root() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        // The cases themselves ran so.
        return;
    }
    let mut campaign = Campaign::begin("C17", "hostile trees, not root", 400);
    // Not in memory, where programs may be forbidden to run.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // The program may lie where only root comes.
    let program = folder.path().join("cases");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]).arg(program);
    // One at a time: a program that one case starts would for a moment hold the lock of another one's target.
    command.args(["hostile::", "--skip", "somebody_who_is_not_root", "--test-threads=1"]);
    command.env("TMPDIR", folder.path()).env_remove("DOBAAS_CAMPAIGNS").current_dir(folder.path());
    command.env("DOBAAS_TEST_SEED", campaign.seed().to_string());
    command.env("DOBAAS_TEST_ROUNDS", campaign.rounds().to_string());
    let ended = command.output().expect("setpriv of util-linux");
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    let passed = said.split(" passed").next().and_then(|text| text.rsplit(' ').next()).unwrap();
    let passed: u64 = passed.parse().unwrap();
    assert!(passed >= 10, "{said}");
    campaign.count("kinds of hostile trees", passed);
    campaign.count("trees restored", campaign.rounds());
    campaign.pass();
}
