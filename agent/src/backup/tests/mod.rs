//! Whole runs against a server in memory, judged by the work that was done and by reading the stored tree back.
#![allow(clippy::disallowed_methods)]

#[path = "../../../tests/support/bind_mount.rs"]
mod bind_mount;
mod disks;
mod double;
mod journal;
mod large;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::frame::{FrameHeader, Opener};
use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::keyring::Pin;
use common::keys::{ScopeSecret, SessionKey};
use common::snapshot::open_part;
use common::tree::cursor::Cursor;
use common::tree::entry::{Entry, EntryKind};
use common::tree::layers::ExtentReader;
use common::tree::node::Node;
use common::tree::path::KeyRange;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::backup::BackupError;
use crate::backup::progress::Progress;
use crate::backup::run::{Completeness, Fresh, Outcome, Request, run};
use crate::backup::seal::SealOptions;
use crate::remote::{Address, Remote, Token};
use crate::source::FileSet;
use crate::source::disk::DiskRules;
use crate::source::journal::Journal;
use crate::state::identity::{Identity, Signer};
use double::{Double, State};

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);

/// A source, an agent and a server.
struct Scene {
    folder: tempfile::TempDir,
    runtime: Runtime,
    remote: Remote,
    identity: Identity,
    state: Arc<Mutex<State>>,
    sessions: BTreeMap<SessionId, SessionKey>,
    set: FileSet,
    disks: Option<DiskRules>,
    runs: u8,
    /// Far enough in the future that no file looks freshly changed.
    now_ns: i64,
    /// What the machine heard of changes, if it listens.
    journal: Option<Journal>,
}

