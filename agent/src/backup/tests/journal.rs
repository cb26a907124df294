//! Runs that follow a change journal, judged by what they looked at and by a full walk of another machine.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use common::tree::content::Content;
use common::tree::entry::{Entry, EntryKind};
use proptest::prelude::*;

use super::bind_mount::{BindMount, disk};
use super::{Scene, noise};
use crate::backup::BackupError;
use crate::backup::progress::Progress;
use crate::backup::run::Outcome;
use crate::source::SkipReason;
use crate::source::files::WalkError;
use crate::source::journal::doubt::Doubt;
use crate::source::journal::{Journal, WalkNote};

fn by_journal() -> WalkNote {
    WalkNote { doubt: None, by_journal: true, divergences: 0 }
}

fn full(doubt: Doubt) -> WalkNote {
    WalkNote { doubt: Some(doubt), by_journal: false, divergences: 0 }
}

impl Scene {
    fn listening() -> Self {
        let mut scene = Self::new();
        scene.listen();
        scene
    }

    /// As a service that starts.
    fn listen(&mut self) {
        self.journal = Some(Journal::new(&self.folder.path().join("state")));
    }

    /// Runs until the journal is followed, which takes a first run and a proof.
    fn prove(&mut self) {
        assert_eq!(self.run_and_compare().0.walk, full(Doubt::Start));
        assert_eq!(self.run_and_compare().0.walk, full(Doubt::Unproved));
    }

    /// One run, which leaves what a full walk by a machine that never saw the tree leaves.
    fn run_both(&mut self) -> Outcome {
        let outcome = self.run().0;
        let mut other = Self::new();
        other.set.clone_from(&self.set);
        other.now_ns = self.now_ns;
        other.run();
        let (ours, theirs) = (self.entries(), other.entries());
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{:?}", outcome.walk);
        for (path, entry) in &ours {
            assert_eq!(entry, &theirs[path], "{} {:?}", String::from_utf8_lossy(path), outcome.walk);
        }
        outcome
    }

    /// The entries of the newest snapshot from the selected folders on, without where their contents are stored.
    fn entries(&self) -> BTreeMap<Vec<u8>, Entry> {
        let tree = self.tree().to_str().unwrap().trim_start_matches('/').as_bytes().to_vec();
        let below = self.stored().into_iter().filter(|(path, _)| path.starts_with(&tree));
        below
            .map(|(path, (mut entry, _))| {
                if let EntryKind::File(file) = &mut entry.kind {
                    file.content = Content::Inline(Vec::new());
                }
                (path, entry)
            })
            .collect()
    }
}

fn small_tree(scene: &Scene) {
    for directory in 0..12u64 {
        for file in 0..5 {
            scene.write(&format!("d{directory}/e{}/f{file}", directory % 3), noise(directory * 10 + file, 900));
        }
        scene.write(&format!("d{directory}/own"), noise(directory, 700));
    }
}

#[test]
fn a_proved_journal_lists_only_where_something_happened() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    let quiet = scene.run_both();
    assert_eq!((quiet.walk, quiet.counts.files, quiet.counts.files_unchanged), (by_journal(), 72, 72));
    scene.write("d3/e0/f1", b"changed");
    scene.write("d4/e1/new", b"new");
    std::fs::remove_file(scene.tree().join("d5/own")).unwrap();
    let listed = Arc::new(Progress::default());
    let outcome = scene.try_run(&listed).unwrap();
    let counts = outcome.counts;
    assert_eq!((outcome.walk, counts.files_new, counts.files_changed, counts.files_deleted), (by_journal(), 1, 1, 1));
    assert_eq!((counts.files, counts.files_unchanged, Progress::get(&listed.files_opened)), (72, 70, 2));
    scene.run_both();
}

