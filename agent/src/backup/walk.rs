//! The walk on its own thread, handed over in batches: handing over single entries would cost more than finding them.

use crossbeam_channel::Sender;

use crate::backup::BackupError;
use crate::backup::progress::Progress;
use crate::source::FileSet;
use crate::source::disk::Disks;
use crate::source::files::{Listing, Walk};
use crate::source::metadata::FileKind;
use crate::source::paths::PathTree;

/// Entries around which a batch ends.
const BATCH_ITEMS: usize = 512;
/// Batches that wait to be compared.
pub const BATCHES_MAX: usize = 16;

/// Walks until the end, or until nobody listens.
///
/// # Errors
/// [`BackupError::Walk`] if a selected folder cannot be read; [`BackupError::Cancelled`].
pub fn walk(
    (set, selected): (&FileSet, &PathTree),
    disks: &Disks,
    batches: &Sender<Vec<Listing>>,
    progress: &Progress,
) -> Result<(), BackupError> {
    let mut walk = Walk::new(set, selected)?;
    let (mut batch, mut items) = (Vec::new(), 0);
    while let Some(mut listing) = walk.next()? {
        if progress.is_cancelled() {
            return Err(BackupError::Cancelled);
        }
        disks.look(&mut listing);
        items += listing.items.len();
        let files = listing.items.iter().filter(|item| item.stat.kind == FileKind::File);
        Progress::add(&progress.items_seen, listing.items.len() as u64);
        Progress::add(&progress.bytes_seen, files.map(|item| item.stat.size).sum());
        batch.push(listing);
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