impl Scene {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let double = Double::new();
        let (state, public_key) = (double.state.clone(), double.public_key());
        let port = runtime.block_on(double.serve());
        let remote = runtime.block_on(Remote::without_tls(port));
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().canonicalize().unwrap().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let identity = Identity {
            address: Address { url: "https://localhost".into(), root_pem: String::new() },
            subscription: SUBSCRIPTION,
            agent: AgentId::new([2; 16]),
            scope: ScopeId::new([3; 16]),
            token: Token::new("token".into()),
            scope_secret: ScopeSecret::new([4; 32]),
            recipients: vec![common::envelope::ReadingIdentity::generate().recipient()],
            pin: Pin { generation: 0, verifying_key: [0; 32] },
            location: "FR".into(),
            signers: vec![Signer { public_key }],
        };
        let set = FileSet { paths: vec![tree], exclude_caches: true, ..FileSet::default() };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let now_ns = i64::try_from(now).unwrap() + 3_600_000_000_000;
        Self {
            folder,
            runtime,
            remote,
            identity,
            state,
            sessions: BTreeMap::new(),
            set,
            disks: None,
            runs: 0,
            now_ns,
            journal: None,
        }
    }

    fn tree(&self) -> PathBuf {
        self.set.paths[0].clone()
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn try_run(&mut self, progress: &Arc<Progress>) -> Result<Outcome, BackupError> {
        self.runs += 1;
        let (session, key) = (SessionId::new([self.runs; 16]), SessionKey::new([100 + self.runs; 32]));
        self.sessions.insert(session, key.clone());
        let fresh = Fresh { session, session_key: key, salt_seed: [self.runs; 32], retry_seed: 1 };
        let request = Request {
            identity: &self.identity,
            folder: self.folder.path().join("state"),
            source: SourceId::new([5; 16]),
            set_version: 1,
            set: self.set.clone(),
            disks: self.disks.clone(),
            settings: "paths = []".into(),
            host: "host".into(),
            started_at_ns: self.now_ns,
            options: SealOptions { level: 1, check_all: true },
            journal: self.journal.as_ref(),
        };
        run(self.runtime.handle(), &self.remote, &request, fresh, progress)
    }

    fn run(&mut self) -> (Outcome, Arc<Progress>) {
        let progress = Arc::new(Progress::default());
        (self.try_run(&progress).unwrap(), progress)
    }

    fn run_and_compare(&mut self) -> (Outcome, Arc<Progress>) {
        let done = self.run();
        self.compare();
        done
    }

    /// Reads the newest snapshot from the server and compares it with the file system.
    fn compare(&self) {
        let stored = self.stored();
        let prefix = format!("{}/", self.tree().to_str().unwrap().trim_start_matches('/')).into_bytes();
        let below: BTreeMap<&[u8], &(Entry, Vec<u8>)> = stored
            .iter()
            .filter_map(|(path, stored)| path.strip_prefix(&prefix[..]).map(|path| (path, stored)))
            .collect();
        let mut seen = 0;
        let mut waiting = vec![self.tree()];
        while let Some(directory) = waiting.pop() {
            for item in std::fs::read_dir(directory).unwrap() {
                let path = item.unwrap().path();
                let name = path.strip_prefix(self.tree()).unwrap().as_os_str().as_encoded_bytes().to_vec();
                let (entry, content) = below.get(&name[..]).unwrap_or_else(|| panic!("{} is missing", path.display()));
                seen += 1;
                let metadata = std::fs::symlink_metadata(&path).unwrap();
                assert_eq!(u32::from(entry.mode), metadata.permissions().mode() & 0o7777, "{}", path.display());
                match &entry.kind {
                    EntryKind::Directory => waiting.push(path),
                    EntryKind::File(_) => assert!(*content == std::fs::read(&path).unwrap(), "{}", path.display()),
                    EntryKind::HardLink { to } => {
                        let (_, first) = &stored[&to.path()];
                        assert!(*first == std::fs::read(&path).unwrap(), "{}", path.display());
                    }
                    EntryKind::Symlink { target } => {
                        assert_eq!(std::fs::read_link(&path).unwrap().as_os_str().as_encoded_bytes(), target);
                    }
                    _ => assert!(!metadata.is_file()),
                }
            }
        }
        assert_eq!(seen, below.len(), "something is stored that is not there");
    }

    /// Entries of the newest snapshot by path, with the content of files.
    fn stored(&self) -> BTreeMap<Vec<u8>, (Entry, Vec<u8>)> {
        let state = self.state.lock();
        let keys = self.identity.scope_secret.keys();
        let opener = std::cell::RefCell::new(Opener::new(SUBSCRIPTION, keys.id.clone()).unwrap());
        let open = |id: &ChunkId| {
            let frame = &state.frames[id];
            let header = FrameHeader::parse_whole(frame).unwrap();
            let secret =
                if header.kind.is_node() { *keys.tree.expose() } else { *self.sessions[&header.session].expose() };
            let plaintext = opener.borrow_mut().open(&header, frame, &secret).unwrap();
            (header, plaintext)
        };
        let node = |id: &ChunkId| {
            let (header, plaintext) = open(id);
            Ok::<_, Infallible>(Node { kind: header.kind, id: *id, children: header.children, plaintext })
        };
        let mut cursor = Cursor::new(state.newest().unwrap().head.root, KeyRange::all(), node);
        let mut stored = BTreeMap::new();
        while let Some((key, entry)) = cursor.next_entry().unwrap() {
            let mut content = Vec::new();
            if let EntryKind::File(file) = &entry.kind {
                let mut extents = ExtentReader::new(&file.content, file.size, 0, node);
                while let Some(extent) = extents.next_extent().unwrap() {
                    let bytes = usize::try_from(extent.bytes).unwrap();
                    match extent.chunk {
                        None => content.resize(content.len() + bytes, 0),
                        Some(id) => {
                            let from = extent.offset as usize;
                            content.extend_from_slice(&open(&id).1[from..from + bytes]);
                        }
                    }
                }
                assert_eq!(content.len() as u64, file.size);
                let digest = *keys.id.content_hasher().update(&content).finalize().as_bytes();
                assert!(entry.is_carried() || digest == file.digest);
            }
            stored.insert(key.path(), (entry, content));
        }
        stored
    }
}

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Many small files in several directories, large ones, empty ones, links.
fn populate(scene: &Scene) {
    for directory in 0..30u64 {
        for (file, bytes) in (0..20u64).zip((3_000..).step_by(700)) {
            scene.write(&format!("d{directory}/f{file}"), noise(directory * 100 + file, bytes));
        }
    }
    scene.write("large/a", noise(1_000_000, 9_000_000));
    scene.write("large/text", b"the same line again and again\n".repeat(100_000));
    scene.write("empty", b"");
    std::fs::create_dir(scene.tree().join("empty-directory")).unwrap();
    std::os::unix::fs::symlink("d1/f1", scene.tree().join("link")).unwrap();
    std::fs::hard_link(scene.tree().join("d2/f2"), scene.tree().join("d9/other name")).unwrap();
}

fn counted(progress: &Progress) -> (u64, u64) {
    (Progress::get(&progress.files_opened), Progress::get(&progress.data_frames_sent))
}

