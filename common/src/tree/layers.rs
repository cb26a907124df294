//! Reads the layers of a file's content as one list of extents, and adds and merges layers.
//!
//! It does not know what the extents hold, nor how many of them are worth keeping.
//!
//! Invariant: every byte of a file is said by exactly one layer, the newest that says anything of it; a byte that none speaks of is
//! an error, never a zero.
//! Invariant: each layer has more than twice the extents of the next newer one, and there are at most [`CONTENT_LAYERS_MAX`]: a new
//! layer takes in those below it that are not. So few are read together, and an extent is written again about once per doubling.

use std::collections::VecDeque;

use crate::id::ChunkId;
use crate::limits::CONTENT_LAYERS_MAX;
use crate::tree::TreeError;
use crate::tree::content::{Content, Extent, Layer};
use crate::tree::extents::{ExtentsItems, Piece, read_extents};
use crate::tree::node::Node;
use crate::tree::wire::Malformed;

/// A child of an upper extents node that lies ahead.
struct Child {
    id: ChunkId,
    bytes: u64,
    level: u8,
}

/// One layer being read.
struct LayerReader {
    root: Option<ChunkId>,
    children: Vec<VecDeque<Child>>,
    pieces: VecDeque<Piece>,
    /// Position in the file of what comes next.
    at: u64,
}

impl LayerReader {
    const fn new(root: ChunkId) -> Self {
        Self { root: Some(root), children: Vec::new(), pieces: VecDeque::new(), at: 0 }
    }

    fn inline(extents: &[Extent]) -> Self {
        let pieces = extents.iter().copied().map(Piece::Extent).collect();
        Self { root: None, children: Vec::new(), pieces, at: 0 }
    }

    /// The piece that covers `position` and its end in the file; `None` beyond the layer's end. Moves forwards only.
    fn piece_at<E: std::error::Error + 'static>(
        &mut self,
        position: u64,
        fetch: &mut impl FnMut(&ChunkId) -> Result<Node, E>,
    ) -> Result<Option<(Piece, u64, u64)>, TreeError<E>> {
        if let Some(root) = self.root.take() {
            self.open(root, None, fetch)?;
        }
        loop {
            if let Some(piece) = self.pieces.front() {
                let end = self.at.saturating_add(piece.bytes());
                if end > position {
                    return Ok(Some((*piece, self.at, end)));
                }
                self.at = end;
                self.pieces.pop_front();
                continue;
            }
            let Some(children) = self.children.last_mut() else { return Ok(None) };
            match children.pop_front() {
                None => drop(self.children.pop()),
                Some(child) if self.at.saturating_add(child.bytes) <= position => self.at += child.bytes,
                Some(child) => self.open(child.id, Some(&child), fetch)?,
            }
        }
    }

    fn open<E: std::error::Error + 'static>(
        &mut self,
        id: ChunkId,
        expected: Option<&Child>,
        fetch: &mut impl FnMut(&ChunkId) -> Result<Node, E>,
    ) -> Result<(), TreeError<E>> {
        let node = fetch(&id).map_err(|source| TreeError::Fetch { id, source })?;
        let malformed = |what| TreeError::Malformed { id, what };
        let items = read_extents(&node).map_err(|Malformed(what)| malformed(what))?;
        let (level, covered) = match &items {
            ExtentsItems::Pieces(pieces) => (0, pieces.iter().map(Piece::bytes).sum::<u64>()),
            ExtentsItems::Children(below, children) => (below + 1, children.iter().map(|(_, bytes)| bytes).sum()),
        };
        if expected.is_some_and(|expected| expected.level != level || expected.bytes != covered) {
            return Err(malformed("extents are not what the node above says"));
        }
        match items {
            ExtentsItems::Pieces(pieces) => self.pieces = pieces.into(),
            ExtentsItems::Children(level, children) => {
                let child = |(id, bytes)| Child { id, bytes, level };
                self.children.push(children.into_iter().map(child).collect());
            }
        }
        Ok(())
    }
}

/// Reads layers, the newest last, as one.
pub struct PieceReader<F> {
    fetch: F,
    layers: Vec<LayerReader>,
    position: u64,
    size: u64,
}

impl<F, E> PieceReader<F>
where
    F: FnMut(&ChunkId) -> Result<Node, E>,
    E: std::error::Error + 'static,
{
    /// Reads the first `size` bytes of a whole content, from `position` on. Fetches nothing yet.
    pub fn new(content: &Content, size: u64, position: u64, fetch: F) -> Self {
        let layers = match content {
            Content::Inline(extents) => vec![LayerReader::inline(extents)],
            Content::Layers(layers) => layers.iter().map(|layer| LayerReader::new(layer.root)).collect(),
        };
        Self { fetch, layers, position, size }
    }

    /// Position in the file of what comes next.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// What the layers say next, together; `None` at the end.
    ///
    /// # Errors
    /// Any [`TreeError`]; the reader is of no use afterwards.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, TreeError<E>> {
        if self.position >= self.size {
            return Ok(None);
        }
        let mut limit = self.size;
        for layer in self.layers.iter_mut().rev() {
            match layer.piece_at(self.position, &mut self.fetch)? {
                None => {}
                Some((Piece::Below(_), _, end)) => limit = limit.min(end),
                Some((piece, start, end)) => {
                    let from = self.position;
                    self.position = limit.min(end);
                    return Ok(Some(piece.part(from - start, self.position - from)));
                }
            }
        }
        let from = self.position;
        self.position = limit;
        Ok(Some(Piece::Below(limit - from)))
    }
}

/// Reads the extents of a file, holes included, in order.
pub struct ExtentReader<F> {
    pieces: PieceReader<F>,
    newest: Option<ChunkId>,
}

impl<F, E> ExtentReader<F>
where
    F: FnMut(&ChunkId) -> Result<Node, E>,
    E: std::error::Error + 'static,
{
    /// Reads the content of a file of `size` bytes from `position` on: a seek costs one node per level and layer.
    pub fn new(content: &Content, size: u64, position: u64, fetch: F) -> Self {
        let newest = match content {
            Content::Inline(_) => None,
            Content::Layers(layers) => layers.last().map(|layer| layer.root),
        };
        Self { pieces: PieceReader::new(content, size, position, fetch), newest }
    }

    /// Position in the file of the next extent.
    pub const fn position(&self) -> u64 {
        self.pieces.position()
    }

    /// The next extent; `None` at the end of the file.
    ///
    /// # Errors
    /// Any [`TreeError`], also if no layer speaks of a byte of the file.
    pub fn next_extent(&mut self) -> Result<Option<Extent>, TreeError<E>> {
        match self.pieces.next_piece()? {
            None => Ok(None),
            Some(Piece::Extent(extent)) => Ok(Some(extent)),
            Some(Piece::Below(_)) => {
                let id = self.newest.unwrap_or(ChunkId::new([0; 32]));
                Err(TreeError::Malformed { id, what: "extents do not cover the file" })
            }
        }
    }
}

/// How many of the newest `layers` a layer of `extents` new extents has to take in.
pub fn layers_to_merge(layers: &[Layer], extents: u64) -> usize {
    let (mut total, mut count) = (extents, 0);
    for layer in layers.iter().rev() {
        let kept = layers.len() - count;
        if kept < CONTENT_LAYERS_MAX && layer.extents / 2 > total {
            break;
        }
        total = total.saturating_add(layer.extents);
        count += 1;
    }
    count
}
