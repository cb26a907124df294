//! The change journal of one source: a running service knows which directories nothing happened in, and the walk passes by them.
//!
//! A hint, never a truth. [`Journal::begin`] says for each pass whether it may be followed; `marks` holds what is known of each
//! directory, `watcher` and `events` hear of changes, `mounts` tells where that can be believed, `doubt` names what forbids it. It
//! compares nothing itself: when a full walk finds a change where the journal had none, [`Journal::succeed`] counts it and the journal
//! is not followed again.
//!
//! Not heard of: changes through a mapping or by asynchronous writes of a file that stays open, and changes through a name outside of
//! the set. The first run after the start proves the journal, every [`JOURNAL_FULL_EVERY`]th and the first in [`JOURNAL_FULL_S`]
//! proves it again, and directories that hold a file with several names are always listed.
//!
//! Invariant: the journal is followed only from the tree that the last pass which it saw succeed became.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use common::id::SessionId;
use common::limits::{JOURNAL_FOLDERS_MAX, JOURNAL_FULL_EVERY, JOURNAL_FULL_S, JOURNAL_WATCHES_SHARE};
use parking_lot::Mutex;

use crate::source::FileSet;
use crate::source::journal::doubt::Doubt;
use crate::source::journal::marks::Standing;
use crate::source::journal::watcher::Watcher;
use crate::source::metadata::Stat;
use crate::source::mounts::{MOUNTS_PATH, Mounts};
use crate::source::paths::PathTree;

pub mod doubt;
pub mod events;
pub mod marks;
mod watcher;

/// Where the kernel says how many directories one user may watch.
const WATCHES_MAX_PATH: &str = "/proc/sys/fs/inotify/max_user_watches";

/// What a pass asks for.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What is walked.
    pub set: &'a FileSet,
    /// Where its paths lead.
    pub selected: &'a PathTree,
    /// The snapshot whose tree is compared with; `None` if that is none, or not this machine's own memory of it.
    pub remembered: Option<SessionId>,
    /// What forbids to follow the journal in this pass.
    pub doubt: Option<Doubt>,
    /// The clock at the start of the run, in seconds.
    pub now_s: i64,
}

/// How a pass walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Past settled directories.
    Journal,
    /// Everything; what differs in a settled directory is told to [`Journal::succeed`].
    Proof(Doubt),
    /// Everything.
    Full(Doubt),
}

/// What a run says of its walk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WalkNote {
    /// Why everything was walked; `None` if the journal was followed, or there is none.
    pub doubt: Option<Doubt>,
    /// True if the journal was followed.
    pub by_journal: bool,
    /// Directories in which a full walk found a change that the journal did not have.
    pub divergences: u64,
}

impl WalkNote {
    /// `journal`, or the word of the doubt, or `full` where there is no journal.
    pub fn word(&self) -> &'static str {
        match self.doubt {
            _ if self.by_journal => "journal",
            Some(doubt) => doubt.word(),
            None => "full",
        }
    }
}

/// What a successful run leaves to the journal.
pub struct Success<'a> {
    /// Its snapshot.
    pub snapshot: SessionId,
    /// The clock at its start, in seconds.
    pub now_s: i64,
    /// Settled directories in which something differed.
    pub suspects: &'a [Vec<u8>],
}

/// What the marks belong to.
#[derive(PartialEq, Eq)]
struct Ground {
    set: FileSet,
    selected: PathTree,
    mounts: Mounts,
}

#[derive(Default)]
struct State {
    watcher: Option<Watcher>,
    ground: Option<Ground>,
    /// The snapshot that the marks start from.
    base: Option<SessionId>,
    /// Device and inode of the selected folders.
    roots: BTreeMap<Vec<u8>, (u64, u64)>,
    is_proved: bool,
    runs_since_full: u32,
    full_at_s: i64,
    mode: Option<Mode>,
    /// Lasts until the service starts again.
    off: Option<Doubt>,
}

/// The journal of one source. Shared by the service and the walk.
pub struct Journal {
    folder: PathBuf,
    folders_max: usize,
    state: Mutex<State>,
}