#[test]
fn a_first_backup_comes_back_and_an_unchanged_one_opens_and_sends_nothing() {
    let mut scene = Scene::new();
    populate(&scene);
    let (first, _) = scene.run_and_compare();
    assert_eq!((first.completeness, first.sequence, first.counts.files), (Completeness::Complete, 1, 604));
    assert_eq!(first.counts.files_new, 604);
    let frames = scene.state.lock().put_frames;
    let (second, progress) = scene.run_and_compare();
    assert_eq!(counted(&progress), (0, 0));
    // The folders above the tree are in it too, and other tests change them: at most one leaf and one root.
    assert!(scene.state.lock().put_frames <= frames + 2);
    assert_eq!((second.counts.files_unchanged, second.sequence), (604, 2));
    let (third, _) = scene.run();
    assert_eq!((third.counts.files_unchanged, third.sequence), (604, 3));
}

#[test]
fn touched_moved_and_copied_files_send_no_content() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.run();
    let tree = scene.tree();
    std::fs::File::open(tree.join("d3/f3")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    std::fs::rename(tree.join("d4"), tree.join("moved")).unwrap();
    std::fs::copy(tree.join("d5/f5"), tree.join("a copy")).unwrap();
    std::fs::copy(tree.join("large/a"), tree.join("large/b")).unwrap();
    let (outcome, progress) = scene.run_and_compare();
    let (opened, sent) = counted(&progress);
    assert_eq!(sent, 0);
    assert!(opened < 30, "{opened} files opened");
    assert_eq!((outcome.counts.files_new, outcome.counts.files_deleted), (22, 20));
}

#[test]
fn a_changed_a_new_and_a_deleted_file_show_and_the_rest_is_left_alone() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.run();
    scene.write("d7/f7", b"changed");
    scene.write("d7/new", noise(77, 400_000));
    std::fs::remove_file(scene.tree().join("d8/f8")).unwrap();
    std::fs::remove_dir_all(scene.tree().join("d11")).unwrap();
    let (outcome, progress) = scene.run_and_compare();
    assert_eq!(Progress::get(&progress.files_opened), 2);
    let counts = outcome.counts;
    assert_eq!((counts.files_new, counts.files_changed, counts.files_deleted), (1, 1, 21));
    let (_, progress) = scene.run_and_compare();
    assert_eq!(counted(&progress), (0, 0));
}

/// Runs once a day while each day allows `allowed` bytes, until a snapshot is complete; the days that were not.
fn days_until_complete(scene: &mut Scene, allowed: u64) -> Vec<Outcome> {
    let mut days = Vec::new();
    loop {
        scene.state.lock().faults.day = Some((allowed, allowed));
        scene.now_ns += 86_400_000_000_000;
        let outcome = scene.run().0;
        if outcome.completeness == Completeness::Complete {
            scene.compare();
            return days;
        }
        assert!(days.len() < 40, "no end");
        days.push(outcome);
    }
}

#[test]
fn a_file_larger_than_a_day_allows_is_whole_after_some_days_and_nothing_is_sent_twice() {
    for (allowed, file_bytes) in [(20_000, 150_000), (3_000_000, 9_000_000)] {
        let mut scene = Scene::new();
        populate(&scene);
        scene.run();
        scene.write("d3/f3", noise(3, 1_000));
        scene.write("d4/huge", noise(4, file_bytes));
        scene.write("d5/f5", noise(5, 15_000));
        std::fs::rename(scene.tree().join("d6"), scene.tree().join("z")).unwrap();
        let sent_before = scene.state.lock().put_frames;
        let days = days_until_complete(&mut scene, allowed);
        let least = (file_bytes as u64 + 16_000).div_ceil(allowed) - 1;
        assert!(days.len() as u64 >= least && days.len() as u64 <= 2 * least + 2, "{} days of {least}", days.len());
        for outcome in &days {
            assert_eq!(outcome.completeness, Completeness::Partial);
            assert!(outcome.refusal.is_some() && outcome.deferred.files > 0);
            let waits: Vec<_> = outcome.skipped.iter().map(|item| item.reason).collect();
            assert!(waits.iter().all(|reason| *reason == crate::source::SkipReason::Deferred));
            assert_eq!(waits.len() as u64, outcome.deferred.files);
            assert_eq!(
                outcome.counts.files_deleted,
                if outcome.sequence == 2 { 20 } else { 0 },
                "carried ones are no files"
            );
        }
        let state = scene.state.lock();
        assert_eq!(state.put_twice, 0);
        let data = state.frames.values().filter(|frame| !FrameHeader::parse_whole(frame).unwrap().kind.is_node());
        assert!(data.count() > 0 && state.put_frames > sent_before);
    }
}

