//! The part of the walk that passes directories by: what a change journal knows to be settled is named, not listed.
//!
//! It decides nothing: `journal` does, for the selected folders and what is below them.
//!
//! Invariant: what is below a directory that is kept without what is below it is exactly what the journal knows there; a directory that
//! is not known makes the one above it dirty.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::source::files::{Below, Kept, Level, Walk, Wanted};
use crate::source::journal::marks::Standing;

impl<'t> Walk<'t> {
    /// What of a directory below the last level may be taken over.
    pub(super) fn standing(&self, path: &[u8], below: &Below<'t>) -> Standing {
        match (self.journal, &below.wanted) {
            (Some(journal), Wanted::All(_)) => journal.standing(path),
            _ => Standing::Listed,
        }
    }

    /// Passes a directory by; with a handle of it, what is below it comes next.
    pub(super) fn keep(&mut self, handle: Option<OwnedFd>, path: Arc<[u8]>, below: &Below<'t>) -> Kept {
        let standing = if handle.is_some() { Standing::Own } else { Standing::Whole };
        let names_below = self.journal.map_or_else(Vec::new, |journal| journal.keep(&path, standing));
        let kept = Kept { directory: path.clone(), whole: handle.is_none() };
        let Some(handle) = handle else { return kept };
        let (mut names, mut planned) = (Vec::new(), Vec::with_capacity(names_below.len()));
        for name in names_below {
            let size = |bytes: usize| u32::try_from(bytes).expect("names of one directory stay below 4 GiB");
            let (name_at, name_bytes) = (size(names.len()), size(name.len()));
            planned.push(Below { name_at, name_bytes, wanted: below.wanted.clone(), is_root: false });
            names.extend_from_slice(&name);
        }
        planned.reverse();
        self.levels.push(Level {
            handle,
            path,
            wanted: below.wanted.clone(),
            is_root: below.is_root,
            is_settled: true,
            names: Arc::new(names),
            sorted: Vec::new(),
            next: 0,
            below: planned,
        });
        kept
    }

    /// Has a directory watched before it is listed; true if nothing in it should differ.
    pub(super) fn visit(&self, level: &Level<'t>) -> bool {
        match (self.journal, &level.wanted) {
            (Some(journal), Wanted::All(_)) => journal.visit(&level.path),
            _ => false,
        }
    }
}
