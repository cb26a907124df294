//! The threads of one pass over a source: walk, compare, workers, assembly; until everything that was laid is durable.
//!
//! It opens and commits nothing.
//!
//! Invariant: every thread ends before the pass does, whatever fails; the first failure is the one that is told.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use common::id::ChunkId;
use common::keys::ScopeKeys;
use common::limits::WORKERS_MAX;
use common::stored::Counts;
use common::tree::builder::BuiltTree;
use crossbeam_channel::{Sender, bounded, unbounded};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::backup::BackupError;
use crate::backup::assemble::{Assembled, Inputs, assemble};
use crate::backup::carry::Deferred;
use crate::backup::compare::{Compared, Comparer, PLAN_BATCHES_MAX};
use crate::backup::content::KnownContent;
use crate::backup::desk::{Desk, Laying};
use crate::backup::job::JobResult;
use crate::backup::plan::racy_from;
use crate::backup::progress::{Progress, Step};
use crate::backup::seal::{Press, SealOptions, SealingKeys};
use crate::backup::shared::Shared;
use crate::backup::split::{ChunkParams, Splitter};
use crate::backup::upload::{Portions, Upload};
use crate::backup::walk::{BATCHES_MAX, Wanted, walk};
use crate::backup::work::Worker;
use crate::remote::Remote;
use crate::remote::backup::OpenSession;
use crate::remote::transfer::{Answer, FrameClass, Transfer};
use crate::source::disk::Disks;
use crate::source::excludes::Acceptance;
use crate::source::journal::Journal;
use crate::source::metadata::Owners;
use crate::source::paths::PathTree;
use crate::source::{FileSet, SkipReason, SkippedItem};
use crate::state::memory::Memory;
use crate::state::mounted::Points;
use crate::state::pages::PageFolder;
use crate::state::recorder::Recorder;

/// Buffers beyond one per worker.
const SPARE_BUFFERS: usize = 3;

/// What one pass needs.
pub struct Pipeline<'a> {
    /// Where the stream runs.
    pub runtime: &'a Handle,
    /// The server.
    pub remote: &'a Remote,
    /// The session, which is open.
    pub open: &'a OpenSession,
    /// What is read.
    pub set: &'a FileSet,
    /// Where a file system is missing.
    pub absent: &'a Points,
    /// The disk images in it.
    pub disks: &'a Disks,
    /// Where its paths lead.
    pub selected: &'a PathTree,
    /// What this machine heard of changes, if it listens; its pass has begun.
    pub journal: Option<&'a Journal>,
    /// Keys of the scope.
    pub keys: &'a ScopeKeys,
    /// What frames are sealed with.
    pub sealing: SealingKeys,
    /// How they are made.
    pub options: SealOptions,
    /// Folder of the source's state.
    pub folder: &'a Path,
    /// The clock at the start of the run.
    pub started_at_ns: i64,
    /// Random; for the jitter of retries.
    pub retry_seed: u64,
    /// Live counters.
    pub progress: &'a Arc<Progress>,
    /// Whether chunks that the server lacks are sent.
    pub laying: Laying,
    /// Into how much at a time.
    pub portions: Portions,
    /// How a large file that changed is counted if its page hashes are lost.
    pub class_without_pages: FrameClass,
}

/// A tree of which everything is durable on the server.
pub struct Laid<'m> {
    /// The tree.
    pub tree: BuiltTree,
    /// What was seen and done.
    pub counts: Counts,
    /// What is not in it.
    pub skipped: Vec<SkippedItem>,
    /// Files among them that wait for another day.
    pub deferred: Deferred,
    /// The memory to be kept once the snapshot has its receipt.
    pub recorder: Recorder<'m>,
    /// Names of the page hashes to be kept with it.
    pub pages: Vec<String>,
    /// Directories in which something differs although the journal says that nothing does.
    pub suspects: Vec<Vec<u8>>,
}

