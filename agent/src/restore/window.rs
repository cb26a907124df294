//! A window: the pieces of many files, ordered by the chunk that they come from, so that each chunk is fetched once in it.
//!
//! It holds no content and does no I/O.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use common::id::ChunkId;
use common::limits::{FETCH_IDS, RESTORE_WINDOW_PIECES};
use common::tree::content::Extent;

use super::fetch::Request;
use super::write::FileJob;

/// One range of one file that comes from one chunk.
#[derive(Debug, Clone, Copy)]
struct Piece {
    chunk: u32,
    job: u32,
    offset: u32,
    bytes: u64,
    at: u64,
}

/// A range of a chunk and the file that it goes to.
pub struct Placed<'a> {
    /// The file.
    pub job: &'a FileJob,
    /// Where in the chunk.
    pub source: Range<usize>,
    /// Where in the file.
    pub at: u64,
}

/// A window under construction.
#[derive(Default)]
pub struct WindowBuilder {
    jobs: Vec<Arc<FileJob>>,
    chunks: Vec<ChunkId>,
    numbers: HashMap<ChunkId, u32>,
    pieces: Vec<Piece>,
}

/// A finished window, shared by the requests that serve it.
pub struct Window {
    jobs: Vec<Arc<FileJob>>,
    numbers: HashMap<ChunkId, u32>,
    pieces: Vec<Piece>,
    starts: Vec<usize>,
}

impl WindowBuilder {
    /// Adds a piece of `job`; `extent` has a chunk.
    pub fn add(&mut self, job: &Arc<FileJob>, id: ChunkId, extent: &Extent, at: u64) {
        if self.jobs.last().is_none_or(|last| !Arc::ptr_eq(last, job)) {
            self.jobs.push(job.clone());
        }
        let next = small(self.chunks.len());
        let chunk = *self.numbers.entry(id).or_insert(next);
        if chunk == next {
            self.chunks.push(id);
        }
        self.pieces.push(Piece {
            chunk,
            job: small(self.jobs.len() - 1),
            offset: extent.offset,
            bytes: extent.bytes,
            at,
        });
    }

    /// True if it holds enough for one window of `files_max` files.
    pub fn is_full(&self, files_max: usize) -> bool {
        self.jobs.len() >= files_max || self.pieces.len() >= RESTORE_WINDOW_PIECES
    }

    /// The requests that fetch it, in the order in which its files need the chunks.
    pub fn finish(self) -> Vec<Request<Arc<Window>>> {
        let Self { jobs, chunks, numbers, mut pieces } = self;
        pieces.sort_by_key(|piece| piece.chunk);
        let mut starts = Vec::with_capacity(chunks.len() + 1);
        for (at, piece) in pieces.iter().enumerate() {
            if starts.len() == piece.chunk as usize {
                starts.push(at);
            }
        }
        starts.push(pieces.len());
        let window = Arc::new(Window { jobs, numbers, pieces, starts });
        let request = |ids: &[ChunkId]| Request { purpose: window.clone(), ids: ids.to_vec() };
        chunks.chunks(FETCH_IDS).map(request).collect()
    }
}

impl Window {
    /// Where the content of a chunk goes.
    pub fn places(&self, id: &ChunkId) -> impl Iterator<Item = Placed<'_>> {
        let range = self.numbers.get(id).map_or(0..0, |chunk| {
            let chunk = *chunk as usize;
            self.starts[chunk]..self.starts[chunk + 1]
        });
        self.pieces[range].iter().map(|piece| {
            let from = piece.offset as usize;
            // A chunk's extent is at most a frame long: the decoder of extents checks it.
            let bytes = usize::try_from(piece.bytes).unwrap_or(usize::MAX);
            Placed { job: &self.jobs[piece.job as usize], source: from..from.saturating_add(bytes), at: piece.at }
        })
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("a window has at most limits::RESTORE_WINDOW_PIECES pieces")
}
