//! What is handed to workers and what comes back: files to read, and where their content went.
//!
//! Values only.

use common::tree::xattrs::Xattr;
use std::sync::Arc;

use common::id::ChunkId;
use common::tree::content::{Content, Extent};
use common::tree::entry::FileContent;
use common::tree::path::EntryKey;

use crate::backup::increment::Parts;
use crate::source::SkippedItem;
use crate::source::metadata::Stat;

/// A regular file whose content is not known from the last tree.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Path of its directory from `/`, without a leading slash.
    pub directory: Arc<[u8]>,
    /// Its name.
    pub name: Box<[u8]>,
    /// What the walk saw.
    pub stat: Stat,
}

/// Small files whose contents are laid end to end.
#[derive(Debug)]
pub struct Group {
    /// Which job.
    pub number: u32,
    /// Its place among groups, given at submission.
    pub turn: u64,
    /// In walk order.
    pub files: Vec<Candidate>,
}

/// One piece of work.
#[derive(Debug)]
pub enum Job {
    /// Small files.
    Group(Group),
    /// One large file.
    Large {
        /// Which job.
        number: u32,
        /// The file.
        file: Candidate,
        /// What its content is compared with.
        old: Option<Box<Old>>,
    },
}

/// A large file as the last tree has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Where it stood: in the same place, or wherever it was moved or copied from.
    pub key: EntryKey,
    /// Its content.
    pub file: FileContent,
}

/// A chunk and its length.
pub type LaidChunk = (ChunkId, u32);

/// What became of one job.
#[derive(Debug)]
pub struct JobResult {
    /// Which job.
    pub number: u32,
    /// The chunks of its stream, in order.
    pub chunks: Vec<LaidChunk>,
    /// One per file.
    pub files: Vec<FileResult>,
}

/// What became of one file.
#[derive(Debug)]
pub enum FileResult {
    /// It was read.
    Read(Box<ReadFile>),
    /// It went away after it was listed.
    Gone,
    /// It could not be read.
    Skipped(SkippedItem),
}

/// A file that was read.
#[derive(Debug)]
pub struct ReadFile {
    /// What the system said after the last byte; `size` is what was read.
    pub stat: Stat,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
    /// Keyed hash of the content.
    pub digest: [u8; 32],
    /// True if it changed during each attempt.
    pub fuzzy: bool,
    /// Where its content is.
    pub place: Place,
}

/// Where the content of a file is.
#[derive(Debug)]
pub enum Place {
    /// In the stream of its job, from this byte on.
    Laid {
        /// First byte in the stream.
        start: u64,
        /// Data and holes; `None` if it has no hole.
        segments: Option<Vec<Segment>>,
    },
    /// Where the last tree has it.
    Known(Content),
    /// In part where the last tree has it, in part in the stream of its job.
    Increment(Box<Increment>),
    /// The same as another file of this run.
    SameAs {
        /// An earlier job, or the same.
        job: u32,
        /// Which of its files.
        file: u32,
    },
}

/// A large file, compared with what the last tree has.
#[derive(Debug)]
pub struct Increment {
    /// What is where.
    pub parts: Parts,
    /// What the last tree has.
    pub old: Option<Box<FileContent>>,
    /// Name of its page hashes, if they are kept.
    pub pages: Option<String>,
}

/// A range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Length, at least 1.
    pub bytes: u64,
    /// True if nothing is stored for it.
    pub is_hole: bool,
}

/// The extents of a file whose data stands in a stream from byte `start` on, between its holes.
pub fn extents(chunks: &[LaidChunk], start: u64, segments: &[Segment]) -> Vec<Extent> {
    let mut extents = Vec::with_capacity(segments.len() + 1);
    let mut skip = start;
    let first = chunks
        .iter()
        .position(|(_, bytes)| {
            let is_here = skip < u64::from(*bytes);
            skip -= if is_here { 0 } else { u64::from(*bytes) };
            is_here
        })
        .unwrap_or(chunks.len());
    let mut stream = chunks[first..].iter();
    let mut current = stream.next();
    let mut offset = u32::try_from(skip).unwrap_or(u32::MAX);
    for segment in segments {
        let mut left = segment.bytes;
        if segment.is_hole {
            extents.push(Extent { chunk: None, offset: 0, bytes: left });
            continue;
        }
        while left > 0 {
            let (id, bytes) = current.expect("a stream holds all the data of its files");
            let taken = left.min(u64::from(bytes - offset));
            extents.push(Extent { chunk: Some(*id), offset, bytes: taken });
            left -= taken;
            offset += u32::try_from(taken).expect("at most one chunk");
            if offset == *bytes {
                (current, offset) = (stream.next(), 0);
            }
        }
    }
    extents
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_follow_chunks_and_holes() {
        let id = |byte| ChunkId::new([byte; 32]);
        let chunks = [(id(1), 10), (id(2), 5), (id(3), 20)];
        let data = |bytes| Segment { bytes, is_hole: false };
        let hole = |bytes| Segment { bytes, is_hole: true };
        type Wanted<'a> = &'a [(u8, u32, u64)];
        let rows: [(u64, &[Segment], Wanted<'_>); 7] = [
            (0, &[data(10)], &[(1, 0, 10)]),
            (3, &[data(4)], &[(1, 3, 4)]),
            (8, &[data(10)], &[(1, 8, 2), (2, 0, 5), (3, 0, 3)]),
            (10, &[data(5)], &[(2, 0, 5)]),
            (9, &[hole(7), data(2), hole(1), data(1)], &[(0, 0, 7), (1, 9, 1), (2, 0, 1), (0, 0, 1), (2, 1, 1)]),
            (35, &[hole(4)], &[(0, 0, 4)]),
            (35, &[], &[]),
        ];
        for (start, segments, wanted) in rows {
            let found: Vec<(u8, u32, u64)> = extents(&chunks, start, segments)
                .iter()
                .map(|extent| (extent.chunk.map_or(0, |id| id.as_bytes()[0]), extent.offset, extent.bytes))
                .collect();
            assert_eq!(found, wanted, "from {start}");
        }
    }
}
