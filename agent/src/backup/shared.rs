//! What the threads of one pass share, and how they end together.
//!
//! Invariant: the first failure is kept, and every thread that waits for another one is let go.

use std::collections::HashMap;
use std::sync::Arc;

use common::keys::ScopeKeys;
use crossbeam_channel::Sender;
use parking_lot::Mutex;

use crate::backup::BackupError;
use crate::backup::content::KnownContent;
use crate::backup::desk::{Desk, Laying};
use crate::backup::job::JobResult;
use crate::backup::progress::Progress;
use crate::backup::split::Splitter;
use crate::backup::upload::Upload;
use crate::remote::transfer::{FrameClass, Transfer};
use crate::source::disk::Disks;
use crate::source::journal::Journal;
use crate::state::pages::PageFolder;

/// What all threads of a run share.
pub struct Shared<'r> {
    /// Who does what next.
    pub desk: Arc<Desk>,
    /// The way out.
    pub upload: Arc<Upload>,
    /// The stream, for probes.
    pub transfer: Arc<Transfer>,
    /// Whether chunks that the server lacks are sent.
    pub laying: Laying,
    /// Longest chunk of data.
    pub chunk_bytes_max: usize,
    /// What need not be sent.
    pub known: KnownContent<'r>,
    /// Where chunks end.
    pub splitter: Splitter,
    /// The disk images among the files.
    pub disks: &'r Disks,
    /// What the machine heard of changes, if it listens.
    pub journal: Option<&'r Journal>,
    /// Page hashes of large files.
    pub pages: PageFolder,
    /// How a large file that changed is counted if its page hashes are lost.
    pub class_without_pages: FrameClass,
    /// Keys of the scope.
    pub keys: &'r ScopeKeys,
    /// Live counters.
    pub progress: Arc<Progress>,
    /// Finished jobs; `None` when the run failed.
    pub results: Sender<Option<JobResult>>,
    /// Contents laid in this run: job and file.
    pub laid: Mutex<HashMap<[u8; 32], (u32, u32)>>,
    /// What ended the run.
    pub failure: Mutex<Option<BackupError>>,
}

impl Shared<'_> {
    /// Length of the first chunk of `data`.
    pub fn cut(&self, data: &[u8]) -> usize {
        self.splitter.cut(data).min(self.chunk_bytes_max)
    }

    /// Ends the run; the first failure is the one that is told.
    pub fn fail(&self, error: BackupError) {
        self.failure.lock().get_or_insert(error);
        self.stop();
    }

    /// Lets every thread go.
    pub fn stop(&self) {
        self.desk.fail();
        self.upload.fail();
        let _ = self.results.send(None);
    }
}
