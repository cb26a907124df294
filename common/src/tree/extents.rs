//! Extents nodes: the content of files with more extents than an entry holds, in layers.
//!
//! ```text
//! "DBN" | version u8 | level u8 | items to the end
//! level 0   piece = 0, bytes (hole) | 1, bytes (the layer below) | child + 2, offset, bytes
//! level 1…  item  = child, bytes                                                         all numbers are varints
//! ```
//! A layer is a tree of extents nodes. Where a newer layer says "below", and beyond its end, the one before it speaks; the oldest
//! says something everywhere. So a backup in which few pages of a large file changed writes nodes for those pages, not for the
//! file. `layers` reads them together and keeps them few.
//! A node ends after an extent that starts a chunk, when it holds [`EXTENTS_PLAIN_BYTES_MIN`] and `hash(0x80 + level ‖ id) < 2³² ×
//! bytes since the last such extent ÷ EXTENTS_PLAIN_BYTES_TARGET`; upper levels end alike, after any child; both before an item that
//! would not fit.
//! It does not choose extents, and never sees content.
//!
//! Invariant: equal pieces give equal nodes; pieces that touch in one chunk are one piece.

use crate::id::ChunkId;
use crate::keys::{BoundaryKey, ChunkKind, IdKey};
use crate::limits::{
    BRANCH_ITEMS_MIN, ENTRY_EXTENTS_MAX, EXTENTS_PLAIN_BYTES_MAX, EXTENTS_PLAIN_BYTES_MIN, EXTENTS_PLAIN_BYTES_TARGET,
    NODE_CHILDREN_MAX, NODE_ITEMS_MAX, TREE_LEVELS_MAX,
};
use crate::tree::content::{ChildTable, Content, Extent, Layer};
use crate::tree::entry::InvalidEntry;
use crate::tree::node::{Node, open, put_header};
use crate::tree::wire::{Malformed, Reader, put_varint};

const LEVEL_DOMAIN: u8 = 0x80;

/// What one layer says of a range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// These bytes, or a hole.
    Extent(Extent),
    /// Nothing for so many bytes: the layer below speaks.
    Below(u64),
}

impl Piece {
    /// Length in bytes.
    pub const fn bytes(&self) -> u64 {
        match self {
            Self::Extent(extent) => extent.bytes,
            Self::Below(bytes) => *bytes,
        }
    }

    /// The part from `from` on, at most `bytes` long.
    pub(crate) fn part(&self, from: u64, bytes: u64) -> Self {
        match self {
            Self::Below(_) => Self::Below(bytes),
            Self::Extent(Extent { chunk, offset, .. }) => {
                let into_chunk = if chunk.is_some() { u32::try_from(from).unwrap_or(u32::MAX) } else { 0 };
                Self::Extent(Extent { chunk: *chunk, offset: offset.saturating_add(into_chunk), bytes })
            }
        }
    }

    /// Takes in a piece that continues this one; false if it does not.
    fn join(&mut self, next: &Self) -> bool {
        let touches = match (&*self, next) {
            (Self::Below(_), Self::Below(_)) => true,
            (Self::Extent(extent), Self::Extent(more)) => {
                let follows = u64::from(extent.offset) + extent.bytes == u64::from(more.offset);
                extent.chunk == more.chunk && (extent.chunk.is_none() || follows)
            }
            _ => false,
        };
        let (Self::Below(bytes) | Self::Extent(Extent { bytes, .. })) = self;
        let joined = bytes.checked_add(next.bytes()).filter(|_| touches);
        *bytes = joined.unwrap_or(*bytes);
        joined.is_some()
    }
}

/// One level of a layer being written.
#[derive(Default)]
struct Level {
    plaintext: Vec<u8>,
    children: ChildTable,
    items: usize,
    bytes: u64,
    candidate_at: usize,
    ended: u64,
}

/// Writes one layer, in bounded memory; `S` takes each finished node, children before parents.
pub struct LayerWriter<'a, S> {
    id_key: &'a IdKey,
    boundary: &'a BoundaryKey,
    sink: S,
    levels: Vec<Level>,
    last: Option<Piece>,
    extents: u64,
}

