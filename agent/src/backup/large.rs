//! Reading a large file: window by window, hashed and compared page by page with the last tree's, laid where it differs.
//!
//! The decisions are `increment`'s, the chunks are `lay`'s, the hashes that are compared are `state::pages`'. It builds no tree.
//!
//! Invariant: a page is kept only if its hash is the one that belongs to the remembered content of this file.
//! Invariant: a content whose hashes are lost is compared as a whole before anything of it is laid.

use std::ops::Range;

use common::limits::{PAGE_BYTES, PAGED_FILE_BYTES, READ_AHEAD_BYTES_MIN, WAITING_PAGES_BYTES, WINDOW_BYTES};
use common::tree::entry::FileContent;

use crate::backup::BackupError;
use crate::backup::ahead::{Ahead, Source};
use crate::backup::buffers::Buffer;
use crate::backup::digest::{ChainingValue, Subtrees, hash_window};
use crate::backup::increment::{From, Parts, page_bytes, plan_window};
use crate::backup::input::Input;
use crate::backup::job::LaidChunk;
use crate::backup::kept::{Kept, lost_ranges};
use crate::backup::lay::{Stop, StopRun, Stream};
use crate::backup::progress::Progress;
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::remote::transfer::FrameClass;
use crate::source::metadata::Stat;
use crate::state::pages::{KnownPages, PageHash, PagesWriter, WindowPages, page_hash};

const WINDOW: u64 = WINDOW_BYTES as u64;
static ZEROS: [u8; WINDOW_BYTES] = [0; WINDOW_BYTES];

/// A large file that was read.
pub struct LargeRead {
    /// Bytes read.
    pub size: u64,
    /// Of the content.
    pub digest: [u8; 32],
    /// What is where.
    pub parts: Parts,
    /// What was laid.
    pub chunks: Vec<LaidChunk>,
    /// True if its page hashes were kept for the next run.
    pub has_pages: bool,
}

/// How a reading ended.
pub enum ReadEnd {
    /// With everything.
    Read(Box<LargeRead>),
    /// What was compared is not what was read afterwards.
    Changing,
    /// The file is not large any more.
    Small,
}

/// One large file and what is known of it.
pub struct Large<'a, 'r> {
    /// What the run shares.
    pub shared: &'a Shared<'r>,
    /// The file.
    pub input: &'a Input,
    /// Name of its page hashes.
    pub name: &'a str,
    /// What the last tree has of it, and the name of the page hashes of that.
    pub old: Option<(&'a FileContent, &'a str)>,
}

impl Large<'_, '_> {
    /// Reads the file, which is as `stat` says.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn read(&self, press: &mut Press, buffer: Buffer, (stat, may_relay): (&Stat, bool)) -> Result<ReadEnd, Stop> {
        let shared = self.shared;
        self.input.will_be_read();
        let holes = self.input.holes(stat)?;
        let key = &shared.keys.memory;
        let old = self.old.map(|(old, _)| old);
        let known = self.old.and_then(|(old, name)| shared.pages.open(name, key, (&old.digest, old.size)));
        let lost = old.map_or(Ok(Vec::new()), |old| lost_ranges(&shared.known, old)).map_err(StopRun::from)?;
        if let (None, Some(old)) = (&known, old)
            && lost.is_empty()
            && old.size == stat.size
            && let Some(same) = self.compare_whole(old, &holes)?
        {
            return Ok(ReadEnd::Read(Box::new(same)));
        }
        let class = if old.is_some() && known.is_none() { shared.class_without_pages } else { FrameClass::Changed };
        let mut reading = Reading {
            large: self,
            spares: false,
            is_disbelieved: false,
            holes: &holes,
            lost: &lost,
            known,
            old_size: old.map_or(0, |old| old.size),
            pages: shared.pages.create(self.name, key).inspect_err(|error| complain(error)).ok(),
            stream: Some(Stream::new(shared, press, buffer, class)),
            parts: Parts::default(),
            waiting: Vec::new(),
            is_run_open: false,
            digest: Subtrees::default(),
            values: Vec::new(),
        };
        reading.spares = may_relay;
        reading.windows(stat.size)?;
        if reading.is_disbelieved {
            tracing::warn!("the change map of a disk image is wrong: the whole disk is read");
            self.input.disbelieve();
            return Ok(ReadEnd::Changing);
        }
        reading.finish(may_relay)
    }

    /// Reads a file without its hashes; the answer if its content is still the one of the last tree. Makes its hashes.
    fn compare_whole(&self, old: &FileContent, holes: &[Range<u64>]) -> Result<Option<LargeRead>, Stop> {
        let shared = self.shared;
        let mut reading = Reading {
            large: self,
            spares: false,
            is_disbelieved: false,
            holes,
            lost: &[],
            known: None,
            old_size: 0,
            pages: shared.pages.create(self.name, &shared.keys.memory).inspect_err(|error| complain(error)).ok(),
            stream: None,
            parts: Parts::default(),
            waiting: Vec::new(),
            is_run_open: false,
            digest: Subtrees::default(),
            values: Vec::new(),
        };
        reading.windows(old.size)?;
        let Reading { digest, pages, .. } = reading;
        if digest.root(&shared.keys.id) != Some(old.digest) {
            return Ok(None);
        }
        let mut parts = Parts::default();
        parts.push(old.size, From::Kept);
        let kept = Kept::of(&shared.known, old, &parts).map_err(StopRun::from)?;
        let chunks: Vec<LaidChunk> = kept.lengths.iter().map(|(id, bytes)| (*id, *bytes)).collect();
        let has_pages = finish_pages(pages, (&old.digest, old.size), &chunks);
        Ok(Some(LargeRead { size: old.size, digest: old.digest, parts, chunks: Vec::new(), has_pages }))
    }
}

