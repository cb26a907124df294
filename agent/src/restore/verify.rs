//! Reads a snapshot, or a share of its files, and holds every byte against the tree, without writing anything.
//!
//! Small files are checked as their chunks arrive, each chunk once; larger ones and those that found no room are read in order.
//! It does not tell the server: who asked for it does, with what came of it.
//!
//! Invariant: a file counts as verified only if its whole content was opened and has the digest that the tree says.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use common::id::ChunkId;
use common::limits::{FETCH_IDS, PAGED_FILE_BYTES, VERIFY_BUFFER_BYTES};
use common::tree::content::{Content, Extent};
use common::tree::entry::{Entry, EntryKind, FileContent};
use common::tree::path::{EntryKey, KeyRange};
use parking_lot::Mutex;

use super::dump::{DumpError, dump};
use super::fetch::{FetchError, Fetcher, Request, Submit};
use super::outcome::{Outcome, Problem, Progress, Tally};
use super::unlock::{ChunkFailure, Plain};
use super::walk::{Met, walk};
use super::{RestoreError, Snapshot};

/// How much is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Share of the files, 1 to 100.
    pub percent: u8,
    /// Chooses which files, if not all.
    pub seed: u64,
    /// Threads that open frames.
    pub threads: usize,
}

/// A small file under verification.
struct Check {
    path: Vec<u8>,
    file: FileContent,
    left_bytes: AtomicU64,
    failed: AtomicBool,
    buffer: Mutex<Option<Vec<u8>>>,
}

/// A range of a chunk, and where in which file it belongs.
struct Piece {
    chunk: ChunkId,
    extent: Extent,
    at: u64,
    check: Arc<Check>,
}

type Pieces = Vec<Piece>;

/// Pieces whose chunks are fetched together, ordered by chunk.
struct Batch {
    pieces: Pieces,
}

struct Verifier<'a> {
    fetcher: &'a Fetcher<'a>,
    tally: &'a Tally,
    progress: &'a Progress,
    buffered_bytes: AtomicUsize,
    deferred: Mutex<Vec<Arc<Check>>>,
}

/// Verifies. Blocks; must not run on the runtime's own thread. `stop` ends it early from outside.
///
/// # Errors
/// [`RestoreError::Fetch`]; what concerns single items is in the outcome.
pub fn verify(
    snapshot: Snapshot<'_>,
    options: VerifyOptions,
    progress: &Progress,
    stop: &AtomicBool,
) -> Result<Outcome, RestoreError> {
    let fetcher = Fetcher { source: snapshot.frames, unlock: snapshot.unlock, threads: options.threads, stop };
    let tally = Tally::default();
    let deferred = Mutex::new(Vec::new());
    let verifier =
        Verifier { fetcher: &fetcher, tally: &tally, progress, buffered_bytes: AtomicUsize::new(0), deferred };
    let mut walked = Ok(());
    fetcher.run(
        |submit| walked = verifier.plan(snapshot.root, options, submit),
        || |batch: &Arc<Batch>, id: &ChunkId, plain: Result<Plain, ChunkFailure>| verifier.arrived(batch, id, &plain),
    )?;
    walked?;
    verifier.read_deferred()?;
    drop(verifier);
    Ok(tally.finish(stop.load(Ordering::Relaxed)))
}