#[test]
fn directories_that_are_made_moved_in_renamed_and_replaced_are_followed() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    let (tree, outside) = (scene.tree(), scene.folder.path().join("outside"));
    std::fs::create_dir_all(outside.join("deep/er")).unwrap();
    std::fs::write(outside.join("deep/er/file"), b"from elsewhere").unwrap();
    std::fs::rename(&outside, tree.join("d1/in")).unwrap();
    assert_eq!(scene.run_both().walk, by_journal());
    scene.write("d1/in/deep/er/file", b"heard of although it came from elsewhere");
    std::fs::rename(tree.join("d2"), tree.join("d2-renamed")).unwrap();
    assert_eq!(scene.run_both().walk, by_journal());
    scene.write("d2-renamed/e2/f0", b"heard of under the new name");
    std::fs::rename(tree.join("d6"), tree.join("swap")).unwrap();
    std::fs::rename(tree.join("d7"), tree.join("d6")).unwrap();
    std::fs::rename(tree.join("swap"), tree.join("d7")).unwrap();
    assert_eq!(scene.run_both().walk, by_journal());
    scene.write("d6/e1/f0", b"heard of after the swap");
    std::fs::remove_dir_all(tree.join("d8")).unwrap();
    scene.write("d8", b"a file now");
    std::fs::remove_dir_all(tree.join("d9")).unwrap();
    std::os::unix::fs::symlink("d10", tree.join("d9")).unwrap();
    assert_eq!(scene.run_both().walk, by_journal());
}

#[test]
fn metadata_of_directories_and_files_is_followed() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    let tree = scene.tree();
    std::fs::set_permissions(tree.join("d1/e1"), std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o750)).unwrap();
    xattr::set(tree.join("d2/own"), "user.origin", b"here").unwrap();
    std::fs::File::open(tree.join("d3/own")).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files_changed), (by_journal(), 2));
}

#[test]
fn a_service_that_starts_again_walks_everything_and_proves_the_journal_anew() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    scene.listen();
    scene.write("d3/e0/f1", b"nobody heard");
    scene.prove();
    assert_eq!(scene.run_both().walk, by_journal());
}

#[test]
fn a_run_that_failed_leaves_everything_it_listed_to_the_next_one() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    scene.write("d3/e0/f1", b"changed before a run that fails");
    let canceled = Arc::new(Progress::default());
    canceled.cancel();
    assert!(matches!(scene.try_run(&canceled), Err(BackupError::Cancelled)));
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files_changed), (by_journal(), 1));
}

#[test]
fn every_eighth_run_and_the_first_of_a_day_walk_everything() {
    let mut scene = Scene::listening();
    scene.write("a/b", b"x");
    scene.prove();
    let words: Vec<&str> = (0..16).map(|_| scene.run().0.walk.word()).collect();
    let journal = "journal ".repeat(7);
    assert_eq!(words.join(" "), format!("{journal}due {journal}due"));
    scene.now_ns += 86_400_000_000_000;
    assert_eq!(scene.run().0.walk, full(Doubt::Due));
    scene.now_ns -= 3_600_000_000_000;
    assert_eq!(scene.run().0.walk, full(Doubt::Due), "a clock that was set back");
    assert_eq!(scene.run().0.walk, by_journal());
}

#[test]
fn a_changed_set_and_a_run_of_somebody_else_are_doubts() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    scene.set.excludes = vec!["e1".into()];
    assert_eq!(scene.run_both().walk, full(Doubt::Set));
    assert_eq!(scene.run_both().walk, full(Doubt::Unproved));
    assert_eq!(scene.run_both().walk, by_journal());
    let journal = scene.journal.take();
    scene.write("d3/e0/f1", b"changed and saved by hand");
    scene.run();
    scene.journal = journal;
    assert_eq!(scene.run_both().walk, full(Doubt::Memory));
    assert_eq!(scene.run_both().walk, by_journal());
}

#[test]
fn a_lost_memory_is_no_ground_for_a_journal() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    crate::state::memory::forget(&scene.folder.path().join("state")).unwrap();
    assert_eq!(scene.run_and_compare().0.walk, full(Doubt::Memory));
}

#[test]
fn a_folder_of_the_set_that_was_replaced_is_listed() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.set.paths = vec![scene.tree().join("d1"), scene.tree().join("d2")];
    scene.prove_without_comparison();
    // Above the selected folder nothing is watched.
    std::fs::rename(scene.folder.path().join("tree"), scene.folder.path().join("away")).unwrap();
    std::fs::create_dir_all(scene.folder.path().join("tree/d1/e1")).unwrap();
    std::fs::create_dir(scene.folder.path().join("tree/d2")).unwrap();
    std::fs::write(scene.folder.path().join("tree/d1/e1/f0"), b"another folder").unwrap();
    let outcome = scene.run().0;
    assert_eq!((outcome.walk, outcome.counts.files), (by_journal(), 1));
}

