//! Mark: what neither a snapshot nor a session reaches moves to trash.
//!
//! ```text
//! writer begins to note what is referred to → roots and everything they reach, over one view of the catalog
//!   → one transaction: what was not reached, less what was referred to meanwhile, becomes an epoch of the trash
//! ```
//! Backups go on all the while: the view is SQLite's, and the two steps of the writer are short. It deletes nothing.
//!
//! Invariant: I5 — the view is taken after the writer began to note; a reference is in the view or in the note.
//! Invariant: the memory bound is kept: a pass that would exceed it ends, and nothing moves.

use common::limits::SESSION_EXPIRY_S;
use roaring::RoaringBitmap;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::session::writer::Writer;
use crate::upkeep::jobs::{Counts, JobError};
use crate::upkeep::token::{Progress, Token};

/// What mark works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkSettings {
    /// The present moment, in nanoseconds since 1970.
    pub now_ns: i64,
    /// Memory that its bitmaps may take, in bytes.
    pub memory_bytes_max: u64,
}

/// Moves to trash what nothing reaches.
///
/// # Errors
/// [`JobError`]; nothing then moved. Pausing ends it as stopping does: a view of the catalog that stays open keeps its log from
/// being shortened.
pub fn mark(open: &Subscription, settings: MarkSettings, token: &Token) -> Result<Counts, JobError> {
    let noting = Noting::begin(open)?;
    let found = noting.look(settings, token)?;
    noting.finish(found, settings.now_ns)
}

/// A run of mark: the writer notes what is referred to until this is finished, or dropped.
pub struct Noting<'a> {
    open: &'a Subscription,
}

impl<'a> Noting<'a> {
    /// Lets the writer begin to note.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn begin(open: &'a Subscription) -> Result<Self, SessionError> {
        open.writer().run(|writer| {
            writer.referred = Some(RoaringBitmap::new());
            Ok(())
        })?;
        Ok(Self { open })
    }

    /// Looks for what nothing reaches, over one view of the catalog.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn look(&self, settings: MarkSettings, token: &Token) -> Result<Found, JobError> {
        self.open.read(|catalog| catalog.at_once(|catalog| Ok(look(catalog, settings, token))))?
    }

    /// Moves what was found to trash, less what was referred to meanwhile.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn finish(self, found: Found, now_ns: i64) -> Result<Counts, JobError> {
        let (chunks, reached) = (found.chunks, found.reached.len());
        let (trashed, brought_back) = self.open.writer().run(move |writer| writer.put_in_trash(found, now_ns))?;
        Ok(vec![("chunks", chunks), ("reached", reached), ("trashed", trashed), ("brought_back", brought_back)])
    }
}

impl Drop for Noting<'_> {
    /// However it ended, also by a panic, the note does not grow any more.
    fn drop(&mut self) {
        // A writer that is gone notes nothing.
        let _ = self.open.writer().submit(|writer| writer.referred = None);
    }
}

/// What one look found.
pub struct Found {
    chunks: u64,
    reached: RoaringBitmap,
    candidates: RoaringBitmap,
}

fn look(catalog: &Catalog, settings: MarkSettings, token: &Token) -> Result<Found, JobError> {
    let touched_since_ns = settings.now_ns.saturating_sub(SESSION_EXPIRY_S * 1_000_000_000);
    let mut candidates = catalog.chunk_rows().map_err(SessionError::from)?;
    let chunks = candidates.len();
    let held_bytes = 2 * candidates.serialized_size() as u64;
    let roots = catalog.roots(touched_since_ns).map_err(SessionError::from)?;
    let reached = catalog.reachable::<JobError>(roots, |pass| {
        token.check_running()?;
        token.report(Progress { done: pass.nodes, total: 0, unit: "nodes" });
        let bytes = held_bytes + pass.memory_bytes;
        if bytes > settings.memory_bytes_max {
            let max = settings.memory_bytes_max;
            return Err(JobError::Failed(format!("mark would need {bytes} bytes of memory, the setting allows {max}")));
        }
        Ok(())
    })?;
    candidates -= &reached;
    Ok(Found { chunks, reached, candidates })
}

impl From<CatalogError> for JobError {
    fn from(error: CatalogError) -> Self {
        Self::Session(error.into())
    }
}

impl Writer {
    /// The last step of mark: how many rows moved to trash, and how many came back.
    fn put_in_trash(&mut self, found: Found, now_ns: i64) -> Result<(u64, u64), SessionError> {
        let referred = self.referred.take().unwrap_or_default();
        let Found { reached, mut candidates, .. } = found;
        let moved = self.catalog.atomically(|catalog| {
            let in_trash = catalog.trashed_rows(None)?;
            // By the invariant of the trash there are none; if there are, what is in use comes back.
            let in_use = &in_trash & &reached;
            if !in_use.is_empty() {
                tracing::error!(chunks = in_use.len(), "chunks in use were in trash");
                catalog.bring_back(&in_use)?;
            }
            candidates -= &in_trash;
            let within = |row| Ok::<_, CatalogError>(candidates.contains(row));
            let kept = catalog.reached_within(&referred, within)?;
            candidates -= kept;
            catalog.put_in_trash(&candidates, now_ns)?;
            Ok((candidates.len(), in_use.len()))
        });
        moved.map_err(|error| self.catalog_failed(error))
    }
}
