//! What a large file still uses of the chunks of its last content, and what is laid again of those that are hardly used.
//!
//! Invariant: what is laid again is compared with the page hashes of the remembered content first.

use std::ops::Range;

use common::id::ChunkId;
use common::limits::{PAGE_BYTES, WINDOW_BYTES};
use common::tree::content::Extent;
use common::tree::entry::FileContent;
use common::tree::layers::ExtentReader;

use crate::backup::content::{KnownContent, malformed};
use crate::backup::digest::hash_page;
use crate::backup::increment::{From, Part, Parts, plan_relaying};
use crate::backup::job::LaidChunk;
use crate::backup::large::{Large, Reading};
use crate::backup::lay::{Stop, StopRun, Stream};
use crate::remote::transfer::FrameClass;
use crate::state::by_id::ById;
use crate::state::memory::MemoryError;
use crate::state::pages::{KnownPages, PageHash, WindowPages, page_hash};

/// What a file uses of old chunks.
#[derive(Default)]
pub(super) struct Kept {
    /// Bytes of each.
    pub(super) used: ById<u64>,
    /// How long each is, as far as that is known.
    pub(super) lengths: ById<u32>,
}

impl Kept {
    /// What the kept ones of `parts` use of the chunks of `old`.
    pub(super) fn of(known: &KnownContent<'_>, old: &FileContent, parts: &Parts) -> Result<Self, MemoryError> {
        let mut kept = Self::default();
        each_kept(known, old, parts, |_, extent, id| {
            *kept.used.entry(id).or_default() += extent.bytes;
            let end = u32::try_from(u64::from(extent.offset) + extent.bytes).unwrap_or(u32::MAX);
            let length = kept.lengths.entry(id).or_default();
            *length = end.max(*length);
        })?;
        Ok(kept)
    }

    /// Takes over what is known of the lengths of chunks.
    pub(super) fn know_lengths(&mut self, chunks: &[LaidChunk]) {
        for (id, bytes) in chunks {
            if let Some(length) = self.lengths.get_mut(id) {
                *length = (*length).max(*bytes);
            }
        }
    }

    fn forget(&mut self, id: &ChunkId) {
        self.used.remove(id);
        self.lengths.remove(id);
    }
}

/// Calls `each` with the position, the extent and its chunk, for all that `parts` keep of `old`, in order.
fn each_kept(
    known: &KnownContent<'_>,
    old: &FileContent,
    parts: &Parts,
    mut each: impl FnMut(u64, Extent, ChunkId),
) -> Result<(), MemoryError> {
    let kept = kept_ranges(parts);
    let mut ranges = kept.iter().peekable();
    each_extent(known, old, |at, extent| {
        let end = at + extent.bytes;
        while ranges.next_if(|range| range.end <= at).is_some() {}
        let Some(id) = extent.chunk else { return };
        let mut ahead = ranges.clone();
        while let Some(range) = ahead.next_if(|range| range.start < end) {
            let (from, to) = (at.max(range.start), end.min(range.end));
            let into = u32::try_from(from - at).unwrap_or(u32::MAX);
            each(from, Extent { chunk: Some(id), offset: extent.offset + into, bytes: to - from }, id);
        }
    })
}

fn kept_ranges(parts: &Parts) -> Vec<Range<u64>> {
    let mut at = 0;
    let range = |part: &Part| {
        let start = at;
        at += part.bytes;
        (part.from == From::Kept).then_some(start..at)
    };
    parts.all().iter().filter_map(range).collect()
}

fn each_extent(
    known: &KnownContent<'_>,
    old: &FileContent,
    mut each: impl FnMut(u64, Extent),
) -> Result<(), MemoryError> {
    let memory = known.memory().ok_or(MemoryError::Absent)?;
    let mut reader = ExtentReader::new(&old.content, old.size, 0, |id: &ChunkId| memory.node(id));
    loop {
        let at = reader.position();
        match reader.next_extent() {
            Ok(Some(extent)) => each(at, extent),
            Ok(None) => return Ok(()),
            Err(_) => return Err(malformed(common::tree::wire::Malformed("extents of a large file"))),
        }
    }
}

