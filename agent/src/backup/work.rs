//! The workers: they read groups and large files, split and name their chunks, and seal those that the server does not have.
//!
//! One [`Worker`] per thread; `desk` says what each does next. It does not build the tree.
//!
//! Invariant: a chunk of the last tree is never asked for, compressed or sent; any other only after the server said that it lacks it.

use common::tree::xattrs::Xattr;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use common::frame::Chunk;
use common::keys::ChunkKind;
use common::limits::{IDS_PER_MESSAGE_MAX, WINDOW_BYTES};
use common::tree::content::Content;

use crate::backup::BackupError;
use crate::backup::buffers::{BUFFER_BYTES, Buffer, Piece};
use crate::backup::desk::{PendingChunk, Task};
use crate::backup::job::{Candidate, FileResult, Group, Job, JobResult, LaidChunk, Place, ReadFile, Segment, extents};
use crate::backup::progress::Progress;
use crate::backup::read::{ATTEMPTS_MAX, SmallFile, hash_zeros, map, read_exact_at, read_small};
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::source::files::join;
use crate::source::handles::Handles;
use crate::source::metadata::{FileKind, Stat, xattrs_of_handle};
use crate::source::{SkipReason, SkippedItem, is_gone};

/// What a stopped file or run looks like inside a worker.
enum Stop {
    /// This file only.
    File(std::io::Error),
    /// The run.
    Run(BackupError),
    /// The run, and who stopped it said why.
    Quiet,
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

impl<E: Into<BackupError>> From<E> for StopRun {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// A failure of the run, apart from those of one file.
struct StopRun(BackupError);

impl From<StopRun> for Stop {
    fn from(stop: StopRun) -> Self {
        Self::Run(stop.0)
    }
}

/// A file of a group between reading and laying.
enum Draft {
    Done(FileResult),
    Grown,
    Small { small: SmallFile, xattrs: Vec<Xattr>, data: Range<usize>, known: Option<Content> },
}

/// One worker thread.
pub struct Worker<'r> {
    shared: &'r Shared<'r>,
    press: Press,
    handles: Handles,
}

impl<'r> Worker<'r> {
    /// A worker with its own sealing context.
    pub fn new(shared: &'r Shared<'r>, press: Press) -> Self {
        Self { shared, press, handles: Handles::default() }
    }

    /// Works until nothing is left or the run fails.
    pub fn run(mut self) {
        loop {
            let outcome = match self.shared.desk.next() {
                Task::End => return,
                Task::Seal(chunk) => self.seal(chunk),
                Task::Read(job, buffer) => self.read(job, buffer),
            };
            self.shared.desk.done();
            if self.shared.progress.is_cancelled() {
                self.shared.fail(BackupError::Cancelled);
            }
            if let Err(StopRun(error)) = outcome {
                self.shared.fail(error);
            }
        }
    }

    fn seal(&mut self, chunk: PendingChunk) -> Result<(), StopRun> {
        seal(self.shared, &mut self.press, chunk)
    }

    fn read(&mut self, job: Job, buffer: Buffer) -> Result<(), StopRun> {
        let result = match job {
            Job::Group(group) => self.group(group, buffer),
            Job::Large { number, file } => self.large(number, &file, buffer),
        };
        match result {
            Ok(result) => {
                let _ = self.shared.results.send(Some(result));
                Ok(())
            }
            Err(Stop::Run(error)) => Err(StopRun(error)),
            Err(Stop::Quiet) => Ok(()),
            Err(Stop::File(error)) => Err(StopRun(BackupError::Io(error))),
        }
    }