/// Why pieces cannot be written; `E` is the error of the sink.
#[derive(Debug, thiserror::Error)]
pub enum LayerError<E: std::error::Error + 'static> {
    /// A piece without length, or beyond what a chunk may hold.
    #[error("write extent")]
    Piece(#[from] InvalidEntry),
    /// More than [`TREE_LEVELS_MAX`] levels.
    #[error("extents are too deep")]
    TooDeep,
    /// The sink refused a node.
    #[error("hand over node")]
    Sink(#[source] E),
}

impl<'a, S, E> LayerWriter<'a, S>
where
    S: FnMut(Node) -> Result<(), E>,
    E: std::error::Error + 'static,
{
    /// Starts an empty layer.
    pub fn new(id_key: &'a IdKey, boundary: &'a BoundaryKey, sink: S) -> Self {
        Self { id_key, boundary, sink, levels: vec![Level::default()], last: None, extents: 0 }
    }

    /// Adds what the layer says of the next bytes of the file.
    ///
    /// # Errors
    /// Any [`LayerError`]; the writer is of no use afterwards.
    pub fn push(&mut self, piece: Piece) -> Result<(), LayerError<E>> {
        if self.last.as_mut().is_some_and(|last| last.join(&piece)) {
            return Ok(());
        }
        self.last.replace(piece).map_or(Ok(()), |whole| self.append(&whole))
    }

    /// Ends the layer; `None` if it says nothing of any byte. What is below beyond its last extent needs no piece.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self) -> Result<Option<Layer>, LayerError<E>> {
        match self.last.take() {
            Some(last @ Piece::Extent(_)) => self.append(&last)?,
            _ if self.extents == 0 => return Ok(None),
            _ => {}
        }
        let mut level = 0;
        loop {
            let state = &mut self.levels[level];
            if state.items > 0 {
                if level > 0 && state.ended == 0 && state.items == 1 {
                    let root = state.children.take()[0];
                    return Ok(Some(Layer { root, extents: self.extents }));
                }
                self.end_node(level)?;
            }
            level += 1;
        }
    }

    fn append(&mut self, piece: &Piece) -> Result<(), LayerError<E>> {
        if piece.bytes() == 0 {
            return Err(InvalidEntry::Extents.into());
        }
        self.extents += 1;
        let starts = match piece {
            Piece::Extent(Extent { chunk, offset: 0, .. }) => *chunk,
            _ => None,
        };
        let encode = |children: &mut ChildTable, out: &mut Vec<u8>| match piece {
            Piece::Extent(extent) => extent.encode(1, children, out),
            Piece::Below(bytes) => {
                put_varint(out, 1);
                put_varint(out, *bytes);
                Ok(())
            }
        };
        self.append_item(0, piece.bytes(), starts, encode)
    }

    fn append_child(&mut self, level: usize, child: ChunkId, bytes: u64) -> Result<(), LayerError<E>> {
        if level >= TREE_LEVELS_MAX {
            return Err(LayerError::TooDeep);
        }
        if self.levels.len() == level {
            self.levels.push(Level::default());
        }
        self.append_item(level, bytes, Some(child), |children, out| {
            put_varint(out, children.index_of(child) as u64);
            put_varint(out, bytes);
            Ok(())
        })
    }

    /// Appends an item, after ending the node if it does not fit, and ends the node if the rule says so of `candidate`.
    fn append_item(
        &mut self,
        level: usize,
        bytes: u64,
        candidate: Option<ChunkId>,
        encode: impl Fn(&mut ChildTable, &mut Vec<u8>) -> Result<(), InvalidEntry>,
    ) -> Result<(), LayerError<E>> {
        if !self.levels[level].try_append(level, bytes, &encode)? {
            self.end_node(level)?;
            let fits = self.levels[level].try_append(level, bytes, &encode)?;
            assert!(fits, "an item fits an empty node: it has 30 bytes at most");
        }
        match candidate {
            Some(id) if self.levels[level].ends(level, id, self.boundary) => self.end_node(level),
            _ => Ok(()),
        }
    }

    fn end_node(&mut self, level: usize) -> Result<(), LayerError<E>> {
        let state = &mut self.levels[level];
        state.ended += 1;
        let ended = std::mem::replace(state, Level { ended: state.ended, ..Level::default() });
        let Level { plaintext, mut children, bytes, .. } = ended;
        let node = Node::new(self.id_key, ChunkKind::Extents, children.take(), plaintext);
        let id = node.id;
        (self.sink)(node).map_err(LayerError::Sink)?;
        self.append_child(level + 1, id, bytes)
    }
}

impl Level {
    /// False, and nothing changed, if the item does not fit.
    fn try_append(
        &mut self,
        level: usize,
        bytes: u64,
        encode: impl Fn(&mut ChildTable, &mut Vec<u8>) -> Result<(), InvalidEntry>,
    ) -> Result<bool, InvalidEntry> {
        if self.plaintext.is_empty() {
            put_header(level_byte(level), &mut self.plaintext);
            self.candidate_at = self.plaintext.len();
        }
        let (plain_before, children_before) = (self.plaintext.len(), self.children.len());
        encode(&mut self.children, &mut self.plaintext)?;
        let fits = self.plaintext.len() <= EXTENTS_PLAIN_BYTES_MAX
            && self.children.len() <= NODE_CHILDREN_MAX
            && self.items < NODE_ITEMS_MAX;
        if fits {
            self.items += 1;
            self.bytes = self.bytes.checked_add(bytes).ok_or(InvalidEntry::OutOfRange("file size"))?;
        } else {
            self.plaintext.truncate(plain_before);
            self.children.truncate(children_before);
        }
        Ok(fits)
    }