/// Ranges of a file whose chunks the server misses, in order.
pub(super) fn lost_ranges(known: &KnownContent<'_>, old: &FileContent) -> Result<Vec<Range<u64>>, MemoryError> {
    let mut lost: Vec<Range<u64>> = Vec::new();
    if known.has_missing() {
        each_extent(known, old, |at, extent| {
            if extent.chunk.is_some_and(|id| known.is_missing(&id)) {
                lost.push(at..at + extent.bytes);
            }
        })?;
    }
    Ok(lost)
}

impl Reading<'_, '_> {
    /// Lays again what is left of sparse chunks, at most as many bytes as this reading laid; false if the file is changing.
    pub(super) fn relay(&mut self, old: &FileContent, kept: &mut Kept) -> Result<bool, Stop> {
        let new_bytes = self.stream.as_ref().map_or(0, Stream::position);
        let chosen = plan_relaying(&kept.used, &kept.lengths, new_bytes, new_bytes);
        if chosen.is_empty() {
            return Ok(true);
        }
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let known = &self.large.shared.known;
        let add = |at: u64, extent: Extent, id| {
            if chosen.contains_key(&id) {
                match ranges.last_mut() {
                    Some(last) if last.end == at => last.end += extent.bytes,
                    _ => ranges.push(at..at + extent.bytes),
                }
            }
        };
        each_kept(known, old, &self.parts, add).map_err(StopRun::from)?;
        let Large { shared, old: of_old, .. } = self.large;
        let open = |(_, name)| shared.pages.open(name, &shared.keys.memory, (&old.digest, old.size));
        let Some(mut hashes) = of_old.and_then(open) else { return Ok(true) };
        if let Some(stream) = &mut self.stream {
            stream.begin(FrameClass::Relaid);
        }
        let mut laid = Vec::with_capacity(ranges.len());
        let mut window = Window { next: 0, hashes: &mut hashes, known: None };
        for range in ranges {
            let start = self.stream.as_ref().map_or(0, Stream::position);
            if !self.relay_range(&range, &mut window)? {
                return Ok(false);
            }
            laid.push((range.start, range.end - range.start, start));
        }
        self.parts = self.parts.with_laid(&laid);
        chosen.keys().for_each(|id| kept.forget(id));
        Ok(true)
    }

    /// Lays one range again; false if it is not what it was.
    fn relay_range(&mut self, range: &Range<u64>, window: &mut Window<'_>) -> Result<bool, Stop> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        let (page, id_key) = (PAGE_BYTES as u64, &self.large.shared.keys.id);
        let mut at = range.start;
        while at < range.end {
            // Whole pages within one window, so that they can be compared.
            let number = at / WINDOW_BYTES as u64;
            let window_at = number * WINDOW_BYTES as u64;
            let first = at / page * page;
            let end = range.end.min(window_at + WINDOW_BYTES as u64);
            let cover = usize::try_from(end.div_ceil(page) * page - first).unwrap_or(WINDOW_BYTES);
            let mut bytes = vec![0; cover];
            let read = self.large.input.read_exact_at(first, &mut bytes)?;
            bytes.truncate(read);
            let Some(known) = window.get(number) else { return Ok(false) };
            let from = usize::try_from((first - window_at) / page).unwrap_or(usize::MAX);
            let mut position = first;
            for (number, piece) in bytes.chunks(PAGE_BYTES).enumerate() {
                let value = hash_page(id_key, position, piece);
                if known.get(from + number) != Some(&page_hash(&value, false)) {
                    return Ok(false);
                }
                position += piece.len() as u64;
            }
            let skip = usize::try_from(at - first).unwrap_or(0);
            let length = usize::try_from(end - at).unwrap_or(0);
            let Some(part) = bytes.get(skip..skip + length) else { return Ok(false) };
            stream.room(WINDOW_BYTES)?.extend_from_slice(part);
            at = end;
        }
        Ok(true)
    }
}

/// Hashes of the remembered content, window by window, forwards.
struct Window<'h> {
    next: u64,
    hashes: &'h mut KnownPages,
    known: Option<WindowPages>,
}

impl Window<'_> {
    fn get(&mut self, number: u64) -> Option<&[PageHash]> {
        while self.next <= number {
            self.known = self.hashes.next_window();
            self.next += 1;
        }
        self.known.as_ref().map(|known| &known.pages[..])
    }
}