impl Journal {
    /// A journal that knows nothing yet; `folder` is that of the source's state.
    pub fn new(folder: &Path) -> Self {
        let allowed = std::fs::read_to_string(WATCHES_MAX_PATH).ok().and_then(|text| text.trim().parse::<usize>().ok());
        let share = allowed.map_or(usize::MAX, |allowed| allowed / JOURNAL_WATCHES_SHARE);
        Self::with_bound(folder, share.min(JOURNAL_FOLDERS_MAX))
    }

    /// One that watches at most so many directories.
    pub fn with_bound(folder: &Path, folders_max: usize) -> Self {
        Self { folder: folder.to_owned(), folders_max, state: Mutex::default() }
    }

    /// Begins a pass and says how it walks. Whatever an earlier pass listed without success counts as changed.
    pub fn begin(&self, ask: &Ask<'_>) -> Mode {
        let mut state = self.state.lock();
        let mode = state.begin(ask, &self.folder);
        if let Some(watcher) = &state.watcher {
            watcher.heard().marks.begin();
        }
        state.mode = Some(mode);
        mode
    }

    /// True if the pass at work follows the journal.
    pub fn is_followed(&self) -> bool {
        self.state.lock().mode == Some(Mode::Journal)
    }

    /// What may be taken over of a directory.
    pub fn standing(&self, path: &[u8]) -> Standing {
        let state = self.state.lock();
        match (&state.watcher, state.mode) {
            (Some(watcher), Some(Mode::Journal)) => watcher.heard().marks.standing(path),
            _ => Standing::Listed,
        }
    }

    /// Takes a directory over; names of the known directories right below it, if they have to be looked at.
    pub fn keep(&self, path: &[u8], standing: Standing) -> Vec<Vec<u8>> {
        let state = self.state.lock();
        let Some(watcher) = &state.watcher else { return Vec::new() };
        let mut heard = watcher.heard();
        heard.marks.keep(path, standing);
        if standing == Standing::Own { heard.marks.below(path) } else { Vec::new() }
    }

    /// Says which directory a selected folder is; another one than before is unknown, with all below it.
    pub fn root(&self, path: &[u8], stat: &Stat) {
        let mut state = self.state.lock();
        let identity = (stat.device, stat.inode);
        let before = state.roots.insert(path.to_vec(), identity);
        if let Some(watcher) = state.watcher.as_ref().filter(|_| before.is_some_and(|before| before != identity)) {
            watcher.heard().marks.replaced(path);
        }
    }

    /// Sets a watch on a directory that is about to be listed; true if nothing in it should differ.
    pub fn visit(&self, path: &[u8]) -> bool {
        let mut state = self.state.lock();
        let is_proof = matches!(state.mode, Some(Mode::Proof(_)));
        let Some(watcher) = &state.watcher else { return false };
        let (visited, known) = {
            let mut heard = watcher.heard();
            (heard.marks.visit(path), heard.marks.known())
        };
        if known > self.folders_max {
            state.give_up(Doubt::TooMany);
            return false;
        }
        let is_watchable = state.ground.as_ref().is_some_and(|ground| ground.mounts.is_watchable(path));
        let watched = match visited.is_new && is_watchable {
            true => watcher.watch(&Path::new("/").join(OsStr::from_bytes(path))),
            false => Ok(()),
        };
        if watched == Err(Doubt::Limit) {
            state.give_up(Doubt::Limit);
            return false;
        }
        if watched.is_err() || !is_watchable {
            let mut heard = watcher.heard();
            heard.marks.distrust(path);
            // Its times are an entry of the one above.
            heard.marks.distrust(above(path));
        }
        visited.was_settled && is_proof
    }

    /// Has a directory listed by the next run, whatever happens.
    pub fn distrust(&self, path: &[u8]) {
        if let Some(watcher) = &self.state.lock().watcher {
            watcher.heard().marks.distrust(path);
        }
    }

    /// Has an item that could not be seen or read looked at again by the next run.
    pub fn distrust_item(&self, path: &[u8]) {
        self.distrust(path);
        self.distrust(above(path));
    }