impl Pipeline<'_> {
    /// Makes one pass against `memory`, of which the chunks `missing` are to be laid again.
    ///
    /// # Errors
    /// The first failure of any thread.
    pub fn run<'m>(&self, memory: Option<&'m Memory>, missing: HashSet<ChunkId>) -> Result<Laid<'m>, BackupError> {
        let owners = Arc::new(Owners::of_this_system());
        let worker_count = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
        let desk = Desk::new(worker_count + 2, worker_count + SPARE_BUFFERS, self.laying);
        let (results, results_in) = unbounded();
        let (transfer, upload) = self.way_out(&desk, &results);
        let shared = Shared {
            desk,
            upload,
            transfer,
            laying: self.laying,
            chunk_bytes_max: self.portions.chunk_bytes,
            known: KnownContent::new(memory, missing),
            splitter: Splitter::new(self.keys, ChunkParams::V1).expect("the parameters of version 1 are tested"),
            disks: self.disks,
            journal: self.journal,
            pages: PageFolder::of(self.folder),
            class_without_pages: self.class_without_pages,
            keys: self.keys,
            progress: self.progress.clone(),
            results,
            laid: Mutex::new(HashMap::new()),
            failure: Mutex::default(),
        };
        let presses = (0..=worker_count as u64)
            .map(|lane| Press::new(&self.sealing, self.options, lane))
            .collect::<Result<Vec<_>, _>>()
            .map_err(BackupError::Io)?;
        let recorder = Recorder::new(self.folder, memory);
        let (plan, plan_in) = bounded(PLAN_BATCHES_MAX);
        let (batches, batches_in) = bounded(BATCHES_MAX);
        let shared = &shared;
        let (assembled, compared) = std::thread::scope(|scope| {
            scope.spawn(|| {
                let batches = batches;
                let (set, selected, journal) = (self.set, self.selected, self.journal);
                let wanted = Wanted { set, selected, journal, disks: self.disks, absent: self.absent };
                walk(&wanted, &batches, self.progress).unwrap_or_else(|error| shared.fail(error));
            });
            let comparison = scope.spawn(|| {
                let comparer = Comparer::new(shared, plan, owners.clone(), self.started_at_ns);
                let compared = comparer.and_then(|comparer| {
                    let batches = batches_in;
                    comparer.run(&batches)
                });
                compared.map_err(|error| shared.fail(error)).ok()
            });
            let mut presses = presses.into_iter();
            let own_press = presses.next();
            for press in presses {
                scope.spawn(move || Worker::new(shared, press).run());
            }
            let inputs = Inputs {
                shared,
                plan: plan_in,
                results: results_in,
                owners: &owners,
                racy_from_ns: racy_from(self.started_at_ns),
            };
            let assembled = own_press.ok_or(BackupError::Stopped).and_then(|press| assemble(inputs, press, recorder));
            let assembled = assembled.map_err(|error| shared.fail(error)).ok();
            shared.desk.close();
            (assembled, comparison.join().ok().flatten())
        });
        self.progress.enter(Step::Finishing);
        let sent = if shared.failure.lock().is_some() { Ok(()) } else { shared.upload.finish() };
        let failure = shared.failure.lock().take();
        match (failure, sent, assembled, compared) {
            // Whoever noticed first that the stream had ended does not know why; the stream does.
            (failure @ (None | Some(BackupError::Stopped | BackupError::Remote(_))), ..)
                if shared.transfer.failure().is_some() =>
            {
                let ended = shared.transfer.failure().map(BackupError::Remote);
                Err(ended.or(failure).unwrap_or(BackupError::Stopped))
            }
            (Some(error), ..) => Err(error),
            (None, Err(error), ..) => Err(error.into()),
            (None, Ok(()), Some(assembled), Some(compared)) => self.laid(assembled, compared),
            (None, Ok(()), ..) => Err(BackupError::Stopped),
        }
    }

    fn way_out(&self, desk: &Arc<Desk>, results: &Sender<Option<JobResult>>) -> (Arc<Transfer>, Arc<Upload>) {
        let slot: Arc<OnceLock<Weak<Upload>>> = Arc::default();
        let (desk, results, upload) = (desk.clone(), results.clone(), slot.clone());
        let answers = move |answer| {
            let Some(upload) = upload.get().and_then(Weak::upgrade) else { return };
            match answer {
                Answer::Have { number, have } => {
                    let answered = desk.answer(number, &have);
                    answered.stored.iter().for_each(|id| upload.is_stored(id));
                    answered.absent.iter().for_each(|id| upload.is_absent(id));
                }
                Answer::Failed => {
                    desk.fail();
                    upload.fail();
                    let _ = results.send(None);
                }
            }
        };
        let _inside = self.runtime.enter();
        let transfer = Arc::new(Transfer::start(self.remote.clone(), self.open.clone(), self.retry_seed, answers));
        let upload = Arc::new(Upload::new(transfer.clone(), self.progress.clone(), self.portions));
        let _ = slot.set(Arc::downgrade(&upload));
        (transfer, upload)
    }

    fn laid<'m>(
        &self,
        (assembled, recorder): (Assembled, Recorder<'m>),
        compared: Compared,
    ) -> Result<Laid<'m>, BackupError> {
        let Compared { mut skipped, tally, suspects } = compared;
        let unread = assembled.files_absent;
        skipped.extend(assembled.skipped);
        let acceptance = Acceptance::new(self.set)?;
        // That something may be unreadable does not say that it may wait.
        let may_be_accepted = |item: &&mut SkippedItem| item.reason != SkipReason::Deferred;
        skipped.iter_mut().filter(may_be_accepted).for_each(|item| item.accepted |= acceptance.accepts(&item.path));
        if let Some(journal) = self.journal {
            skipped.iter().for_each(|item| journal.distrust_item(&item.path));
        }
        let progress = self.progress;
        let counts = Counts {
            files: tally.files - unread - assembled.files_vanished,
            directories: tally.directories,
            others: tally.others,
            files_new: tally.files_new,
            files_changed: tally.files_changed,
            files_unchanged: tally.files_unchanged,
            files_deleted: tally.files_deleted,
            files_skipped: skipped.len() as u64,
            files_fuzzy: assembled.files_fuzzy,
            read_bytes: Progress::get(&progress.bytes_read),
            laid_bytes: Progress::get(&progress.bytes_laid),
            sent_bytes: Progress::get(&progress.bytes_sent),
            duration_ms: 0,
        };
        let Assembled { tree, deferred, pages, .. } = assembled;
        Ok(Laid { tree, counts, skipped, deferred, recorder, pages, suspects })
    }
}
