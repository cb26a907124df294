//! One large file, backed up every day by the page-exact increment, with re-laying.

use std::collections::HashSet;

use common::id::ChunkId;
use common::tree::content::Content;
use common::tree::layers::ExtentReader;

use crate::report::Day;
use crate::store::{Placed, Store, Use};

/// A large file as it was last backed up.
pub struct PagedFile {
    pub size: u64,
    /// Its extents, flat: what the layers have to say.
    pub extents: Vec<Placed>,
    content: Content,
    single: bool,
}

impl PagedFile {
    /// The first backup. `single` keeps one tree of extents nodes instead of layers.
    pub fn first(store: &mut Store, extents: Vec<Placed>, single: bool) -> Self {
        let size = extents.last().map_or(0, Placed::end);
        let content = store.change_content(&Content::Layers(Vec::new()), size, &extents, single);
        Self { size, extents, content, single }
    }

    /// One backup: `changes` (sorted) were laid, `changed_bytes` of them in new chunks; sparse chunks are laid again.
    pub fn back_up(&mut self, store: &mut Store, size: u64, changes: Vec<Placed>, changed_bytes: u64) -> Day {
        let nodes_before = store.node_bytes;
        self.size = size;
        self.extents = overlay(&self.extents, &changes, size);
        let sparse: HashSet<usize> =
            Use::of(self.extents.iter().copied()).worth_laying_again(store, changed_bytes).into_iter().collect();
        let is_sparse = |placed: &&Placed| placed.extent.chunk.is_some_and(|id| sparse.contains(&Store::number(id)));
        let ranges: Vec<_> =
            self.extents.iter().filter(is_sparse).map(|placed| (placed.at, placed.extent.bytes)).collect();
        let relaid = store.lay(&ranges);
        self.extents = overlay(&self.extents, &relaid, size);
        let changes = overlay(&changes, &relaid, size);
        self.content = store.change_content(&self.content, size, &changes, self.single);
        let reached_bytes = Use::of(self.extents.iter().copied()).reached_bytes(store);
        let relaid_bytes = ranges.iter().map(|(_, bytes)| bytes).sum();
        Day {
            changed_bytes,
            relaid_bytes,
            node_bytes: store.node_bytes - nodes_before,
            reached_bytes,
            size,
            ..Day::default()
        }
    }

    pub fn layers(&self) -> usize {
        match &self.content {
            Content::Layers(layers) => layers.len(),
            Content::Inline(_) => 0,
        }
    }

    /// Reads the layers through their nodes: they must say what the flat list says.
    pub fn check(&self, store: &Store) {
        let mut reader = ExtentReader::new(&self.content, self.size, 0, |id: &ChunkId| store.fetch(id));
        let mut read = Vec::new();
        let mut at = 0;
        while let Some(extent) = reader.next_extent().expect("the layers are whole") {
            read.push(Placed { at, extent });
            at += extent.bytes;
        }
        assert_eq!(joined(&read), joined(&self.extents), "layers and list differ");
    }

    /// Forgets nodes of earlier days.
    pub fn forget_old_nodes(&self, store: &mut Store) {
        let mut live = HashSet::new();
        let mut ahead: Vec<ChunkId> = match &self.content {
            Content::Layers(layers) => layers.iter().map(|layer| layer.root).collect(),
            Content::Inline(_) => Vec::new(),
        };
        while let Some(id) = ahead.pop() {
            if let Some(node) = store.nodes.get(&id).filter(|_| live.insert(id)) {
                ahead.extend(&node.children);
            }
        }
        store.nodes.retain(|id, _| live.contains(id));
    }
}

/// `over` laid over `under`, cut at `size`; both sorted.
fn overlay(under: &[Placed], over: &[Placed], size: u64) -> Vec<Placed> {
    let mut out = Vec::with_capacity(under.len() + over.len() * 2);
    let mut ahead = over.iter().copied().peekable();
    for placed in under {
        let mut rest = *placed;
        loop {
            let Some(next) = ahead.peek().copied() else {
                push_part(&mut out, rest, rest.at, rest.end().min(size));
                break;
            };
            if next.at >= rest.end() {
                push_part(&mut out, rest, rest.at, rest.end().min(size));
                break;
            }
            push_part(&mut out, rest, rest.at, next.at.min(size));
            if next.end() > rest.end() {
                break;
            }
            out.push(next);
            ahead.next();
            rest = rest.part(rest.at.max(next.end()), rest.end());
            if rest.extent.bytes == 0 {
                break;
            }
        }
    }
    out.extend(ahead);
    out.sort_unstable_by_key(|placed| placed.at);
    out
}

fn push_part(out: &mut Vec<Placed>, placed: Placed, from: u64, to: u64) {
    if from < to {
        out.push(placed.part(from, to));
    }
}

fn joined(list: &[Placed]) -> Vec<Placed> {
    let mut out: Vec<Placed> = Vec::new();
    for placed in list {
        match out.last_mut() {
            Some(last)
                if last.extent.chunk == placed.extent.chunk
                    && u64::from(last.extent.offset) + last.extent.bytes == u64::from(placed.extent.offset)
                    && last.end() == placed.at =>
            {
                last.extent.bytes += placed.extent.bytes;
            }
            _ => out.push(*placed),
        }
    }
    out
}