/// One reading from the first window to the last.
pub(super) struct Reading<'a, 'r> {
    pub(super) large: &'a Large<'a, 'r>,
    /// What a change map calls unchanged is not read.
    spares: bool,
    /// A sample of that was not what it was.
    is_disbelieved: bool,
    holes: &'a [Range<u64>],
    lost: &'a [Range<u64>],
    pub(super) known: Option<KnownPages>,
    old_size: u64,
    pages: Option<PagesWriter>,
    /// None if nothing is laid.
    pub(super) stream: Option<Stream<'a, 'r>>,
    pub(super) parts: Parts,
    /// Changed pages that are laid together.
    waiting: Vec<u8>,
    is_run_open: bool,
    digest: Subtrees,
    values: Vec<ChainingValue>,
}

impl Reading<'_, '_> {
    fn windows(&mut self, size: u64) -> Result<(), Stop> {
        let (large, holes) = (self.large, self.holes);
        let Some(file) = large.input.plain_file().filter(|_| size >= READ_AHEAD_BYTES_MIN) else {
            return self.each_window(size, None);
        };
        let source = Source { file, bytes: size, holes, key: &large.shared.keys.id };
        std::thread::scope(|scope| self.each_window(size, Some(&Ahead::start(scope, source))))
    }

    fn each_window(&mut self, size: u64, ahead: Option<&Ahead>) -> Result<(), Stop> {
        let mut at = 0;
        while at < size {
            let bytes = usize::try_from(size - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            let read = self.window(at, bytes, ahead)?;
            at += read as u64;
            if read < bytes || self.is_disbelieved {
                break; // the file became shorter, or this reading is given up
            }
            if self.large.shared.progress.is_cancelled() {
                return Err(Stop::Run(BackupError::Cancelled));
            }
        }
        Ok(())
    }

    /// Reads, hashes and decides one window; the bytes read.
    fn window(&mut self, at: u64, bytes: usize, ahead: Option<&Ahead>) -> Result<usize, Stop> {
        let old = self.known.as_mut().and_then(KnownPages::next_window);
        let is_unchanged = old.is_some() && self.is_said_unchanged(&(at..at + bytes as u64));
        let is_sample = is_unchanged && self.large.input.changes().is_some_and(|changes| changes.is_sample(at));
        if let Some(old) = old.as_ref().filter(|_| is_unchanged && !is_sample) {
            self.note(old.clone());
            self.end_run();
            self.parts.push(bytes as u64, From::Kept);
            return Ok(bytes);
        }
        if covers(self.holes, &(at..at + bytes as u64)) {
            self.hole(at, bytes, old.as_ref())?;
            return Ok(bytes);
        }
        let mut scratch = Vec::new();
        let buffer = match &mut self.stream {
            Some(stream) => stream.room(WINDOW_BYTES)?,
            None => &mut scratch,
        };
        let from = buffer.len();
        let ahead = ahead.filter(|_| Ahead::has(at, at + bytes as u64, self.holes));
        let made = ahead.map(Ahead::next).transpose()?;
        let read = match &made {
            Some(made) => made.bytes.len(),
            None => {
                buffer.resize(from + bytes, 0);
                let read = self.large.input.read_exact_at(at, &mut buffer[from..])?;
                buffer.truncate(from + read);
                read
            }
        };
        Progress::add(&self.large.shared.progress.bytes_read, read as u64);
        if read == 0 {
            return Ok(0);
        }
        let value = match &made {
            Some(made) => {
                self.values.clone_from(&made.pages);
                made.value
            }
            None => {
                self.values.clear();
                hash_window(&self.large.shared.keys.id, at, &buffer[from..], &mut self.values)
            }
        };
        let (window, is_disk) = (&buffer[from..], self.large.input.is_disk());
        let is_hole =
            |page| is_hole_page(self.holes, at, page, read) || is_disk && is_zero(&window[page * PAGE_BYTES..]);
        let pages = hashes(&self.values, is_hole);
        let new = WindowPages { value, pages: pages.iter().map(|(hash, _)| *hash).collect() };
        self.is_disbelieved |= is_sample && old.as_ref().is_some_and(|old| !is_same(old, &new, &pages));
        self.note(new);
        let Some(stream) = &mut self.stream else { return Ok(read) };
        // Beyond its end the old content says nothing, not even that there is a hole.
        let lost = |page: usize| {
            let range = page_range(at, page, read);
            range.end > self.old_size || overlaps(self.lost, &range)
        };
        let plan = plan_window(&pages, old.as_ref(), lost);
        if let (Some(ahead), Some(made)) = (ahead, made) {
            // What is kept as a whole need not be moved.
            if !plan.as_ref().is_some_and(|kept| kept.iter().all(|is_kept| *is_kept)) {
                stream.buffer().extend_from_slice(&made.bytes);
            }
            ahead.give_back(made);
        }
        match plan {
            Some(kept) => self.keep_pages(from, read, (&pages, &kept))?,
            None => self.lay_window(from, read, &pages),
        }
        Ok(read)
    }

    /// True if a change map says that the last content has the same here, all of which is at hand.
    fn is_said_unchanged(&self, range: &Range<u64>) -> bool {
        let is_whole = range.end <= self.old_size && (range.end == self.old_size || range.end.is_multiple_of(WINDOW));
        self.spares
            && is_whole
            && !overlaps(self.lost, range)
            && self.large.input.changes().is_some_and(|changes| changes.is_unchanged(range))
    }

    /// A window that is one hole.
    fn hole(&mut self, at: u64, bytes: usize, old: Option<&WindowPages>) -> Result<(), Stop> {
        let id_key = &self.large.shared.keys.id;
        let same_length = self.old_size.saturating_sub(at).min(WINDOW_BYTES as u64) == bytes as u64;
        let value = match old {
            Some(old) if old.pages.is_empty() && same_length => old.value,
            _ => {
                self.values.clear();
                hash_window(id_key, at, &ZEROS[..bytes], &mut self.values)
            }
        };
        let is_kept = old.is_some_and(|old| old.pages.is_empty() && same_length)
            && !overlaps(self.lost, &(at..at + bytes as u64));
        self.note(WindowPages { value, pages: Vec::new() });
        if is_kept {
            self.end_run();
        }
        self.parts.push(bytes as u64, if is_kept { From::Kept } else { From::Hole });
        Ok(())
    }

    fn note(&mut self, window: WindowPages) {
        self.digest.push(&self.large.shared.keys.id, window.value);
        if let Some(pages) = &mut self.pages
            && let Err(error) = pages.window(&window)
        {
            complain(&error);
            self.pages = None;
        }
    }

    /// Keeps the unchanged pages of the window at the end of the buffer, and takes the others to those that wait.
    fn keep_pages(
        &mut self,
        from: usize,
        bytes: usize,
        (pages, kept): (&[(PageHash, bool)], &[bool]),
    ) -> Result<(), Stop> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let buffer = stream.buffer();
        for (page, ((_, is_hole), is_kept)) in pages.iter().zip(kept).enumerate() {
            let length = page_bytes(bytes, page);
            let place = match (is_kept, is_hole) {
                (true, _) => From::Kept,
                (false, true) => From::Hole,
                (false, false) => {
                    let start = from + page * PAGE_BYTES;
                    let place = From::Waiting(self.waiting.len() as u64);
                    self.waiting.extend_from_slice(&buffer[start..start + length]);
                    place
                }
            };
            self.parts.push(length as u64, place);
        }
        buffer.truncate(from);
        self.end_run();
        if self.waiting.len() >= WAITING_PAGES_BYTES { self.lay_waiting() } else { Ok(()) }
    }

