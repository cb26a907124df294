//! A large file into which bytes are inserted and to which bytes are appended each day.
//!
//! The content is a list of symbols of 2 KiB, each unique. A chunk may end after any symbol (normalized chunking, decided by
//! the symbol), and a chunk of the same symbols is the same chunk.

use std::collections::HashMap;
use std::ops::Range;

use common::id::ChunkId;
use common::tree::content::Extent;

use crate::paged::PagedFile;
use crate::report::{Day, Run};
use crate::store::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_BYTES_NORMAL, Placed, Store, mix};

const SYMBOL_BYTES: u64 = 2 << 10;
const PAGE_SYMBOLS: usize = 2;
const PAGE_BYTES: u64 = SYMBOL_BYTES * PAGE_SYMBOLS as u64;
const WINDOW_PAGES: usize = 256;

/// What is simulated.
pub struct Growth {
    pub symbols: usize,
    pub days: u64,
    pub inserted_symbols: usize,
    pub appended_symbols: usize,
}

/// The file and every chunk of it that is stored.
struct Content {
    symbols: Vec<u64>,
    next_symbol: u64,
    known: HashMap<(u64, usize), ChunkId>,
    /// What was seen in each chunk, by position in symbols.
    seen: HashMap<(ChunkId, u64), u64>,
}

impl Growth {
    pub fn simulate(&self, mut run: Run) -> Run {
        let mut store = Store::new(4);
        let mut content = Content { symbols: Vec::new(), next_symbol: 0, known: HashMap::new(), seen: HashMap::new() };
        let symbols = content.make(self.symbols);
        content.symbols = symbols;
        let (first, _) = content.split(&mut store, 0..self.symbols);
        let mut file = PagedFile::first(&mut store, first, false);
        for number in 1..=self.days {
            let before = content.symbols.clone();
            let at = store.dice.below(before.len() as u64) as usize;
            let (inserted, appended) = (content.make(self.inserted_symbols), content.make(self.appended_symbols));
            content.symbols.splice(at..at, inserted);
            content.symbols.extend(appended);
            let true_bytes = (self.inserted_symbols + self.appended_symbols) as u64 * SYMBOL_BYTES;
            let (changes, changed_bytes) = content.lay_changes(&mut store, &before, &file.extents);
            let size = content.symbols.len() as u64 * SYMBOL_BYTES;
            let day = file.back_up(&mut store, size, changes, changed_bytes);
            run.add(Day { true_bytes, ..day }, file.layers());
            if number < 6 || number % 50 == 0 || number == self.days {
                file.check(&store);
                content.check(&file.extents);
            }
            file.forget_old_nodes(&mut store);
        }
        run
    }
}

impl Content {
    fn make(&mut self, count: usize) -> Vec<u64> {
        let from = self.next_symbol;
        self.next_symbol += count as u64;
        (from..self.next_symbol).map(|number| mix(number + 1)).collect()
    }

    /// A position in a chunk always holds the symbol that was first seen there.
    fn check(&mut self, extents: &[Placed]) {
        for Placed { at, extent } in extents {
            let Some(id) = extent.chunk else { continue };
            for by in (0..extent.bytes).step_by(SYMBOL_BYTES as usize) {
                let symbol = self.symbols[((at + by) / SYMBOL_BYTES) as usize];
                let position = u64::from(extent.offset) + by;
                if !(position / SYMBOL_BYTES).is_multiple_of(16) {
                    continue;
                }
                assert_eq!(
                    *self.seen.entry((id, position)).or_insert(symbol),
                    symbol,
                    "an extent points to other content"
                );
            }
        }
    }

    /// The page-exact increment: gives the changed extents and the bytes of the chunks that were not known.
    fn lay_changes(&mut self, store: &mut Store, before: &[u64], old: &[Placed]) -> (Vec<Placed>, u64) {
        let changed: Vec<bool> = (0..self.symbols.len())
            .step_by(PAGE_SYMBOLS)
            .map(|page| page..(page + PAGE_SYMBOLS).min(self.symbols.len()))
            .map(|page| before.get(page.clone()) != Some(&self.symbols[page]))
            .collect();
        let runs = moved_runs(&changed);
        let in_run = |page: &u64| runs.iter().any(|run| run.contains(&(*page as usize)));
        let bytes = |page: u64| {
            (page * PAGE_BYTES, PAGE_BYTES.min(self.symbols.len() as u64 * SYMBOL_BYTES - page * PAGE_BYTES))
        };
        let alone: Vec<_> =
            (0..changed.len() as u64).filter(|page| changed[*page as usize] && !in_run(page)).map(bytes).collect();
        let mut changed_bytes = alone.iter().map(|(_, bytes)| bytes).sum();
        let mut changes = store.lay(&alone);
        for run in runs {
            let end = (run.end * PAGE_SYMBOLS).min(self.symbols.len());
            let (placed, laid_bytes) = self.follow(store, run.start * PAGE_SYMBOLS..end, before, old);
            changes.extend(placed);
            changed_bytes += laid_bytes;
        }
        changes.sort_unstable_by_key(|placed| placed.at);
        (changes, changed_bytes)
    }