    fn group(&mut self, group: Group, mut buffer: Buffer) -> Result<JobResult, Stop> {
        let mut drafts = Vec::with_capacity(group.files.len());
        for file in &group.files {
            drafts.push(match self.small(file, &mut buffer) {
                Ok(draft) => draft,
                Err(Stop::File(error)) => Draft::Done(not_read(file, &error)),
                Err(stop) => return Err(stop),
            });
        }
        let decide = || self.decide(group.number, drafts, buffer.bytes());
        let mut files = self.shared.desk.in_turn(group.turn, decide).ok_or(Stop::Quiet)?;
        let chunks = self.cut_to_the_end(buffer)?;
        for (at, file) in group.files.iter().enumerate() {
            if files[at].is_none() {
                files[at] = Some(self.grown(file)?);
            }
        }
        Ok(JobResult { number: group.number, chunks, files: files.into_iter().flatten().collect() })
    }

    fn small(&mut self, file: &Candidate, buffer: &mut Buffer) -> Result<Draft, Stop> {
        let handle = self.handles.file(&file.directory, &file.name)?;
        Progress::add(&self.shared.progress.files_opened, 1);
        let start = buffer.len();
        let small = read_small(&handle, &file.stat, &self.shared.keys.id, buffer.bytes(), &self.shared.progress);
        let small = match small {
            Ok(Some(small)) => small,
            Ok(None) => return Ok(Draft::Grown),
            Err(error) => {
                buffer.bytes().truncate(start);
                return Err(error.into());
            }
        };
        let xattrs = xattrs_of_handle(&handle)?;
        let data = start..buffer.len();
        let known = match small.segments {
            None if !data.is_empty() => {
                self.shared.known.find(&small.digest, small.stat.size).map_err(StopRun::from)?
            }
            _ => None,
        };
        Ok(Draft::Small { small, xattrs, data, known })
    }

    /// Decides which contents of a group are laid, and moves them together at the start of the buffer.
    fn decide(&self, number: u32, drafts: Vec<Draft>, buffer: &mut Vec<u8>) -> Vec<Option<FileResult>> {
        let mut laid = self.shared.laid.lock();
        let mut end = 0;
        let mut files = Vec::with_capacity(drafts.len());
        for (at, draft) in drafts.into_iter().enumerate() {
            let (small, xattrs, data, known) = match draft {
                Draft::Done(result) => {
                    files.push(Some(result));
                    continue;
                }
                Draft::Grown => {
                    files.push(None);
                    continue;
                }
                Draft::Small { small, xattrs, data, known } => (small, xattrs, data, known),
            };
            let place = match known {
                Some(content) => Place::Known(content),
                None => {
                    let me = (number, u32::try_from(at).unwrap_or(u32::MAX));
                    let is_plain = small.segments.is_none() && !data.is_empty();
                    let first = if is_plain { *laid.entry(small.digest).or_insert(me) } else { me };
                    if first == me {
                        let start = end;
                        if data.start != start {
                            buffer.copy_within(data.clone(), start);
                        }
                        end += data.len();
                        Place::Laid { start: start as u64, segments: small.segments }
                    } else {
                        Place::SameAs { job: first.0, file: first.1 }
                    }
                }
            };
            let (stat, digest, fuzzy) = (small.stat, small.digest, small.fuzzy);
            files.push(Some(FileResult::Read(Box::new(ReadFile { stat, xattrs, digest, fuzzy, place }))));
        }
        buffer.truncate(end);
        files
    }

    /// A small file that became large: a stream of its own.
    fn grown(&mut self, file: &Candidate) -> Result<FileResult, Stop> {
        let Some(buffer) = self.another_buffer()? else { return Err(Stop::Quiet) };
        let result = self.large(0, file, buffer)?;
        let Some(FileResult::Read(mut read)) = result.files.into_iter().next() else {
            return Ok(FileResult::Gone);
        };
        if let Place::Laid { start, segments } = &read.place {
            let dense = [Segment { bytes: read.stat.size, is_hole: false }];
            let segments = segments.as_deref().unwrap_or(if read.stat.size > 0 { &dense } else { &[] });
            read.place = Place::Known(Content::Inline(extents(&result.chunks, *start, segments)));
        }
        Ok(FileResult::Read(read))
    }

