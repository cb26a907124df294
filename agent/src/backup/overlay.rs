//! The content of a large file after an increment: a new layer over the old ones, or a list of extents.
//!
//! It reads nodes of the last tree and writes nodes of the new one; which parts of a file changed was decided by `increment`.
//!
//! Invariant: what the new layer does not speak of is said by the old ones, at the same position.

use std::collections::HashMap;

use common::id::ChunkId;
use common::keys::ScopeKeys;
use common::tree::content::{Content, Extent, Layer};
use common::tree::entry::FileContent;
use common::tree::extents::{ContentWriter, LayerWriter, Piece};
use common::tree::layers::{PieceReader, layers_to_merge};
use common::tree::node::Node;

use crate::backup::BackupError;
use crate::backup::content::KnownContent;
use crate::backup::increment::{From, Parts};
use crate::backup::job::LaidChunk;
use crate::state::memory::{Memory, MemoryError};

/// The extents of the laid parts and the holes of a file, without what is kept.
pub fn extents_of_parts(chunks: &[LaidChunk], parts: &Parts) -> Vec<Extent> {
    let extent = |piece| match piece {
        Piece::Extent(extent) => Some(extent),
        Piece::Below(_) => None,
    };
    pieces(chunks, parts).into_iter().filter_map(extent).collect()
}

/// What a new layer says: nothing of what is kept.
fn pieces(chunks: &[LaidChunk], parts: &Parts) -> Vec<Piece> {
    let ends: Vec<u64> = chunks
        .iter()
        .scan(0, |end, (_, bytes)| {
            *end += u64::from(*bytes);
            Some(*end)
        })
        .collect();
    let mut pieces = Vec::with_capacity(parts.all().len());
    for part in parts.all() {
        match part.from {
            From::Kept => pieces.push(Piece::Below(part.bytes)),
            From::Hole => pieces.push(Piece::Extent(Extent { chunk: None, offset: 0, bytes: part.bytes })),
            From::Laid(start) | From::Waiting(start) => {
                let (mut at, end) = (start, start + part.bytes);
                let mut number = ends.partition_point(|end| *end <= at);
                while let (true, Some((id, bytes))) = (at < end, chunks.get(number)) {
                    let first = ends[number] - u64::from(*bytes);
                    let offset = u32::try_from(at - first).expect("an offset in a chunk");
                    let taken = end.min(ends[number]) - at;
                    pieces.push(Piece::Extent(Extent { chunk: Some(*id), offset, bytes: taken }));
                    at += taken;
                    number += 1;
                }
            }
        }
    }
    pieces
}

/// What an overlay reads from and writes with.
pub struct Overlay<'a, S> {
    /// Keys of the scope.
    pub keys: &'a ScopeKeys,
    /// The last tree.
    pub memory: &'a Memory,
    /// What the server misses of it.
    pub known: &'a KnownContent<'a>,
    /// Takes each node of the new content, children before parents.
    pub sink: S,
}