    /// The run that began last is what the source remembers now.
    pub fn succeed(&self, success: &Success<'_>) -> WalkNote {
        let mut state = self.state.lock();
        let mode = state.mode.take();
        let divergences = state.confirmed(success.suspects);
        if let Some(watcher) = &state.watcher {
            let gone = watcher.heard().marks.succeed();
            gone.iter().for_each(|path| watcher.unwatch(&Path::new("/").join(OsStr::from_bytes(path))));
        }
        state.base = Some(success.snapshot);
        match mode {
            Some(Mode::Journal) => state.runs_since_full += 1,
            Some(Mode::Proof(_) | Mode::Full(_)) => {
                state.runs_since_full = 0;
                state.full_at_s = success.now_s;
                state.is_proved |= matches!(mode, Some(Mode::Proof(_)));
            }
            None => {}
        }
        if divergences > 0 {
            tracing::error!(
                divergences,
                "the change journal missed changes: it is not followed until the service starts again"
            );
            state.give_up(Doubt::Diverged);
        }
        let doubt = match mode {
            Some(Mode::Proof(doubt) | Mode::Full(doubt)) => Some(doubt),
            Some(Mode::Journal) | None => None,
        };
        WalkNote { doubt, by_journal: mode == Some(Mode::Journal), divergences }
    }
}

impl State {
    fn begin(&mut self, ask: &Ask<'_>, folder: &Path) -> Mode {
        if let Some(doubt) = self.off {
            return Mode::Full(doubt);
        }
        match self.stand(ask, folder).and(ask.doubt.map_or(Ok(()), Err)) {
            Err(doubt) => Mode::Full(doubt),
            Ok(()) if self.base.is_none() || self.base != ask.remembered => Mode::Full(Doubt::Memory),
            Ok(()) if !self.is_proved => Mode::Proof(Doubt::Unproved),
            Ok(()) if self.is_due(ask.now_s) => Mode::Proof(Doubt::Due),
            Ok(()) => Mode::Journal,
        }
    }

    fn is_due(&self, now_s: i64) -> bool {
        // A clock that was set back must not put this off.
        let is_recent = (0..JOURNAL_FULL_S).contains(&now_s.saturating_sub(self.full_at_s));
        self.runs_since_full + 1 >= JOURNAL_FULL_EVERY || !is_recent
    }

    /// Makes sure that the marks are whole and belong to what is asked for; else begins them anew and says why.
    fn stand(&mut self, ask: &Ask<'_>, folder: &Path) -> Result<(), Doubt> {
        let mounts = std::fs::read(MOUNTS_PATH).ok().and_then(|text| Mounts::of(&text, ask.selected));
        let mounts = mounts.ok_or(Doubt::Mounts).inspect_err(|_| self.stop())?;
        let ground = Ground { set: ask.set.clone(), selected: ask.selected.clone(), mounts };
        let doubt = match (&self.ground, &self.watcher) {
            (_, None) | (None, _) => Some(Doubt::Start),
            (Some(before), _) if before.mounts != ground.mounts => Some(Doubt::Mounts),
            (Some(before), _) if *before != ground => Some(Doubt::Set),
            (_, Some(watcher)) => watcher.fence().err(),
        };
        match doubt {
            None => Ok(()),
            Some(doubt) if doubt.is_lasting() => {
                self.give_up(doubt);
                Err(doubt)
            }
            Some(doubt) => {
                self.stop();
                self.watcher = Some(Watcher::start(folder)?);
                self.ground = Some(ground);
                Err(doubt)
            }
        }
    }

    /// How many of the suspects nothing was heard of, not even late.
    fn confirmed(&self, suspects: &[Vec<u8>]) -> u64 {
        let Some(watcher) = self.watcher.as_ref().filter(|_| !suspects.is_empty()) else { return 0 };
        if watcher.fence().is_err() {
            return 0;
        }
        let heard = watcher.heard();
        let is_silent = |path: &&Vec<u8>| heard.marks.is_known(path) && !heard.marks.is_dirty(path);
        suspects.iter().filter(is_silent).count() as u64
    }

    fn stop(&mut self) {
        *self = Self { off: self.off, ..Self::default() };
    }

    /// Ends the journal until the service starts again.
    fn give_up(&mut self, doubt: Doubt) {
        match doubt {
            Doubt::Limit | Doubt::TooMany => tracing::warn!(
                reason = doubt.word(),
                "too many directories for the change journal (fs.inotify.max_user_watches, of which it takes a share): every run walks all"
            ),
            _ => {}
        }
        let mode = self.mode;
        self.off = Some(doubt);
        self.stop();
        self.mode = mode;
    }
}

/// The directory that holds an item; the top holds itself.
fn above(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |at| &path[..at])
}
