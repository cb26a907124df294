//! What the simulated backups write to: data chunks that are only sizes, and real nodes.
//!
//! A data chunk has no bytes here. Its id is made from a number, and lengths follow the splitter: 256 KiB / 512 KiB / 2 MiB with
//! normalized chunking of level 1, at any byte.

use std::collections::HashMap;
use std::convert::Infallible;

use common::id::ChunkId;
use common::keys::{BoundaryKey, IdKey};
use common::tree::content::{Content, Extent, Layer};
use common::tree::extents::{LayerWriter, Piece};
use common::tree::layers::{PieceReader, layers_to_merge};
use common::tree::node::Node;

pub const CHUNK_BYTES_MIN: u64 = 256 << 10;
pub const CHUNK_BYTES_NORMAL: u64 = 512 << 10;
pub const CHUNK_BYTES_MAX: u64 = 2 << 20;
/// Chunks reached ÷ bytes used of them, from which on sparse chunks are laid again.
const SPARSE_FROM: f64 = 1.5;

/// Numbers without pattern, the same in every run.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `sides`.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.roll() % sides
    }

    /// A number in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }
}

pub fn mix(seed: u64) -> u64 {
    let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A range of a file, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    pub at: u64,
    pub extent: Extent,
}

impl Placed {
    pub fn end(&self) -> u64 {
        self.at + self.extent.bytes
    }

    /// The part between two positions of the file.
    pub fn part(&self, from: u64, to: u64) -> Self {
        let mut extent = self.extent;
        extent.offset += (from - self.at) as u32;
        extent.bytes = to.saturating_sub(from);
        Self { at: from, extent }
    }
}

/// Everything that one agent stored.
pub struct Store {
    pub id_key: IdKey,
    pub boundary: BoundaryKey,
    pub chunk_bytes: Vec<u64>,
    pub nodes: HashMap<ChunkId, Node>,
    /// Bytes of the nodes that were not there before, children included.
    pub node_bytes: u64,
    pub dice: Dice,
}

impl Store {
    pub fn new(seed: u64) -> Self {
        let (id_key, boundary) = (IdKey::new([1; 32]), BoundaryKey::new([2; 32]));
        Self { id_key, boundary, chunk_bytes: Vec::new(), nodes: HashMap::new(), node_bytes: 0, dice: Dice::new(seed) }
    }

