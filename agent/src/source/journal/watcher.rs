//! The watches of one source, and what was heard of them.
//!
//! One watch per directory, set by the walk before it lists the directory: so nothing is watched twice, nothing is searched, and no
//! directory is listed that is not watched yet. `notify` would set watches below a new directory by itself, but says nothing of those
//! that it fails to set; so it is not asked to.
//!
//! Invariant: after [`Watcher::fence`] everything that happened before it is marked: events of one watcher come in order, and the fence
//! waits for one of its own.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::limits::JOURNAL_FENCE_MS;
use notify::{Config, Error, Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::durable;
use crate::source::journal::doubt::Doubt;
use crate::source::journal::events::{apply, doubt_of};
use crate::source::journal::marks::Marks;

/// What was heard.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) marks: Marks,
    /// Why the marks are not to be believed.
    pub(super) doubt: Option<Doubt>,
    fences_set: u64,
    fences_heard: u64,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    fenced: Condvar,
}

/// A watcher with its thread; both end with it.
pub(super) struct Watcher {
    watcher: Mutex<RecommendedWatcher>,
    shared: Arc<Shared>,
    fence: PathBuf,
}

impl Watcher {
    /// Starts one that watches nothing but its fence, a folder below `folder`.
    pub(super) fn start(folder: &Path) -> Result<Self, Doubt> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "changes of files cannot be watched");
            Doubt::Failed
        };
        let fence = folder.join("fence");
        durable::create_folder(&fence, 0o700).map_err(|error| failed(&error))?;
        let fence = fence.canonicalize().map_err(|error| failed(&error))?;
        let shared: Arc<Shared> = Arc::default();
        let (hearing, of_fence) = (shared.clone(), fence.clone());
        let hear = move |event: Result<Event, Error>| hearing.hear(&event, &of_fence);
        let mut watcher = RecommendedWatcher::new(hear, Config::default().with_follow_symlinks(false))
            .map_err(|error| failed(&error))?;
        watcher.watch(&fence, RecursiveMode::NonRecursive).map_err(|error| {
            failed(&error);
            doubt_of(&error)
        })?;
        Ok(Self { watcher: Mutex::new(watcher), shared, fence })
    }

    /// What was heard so far.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.shared.heard.lock()
    }

    /// Sets a watch on one directory; not to be called with [`Self::heard`] in hand.
    pub(super) fn watch(&self, directory: &Path) -> Result<(), Doubt> {
        let watched = self.watcher.lock().watch(directory, RecursiveMode::NonRecursive);
        watched.map_err(|error| doubt_of(&error))
    }

    /// Takes a watch away, if there is one.
    pub(super) fn unwatch(&self, directory: &Path) {
        // A directory that went away took its watch along.
        let _ = self.watcher.lock().unwatch(directory);
    }

    /// Waits until everything that happened before is marked.
    pub(super) fn fence(&self) -> Result<(), Doubt> {
        let number = {
            let mut heard = self.shared.heard.lock();
            heard.fences_set += 1;
            heard.fences_set
        };
        let path = self.fence.join(number.to_string());
        let made = File::create(&path).and_then(|_| std::fs::remove_file(&path));
        if let Err(error) = made {
            tracing::warn!(%error, "the watcher of changes cannot be asked");
            return Err(Doubt::Failed);
        }
        let mut heard = self.shared.heard.lock();
        let is_waiting = |heard: &mut Heard| heard.fences_heard < number;
        let waited = self.shared.fenced.wait_while_for(&mut heard, is_waiting, Duration::from_millis(JOURNAL_FENCE_MS));
        match heard.doubt {
            Some(doubt) => Err(doubt),
            None if waited.timed_out() => Err(Doubt::Failed),
            None => Ok(()),
        }
    }
}

impl Shared {
    fn hear(&self, event: &Result<Event, Error>, fence: &Path) {
        let mut heard = self.heard.lock();
        if let Some(doubt) = apply(event, &mut heard.marks) {
            heard.doubt.get_or_insert(doubt);
        }
        let paths = event.iter().flat_map(|event| &event.paths);
        let names = paths.filter(|path| path.parent() == Some(fence)).filter_map(|path| path.file_name());
        let number = |name: &std::ffi::OsStr| std::str::from_utf8(name.as_bytes()).ok()?.parse().ok();
        if let Some(number) = names.filter_map(number).max() {
            heard.fences_heard = heard.fences_heard.max(number);
            self.fenced.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use super::*;
    use crate::source::journal::events::below_top;
    use crate::source::journal::marks::Standing;

    struct Scene {
        folder: tempfile::TempDir,
        watcher: Watcher,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let watcher = Watcher::start(folder.path()).unwrap();
            watcher.heard().marks.begin();
            Self { folder, watcher }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join("tree").join(name)
        }

        /// Makes directories, then watches them as a run that succeeds.
        fn watch(&self, names: &[&str]) {
            names.iter().for_each(|name| std::fs::create_dir_all(self.path(name)).unwrap());
            for name in names {
                self.watcher.heard().marks.visit(below_top(&self.path(name)));
                self.watcher.watch(&self.path(name)).unwrap();
            }
            self.watcher.fence().unwrap();
            self.watcher.heard().marks.succeed();
        }

        fn standing(&self, name: &str) -> Standing {
            self.watcher.fence().unwrap();
            self.watcher.heard().marks.standing(below_top(&self.path(name)))
        }
    }

    #[test]
    fn what_happened_before_a_fence_is_marked_after_it() {
        let scene = Scene::new();
        scene.watch(&["", "a", "a/b", "c"]);
        assert_eq!(scene.standing(""), Standing::Whole);
        std::fs::read_dir(scene.path("a/b")).unwrap().for_each(drop);
        assert_eq!(scene.standing(""), Standing::Whole, "reading is no change");
        std::fs::write(scene.path("a/b/file"), "x").unwrap();
        let standings = ["", "a", "a/b", "c"].map(|name| scene.standing(name));
        assert_eq!(standings, [Standing::Own, Standing::Listed, Standing::Listed, Standing::Whole]);
    }

    #[test]
    fn a_directory_that_is_moved_away_and_back_is_known_no_more() {
        let scene = Scene::new();
        scene.watch(&["", "a", "a/b"]);
        std::fs::rename(scene.path("a"), scene.path("z")).unwrap();
        std::fs::rename(scene.path("z"), scene.path("a")).unwrap();
        assert_eq!((scene.standing("a/b"), scene.watcher.heard().marks.known()), (Standing::Listed, 1));
    }

    #[test]
    fn a_directory_that_is_not_there_cannot_be_watched() {
        let scene = Scene::new();
        assert_eq!(scene.watcher.watch(&scene.path("nothing")), Err(Doubt::Failed));
        scene.watcher.unwatch(&scene.path("nothing"));
    }
}