    /// Leaves the window in the buffer, without its holes: it goes on the run of whole windows, or begins one.
    fn lay_window(&mut self, from: usize, bytes: usize, pages: &[(PageHash, bool)]) {
        let Some(stream) = &mut self.stream else { return };
        let mut position = stream.position() - bytes as u64;
        let (buffer, mut end) = (stream.buffer(), from);
        for (page, (_, is_hole)) in pages.iter().enumerate() {
            let (start, length) = (from + page * PAGE_BYTES, page_bytes(bytes, page));
            if *is_hole {
                self.parts.push(length as u64, From::Hole);
                continue;
            }
            if start != end {
                buffer.copy_within(start..start + length, end);
            }
            end += length;
            self.parts.push(length as u64, From::Laid(position));
            position += length as u64;
        }
        buffer.truncate(end);
        self.is_run_open = true;
    }

    fn end_run(&mut self) {
        if let (true, Some(stream)) = (self.is_run_open, &mut self.stream) {
            stream.end_segment();
        }
        self.is_run_open = false;
    }

    /// Lays the pages that wait, as a segment of their own.
    fn lay_waiting(&mut self) -> Result<(), Stop> {
        self.end_run();
        let Some(stream) = self.stream.as_mut().filter(|_| !self.waiting.is_empty()) else { return Ok(()) };
        self.parts.place_waiting(stream.position());
        stream.room(self.waiting.len())?.extend_from_slice(&self.waiting);
        self.waiting.clear();
        stream.end_segment();
        Ok(())
    }

