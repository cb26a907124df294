//! The workers: they read groups and large files, have their chunks laid, and seal those that the server does not have.
//!
//! One [`Worker`] per thread; `desk` says what each does next. It does not build the tree.

use std::ops::Range;

use common::limits::PAGED_FILE_BYTES;
use common::tree::content::Content;
use common::tree::entry::FileContent;
use common::tree::xattrs::Xattr;

use crate::backup::BackupError;
use crate::backup::buffers::Buffer;
use crate::backup::desk::{PendingChunk, Task};
use crate::backup::input::Input;
use crate::backup::job::{
    Candidate, FileResult, Group, Increment, Job, JobResult, LaidChunk, Old, Place, ReadFile, Segment, extents,
};
use crate::backup::large::{Large, LargeRead, ReadEnd};
use crate::backup::lay::{Stop, StopRun, lay_whole, seal};
use crate::backup::overlay::extents_of_parts;
use crate::backup::plan::{directory_key, entry_key};
use crate::backup::progress::Progress;
use crate::backup::read::{ATTEMPTS_MAX, SmallFile, hash_zeros, read_small};
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::source::files::join;
use crate::source::handles::Handles;
use crate::source::metadata::{Stat, xattrs_of_handle};
use crate::source::{SkipReason, SkippedItem, is_gone};
use crate::state::pages::PageFolder;

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
            Job::Large { number, file, old } => self.large(number, (&file, old), buffer),
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
        let chunks = lay_whole(self.shared, buffer)?;
        for (at, file) in group.files.iter().enumerate() {
            if files[at].is_none() {
                files[at] = Some(self.grown(file)?);
            }
        }
        Ok(JobResult { number: group.number, chunks, files: files.into_iter().flatten().collect() })
    }

    fn small(&mut self, file: &Candidate, buffer: &mut Buffer) -> Result<Draft, Stop> {
        if self.shared.disks.find(&join(&file.directory, &file.name)).is_some() {
            return Ok(Draft::Grown);
        }
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
        let result = self.large(0, (file, None), buffer)?;
        let Some(FileResult::Read(mut read)) = result.files.into_iter().next() else {
            return Ok(FileResult::Gone);
        };
        read.place = Place::Known(Content::Inline(match &read.place {
            Place::Laid { start, segments } => {
                let dense = [Segment { bytes: read.stat.size, is_hole: false }];
                let segments = segments.as_deref().unwrap_or(if read.stat.size > 0 { &dense } else { &[] });
                extents(&result.chunks, *start, segments)
            }
            Place::Increment(increment) => extents_of_parts(&result.chunks, &increment.parts),
            Place::Known(_) | Place::SameAs { .. } => return Ok(FileResult::Read(read)),
        }));
        Ok(FileResult::Read(read))
    }

    fn large(
        &mut self,
        number: u32,
        (file, old): (&Candidate, Option<Box<Old>>),
        buffer: Buffer,
    ) -> Result<JobResult, Stop> {
        match self.large_file(file, old, buffer) {
            Ok((read, chunks)) => Ok(JobResult { number, chunks, files: vec![FileResult::Read(Box::new(read))] }),
            Err(Stop::File(error)) => Ok(JobResult { number, chunks: Vec::new(), files: vec![not_read(file, &error)] }),
            Err(stop) => Err(stop),
        }
    }

    fn large_file(
        &mut self,
        file: &Candidate,
        old: Option<Box<Old>>,
        buffer: Buffer,
    ) -> Result<(ReadFile, Vec<LaidChunk>), Stop> {
        let key = entry_key(&[&directory_key(&file.directory)[..], &file.name].concat());
        let name = PageFolder::name(&key, &self.shared.keys.memory);
        let (old_key, old) = old.map(|old| (old.key, Box::new(old.file))).unzip();
        let old_name = old_key.map_or_else(String::new, |key| PageFolder::name(&key, &self.shared.keys.memory));
        let input = self.open(file, (&name, old.as_deref()))?;
        // An image was marked since the walk saw it, or is a file after all.
        let mut before = if self.shared.disks.is_on() { input.stat()? } else { file.stat };
        let mut buffer = Some(buffer);
        for attempt in 1..=ATTEMPTS_MAX {
            let own = match buffer.take() {
                Some(buffer) => buffer,
                None => self.another_buffer()?.ok_or(Stop::Quiet)?,
            };
            let is_last = attempt == ATTEMPTS_MAX;
            let known = old.as_deref().map(|old| (old, &*old_name));
            let read = self.read_large(&input, (&name, &before), known, (own, is_last))?;
            let after = input.stat()?;
            let is_steady = read.as_ref().is_some_and(|read| after.is_same_as(&before) && read.size == after.size);
            match read.filter(|_| is_steady || is_last) {
                Some(read) => {
                    let xattrs = input.xattrs()?;
                    if input.is_marked() {
                        self.shared.disks.was_read(&name, &read.digest);
                    }
                    let stat = Stat { size: read.size, ..after };
                    let place = match read.place {
                        Place::Increment(increment) => Place::Increment(Box::new(Increment { old, ..*increment })),
                        place => place,
                    };
                    let fuzzy = !is_steady;
                    return Ok((ReadFile { stat, xattrs, digest: read.digest, fuzzy, place }, read.chunks));
                }
                None => before = after,
            }
        }
        // Each attempt found the file on its way from large to small or back.
        Err(std::io::Error::from(std::io::ErrorKind::WouldBlock).into())
    }

    /// Opens a file whose page hashes are called `name`; its disk, if it is an image.
    fn open(&mut self, file: &Candidate, (name, old): (&str, Option<&FileContent>)) -> Result<Input, Stop> {
        let handle = self.handles.file(&file.directory, &file.name)?;
        Progress::add(&self.shared.progress.files_opened, 1);
        let path = join(&file.directory, &file.name);
        if let Some(image) = self.shared.disks.find(&path)
            && let Some(served) =
                self.shared.disks.open((&path, name), (&handle, &image), old.map(|old| &old.digest))?
        {
            return Ok(Input::disk(handle, served, (&image, self.shared.disks.seed()))?);
        }
        Ok(Input::file(handle))
    }

    /// One attempt; `None` if it has to be made again.
    fn read_large(
        &mut self,
        input: &Input,
        (name, stat): (&str, &Stat),
        old: Option<(&FileContent, &str)>,
        (buffer, is_last): (Buffer, bool),
    ) -> Result<Option<Streamed>, Stop> {
        if stat.size <= PAGED_FILE_BYTES {
            return self.short(input, stat, buffer).map(Some);
        }
        let large = Large { shared: self.shared, input, name, old };
        // The last attempt does nothing that could make it fail.
        match large.read(&mut self.press, buffer, (stat, !is_last))? {
            ReadEnd::Read(read) => {
                let LargeRead { size, digest, parts, chunks, has_pages } = *read;
                let increment = Increment { parts, old: None, pages: has_pages.then(|| name.to_owned()) };
                Ok(Some(Streamed { size, digest, place: Place::Increment(Box::new(increment)), chunks }))
            }
            ReadEnd::Changing => Ok(None),
            ReadEnd::Small if is_last => {
                let buffer = self.another_buffer()?.ok_or(Stop::Quiet)?;
                self.short(input, &Stat { size: stat.size.min(PAGED_FILE_BYTES), ..*stat }, buffer).map(Some)
            }
            ReadEnd::Small => Ok(None),
        }
    }

    /// Reads a file of at most [`PAGED_FILE_BYTES`] from its start to the size that it had.
    fn short(&mut self, input: &Input, stat: &Stat, mut buffer: Buffer) -> Result<Streamed, Stop> {
        let dense = vec![Segment { bytes: stat.size, is_hole: false }];
        let wanted = if stat.may_have_holes() { input.segments(stat.size)? } else { dense };
        let mut hasher = self.shared.keys.id.content_hasher();
        let (mut size, mut segments) = (0, Vec::new());
        for segment in wanted {
            let mut bytes = segment.bytes;
            if segment.is_hole {
                hash_zeros(&mut hasher, bytes);
            } else {
                let from = buffer.len();
                buffer.bytes().resize(from + usize::try_from(bytes).unwrap_or(0), 0);
                let read = input.read_exact_at(size, &mut buffer.bytes()[from..])?;
                buffer.bytes().truncate(from + read);
                hasher.update(&buffer[from..]);
                Progress::add(&self.shared.progress.bytes_read, read as u64);
                bytes = read as u64;
            }
            size += bytes;
            if bytes > 0 {
                segments.push(Segment { bytes, ..segment });
            }
            if bytes < segment.bytes {
                break; // the file became shorter
            }
        }
        let has_holes = segments.iter().any(|segment: &Segment| segment.is_hole);
        let place = Place::Laid { start: 0, segments: has_holes.then_some(segments) };
        let digest = *hasher.finalize().as_bytes();
        Ok(Streamed { size, digest, place, chunks: lay_whole(self.shared, buffer)? })
    }

    fn another_buffer(&mut self) -> Result<Option<Buffer>, Stop> {
        let Self { shared, press, .. } = self;
        shared.desk.another_buffer(|chunk| seal(shared, press, chunk)).map_err(Stop::from)
    }
}

/// A large file as one attempt read it.
struct Streamed {
    size: u64,
    digest: [u8; 32],
    place: Place,
    chunks: Vec<LaidChunk>,
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