#[test]
fn what_is_not_mounted_any_more_is_missed_by_every_run_that_follows_the_journal() {
    let (mut scene, disk) = (Scene::listening(), disk());
    small_tree(&scene);
    std::fs::write(disk.path().join("base"), noise(1, 900)).unwrap();
    let (below, top) = (scene.tree().join("data"), scene.tree());
    std::fs::create_dir(&below).unwrap();
    let Some(mounted) = BindMount::new(disk.path(), &below) else { return };
    scene.prove_without_comparison();
    assert_eq!(scene.run().0.walk, by_journal());
    drop(mounted);
    for walk in ["mounts", "unproved", "journal", "journal"] {
        let outcome = scene.run().0;
        let missed: Vec<SkipReason> = outcome.skipped.iter().map(|item| item.reason).collect();
        assert_eq!((outcome.walk.word(), missed), (walk, vec![SkipReason::NotMounted]));
    }
    std::fs::remove_dir(&below).unwrap();
    assert_eq!(scene.run().0.skipped, []);

    let aside = scene.folder.path().join("aside");
    std::fs::rename(&top, &aside).unwrap();
    std::fs::create_dir(&top).unwrap();
    let mounted = BindMount::new(disk.path(), &top).unwrap();
    scene.run();
    scene.run();
    assert_eq!(scene.run().0.walk, by_journal());
    drop(mounted);
    for _ in 0..4 {
        let failed = scene.try_run(&Arc::new(Progress::default()));
        assert!(matches!(failed, Err(BackupError::Walk(WalkError::NotMounted { .. }))), "{failed:?}");
    }
}

impl Scene {
    fn prove_without_comparison(&mut self) {
        assert_eq!((self.run().0.walk, self.run().0.walk), (full(Doubt::Start), full(Doubt::Unproved)));
    }
}

#[test]
fn a_file_with_several_names_is_looked_at_whatever_the_journal_says() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    let outside = scene.folder.path().join("another name");
    std::fs::hard_link(scene.tree().join("d3/own"), &outside).unwrap();
    scene.prove();
    assert_eq!(scene.run_both().walk, by_journal());
    std::fs::write(&outside, b"changed where nobody listens").unwrap();
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files_changed), (full(Doubt::Names), 1));
}

#[test]
fn a_file_that_gets_one_more_name_has_everything_walked_for_its_other_names() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    let tree = scene.tree();
    std::fs::hard_link(tree.join("d3/own"), tree.join("d9/e0/further")).unwrap();
    assert_eq!(scene.run_both().walk, full(Doubt::Names));
    assert_eq!(scene.run_both().walk, by_journal());
    std::fs::write(tree.join("d9/e0/further"), b"changed through the further name").unwrap();
    assert_eq!(scene.run_both().walk, full(Doubt::Names));
    std::fs::remove_file(tree.join("d3/own")).unwrap();
    scene.run_both();
}

/// Changes a file while hiding it from whoever listens: the watch is on the folder, and the change goes through a name outside of it.
fn change_unheard(scene: &Scene, path: &str) {
    let (inside, outside) = (scene.tree().join(path), scene.folder.path().join("hidden"));
    std::fs::hard_link(&inside, &outside).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&outside).unwrap();
    file.write_all_at(b"changed where nobody listens", 1_000).unwrap();
    drop(file);
    std::fs::remove_file(&outside).unwrap();
    assert_eq!(std::fs::metadata(inside).unwrap().nlink(), 1);
}

#[test]
fn a_change_that_the_journal_missed_is_found_by_the_next_full_walk_counted_and_ends_it() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.prove();
    change_unheard(&scene, "d3/own");
    assert_eq!(scene.run().0.counts.files_changed, 0, "a hint is no truth");
    scene.now_ns += 86_400_000_000_000;
    scene.write("d4/own", b"heard of");
    let outcome = scene.run_both();
    assert_eq!(outcome.walk, WalkNote { divergences: 1, ..full(Doubt::Due) });
    assert_eq!(outcome.counts.files_changed, 2);
    change_unheard(&scene, "d5/own");
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files_changed), (full(Doubt::Diverged), 1));
    scene.listen();
    scene.prove();
}