    /// Decides at a candidate whether the node ends there.
    fn ends(&mut self, level: usize, id: ChunkId, boundary: &BoundaryKey) -> bool {
        let since = (self.plaintext.len() - self.candidate_at) as u64;
        self.candidate_at = self.plaintext.len();
        let may_end = self.plaintext.len() >= EXTENTS_PLAIN_BYTES_MIN && (level == 0 || self.items >= BRANCH_ITEMS_MIN);
        let threshold = (since << 32) / EXTENTS_PLAIN_BYTES_TARGET as u64;
        may_end && u64::from(boundary.hash(LEVEL_DOMAIN + level_byte(level), &[id.as_bytes()])) < threshold
    }
}

fn level_byte(level: usize) -> u8 {
    u8::try_from(level).expect("at most 16 levels")
}

/// Writes the content of a file from its extents: inline while they are few, else as one layer.
pub struct ContentWriter<'a, S> {
    writer: LayerWriter<'a, S>,
    /// The pieces so far, while they fit an entry; all are extents.
    few: Option<Vec<Piece>>,
}

impl<'a, S, E> ContentWriter<'a, S>
where
    S: FnMut(Node) -> Result<(), E>,
    E: std::error::Error + 'static,
{
    /// Starts an empty file.
    pub fn new(id_key: &'a IdKey, boundary: &'a BoundaryKey, sink: S) -> Self {
        Self { writer: LayerWriter::new(id_key, boundary, sink), few: Some(Vec::new()) }
    }

    /// Adds the extent of the next bytes of the file.
    ///
    /// # Errors
    /// As [`LayerWriter::push`].
    pub fn push(&mut self, extent: Extent) -> Result<(), LayerError<E>> {
        if !extent.is_valid() {
            return Err(InvalidEntry::Extents.into());
        }
        let piece = Piece::Extent(extent);
        let Some(few) = &mut self.few else { return self.writer.push(piece) };
        if few.last_mut().is_some_and(|last| last.join(&piece)) {
            return Ok(());
        }
        few.push(piece);
        if few.len() > ENTRY_EXTENTS_MAX {
            let many = self.few.take().unwrap_or_default();
            many.into_iter().try_for_each(|piece| self.writer.push(piece))?;
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// As [`LayerWriter::push`].
    pub fn finish(self) -> Result<Content, LayerError<E>> {
        let extent = |piece| match piece {
            Piece::Extent(extent) => Some(extent),
            Piece::Below(_) => None,
        };
        match self.few {
            Some(few) => Ok(Content::Inline(few.into_iter().filter_map(extent).collect())),
            None => Ok(Content::Layers(self.writer.finish()?.into_iter().collect())),
        }
    }
}

/// The nodes that an extents node refers to: none at level 0, whose children are data.
///
/// # Errors
/// If it is not an extents node.
pub fn child_nodes(node: &Node) -> Result<&[ChunkId], Malformed> {
    match read_extents(node)? {
        ExtentsItems::Pieces(_) => Ok(&[]),
        ExtentsItems::Children(..) => Ok(&node.children),
    }
}

/// The items of one extents node.
pub(crate) enum ExtentsItems {
    /// Level 0.
    Pieces(Vec<Piece>),
    /// Upper level: child, its level, and the bytes of the file that it covers.
    Children(u8, Vec<(ChunkId, u64)>),
}

/// Reads a whole extents node.
pub(crate) fn read_extents(node: &Node) -> Result<ExtentsItems, Malformed> {
    let (level, mut reader) = open(&node.plaintext, node.children.len())?;
    if node.kind != ChunkKind::Extents || reader.is_empty() {
        return Err(Malformed("not an extents node"));
    }
    let child = |index: usize| node.children.get(index).copied().ok_or(Malformed("no such child"));
    let (mut pieces, mut children, mut covered) = (Vec::new(), Vec::new(), 0u64);
    while !reader.is_empty() {
        let bytes = if level == 0 {
            let piece = read_piece(&mut reader, child)?;
            pieces.push(piece);
            piece.bytes()
        } else {
            let id = child(reader.varint_up_to(NODE_CHILDREN_MAX)?)?;
            let bytes = reader.varint()?;
            children.push((id, bytes));
            bytes
        };
        covered = covered.checked_add(bytes).filter(|_| bytes > 0).ok_or(Malformed("extents out of range"))?;
        if pieces.len() + children.len() > NODE_ITEMS_MAX {
            return Err(Malformed("too many extents"));
        }
    }
    Ok(if level == 0 { ExtentsItems::Pieces(pieces) } else { ExtentsItems::Children(level - 1, children) })
}

fn read_piece(
    reader: &mut Reader<'_>,
    child: impl Fn(usize) -> Result<ChunkId, Malformed>,
) -> Result<Piece, Malformed> {
    match reader.varint_up_to(NODE_CHILDREN_MAX + 1)? {
        0 => Extent::parse(reader, None).map(Piece::Extent),
        1 => reader.varint().map(Piece::Below),
        code => Extent::parse(reader, Some(child(code - 2)?)).map(Piece::Extent),
    }
}
