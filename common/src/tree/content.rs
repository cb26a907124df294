//! Where the bytes of a file are: extents, few of them in the entry itself, many in layers of extents nodes.
//!
//! ```text
//! content = count 0..=64, that many extents;  or 64 + layer count, then per layer (child, extent count)
//! extent  = 0, bytes (a hole);  or child + 1, offset, bytes                              all numbers are varints
//! ```
//! It does not read extents nodes (`extents` does) and never sees a file.
//!
//! Invariant: inline extents cover the file exactly; no extent is empty or reaches beyond what a chunk may hold.

use std::collections::HashMap;

use crate::id::ChunkId;
use crate::limits::{CONTENT_LAYERS_MAX, ENTRY_EXTENTS_MAX, FRAME_PLAIN_BYTES_MAX, NODE_CHILDREN_MAX};
use crate::tree::entry::InvalidEntry;
use crate::tree::wire::{Malformed, Reader, put_varint};

/// Where the bytes of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// At most [`ENTRY_EXTENTS_MAX`] extents, in order, that cover the file exactly.
    Inline(Vec<Extent>),
    /// Extents nodes, the oldest layer first; where a layer says nothing, the one before it speaks.
    Layers(Vec<Layer>),
}

/// One layer of a large file's extents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Its root, an extents node.
    pub root: ChunkId,
    /// Items in all its level-0 nodes; decides when layers are merged.
    pub extents: u64,
}

/// A range of a chunk, or a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where the bytes are; `None` is a hole.
    pub chunk: Option<ChunkId>,
    /// First byte inside the chunk; 0 for a hole.
    pub offset: u32,
    /// Length, at least 1.
    pub bytes: u64,
}

/// The children of a node being written: unique, in order of first use.
#[derive(Debug, Default)]
pub(crate) struct ChildTable {
    ids: Vec<ChunkId>,
    index: HashMap<ChunkId, usize>,
}

impl ChildTable {
    /// The index of `id`, added if it was not there.
    pub(crate) fn index_of(&mut self, id: ChunkId) -> usize {
        if self.ids.last() == Some(&id) {
            return self.ids.len() - 1;
        }
        let next = self.ids.len();
        let index = *self.index.entry(id).or_insert(next);
        if index == next {
            self.ids.push(id);
        }
        index
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Forgets the children after the first `count`.
    pub(crate) fn truncate(&mut self, count: usize) {
        for id in self.ids.drain(count..) {
            self.index.remove(&id);
        }
    }

    /// Gives the children and starts again.
    pub(crate) fn take(&mut self) -> Vec<ChunkId> {
        self.index.clear();
        std::mem::take(&mut self.ids)
    }
}

impl Content {
    /// Appends the content of a file of `size` bytes.
    pub(crate) fn encode(&self, size: u64, children: &mut ChildTable, out: &mut Vec<u8>) -> Result<(), InvalidEntry> {
        match self {
            Self::Inline(extents) => {
                put_extents(extents, children, out)?;
                if covered_bytes(extents) == Some(size) { Ok(()) } else { Err(InvalidEntry::Extents) }
            }
            Self::Layers(layers) if layers.is_empty() || layers.len() > CONTENT_LAYERS_MAX => {
                Err(InvalidEntry::OutOfRange("layer count"))
            }
            Self::Layers(layers) => {
                put_varint(out, (ENTRY_EXTENTS_MAX + layers.len()) as u64);
                for layer in layers {
                    put_varint(out, children.index_of(layer.root) as u64);
                    put_varint(out, layer.extents);
                }
                Ok(())
            }
        }
    }

    /// Reads the content of a file of `size` bytes.
    pub(crate) fn parse(reader: &mut Reader<'_>, size: u64, children: &[ChunkId]) -> Result<Self, Malformed> {
        let mut ahead = *reader;
        let count = ahead.varint_up_to(ENTRY_EXTENTS_MAX + CONTENT_LAYERS_MAX)?;
        let Some(layers) = count.checked_sub(ENTRY_EXTENTS_MAX).filter(|layers| *layers > 0) else {
            let extents = parse_extents(reader, children)?;
            let covers = covered_bytes(&extents) == Some(size);
            return if covers { Ok(Self::Inline(extents)) } else { Err(Malformed("extents do not cover the file")) };
        };
        *reader = ahead;
        let layer = |reader: &mut Reader<'_>| {
            let root = *children.get(reader.varint_up_to(NODE_CHILDREN_MAX)?).ok_or(Malformed("no such child"))?;
            Ok(Layer { root, extents: reader.varint()? })
        };
        (0..layers).map(|_| layer(reader)).collect::<Result<_, _>>().map(Self::Layers)
    }
}

fn covered_bytes(extents: &[Extent]) -> Option<u64> {
    extents.iter().try_fold(0u64, |sum, extent| sum.checked_add(extent.bytes))
}

/// Appends at most [`ENTRY_EXTENTS_MAX`] extents, their count first.
pub(crate) fn put_extents(
    extents: &[Extent],
    children: &mut ChildTable,
    out: &mut Vec<u8>,
) -> Result<(), InvalidEntry> {
    if extents.len() > ENTRY_EXTENTS_MAX {
        return Err(InvalidEntry::OutOfRange("extent count"));
    }
    put_varint(out, extents.len() as u64);
    extents.iter().try_for_each(|extent| extent.encode(0, children, out))
}

/// Reads what [`put_extents`] wrote.
pub(crate) fn parse_extents(reader: &mut Reader<'_>, children: &[ChunkId]) -> Result<Vec<Extent>, Malformed> {
    let count = reader.varint_up_to(ENTRY_EXTENTS_MAX)?;
    (0..count)
        .map(|_| match reader.varint_up_to(NODE_CHILDREN_MAX)? {
            0 => Extent::parse(reader, None),
            code => Extent::parse(reader, Some(*children.get(code - 1).ok_or(Malformed("no such child"))?)),
        })
        .collect()
}

impl Extent {
    /// Appends `0, bytes` or `first_code + child + 1, offset, bytes`.
    pub(crate) fn encode(
        &self,
        first_code: u64,
        children: &mut ChildTable,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidEntry> {
        if !self.is_valid() {
            return Err(InvalidEntry::Extents);
        }
        match self.chunk {
            None => put_varint(out, 0),
            Some(id) => {
                put_varint(out, first_code + children.index_of(id) as u64 + 1);
                put_varint(out, self.offset.into());
            }
        }
        put_varint(out, self.bytes);
        Ok(())
    }

    /// Reads what follows the child index.
    pub(crate) fn parse(reader: &mut Reader<'_>, chunk: Option<ChunkId>) -> Result<Self, Malformed> {
        let too_far = |_| Malformed("extent out of range");
        let offset = if chunk.is_some() { u32::try_from(reader.varint()?).map_err(too_far)? } else { 0 };
        let bytes = reader.varint()?;
        let extent = Self { chunk, offset, bytes };
        if extent.is_valid() { Ok(extent) } else { Err(Malformed("extent out of range")) }
    }

    /// True if it has a length and lies inside what a chunk may hold.
    pub(crate) fn is_valid(&self) -> bool {
        let end = u64::from(self.offset).checked_add(self.bytes);
        let inside = end.is_some_and(|end| end <= FRAME_PLAIN_BYTES_MAX as u64);
        self.bytes > 0 && if self.chunk.is_some() { inside } else { self.offset == 0 }
    }
}
