//! The directories of a restore: a chain of names from the target down, and their open handles.
//!
//! It makes directories as something in them needs them; their metadata comes last, when nothing is written in them any more.
//!
//! Invariant: a directory is made once, by the planner; the threads that write only open it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use common::limits::RESTORE_OPEN_DIRECTORIES;

use super::meta::Meta;
use super::target::{Directory, Made, Target};

const UNMADE: u8 = 0;
const FRESH: u8 = 1;
const UNFINISHED: u8 = 2;
const STOOD: u8 = 3;
const FAILED: u8 = 4;

/// One directory of the target.
pub struct Folder {
    /// Its number, for caches.
    number: u32,
    parent: Option<Arc<Folder>>,
    name: Box<[u8]>,
    /// What the snapshot says of it; `None` for the target itself and for what the snapshot does not describe.
    pub meta: Option<Meta>,
    state: AtomicU8,
    cleared: AtomicBool,
}

impl Folder {
    /// The target itself, which stands.
    pub fn root() -> Arc<Self> {
        let (state, cleared) = (AtomicU8::new(STOOD), AtomicBool::new(false));
        Arc::new(Self { number: 0, parent: None, name: Box::new([]), meta: None, state, cleared })
    }

    /// A directory that is not made yet; `number` is unique in its restore.
    pub fn new(number: u32, parent: &Arc<Self>, name: &[u8], meta: Option<Meta>) -> Arc<Self> {
        let (state, cleared) = (AtomicU8::new(UNMADE), AtomicBool::new(false));
        Arc::new(Self { number, parent: Some(parent.clone()), name: name.into(), meta, state, cleared })
    }

    /// True if this run made it, so that nothing else can stand in it.
    pub fn is_fresh(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FRESH
    }

    /// True if it stands in the target.
    pub fn is_made(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), FRESH | UNFINISHED | STOOD)
    }

    /// True if this run, or one that was cut, made it: its metadata is still to come.
    pub fn is_ours(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), FRESH | UNFINISHED)
    }

    /// True once, if something may stand in it that a restore that was cut left.
    pub fn needs_clearing(&self) -> bool {
        !self.is_fresh() && !self.cleared.swap(true, Ordering::Relaxed)
    }

    /// The names from the target down.
    pub fn components(&self) -> Vec<&[u8]> {
        let mut components = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            components.push(&at.name[..]);
            at = parent;
        }
        components.reverse();
        components
    }

    /// The path of `name` in it, for reports.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.components();
        path.push(name);
        path.join(&b'/')
    }

    /// The path of the directory itself, for reports.
    pub fn path(&self) -> Vec<u8> {
        self.components().join(&b'/')
    }

    /// Makes it, and those above it, if they do not stand.
    ///
    /// # Errors
    /// As [`Directory::make_directory`]; once it failed, it and what is below fail again without trying.
    pub fn make(&self, target: &Target, handles: &mut Handles) -> io::Result<()> {
        let mut unmade = Vec::new();
        let mut at = self;
        while at.state.load(Ordering::Relaxed) == UNMADE {
            unmade.push(at);
            match &at.parent {
                Some(parent) => at = parent,
                None => break,
            }
        }
        let mut result =
            if at.state.load(Ordering::Relaxed) == FAILED { Err(io::ErrorKind::NotADirectory.into()) } else { Ok(()) };
        for folder in unmade.into_iter().rev() {
            result = result.and_then(|()| folder.make_here(target, handles));
            if result.is_err() {
                folder.state.store(FAILED, Ordering::Relaxed);
            }
        }
        result
    }

    fn make_here(&self, target: &Target, handles: &mut Handles) -> io::Result<()> {
        let Some(parent) = &self.parent else { return Ok(()) };
        let made = handles.open(target, parent)?.make_directory(&self.name)?;
        let state = match made {
            Made::Fresh => FRESH,
            Made::Unfinished => UNFINISHED,
            Made::Stood => STOOD,
        };
        self.state.store(state, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Folder {
    /// A chain can be thousands deep: it is taken apart in a loop, not by recursion.
    fn drop(&mut self) {
        let mut above = self.parent.take();
        while let Some(mut folder) = above.and_then(Arc::into_inner) {
            above = folder.parent.take();
        }
    }
}

/// Directory handles of one thread, the most recently used ones.
#[derive(Default)]
pub struct Handles {
    open: Vec<(u32, Arc<Directory>)>,
}

impl Handles {
    /// The handle of a folder.
    ///
    /// # Errors
    /// As [`Target::directory`].
    pub fn open(&mut self, target: &Target, folder: &Folder) -> io::Result<Arc<Directory>> {
        if let Some(at) = self.open.iter().rposition(|(number, _)| *number == folder.number) {
            let hit = self.open.remove(at);
            let directory = hit.1.clone();
            self.open.push(hit);
            return Ok(directory);
        }
        let directory = Arc::new(target.directory(folder.components().into_iter())?);
        if self.open.len() >= RESTORE_OPEN_DIRECTORIES {
            self.open.remove(0);
        }
        self.open.push((folder.number, directory.clone()));
        Ok(directory)
    }
}
