//! Taking back: from a snapshot's root to files on disk, verified.
//!
//! The files in order are the way of the bytes: `select` says what is wanted, `plan` walks the tree (`nodes`) and cuts the
//! content into windows (`window`), `fetch` brings the chunks and `unlock` opens them, `write` puts files (`folders`, `target`),
//! `disk` makes disk images again, `late` makes links and finishes directories, `meta` puts metadata back, `outcome` tells what came of it. `verify` reads without
//! writing, `dump` writes one file to a stream.
//!
//! A snapshot is hostile until proven otherwise: whoever wrote it may own nothing but one scope. So everything goes through
//! directory handles of `target`, and no number in a tree is believed before it is bounded.
//!
//! Invariant: P2 — a restore gives the exact bytes or a named error.
//! Invariant: nothing outside the target is written, made, removed, or given other metadata.

pub mod disk;
pub mod dump;
pub mod fetch;
mod flush;
mod folders;
mod late;
pub mod meta;
pub mod nodes;
pub mod outcome;
mod plan;
pub mod select;
mod target;
pub mod unlock;
pub mod verify;
pub mod walk;
mod window;
mod write;

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use common::id::ChunkId;
use common::tree::path::EntryKey;
use parking_lot::Mutex;

use disk::DiskOutput;
use fetch::{FetchError, Fetcher, FrameSource};
use flush::{FlushCounter, flush_when_due};
use folders::Handles;
use late::Finisher;
use meta::{Accounts, MetaRules};
use outcome::{Outcome, Progress, Tally};
use plan::Planner;
use select::{Overwrite, Selection};
use target::Target;
use unlock::{ChunkFailure, Plain, Unlock};
use window::Window;
use write::{FileWriter, Place};

/// What is restored, and how.
pub struct RestoreOptions {
    /// Which entries.
    pub selection: Selection,
    /// The directory of the snapshot whose contents go to the target itself; `None` keeps full paths.
    pub strip: Option<EntryKey>,
    /// What happens to files that stand there.
    pub overwrite: Overwrite,
    /// Only says what would be done.
    pub dry_run: bool,
    /// Makes device nodes.
    pub devices: bool,
    /// Gives back set-user-id, set-group-id and capabilities.
    pub privileges: bool,
    /// In which format disk images come back.
    pub disks: DiskOutput,
    /// Who is who on this system; empty to go by number.
    pub accounts: Accounts,
    /// Threads that open frames and write files.
    pub threads: usize,
}

/// Why a restore ended without doing what it could.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The target cannot be used.
    #[error("open the target")]
    Target(#[source] io::Error),
    /// The disk is full or read-only.
    #[error("write to the target")]
    Disk(#[source] io::Error),
    /// The server.
    #[error("fetch from the server")]
    Fetch(#[from] FetchError),
    /// Everything was written, but the file system does not say that it will last.
    #[error("make the restored files durable")]
    Sync(#[source] io::Error),
}

/// A snapshot to read from.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    /// Where its frames come from.
    pub frames: &'a dyn FrameSource,
    /// What opens them.
    pub unlock: &'a Unlock,
    /// Its root node, from a snapshot object whose mac was checked.
    pub root: ChunkId,
}

/// Restores into `target`. Blocks; must not run on the runtime's own thread. `stop` ends it early from outside.
///
/// # Errors
/// [`RestoreError`]; what concerns single items is in the outcome.
pub fn restore(
    snapshot: Snapshot<'_>,
    target: &Path,
    options: &RestoreOptions,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Outcome, RestoreError> {
    let absent = options.dry_run && !target.exists();
    let target = match options.dry_run {
        // Nothing stands in a target that is not there; the handle is then not used.
        true => Target::open(if absent { Path::new("/") } else { target }),
        false => Target::create(target),
    };
    let target = target.map_err(RestoreError::Target)?;
    let tally = Tally::default();
    let rules = MetaRules::new(options.privileges, options.accounts.clone());
    let writer = FileWriter {
        target: &target,
        rules: &rules,
        disks: &options.disks,
        id_key: &snapshot.unlock.keys().id,
        run: &snapshot.root.short(),
        tally: &tally,
        progress,
        stop,
        open_files: AtomicUsize::new(0),
        unfinished: Mutex::new(HashMap::new()),
        fatal: Mutex::new(None),
    };
    let fetcher = Fetcher { source: snapshot.frames, unlock: snapshot.unlock, threads: options.threads, stop };
    let mut planner = Planner::new(snapshot.root, options, &fetcher, &writer);
    planner.nothing_stands = absent;
    let (result, flushed) = std::thread::scope(|scope| {
        let (counter, dues) = FlushCounter::new();
        let target = &target;
        let flusher = scope.spawn(move || flush_when_due(target, &dues));
        let result = fill(&mut planner, &fetcher, &writer, &counter);
        drop(counter);
        (result, flusher.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    });
    let mut handles = Handles::default();
    writer.clear_away(&mut handles);
    if let Some(error) = writer.fatal.lock().take() {
        return Err(RestoreError::Disk(error));
    }
    result?;
    flushed.map_err(RestoreError::Sync)?;
    if !stop.load(Ordering::Relaxed) && !options.dry_run {
        let (late, made) = (std::mem::take(&mut planner.late), std::mem::take(&mut planner.made));
        let finisher = Finisher { writer: &writer, overwrite: options.overwrite };
        finisher.make_all(&mut handles, late);
        finisher.finish_directories(&mut handles, &made);
        target.sync().map_err(RestoreError::Sync)?;
    }
    if let Some(error) = writer.fatal.lock().take() {
        return Err(RestoreError::Disk(error));
    }
    drop(planner);
    drop(writer);
    Ok(tally.finish(stop.load(Ordering::Relaxed)))
}

/// Walks, fetches and writes all files.
fn fill(
    planner: &mut Planner<'_>,
    fetcher: &Fetcher<'_>,
    writer: &FileWriter<'_>,
    counter: &FlushCounter,
) -> Result<(), RestoreError> {
    let mut walked = Ok(());
    fetcher.run(
        |submit| walked = planner.walk(submit),
        || {
            let mut handles = Handles::default();
            move |window: &Arc<Window>, id: &ChunkId, plain: Result<Plain, ChunkFailure>| {
                place(writer, &mut handles, (window, id), &plain);
                counter.add(plain.map_or(0, |plain| plain.bytes.len() as u64));
            }
        },
    )?;
    walked
}

/// Writes the content of one chunk to every place that needs it.
fn place(
    writer: &FileWriter<'_>,
    handles: &mut Handles,
    (window, id): (&Window, &ChunkId),
    plain: &Result<Plain, ChunkFailure>,
) {
    if let Ok(plain) = plain {
        Progress::add(&writer.progress.fetched_chunks, 1);
        Progress::add(&writer.progress.fetched_bytes, plain.bytes.len() as u64);
    }
    let content = plain.as_ref().map_err(|failure| *failure).and_then(Plain::content);
    for placed in window.places(id) {
        let bytes = (placed.source.end - placed.source.start) as u64;
        let piece = content.and_then(|content| content.get(placed.source).ok_or(ChunkFailure::Unfitting));
        match piece {
            Ok(content) if bytes == placed.job.size => writer.whole(handles, placed.job, content),
            piece => writer.piece(handles, placed.job, Place { at: placed.at, bytes }, piece),
        }
    }
}