#[test]
fn a_file_that_waits_keeps_its_old_content_and_a_carried_entry_is_no_file() {
    let mut scene = Scene::new();
    populate(&scene);
    let old = noise(7_000_000, 300_000);
    scene.write("d7/changing", &old);
    scene.run();
    scene.write("d7/changing", noise(8, 300_000));
    scene.state.lock().faults.day = Some((50_000, 50_000));
    let (outcome, _) = scene.run();
    assert_eq!((outcome.deferred.files, outcome.deferred.bytes), (1, 300_000));
    let stored = scene.stored();
    let below = |name: &str| format!("{}/{name}", scene.tree().to_str().unwrap().trim_start_matches('/')).into_bytes();
    assert!(stored[&below("d7/changing")].1 == old, "the old content stays");
    let carried: Vec<_> = stored.iter().filter(|(_, (entry, _))| entry.is_carried()).collect();
    assert_eq!(carried.len(), 1);
    assert_eq!(*carried[0].0, below("d7/changing.dobaas-part"));
    let days = days_until_complete(&mut scene, 50_000);
    assert!((4..=12).contains(&days.len()), "{}", days.len());
    assert!(scene.stored().values().all(|(entry, _)| !entry.is_carried()), "nothing is carried once all is there");
}

#[test]
fn equal_files_of_one_run_are_laid_once() {
    let mut scene = Scene::new();
    for at in 0..200 {
        scene.write(&format!("d{}/{at}", at % 7), noise(1, 100_000));
    }
    let (outcome, _) = scene.run_and_compare();
    assert_eq!(outcome.counts.laid_bytes, 100_000);
}

#[test]
fn holes_come_back_as_holes_also_when_they_are_many() {
    let mut scene = Scene::new();
    scene.write("small", b"");
    let small = std::fs::OpenOptions::new().write(true).open(scene.tree().join("small")).unwrap();
    small.set_len(100_000).unwrap();
    small.write_all_at(b"data", 50_000).unwrap();
    scene.write("large", b"");
    let large = std::fs::OpenOptions::new().write(true).open(scene.tree().join("large")).unwrap();
    large.set_len(40 << 20).unwrap();
    for at in 0..300u64 {
        large.write_all_at(&noise(at, 4_096), at * 131_072).unwrap();
    }
    let (outcome, _) = scene.run_and_compare();
    assert!(outcome.counts.laid_bytes < 4 << 20, "{} bytes laid", outcome.counts.laid_bytes);
    let (_, progress) = scene.run_and_compare();
    assert_eq!(counted(&progress), (0, 0));
}

#[test]
fn what_cannot_be_read_makes_the_snapshot_partial_unless_the_set_accepts_it() {
    let mut scene = Scene::new();
    scene.write("fine", b"x");
    scene.write("closed", b"y");
    let closed = scene.tree().join("closed");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&closed).is_ok() {
        return; // the super-user reads everything
    }
    let (outcome, _) = scene.run();
    assert_eq!((outcome.completeness, outcome.skipped.len()), (Completeness::Partial, 1));
    scene.set.accept_unreadable = vec!["/closed".into()];
    let (outcome, _) = scene.run();
    assert_eq!((outcome.completeness, outcome.skipped.len()), (Completeness::Complete, 1));
}

#[test]
fn a_missing_folder_fails_the_run_and_keeps_the_last_snapshot() {
    let mut scene = Scene::new();
    scene.write("f", b"x");
    scene.run();
    std::fs::rename(scene.tree(), scene.tree().with_file_name("elsewhere")).unwrap();
    let error = scene.try_run(&Arc::default()).unwrap_err();
    assert!(matches!(error, BackupError::Walk(_)), "{error}");
    assert_eq!(scene.state.lock().snapshots.len(), 1);
}

#[test]
fn a_cut_sends_again_only_what_was_not_acknowledged() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.state.lock().faults.cut_after_puts = Some(3);
    scene.run_and_compare();
    let state = scene.state.lock();
    assert_eq!(state.put_twice, 0);
    assert_eq!(state.opens.len(), 2);
    assert_eq!(state.opens[0].session, state.opens[1].session);
}

