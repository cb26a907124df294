//! What an agent's memory of the parent tree is worth, as far as the server can know.

use common::id::{ChunkId, SessionId};
use common::limits::RELAY_IDS_MAX;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::snapshots::SnapshotFacts;
use crate::session::closure::{Walk, walk};

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Memory {
    /// Everything that the parent reaches can be referred to.
    Valid,
    /// Everything but these chunks, which are lost or damaged and must be laid again.
    ValidExcept(Vec<ChunkId>),
    /// The parent isn't the newest snapshot, or too much of it is lost.
    Invalid,
}

/// Judges a memory of `parent` by an agent that writes to `scope`, where `newest` is the source's newest snapshot.
///
/// # Errors
/// [`CatalogError`].
pub fn verdict(
    catalog: &Catalog,
    scope: u32,
    parent: Option<SessionId>,
    newest: Option<&SnapshotFacts>,
) -> Result<Memory, CatalogError> {
    let newest = match (parent, newest) {
        (None, None) => return Ok(Memory::Valid),
        (Some(parent), Some(newest)) if parent == newest.session && newest.scope == scope => newest,
        _ => return Ok(Memory::Invalid),
    };
    let root = catalog.chunk_of_row(newest.root)?;
    if catalog.is_usable(&root, catalog.closure_epoch()?)? {
        return Ok(Memory::Valid);
    }
    let missing = match walk(catalog, scope, &catalog.chunk_id(newest.root)?, RELAY_IDS_MAX)? {
        Walk::Whole(_) => return Ok(Memory::Valid),
        Walk::Missing(missing) => missing,
    };
    Ok(if missing.len() > RELAY_IDS_MAX { Memory::Invalid } else { Memory::ValidExcept(missing) })
}
