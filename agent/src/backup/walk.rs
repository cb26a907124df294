//! The walk on its own thread, handed over in batches: handing over single entries would cost more than finding them.

use crossbeam_channel::Sender;

use crate::backup::BackupError;
use crate::backup::progress::Progress;
use crate::source::FileSet;
use crate::source::disk::Disks;
use crate::source::files::{Found, Walk};
use crate::source::journal::Journal;
use crate::source::metadata::FileKind;
use crate::source::paths::PathTree;
use crate::state::mounted::Points;

/// Entries around which a batch ends.
const BATCH_ITEMS: usize = 512;
/// Batches that wait to be compared.
pub const BATCHES_MAX: usize = 16;

/// What is walked, and how.
pub struct Wanted<'a> {
    /// The backup set.
    pub set: &'a FileSet,
    /// Where its paths lead.
    pub selected: &'a PathTree,
    /// What this machine heard of changes, if it listens.
    pub journal: Option<&'a Journal>,
    /// The disk images in it.
    pub disks: &'a Disks,
    /// Where a file system is missing.
    pub absent: &'a Points,
}

/// Walks until the end, or until nobody listens.
///
/// # Errors
/// [`BackupError::Walk`] if a selected folder cannot be read; [`BackupError::Cancelled`].
pub fn walk(wanted: &Wanted<'_>, batches: &Sender<Vec<Found>>, progress: &Progress) -> Result<(), BackupError> {
    let mut walk = Walk::new(wanted.set, wanted.selected, wanted.journal)?.misses(wanted.absent);
    let (mut batch, mut items) = (Vec::new(), 0);
    while let Some(mut found) = walk.next()? {
        if progress.is_cancelled() {
            return Err(BackupError::Cancelled);
        }
        match &mut found {
            Found::Listing(listing) => {
                wanted.disks.look(listing);
                items += listing.items.len();
                let files = listing.items.iter().filter(|item| item.stat.kind == FileKind::File);
                Progress::add(&progress.items_seen, listing.items.len() as u64);
                Progress::add(&progress.bytes_seen, files.map(|item| item.stat.size).sum());
            }
            // Who compares counts them.
            Found::Kept(_) => items += 1,
        }
        batch.push(found);
        if items >= BATCH_ITEMS {
            items = 0;
            if batches.send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    let _ = batches.send(batch);
    progress.walked.store(true, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}
