//! What a run remembers of the last one, and what the next run will remember of it.
//!
//! Invariant: whatever is lost here costs time, never data.

use crate::backup::BackupError;
use crate::backup::fetch::Wanted;
use crate::backup::progress::Step;
use crate::backup::run::Run;
use crate::remote::backup::Opened;
use crate::state::memory::{self, Memory};
use crate::state::pages::PageFolder;

impl Run<'_> {
    /// Keeps the page hashes that belong to the new tree, and no others. What is lost of them costs the next run a whole
    /// comparison, so a failure is no reason to fail.
    pub(super) fn keep_pages(&self, names: &[String], deleted: bool) {
        let folder = PageFolder::of(&self.request.folder);
        let kept = folder.adopt(names).and_then(|()| {
            let memory = if deleted && folder.exists() { self.remembered().ok().flatten() } else { None };
            let Some(memory) = memory else { return Ok(0) };
            let live = memory.page_names(&self.keys.memory).map_err(std::io::Error::other)?;
            folder.sweep(|name| live.contains(name))
        });
        if let Err(error) = kept {
            tracing::warn!(%error, "page hashes of large files are not kept");
        }
    }

    /// The memory, unless it is lost or damaged.
    pub(super) fn remembered(&self) -> Result<Option<Memory>, BackupError> {
        match Memory::open(&self.request.folder, &self.keys.id, &self.keys.memory) {
            Ok(memory) => Ok(Some(memory)),
            Err(memory::MemoryError::Absent) => Ok(None),
            Err(error) => {
                tracing::warn!(%error, "the memory of the last tree is not used");
                memory::forget(&self.request.folder)?;
                Ok(None)
            }
        }
    }

    /// True if the server has a history of the source and this machine knows nothing of it any more: large files that changed
    /// since then are laid whole, which is no change.
    pub(super) fn has_lost_its_state(&self) -> Result<bool, BackupError> {
        if PageFolder::of(&self.request.folder).exists() {
            return Ok(false);
        }
        let found = self.wanted().newest()?.is_some();
        if found {
            tracing::warn!("the state of the source is lost: large files that changed are laid whole");
        }
        Ok(found)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            runtime: self.runtime,
            remote: self.remote,
            subscription: self.request.identity.subscription,
            scope: self.request.identity.scope,
            source: self.request.source,
            keys: self.keys,
            retry_seed: self.fresh.retry_seed,
        }
    }

    pub(super) fn fetch(&self, opened: &Opened) -> Result<Option<Memory>, BackupError> {
        if opened.newest.is_none() {
            return Ok(None);
        }
        self.progress.enter(Step::Fetching);
        let wanted = self.wanted();
        let Some(newest) = wanted.newest()? else { return Ok(None) };
        match wanted.tree(&newest, &self.request.folder) {
            Ok(memory) => Ok(Some(memory)),
            // Damage on the server is no reason not to back up: everything is read, and what it lacks is sent.
            Err(BackupError::Memory(error)) => {
                tracing::warn!(%error, "the last tree cannot be fetched: everything is read");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