#[test]
fn a_lost_memory_is_fetched_again_and_nothing_is_sent() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.run();
    for file in ["head", "table", "tree"] {
        let path = scene.folder.path().join("state").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (_, progress) = scene.run_and_compare();
        let (opened, sent) = counted(&progress);
        assert_eq!(sent, 0, "{file}");
        // A damaged node shows when it is read, a damaged head or table at once.
        assert!(opened >= 603, "{file}: {opened} files opened");
        let (_, progress) = scene.run();
        assert_eq!(counted(&progress), (0, 0), "{file}");
    }
    std::fs::remove_dir_all(scene.folder.path().join("state")).unwrap();
    let (_, progress) = scene.run_and_compare();
    assert_eq!(counted(&progress).1, 0);
}

#[test]
fn chunks_that_the_server_lost_are_laid_again() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.run();
    let (data, nodes): (Vec<ChunkId>, Vec<ChunkId>) = {
        let state = scene.state.lock();
        let is_node = |id: &&ChunkId| FrameHeader::parse_whole(&state.frames[id]).unwrap().kind.is_node();
        state.frames.keys().partition(|id| !is_node(id))
    };
    scene.state.lock().has_losses = true;
    // Found when the snapshot is made.
    data.iter().take(2).chain(nodes.iter().take(1)).for_each(|id| drop(scene.state.lock().frames.remove(id)));
    scene.run_and_compare();
    // Announced when the session opens.
    scene.state.lock().frames.remove(&data[3]);
    scene.state.lock().except = vec![data[3]];
    scene.run_and_compare();
    scene.state.lock().except.clear();
    // All of them.
    scene.state.lock().frames.clear();
    scene.run_and_compare();
}

#[test]
fn a_lost_answer_to_the_commit_is_asked_for_again() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.state.lock().faults.lose_commit = true;
    let (outcome, _) = scene.run_and_compare();
    assert_eq!((outcome.sequence, scene.state.lock().snapshots.len()), (1, 1));
}

#[test]
fn a_refused_put_ends_the_run_with_its_reason_and_the_session_goes_on_later() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.state.lock().faults.refuse = true;
    let error = scene.try_run(&Arc::default()).unwrap_err();
    let BackupError::Remote(error) = error else { panic!("{error}") };
    assert_eq!(error.refusal(), Some(proto::code::ErrorCode::QuotaExceeded));
    scene.state.lock().faults.refuse = false;
    scene.run_and_compare();
    let state = scene.state.lock();
    assert_eq!(state.opens[0].session, state.opens[1].session, "the same session goes on");
}

#[test]
fn a_cancelled_run_stops_and_its_session_goes_on_later() {
    let mut scene = Scene::new();
    populate(&scene);
    let progress = Arc::new(Progress::default());
    progress.cancel();
    assert!(matches!(scene.try_run(&progress), Err(BackupError::Cancelled)));
    scene.run_and_compare();
}

#[test]
fn a_server_that_lost_the_newest_snapshot_is_reported() {
    let mut scene = Scene::new();
    scene.write("f", b"x");
    scene.run();
    scene.write("f", b"y");
    let (outcome, _) = scene.run();
    assert!(!outcome.rolled_back);
    scene.state.lock().snapshots.pop();
    let (outcome, _) = scene.run();
    assert!(outcome.rolled_back);
}

#[test]
fn freshly_changed_files_are_read_again_and_send_nothing() {
    let mut scene = Scene::new();
    populate(&scene);
    scene.now_ns -= 3_600_000_000_000;
    scene.run();
    let (_, progress) = scene.run_and_compare();
    assert_eq!(counted(&progress), (604 - 1, 0));
}

#[test]
fn the_sealed_part_says_what_was_followed() {
    let mut scene = Scene::new();
    scene.write("f", b"x");
    scene.run();
    let state = scene.state.lock();
    let stored = state.newest().unwrap();
    let key = &scene.sessions[&stored.head.session];
    let part = open_part(key, &SUBSCRIPTION, &stored.object.agent_part, &stored.object.sealed_part).unwrap();
    assert_eq!((part.settings.as_str(), part.host.as_str()), ("paths = []", "host"));
    assert!(stored.is_authentic(&scene.identity.scope_secret.keys().snapshot_mac));
}

#[test]
fn a_path_that_is_selected_twice_or_is_a_file_is_backed_up_once() {
    let mut scene = Scene::new();
    scene.write("a/f", b"x");
    scene.write("b", b"y");
    let tree = scene.tree();
    scene.set.paths = vec![tree.join("a"), tree.join("b"), tree.join("a/f")];
    let (outcome, _) = scene.run();
    assert_eq!(outcome.counts.files, 2);
    let _: &Path = &tree;
}