    pub fn chunk_id(&self, number: usize) -> ChunkId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        id[8..16].copy_from_slice(&mix(number as u64).to_le_bytes());
        ChunkId::new(id)
    }

    pub fn number(id: ChunkId) -> usize {
        let mut number = [0; 8];
        number.copy_from_slice(&id.as_bytes()[..8]);
        u64::from_le_bytes(number) as usize
    }

    /// Registers a chunk of known length.
    pub fn add_chunk(&mut self, bytes: u64) -> ChunkId {
        self.chunk_bytes.push(bytes);
        self.chunk_id(self.chunk_bytes.len() - 1)
    }

    /// Length of the next chunk of a stream that has `left` bytes to its end.
    fn chunk_length(&mut self, left: u64) -> u64 {
        let exponential = |unit: f64, mean: f64| (-(1.0 - unit).ln() * mean) as u64;
        let early = CHUNK_BYTES_MIN + exponential(self.dice.unit(), (1u64 << 20) as f64);
        let late = CHUNK_BYTES_NORMAL + exponential(self.dice.unit(), (1u64 << 18) as f64);
        let length = if early < CHUNK_BYTES_NORMAL { early } else { late };
        length.min(CHUNK_BYTES_MAX).min(left)
    }

    /// Lays ranges end to end as one stream of data chunks.
    pub fn lay(&mut self, ranges: &[(u64, u64)]) -> Vec<Placed> {
        let mut left: u64 = ranges.iter().map(|(_, bytes)| bytes).sum();
        let (mut placed, mut open): (Vec<Placed>, Option<(ChunkId, u64, u64)>) = (Vec::new(), None);
        for (at, bytes) in ranges {
            let (mut at, end) = (*at, at + bytes);
            while at < end {
                let (id, used, length) = open.unwrap_or_else(|| {
                    let length = self.chunk_length(left);
                    left -= length;
                    (self.add_chunk(length), 0, length)
                });
                let part = (length - used).min(end - at);
                placed.push(Placed { at, extent: Extent { chunk: Some(id), offset: used as u32, bytes: part } });
                at += part;
                open = (used + part < length).then_some((id, used + part, length));
            }
        }
        placed
    }

    /// Keeps a node, and counts it if it was not there.
    pub fn keep_all(&mut self, nodes: Vec<Node>) {
        for node in nodes {
            let bytes = (node.plaintext.len() + node.children.len() * ChunkId::BYTES) as u64;
            if self.nodes.insert(node.id, node).is_none() {
                self.node_bytes += bytes;
            }
        }
    }

    pub fn fetch(&self, id: &ChunkId) -> Result<Node, Missing> {
        self.nodes.get(id).cloned().ok_or(Missing)
    }

    fn write_layer(&self, pieces: impl Iterator<Item = Piece>) -> (Option<Layer>, Vec<Node>) {
        let mut made = Vec::new();
        let sink = |node: Node| -> Result<(), Infallible> {
            made.push(node);
            Ok(())
        };
        let mut writer = LayerWriter::new(&self.id_key, &self.boundary, sink);
        pieces.for_each(|piece| writer.push(piece).expect("pieces are valid"));
        let layer = writer.finish().expect("pieces are valid");
        (layer, made)
    }

    /// The content of a file after `changes` (sorted) were laid over it. `single` writes one tree of extents nodes each time
    /// instead of layers.
    pub fn change_content(&mut self, old: &Content, size: u64, changes: &[Placed], single: bool) -> Content {
        let mut at = 0;
        let pieces = changes.iter().flat_map(|change| {
            let gap = change.at - at;
            at = change.end();
            [Piece::Below(gap), Piece::Extent(change.extent)].into_iter().filter(|piece| piece.bytes() > 0)
        });
        let (layer, made) = self.write_layer(pieces);
        let Some(layer) = layer else { return old.clone() };
        let mut layers = match old {
            Content::Layers(layers) => layers.clone(),
            Content::Inline(_) => Vec::new(),
        };
        let count = if single { layers.len() } else { layers_to_merge(&layers, layer.extents) };
        let mut top = layers.split_off(layers.len() - count);
        top.push(layer);
        if count == 0 {
            self.keep_all(made);
            layers.extend(top);
            return Content::Layers(layers);
        }
        let scratch: HashMap<ChunkId, Node> = made.into_iter().map(|node| (node.id, node)).collect();
        let fetch = |id: &ChunkId| scratch.get(id).or_else(|| self.nodes.get(id)).cloned().ok_or(Missing);
        let mut reader = PieceReader::new(&Content::Layers(top), size, 0, fetch);
        let pieces = std::iter::from_fn(|| reader.next_piece().expect("the layers were just written"));
        let (layer, made) = self.write_layer(pieces);
        self.keep_all(made);
        layers.extend(layer);
        Content::Layers(layers)
    }
}

/// A node that the store does not have.
#[derive(Debug, thiserror::Error)]
#[error("no such node")]
pub struct Missing;

/// Bytes that a tree uses of each chunk.
pub struct Use {
    live: HashMap<usize, u64>,
}

impl Use {
    pub fn of(placed: impl Iterator<Item = Placed>) -> Self {
        let mut live = HashMap::new();
        for Placed { extent, .. } in placed {
            if let Some(id) = extent.chunk {
                *live.entry(Store::number(id)).or_insert(0) += extent.bytes;
            }
        }
        Self { live }
    }

    /// Bytes of all chunks that are used at all.
    pub fn reached_bytes(&self, store: &Store) -> u64 {
        self.live.keys().map(|number| store.chunk_bytes[*number]).sum()
    }

    /// Chunks to lay again: once the chunks reached are over [`SPARSE_FROM`] times the bytes used of them, those with a live
    /// share under one half, lowest first, at most `budget` live bytes.
    pub fn worth_laying_again(&self, store: &Store, budget: u64) -> Vec<usize> {
        let used: u64 = self.live.values().sum();
        if self.reached_bytes(store) as f64 <= used as f64 * SPARSE_FROM {
            return Vec::new();
        }
        let half_dead = self.live.iter().filter(|(number, live)| **live * 2 < store.chunk_bytes[**number]);
        let mut sparse: Vec<(u64, usize, u64)> = half_dead
            .map(|(number, live)| (live.saturating_mul(1 << 20) / store.chunk_bytes[*number], *number, *live))
            .collect();
        sparse.sort_unstable();
        let mut left = budget;
        let fits = |(_, number, live): (u64, usize, u64)| {
            left = left.checked_sub(live)?;
            Some(number)
        };
        sparse.into_iter().map_while(fits).collect()
    }
}