impl<S: FnMut(Node) -> Result<(), BackupError>> Overlay<'_, S> {
    /// The content of a file whose `parts` are kept from `old` or laid as `chunks`.
    ///
    /// # Errors
    /// If a node of the last tree cannot be read, or the sink refuses one.
    pub fn content(
        mut self,
        old: &FileContent,
        (chunks, parts): (&[LaidChunk], &Parts),
    ) -> Result<Content, BackupError> {
        let size = parts.bytes();
        if parts.is_kept() && size == old.size {
            return Ok(old.content.clone());
        }
        let pieces = pieces(chunks, parts);
        match &old.content {
            Content::Inline(_) => self.flat(old, pieces),
            Content::Layers(layers) => self.layered(layers, size, pieces),
        }
    }

    /// Few extents below: all of them are said again.
    fn flat(&mut self, old: &FileContent, pieces: Vec<Piece>) -> Result<Content, BackupError> {
        let (keys, sink) = (self.keys, &mut self.sink);
        let mut writer = ContentWriter::new(&keys.id, &keys.boundary, |node: Node| sink(node));
        let mut below = Below::new(old);
        for piece in pieces {
            match piece {
                Piece::Extent(extent) => {
                    below.skip(extent.bytes);
                    writer.push(extent)?;
                }
                Piece::Below(bytes) => below.take(bytes).into_iter().try_for_each(|extent| writer.push(extent))?,
            }
        }
        Ok(writer.finish()?)
    }

    fn layered(&mut self, old: &[Layer], size: u64, pieces: Vec<Piece>) -> Result<Content, BackupError> {
        let mut layers = old.to_vec();
        let mut made = Vec::new();
        let new = self.layer(pieces.into_iter().map(Ok), |node| {
            made.push(node);
            Ok(())
        })?;
        let Some(new) = new else { return Ok(Content::Layers(layers)) };
        // A layer that refers to something lost would keep the new tree from ever being whole.
        let lost = layers.iter().position(|layer| self.known.misses(&layer.root));
        let count = layers_to_merge(&layers, new.extents).max(lost.map_or(0, |at| layers.len() - at));
        let mut top = layers.split_off(layers.len() - count);
        top.push(new);
        if count == 0 {
            made.into_iter().try_for_each(&mut self.sink)?;
            layers.extend(top);
            return Ok(Content::Layers(layers));
        }
        let made: HashMap<ChunkId, Node> = made.into_iter().map(|node| (node.id, node)).collect();
        let memory = self.memory;
        let fetch = |id: &ChunkId| made.get(id).cloned().map_or_else(|| memory.node(id), Ok);
        let mut reader = PieceReader::new(&Content::Layers(top), size, 0, fetch);
        let merged = std::iter::from_fn(|| reader.next_piece().map_err(|_| unreadable()).transpose());
        let (keys, sink) = (self.keys, &mut self.sink);
        let mut writer = LayerWriter::new(&keys.id, &keys.boundary, |node: Node| sink(node));
        for piece in merged {
            writer.push(piece?)?;
        }
        layers.extend(writer.finish()?);
        Ok(Content::Layers(layers))
    }

    fn layer(
        &self,
        pieces: impl Iterator<Item = Result<Piece, BackupError>>,
        sink: impl FnMut(Node) -> Result<(), BackupError>,
    ) -> Result<Option<Layer>, BackupError> {
        let mut writer = LayerWriter::new(&self.keys.id, &self.keys.boundary, sink);
        for piece in pieces {
            writer.push(piece?)?;
        }
        Ok(writer.finish()?)
    }
}

fn unreadable() -> BackupError {
    MemoryError::Damaged("extents of a large file").into()
}

/// The inline extents of the old content, read forwards.
struct Below<'a> {
    extents: &'a [Extent],
    /// Bytes of the first one that were passed.
    passed: u64,
}

impl<'a> Below<'a> {
    fn new(old: &'a FileContent) -> Self {
        let extents = match &old.content {
            Content::Inline(extents) => extents,
            Content::Layers(_) => &[][..],
        };
        Self { extents, passed: 0 }
    }

    fn skip(&mut self, bytes: u64) {
        drop(self.take(bytes));
    }

    fn take(&mut self, mut bytes: u64) -> Vec<Extent> {
        let mut taken = Vec::new();
        while let (true, Some(first)) = (bytes > 0, self.extents.first()) {
            let step = (first.bytes - self.passed).min(bytes);
            let into = if first.chunk.is_some() { u32::try_from(self.passed).unwrap_or(u32::MAX) } else { 0 };
            taken.push(Extent { offset: first.offset + into, bytes: step, ..*first });
            self.passed += step;
            bytes -= step;
            if self.passed == first.bytes {
                (self.extents, self.passed) = (&self.extents[1..], 0);
            }
        }
        taken
    }
}
