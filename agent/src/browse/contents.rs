//! What is in a snapshot: one directory, everything that matches, one file through time, two snapshots side by side.
//!
//! Names only: it opens no content, so it needs no reading identity. Results go to a closure as they are found, so that a million
//! of them need no memory.
//!
//! Invariant: what a damaged node hides is counted in the answer, never passed over.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use common::id::ChunkId;
use common::tree::TreeError;
use common::tree::cursor::find;
use common::tree::diff::{Change, Diff};
use common::tree::entry::{Entry, EntryKind};
use common::tree::path::{EntryKey, KeyRange};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::restore::fetch::{FetchError, Fetcher};
use crate::restore::nodes::{NodeError, Nodes};
use crate::restore::select::InvalidPattern;
use crate::restore::walk::{Met, walk};

/// Why a snapshot cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum BrowseError {
    /// The server.
    #[error("fetch from the server")]
    Fetch(#[from] FetchError),
    /// A node on the way is damaged or missing.
    #[error("the snapshot's tree is damaged there")]
    Damaged,
    /// There is nothing at this path.
    #[error("there is nothing at {}", String::from_utf8_lossy(.0))]
    NotFound(Vec<u8>),
    /// It is no directory.
    #[error("{} is not a directory", String::from_utf8_lossy(.0))]
    NotADirectory(Vec<u8>),
}

impl From<TreeError<NodeError>> for BrowseError {
    fn from(error: TreeError<NodeError>) -> Self {
        match error {
            TreeError::Fetch { source: NodeError::Fetch(error), .. } => Self::Fetch(error),
            TreeError::Fetch { source: NodeError::Chunk(_), .. } | TreeError::Malformed { .. } => Self::Damaged,
        }
    }
}

/// What to look for.
pub enum Pattern {
    /// Part of a name, in any case.
    Part(String),
    /// Gitignore syntax, relative to the top.
    Glob(Box<Gitignore>),
}

impl Pattern {
    /// Text without `*`, `?`, `[` and `/` is part of a name; any other is a pattern.
    ///
    /// # Errors
    /// [`InvalidPattern`].
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        if !text.contains(['*', '?', '[', '/']) {
            return Ok(Self::Part(text.to_lowercase()));
        }
        let invalid = |source| InvalidPattern { pattern: text.to_owned(), source };
        let mut builder = GitignoreBuilder::new("");
        builder.add_line(None, text).map_err(invalid)?;
        builder.build().map(|glob| Self::Glob(Box::new(glob))).map_err(invalid)
    }

    fn matches(&self, key: &EntryKey, is_directory: bool) -> bool {
        match self {
            Self::Part(part) => String::from_utf8_lossy(key.name()).to_lowercase().contains(part),
            Self::Glob(glob) => glob.matched(Path::new(OsStr::from_bytes(&key.path())), is_directory).is_ignore(),
        }
    }
}

/// What one file was in one snapshot, where that differs from the snapshot before.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// Place of the snapshot in the list that was given.
    pub index: usize,
    /// What it was; `None` if it was not there (any more).
    pub entry: Option<Entry>,
}

/// Takes what is found; `Break` ends the search.
pub type Each<'e> = dyn FnMut(&EntryKey, &Entry) -> ControlFlow<()> + 'e;

/// Looks into the snapshots of one scope.
pub struct Browser<'a> {
    /// Brings and opens nodes.
    pub fetcher: &'a Fetcher<'a>,
}

impl Browser<'_> {
    /// The entry at a path.
    ///
    /// # Errors
    /// [`BrowseError`].
    pub fn entry(&self, root: ChunkId, key: &EntryKey) -> Result<Option<Entry>, BrowseError> {
        let mut nodes = Nodes::for_lookup(self.fetcher);
        Ok(find(root, key, |id| nodes.get(id))?)
    }

    /// The entries of a directory (`None` is the top), or of everything below it; how many nodes could not be read.
    ///
    /// # Errors
    /// [`BrowseError`], [`BrowseError::NotADirectory`] for anything else.
    pub fn list(
        &self,
        root: ChunkId,
        directory: Option<&EntryKey>,
        recursive: bool,
        each: &mut Each<'_>,
    ) -> Result<u64, BrowseError> {
        if let Some(key) = directory {
            match self.entry(root, key)? {
                None => return Err(BrowseError::NotFound(key.path())),
                Some(entry) if entry.kind != EntryKind::Directory => {
                    return Err(BrowseError::NotADirectory(key.path()));
                }
                Some(_) => {}
            }
        }
        let range = match (directory, recursive) {
            (directory, false) => KeyRange::directory(directory),
            (Some(key), true) => KeyRange::below(key),
            (None, true) => KeyRange::all(),
        };
        self.each_in(root, range, each)
    }

    /// The entries below a directory (`None` is the top) that match; how many nodes could not be read.
    ///
    /// # Errors
    /// [`BrowseError`].
    pub fn find(
        &self,
        root: ChunkId,
        directory: Option<&EntryKey>,
        pattern: &Pattern,
        each: &mut Each<'_>,
    ) -> Result<u64, BrowseError> {
        let range = directory.map_or_else(KeyRange::all, KeyRange::below);
        self.each_in(root, range, &mut |key, entry| {
            let matches = pattern.matches(key, entry.kind == EntryKind::Directory);
            if matches { each(key, entry) } else { ControlFlow::Continue(()) }
        })
    }

    fn each_in(&self, root: ChunkId, range: KeyRange, each: &mut Each<'_>) -> Result<u64, BrowseError> {
        let mut lost = 0;
        let _ = walk(self.fetcher, root, range, |met| {
            Ok::<_, BrowseError>(match met {
                Met::Entry(key, entry) => each(&key, &entry),
                Met::Lost(_) => {
                    lost += 1;
                    ControlFlow::Continue(())
                }
            })
        })?;
        Ok(lost)
    }

    /// The snapshots, given by their roots, oldest first, in which a path differs from the one before; also where it comes and goes.
    ///
    /// # Errors
    /// [`BrowseError`].
    pub fn versions(&self, roots: &[ChunkId], key: &EntryKey) -> Result<Vec<Version>, BrowseError> {
        // One cache for all: snapshots share most nodes on the way to one path.
        let mut nodes = Nodes::for_lookup(self.fetcher);
        let mut versions: Vec<Version> = Vec::new();
        for (index, root) in roots.iter().enumerate() {
            if index > 0 && roots[index - 1] == *root {
                continue;
            }
            let entry = find(*root, key, |id| nodes.get(id))?;
            let before = versions.last().and_then(|version| version.entry.as_ref());
            if entry.as_ref() != before {
                versions.push(Version { index, entry });
            }
        }
        Ok(versions)
    }

    /// What differs between two snapshots, below a directory (`None` is everything), in key order.
    ///
    /// # Errors
    /// [`BrowseError`]; a damaged node ends it, as nothing can be said of what follows.
    pub fn diff(
        &self,
        (old, new): (ChunkId, ChunkId),
        directory: Option<&EntryKey>,
        each: &mut dyn FnMut(&Change) -> ControlFlow<()>,
    ) -> Result<(), BrowseError> {
        let range = directory.map_or_else(KeyRange::all, KeyRange::below);
        let nodes = RefCell::new(Nodes::for_lookup(self.fetcher));
        let mut diff = Diff::new(Some(old), Some(new), range, |id| nodes.borrow_mut().get(id));
        while let Some(change) = diff.next_change()? {
            if each(&change).is_break() {
                break;
            }
        }
        Ok(())
    }
}