    /// Splits a run as one stream; where a known chunk shows that old content moved, the pages around it that are the same at
    /// that distance keep their extents.
    fn follow(&mut self, store: &mut Store, run: Range<usize>, before: &[u64], old: &[Placed]) -> (Vec<Placed>, u64) {
        let whole = |placed: &&Placed| placed.extent.offset == 0;
        let old_starts: HashMap<ChunkId, usize> = old
            .iter()
            .filter(whole)
            .filter_map(|placed| Some((placed.extent.chunk?, (placed.at / SYMBOL_BYTES) as usize)))
            .collect();
        let (mut placed, mut laid_bytes, mut settled, mut at) = (Vec::new(), 0, run.start, run.start);
        while at < run.end {
            let length = chunk_symbols(&self.symbols[at..run.end]);
            let known = self.known.get(&digest(&self.symbols[at..at + length]));
            let Some(old_at) = known.and_then(|id| old_starts.get(id)).copied() else {
                at += length;
                continue;
            };
            let same = |new: usize, old: usize| {
                new < run.end && before.get(old).is_some_and(|symbol| *symbol == self.symbols[new])
            };
            let back = (1..=at.saturating_sub(settled).min(old_at)).take_while(|by| same(at - by, old_at - by)).count();
            let ahead = (0..).take_while(|by| same(at + by, old_at + by)).count();
            let (back, ahead) = (whole_pages_back(old_at, back), whole_pages_ahead(old_at, ahead));
            let (stretch, bytes) = self.split(store, settled..at - back);
            placed.extend(stretch);
            laid_bytes += bytes;
            placed.extend(moved(old, old_at - back..old_at + ahead, at - back));
            at += ahead.max(length);
            settled = at;
        }
        let (stretch, bytes) = self.split(store, settled..run.end);
        placed.extend(stretch);
        (placed, laid_bytes + bytes)
    }

    /// Splits a run as one stream; gives its extents and the bytes of the chunks that were not known.
    fn split(&mut self, store: &mut Store, run: Range<usize>) -> (Vec<Placed>, u64) {
        let (mut placed, mut laid_bytes, mut start) = (Vec::new(), 0, run.start);
        while start < run.end {
            let length = chunk_symbols(&self.symbols[start..run.end]);
            let bytes = length as u64 * SYMBOL_BYTES;
            let id = *self.known.entry(digest(&self.symbols[start..start + length])).or_insert_with(|| {
                laid_bytes += bytes;
                store.add_chunk(bytes)
            });
            placed
                .push(Placed { at: start as u64 * SYMBOL_BYTES, extent: Extent { chunk: Some(id), offset: 0, bytes } });
            start += length;
        }
        (placed, laid_bytes)
    }
}

fn digest(symbols: &[u64]) -> (u64, usize) {
    (symbols.iter().fold(0u64, |sum, symbol| mix(sum ^ symbol)), symbols.len())
}

/// Maximal runs of windows with under half of their pages unchanged, in pages: each begins and ends at a changed page, in the
/// window beside it if that one's pages there changed too.
fn moved_runs(changed: &[bool]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for start in (0..changed.len()).step_by(WINDOW_PAGES) {
        let end = (start + WINDOW_PAGES).min(changed.len());
        if changed[start..end].iter().filter(|changed| **changed).count() * 2 > end - start {
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                _ => runs.push(start..end),
            }
        }
    }
    for run in &mut runs {
        run.start -= changed[..run.start].iter().rev().take_while(|changed| **changed).count();
        run.start += changed[run.start..run.end].iter().take_while(|changed| !**changed).count();
        run.end += changed[run.end..].iter().take_while(|changed| **changed).count();
        run.end -= changed[run.start..run.end].iter().rev().take_while(|changed| !**changed).count();
    }
    runs
}

/// The part of `count` symbols before `old_at` that begins at an old page: only whole pages can be compared.
fn whole_pages_back(old_at: usize, count: usize) -> usize {
    old_at - (old_at - count).next_multiple_of(PAGE_SYMBOLS).min(old_at)
}

/// The part of `count` symbols from `old_at` that ends at the end of an old page.
fn whole_pages_ahead(old_at: usize, count: usize) -> usize {
    ((old_at + count) / PAGE_SYMBOLS * PAGE_SYMBOLS).saturating_sub(old_at)
}

/// The extents of a range of the old file, placed at `new_at`; all in symbols.
fn moved(old: &[Placed], range: Range<usize>, new_at: usize) -> impl Iterator<Item = Placed> {
    let (from, to) = (range.start as u64 * SYMBOL_BYTES, range.end as u64 * SYMBOL_BYTES);
    let first = old.partition_point(|placed| placed.end() <= from);
    let new_from = new_at as u64 * SYMBOL_BYTES;
    old[first..].iter().take_while(move |placed| placed.at < to).map(move |placed| {
        let part = placed.part(placed.at.max(from), placed.end().min(to));
        Placed { at: new_from + (part.at - from), extent: part.extent }
    })
}

/// Length of the first chunk of a stream.
fn chunk_symbols(stream: &[u64]) -> usize {
    let in_symbols = |bytes: u64| (bytes / SYMBOL_BYTES) as usize;
    let most = stream.len().min(in_symbols(CHUNK_BYTES_MAX));
    let ends = |at: &usize| {
        let mask = if *at < in_symbols(CHUNK_BYTES_NORMAL) { (1 << 9) - 1 } else { (1 << 7) - 1 };
        mix(stream[*at - 1]) & mask == 0
    };
    (in_symbols(CHUNK_BYTES_MIN)..most).find(ends).unwrap_or(most)
}