impl Verifier<'_> {
    fn plan(
        &self,
        root: ChunkId,
        options: VerifyOptions,
        submit: &mut Submit<'_, Arc<Batch>>,
    ) -> Result<(), FetchError> {
        let mut pieces = Vec::new();
        let mut ended = ControlFlow::Continue(());
        let walked: Result<_, FetchError> = walk(self.fetcher, root, KeyRange::all(), |met| {
            match met {
                Met::Lost(path) => self.tally.problem(path, Problem::Node),
                Met::Entry(key, entry) if is_chosen(&key, options) => self.add(&key, entry, &mut pieces),
                Met::Entry(..) => {}
            }
            if pieces.len() >= FETCH_IDS {
                ended = send(std::mem::take(&mut pieces), submit);
            }
            Ok(if self.fetcher.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ended })
        });
        if walked?.is_continue() {
            let _ = send(pieces, submit);
        }
        Ok(())
    }

    fn add(&self, key: &EntryKey, entry: Entry, pieces: &mut Pieces) {
        Progress::add(&self.progress.items_planned, 1);
        let EntryKind::File(file) = entry.kind else {
            Progress::add(&self.progress.items_done, 1);
            let count = |outcome: &mut Outcome| match entry.kind {
                EntryKind::Directory => outcome.directories += 1,
                _ => outcome.others += 1,
            };
            return self.tally.update(count);
        };
        Progress::add(&self.progress.bytes_planned, file.size);
        let check = Arc::new(Check {
            path: key.path(),
            left_bytes: AtomicU64::new(file.size),
            failed: AtomicBool::new(false),
            buffer: Mutex::new(None),
            file,
        });
        let extents = match &check.file.content {
            Content::Inline(extents) if check.file.size <= PAGED_FILE_BYTES => extents,
            _ => return self.deferred.lock().push(check),
        };
        if extents.iter().any(|extent| extent.chunk.is_none()) || extents.is_empty() {
            return self.deferred.lock().push(check);
        }
        let mut at = 0;
        for extent in extents {
            pieces.extend(extent.chunk.map(|chunk| Piece { chunk, extent: *extent, at, check: check.clone() }));
            at += extent.bytes;
        }
    }

    fn arrived(&self, batch: &Batch, id: &ChunkId, plain: &Result<Plain, ChunkFailure>) {
        if let Ok(plain) = plain {
            Progress::add(&self.progress.fetched_chunks, 1);
            Progress::add(&self.progress.fetched_bytes, plain.bytes.len() as u64);
        }
        let content = plain.as_ref().map_err(|failure| *failure).and_then(Plain::content);
        let first = batch.pieces.partition_point(|piece| piece.chunk < *id);
        for piece in batch.pieces[first..].iter().take_while(|piece| piece.chunk == *id) {
            let from = piece.extent.offset as usize;
            let to = from.saturating_add(usize::try_from(piece.extent.bytes).unwrap_or(usize::MAX));
            let content = content.and_then(|content| content.get(from..to).ok_or(ChunkFailure::Unfitting));
            self.piece(piece, content);
        }
    }

    fn piece(&self, piece: &Piece, content: Result<&[u8], ChunkFailure>) {
        let Piece { check, at, extent, .. } = piece;
        match content {
            Ok(bytes) if extent.bytes == check.file.size => return self.ended(check, self.digest_of(check, bytes)),
            Ok(bytes) => self.buffer(check, *at, bytes),
            Err(failure) if !check.failed.swap(true, Ordering::Relaxed) => {
                self.ended(check, Err(Problem::Content(failure)));
            }
            Err(_) => {}
        }
        if check.left_bytes.fetch_sub(extent.bytes, Ordering::AcqRel) != extent.bytes {
            return;
        }
        let Some(buffer) = check.buffer.lock().take() else { return };
        self.buffered_bytes.fetch_sub(buffer.len(), Ordering::Relaxed);
        if !check.failed.load(Ordering::Relaxed) {
            self.ended(check, self.digest_of(check, &buffer));
        }
    }

    /// Keeps a piece until the others have come; without room the file is read in order later.
    fn buffer(&self, check: &Arc<Check>, at: u64, bytes: &[u8]) {
        let mut buffer = check.buffer.lock();
        if check.failed.load(Ordering::Relaxed) {
            return;
        }
        let (size, from) =
            (usize::try_from(check.file.size).unwrap_or(usize::MAX), usize::try_from(at).unwrap_or(usize::MAX));
        if buffer.is_none() {
            if self.buffered_bytes.fetch_add(size, Ordering::Relaxed) > VERIFY_BUFFER_BYTES {
                self.buffered_bytes.fetch_sub(size, Ordering::Relaxed);
                check.failed.store(true, Ordering::Relaxed);
                return self.deferred.lock().push(check.clone());
            }
            *buffer = Some(vec![0; size]);
        }
        if let Some(place) = buffer.as_mut().and_then(|buffer| buffer.get_mut(from..from.saturating_add(bytes.len()))) {
            place.copy_from_slice(bytes);
        }
    }

    fn digest_of(&self, check: &Check, content: &[u8]) -> Result<(), Problem> {
        let mut hasher = self.fetcher.unlock.keys().id.content_hasher();
        let same = hasher.update(content).finalize() == check.file.digest;
        if same { Ok(()) } else { Err(Problem::Digest) }
    }

    fn ended(&self, check: &Check, result: Result<(), Problem>) {
        Progress::add(&self.progress.items_done, 1);
        Progress::add(&self.progress.bytes_done, check.file.size);
        match result {
            Ok(()) => {
                Progress::add(&self.tally.files, 1);
                Progress::add(&self.tally.bytes, check.file.size);
            }
            Err(problem) => self.tally.problem(check.path.clone(), problem),
        }
    }

    fn read_deferred(&self) -> Result<(), RestoreError> {
        for check in std::mem::take(&mut *self.deferred.lock()) {
            if self.fetcher.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            let result = match dump(self.fetcher, &check.file, &mut std::io::sink()) {
                Ok(()) => Ok(()),
                Err(DumpError::Fetch(error)) => return Err(error.into()),
                Err(DumpError::Content(failure)) => Err(Problem::Content(failure)),
                Err(DumpError::Tree) => Err(Problem::Node),
                Err(DumpError::Digest) => Err(Problem::Digest),
                Err(DumpError::Write(error)) => Err(Problem::system("read", &error)),
            };
            self.ended(&check, result);
        }
        Ok(())
    }
}

fn is_chosen(key: &EntryKey, options: VerifyOptions) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&options.seed.to_le_bytes()).update(key.as_bytes());
    let mut word = [0; 4];
    word.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    u32::from_le_bytes(word) % 100 < u32::from(options.percent)
}

/// Sends a batch as one request, its pieces ordered by chunk.
fn send(mut pieces: Pieces, submit: &mut Submit<'_, Arc<Batch>>) -> ControlFlow<()> {
    pieces.sort_by_key(|piece| piece.chunk);
    let mut ids: Vec<ChunkId> = pieces.iter().map(|piece| piece.chunk).collect();
    ids.dedup();
    submit(Request { purpose: Arc::new(Batch { pieces }), ids })
}