#[test]
fn more_directories_than_may_be_watched_are_walked() {
    let mut scene = Scene::new();
    small_tree(&scene);
    scene.journal = Some(Journal::with_bound(&scene.folder.path().join("state"), 10));
    assert_eq!(scene.run_and_compare().0.walk, full(Doubt::Start));
    scene.write("d3/e0/f1", b"changed");
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files_changed), (full(Doubt::TooMany), 1));
}

#[test]
fn marked_folders_are_followed() {
    let mut scene = Scene::listening();
    small_tree(&scene);
    scene.set.exclude_if_present = vec![".nobackup".into()];
    scene.prove_without_comparison();
    scene.write("d3/.nobackup", b"");
    let outcome = scene.run().0;
    assert_eq!((outcome.walk, outcome.counts.files), (by_journal(), 67));
    scene.write("d3/e0/f1", b"changed where nothing is saved");
    assert_eq!(scene.run().0.counts.files, 67);
    std::fs::remove_file(scene.tree().join("d3/.nobackup")).unwrap();
    let outcome = scene.run_both();
    assert_eq!((outcome.walk, outcome.counts.files), (by_journal(), 72));
}

/// Something that happens in a tree.
#[derive(Debug, Clone)]
enum Act {
    Write(u8, u8, u16),
    Remove(u8, u8),
    MakeFolder(u8, u8),
    RemoveFolder(u8),
    Rename(u8, u8),
    Link(u8, u8, u8),
    Chmod(u8),
    Run,
}

fn act() -> impl Strategy<Value = Act> {
    let at = || 0..8u8;
    prop_oneof![
        6 => (at(), 0..4u8, any::<u16>()).prop_map(|(folder, file, bytes)| Act::Write(folder, file, bytes)),
        2 => (at(), 0..4u8).prop_map(|(folder, file)| Act::Remove(folder, file)),
        2 => (at(), 0..3u8).prop_map(|(folder, name)| Act::MakeFolder(folder, name)),
        1 => at().prop_map(Act::RemoveFolder),
        2 => (at(), at()).prop_map(|(from, to)| Act::Rename(from, to)),
        1 => (at(), 0..4u8, at()).prop_map(|(folder, file, to)| Act::Link(folder, file, to)),
        1 => at().prop_map(Act::Chmod),
        2 => Just(Act::Run),
    ]
}

const FOLDERS: [&str; 8] = ["", "a", "a/x", "a/y", "a/y/deep", "b", "b/x", "c"];

/// Makes it happen; what cannot happen does not.
fn happen(tree: &Path, act: &Act, number: usize) {
    let folder = |at: u8| tree.join(FOLDERS[usize::from(at)]);
    let _ = match act {
        // No two contents of a file have one length: times are coarse.
        Act::Write(at, file, bytes) => std::fs::write(
            folder(*at).join(format!("f{file}")),
            noise(number as u64, usize::from(*bytes % 50) * 100 + number),
        ),
        Act::Remove(at, file) => std::fs::remove_file(folder(*at).join(format!("f{file}"))),
        Act::MakeFolder(at, name) => std::fs::create_dir_all(folder(*at).join(["x", "y", "deep"][usize::from(*name)])),
        Act::RemoveFolder(0) => Ok(()),
        Act::RemoveFolder(at) => std::fs::remove_dir_all(folder(*at)),
        Act::Rename(from, to) => std::fs::rename(folder(*from), folder(*to)),
        Act::Link(at, file, to) => {
            std::fs::hard_link(folder(*at).join(format!("f{file}")), folder(*to).join(format!("l{number}")))
        }
        Act::Chmod(at) => {
            std::fs::set_permissions(folder(*at), std::fs::Permissions::from_mode(0o700 + u32::from(*at)))
        }
        Act::Run => Ok(()),
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_a_run_by_the_journal_gives_the_tree_of_a_full_walk(acts in proptest::collection::vec(act(), 1..60)) {
        let mut scene = Scene::listening();
        for folder in FOLDERS {
            scene.write(&format!("{folder}/f0"), folder);
        }
        scene.prove();
        for (number, act) in (1..).zip(&acts) {
            happen(&scene.tree(), act, number);
            if matches!(act, Act::Run) {
                let outcome = scene.run_both();
                prop_assert_eq!(outcome.walk.divergences, 0);
            }
        }
        let outcome = scene.run_both();
        prop_assert_eq!(outcome.walk.divergences, 0);
    }
}
