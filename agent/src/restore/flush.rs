//! Has the disk work while files are still being made, so that the sync that ends a restore has little left to do.
//!
//! Invariant: an error of an early sync is kept: the file system may tell it only once.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender};

use super::target::Target;
use common::limits::RESTORE_FLUSH_BYTES;

/// Counts what is written and asks for a sync every [`RESTORE_FLUSH_BYTES`].
pub struct FlushCounter {
    written: AtomicU64,
    due: Sender<()>,
}

impl FlushCounter {
    /// A counter, and what [`flush_when_due`] waits for; it ends when the counter is dropped.
    pub fn new() -> (Self, Receiver<()>) {
        let (due, dues) = crossbeam_channel::bounded(1);
        (Self { written: AtomicU64::new(0), due }, dues)
    }

    /// Notes that about so many bytes more were written.
    pub fn add(&self, bytes: u64) {
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / RESTORE_FLUSH_BYTES != (before + bytes) / RESTORE_FLUSH_BYTES {
            // A sync that is already asked for covers these bytes too, or the one that ends the restore does.
            let _ = self.due.try_send(());
        }
    }
}

/// Syncs the target each time that it is due.
///
/// # Errors
/// The first one of the file system.
pub fn flush_when_due(target: &Target, dues: &Receiver<()>) -> io::Result<()> {
    dues.iter().try_for_each(|()| target.sync())
}