    fn large(&mut self, number: u32, file: &Candidate, buffer: Buffer) -> Result<JobResult, Stop> {
        match self.large_file(file, buffer) {
            Ok((read, chunks)) => Ok(JobResult { number, chunks, files: vec![FileResult::Read(Box::new(read))] }),
            Err(Stop::File(error)) => Ok(JobResult { number, chunks: Vec::new(), files: vec![not_read(file, &error)] }),
            Err(stop) => Err(stop),
        }
    }

    fn large_file(&mut self, file: &Candidate, buffer: Buffer) -> Result<(ReadFile, Vec<LaidChunk>), Stop> {
        let handle = self.handles.file(&file.directory, &file.name)?;
        Progress::add(&self.shared.progress.files_opened, 1);
        let mut before = file.stat;
        let mut buffer = Some(buffer);
        for attempt in 1..=ATTEMPTS_MAX {
            let own = match buffer.take() {
                Some(buffer) => buffer,
                None => self.another_buffer()?.ok_or(Stop::Quiet)?,
            };
            let streamed = self.stream(&handle, &before, own)?;
            let after = Stat::at(&handle, c"")?;
            if after.kind != FileKind::File {
                return Err(std::io::Error::from(std::io::ErrorKind::NotFound).into());
            }
            let is_steady = after.is_same_as(&before) && streamed.size == after.size;
            if is_steady || attempt == ATTEMPTS_MAX {
                let xattrs = xattrs_of_handle(&handle)?;
                let has_holes = streamed.segments.iter().any(|segment| segment.is_hole);
                let place = Place::Laid { start: 0, segments: has_holes.then_some(streamed.segments) };
                let stat = Stat { size: streamed.size, ..after };
                let read = ReadFile { stat, xattrs, digest: streamed.digest, fuzzy: !is_steady, place };
                return Ok((read, streamed.chunks));
            }
            before = after;
        }
        unreachable!("the last attempt returns")
    }

    /// Reads a file from its start to the size that it had, cutting and naming chunks on the way.
    fn stream(&mut self, file: &File, stat: &Stat, mut buffer: Buffer) -> Result<Streamed, Stop> {
        let dense = vec![Segment { bytes: stat.size, is_hole: false }];
        let wanted = if stat.may_have_holes() { map(file, stat.size)? } else { dense };
        let mut hasher = self.shared.keys.id.content_hasher();
        let mut streamed = Streamed::default();
        'segments: for segment in wanted {
            if segment.is_hole {
                hash_zeros(&mut hasher, segment.bytes);
                streamed.push(segment.bytes, true);
                continue;
            }
            let mut left = segment.bytes;
            while left > 0 {
                if buffer.len() + WINDOW_BYTES > BUFFER_BYTES {
                    buffer = self.cut_and_go_on(buffer, &mut streamed.chunks)?;
                }
                let from = buffer.len();
                // One window at a time: read, hashed while it is in the cache.
                let step = usize::try_from(left).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
                buffer.bytes().resize(from + step, 0);
                let read = read_exact_at(file, streamed.size, &mut buffer.bytes()[from..])?;
                buffer.bytes().truncate(from + read);
                hasher.update(&buffer[from..]);
                Progress::add(&self.shared.progress.bytes_read, read as u64);
                streamed.push(read as u64, false);
                left -= read as u64;
                if read < step {
                    break 'segments; // the file became shorter
                }
                if self.shared.progress.is_cancelled() {
                    return Err(Stop::Run(BackupError::Cancelled));
                }
            }
        }
        streamed.chunks.extend(self.cut_to_the_end(buffer)?);
        streamed.digest = *hasher.finalize().as_bytes();
        Ok(streamed)
    }