    fn finish(mut self, may_relay: bool) -> Result<ReadEnd, Stop> {
        self.lay_waiting()?;
        let size = self.parts.bytes();
        if size <= PAGED_FILE_BYTES {
            return Ok(ReadEnd::Small);
        }
        let kept = match self.large.old.map(|(old, _)| old).filter(|_| self.parts.has_kept()) {
            Some(old) => {
                let mut kept = Kept::of(&self.large.shared.known, old, &self.parts).map_err(StopRun::from)?;
                kept.know_lengths(self.known.as_ref().map_or(&[], KnownPages::chunks));
                if may_relay && !self.relay(old, &mut kept)? {
                    return Ok(ReadEnd::Changing);
                }
                kept
            }
            None => Kept::default(),
        };
        let Self { large, pages, stream, parts, digest, .. } = self;
        let Some(digest) = digest.root(&large.shared.keys.id) else { return Ok(ReadEnd::Small) };
        let chunks = stream.map_or(Ok(Vec::new()), Stream::finish)?;
        let reached: Vec<LaidChunk> =
            kept.lengths.iter().map(|(id, bytes)| (*id, *bytes)).chain(chunks.iter().copied()).collect();
        let has_pages = finish_pages(pages, (&digest, size), &reached);
        Ok(ReadEnd::Read(Box::new(LargeRead { size, digest, parts, chunks, has_pages })))
    }
}

fn finish_pages(pages: Option<PagesWriter>, (digest, size): (&[u8; 32], u64), chunks: &[LaidChunk]) -> bool {
    let finished = pages.map(|pages| pages.finish(digest, size, chunks));
    finished.is_some_and(|finished| finished.inspect_err(|error| complain(error)).is_ok())
}

/// Page hashes that cannot be kept cost the next run a whole comparison, not this one its snapshot.
fn complain(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "page hashes of a large file are not kept");
}

fn hashes(values: &[ChainingValue], is_hole: impl Fn(usize) -> bool) -> Vec<(PageHash, bool)> {
    let one = |(page, value): (usize, &ChainingValue)| {
        let is_hole = is_hole(page);
        (page_hash(value, is_hole), is_hole)
    };
    values.iter().enumerate().map(one).collect()
}

fn page_range(window_at: u64, page: usize, window_bytes: usize) -> Range<u64> {
    let start = window_at + (page * PAGE_BYTES) as u64;
    start..start + page_bytes(window_bytes, page) as u64
}

fn is_hole_page(holes: &[Range<u64>], window_at: u64, page: usize, window_bytes: usize) -> bool {
    covers(holes, &page_range(window_at, page, window_bytes))
}

/// True if a window that was read is the old one.
fn is_same(old: &WindowPages, new: &WindowPages, pages: &[(PageHash, bool)]) -> bool {
    if old.pages.is_empty() { pages.iter().all(|(_, is_hole)| *is_hole) } else { old == new }
}

/// True if the first page of these bytes is nothing but zeros.
fn is_zero(bytes: &[u8]) -> bool {
    let page = &bytes[..bytes.len().min(PAGE_BYTES)];
    page == &ZEROS[..page.len()]
}

/// True if one of the sorted `ranges` holds all of `wanted`.
pub(super) fn covers(ranges: &[Range<u64>], wanted: &Range<u64>) -> bool {
    let next = ranges.partition_point(|range| range.end <= wanted.start);
    ranges.get(next).is_some_and(|range| range.start <= wanted.start && wanted.end <= range.end)
}

/// True if one of the sorted `ranges` has a byte of `wanted`.
fn overlaps(ranges: &[Range<u64>], wanted: &Range<u64>) -> bool {
    let next = ranges.partition_point(|range| range.end <= wanted.start);
    ranges.get(next).is_some_and(|range| range.start < wanted.end)
}