    /// Cuts what can be cut of a stream that goes on, and starts another buffer with the rest.
    fn cut_and_go_on(&mut self, buffer: Buffer, chunks: &mut Vec<LaidChunk>) -> Result<Buffer, Stop> {
        let full = buffer.share();
        let (mut ranges, mut at) = (Vec::new(), 0);
        while full.len() - at >= self.shared.splitter.lookahead_bytes() {
            let bytes = self.shared.cut(&full[at..]);
            ranges.push(at..at + bytes);
            at += bytes;
        }
        chunks.extend(deliver(self.shared, &full, &ranges)?);
        let mut next = self.another_buffer()?.ok_or(Stop::Quiet)?;
        next.bytes().extend_from_slice(&full[at..]);
        Ok(next)
    }

    fn cut_to_the_end(&mut self, buffer: Buffer) -> Result<Vec<LaidChunk>, Stop> {
        let whole = buffer.share();
        let (mut ranges, mut at) = (Vec::new(), 0);
        while at < whole.len() {
            let bytes = self.shared.cut(&whole[at..]);
            ranges.push(at..at + bytes);
            at += bytes;
        }
        Ok(deliver(self.shared, &whole, &ranges)?)
    }

    fn another_buffer(&mut self) -> Result<Option<Buffer>, Stop> {
        let Self { shared, press, .. } = self;
        shared.desk.another_buffer(|chunk| seal(shared, press, chunk)).map_err(Stop::from)
    }
}

#[derive(Default)]
struct Streamed {
    size: u64,
    digest: [u8; 32],
    segments: Vec<Segment>,
    chunks: Vec<LaidChunk>,
}

impl Streamed {
    fn push(&mut self, bytes: u64, is_hole: bool) {
        self.size += bytes;
        match self.segments.last_mut() {
            Some(last) if last.is_hole == is_hole => last.bytes += bytes,
            _ if bytes == 0 => {}
            _ => self.segments.push(Segment { bytes, is_hole }),
        }
    }
}

/// Seals one chunk and hands it over.
fn seal(shared: &Shared<'_>, press: &mut Press, chunk: PendingChunk) -> Result<(), StopRun> {
    let plain_bytes = chunk.piece.len() as u64;
    let frame = press.seal(&Chunk { kind: ChunkKind::Data, id: chunk.id, children: &[], plaintext: &chunk.piece })?;
    // The buffer is free before this thread may have to wait for the way out.
    let id = chunk.id;
    drop(chunk);
    Progress::add(&shared.progress.bytes_laid, plain_bytes);
    Progress::add(&shared.progress.data_frames_sent, 1);
    Ok(shared.upload.put(&id, frame)?)
}

/// Names chunks, and asks the server about those that are new to this agent.
fn deliver(shared: &Shared<'_>, buffer: &Arc<Buffer>, ranges: &[Range<usize>]) -> Result<Vec<LaidChunk>, StopRun> {
    let (mut chunks, mut pending) = (Vec::with_capacity(ranges.len()), Vec::new());
    for range in ranges {
        let id = shared.keys.id.chunk_id(ChunkKind::Data, &[], &buffer[range.clone()]);
        chunks.push((id, u32::try_from(range.len()).unwrap_or(u32::MAX)));
        if !shared.known.is_stored(&id)? && shared.upload.claim(&id) {
            pending.push(PendingChunk { id, piece: Piece::new(buffer, range.clone()) });
        }
    }
    while !pending.is_empty() {
        let rest = pending.split_off(pending.len().min(IDS_PER_MESSAGE_MAX));
        let ids: Vec<_> = pending.iter().map(|chunk| chunk.id).collect();
        let number = shared.desk.keep_for_probe(pending);
        shared.transfer.probe(number, &ids)?;
        pending = rest;
    }
    Ok(chunks)
}

fn not_read(file: &Candidate, error: &std::io::Error) -> FileResult {
    if is_gone(error) {
        return FileResult::Gone;
    }
    FileResult::Skipped(SkippedItem {
        path: join(&file.directory, &file.name),
        reason: SkipReason::of(error),
        detail: error.to_string(),
        accepted: false,
    })
}
