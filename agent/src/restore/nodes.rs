//! Nodes of snapshot trees for those who walk them: fetched a batch ahead, verified, kept in a small cache.
//!
//! It knows of a node only that a reader goes from a branch to its children in order. It does not check a tree's shape: the
//! cursor does.
//!
//! Invariant: I9 — the cache holds at most `limits::NODE_CACHE_BYTES`.

use std::collections::{HashMap, VecDeque};

use common::id::ChunkId;
use common::limits::{NODE_CACHE_BYTES, NODE_PREFETCH_IDS};
use common::tree::node::Node;

use super::fetch::{FetchError, Fetcher};
use super::unlock::{ChunkFailure, Plain};

/// Branches whose children may be asked for next.
const BRANCHES_KEPT: usize = 32;

/// Why a node cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// This node only: what is beside it can still be read.
    #[error("read a node of the snapshot's tree")]
    Chunk(#[from] ChunkFailure),
    /// The connection, or the server.
    #[error("fetch nodes of the snapshot's tree")]
    Fetch(#[from] FetchError),
}

/// A reader of nodes.
pub struct Nodes<'a> {
    fetcher: &'a Fetcher<'a>,
    ahead: usize,
    cache: HashMap<ChunkId, Node>,
    order: VecDeque<ChunkId>,
    cached_bytes: usize,
    branches: VecDeque<Vec<ChunkId>>,
}

impl<'a> Nodes<'a> {
    /// For walks over much of a tree: fetches many siblings at once.
    pub fn for_walk(fetcher: &'a Fetcher<'a>) -> Self {
        Self::new(fetcher, NODE_PREFETCH_IDS)
    }

    /// For looking at few places: fetches what is asked for.
    pub fn for_lookup(fetcher: &'a Fetcher<'a>) -> Self {
        Self::new(fetcher, 1)
    }

    fn new(fetcher: &'a Fetcher<'a>, ahead: usize) -> Self {
        let (cache, order, branches) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { fetcher, ahead, cache, order, cached_bytes: 0, branches }
    }

    /// The node `id`, verified.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn get(&mut self, id: &ChunkId) -> Result<Node, NodeError> {
        if let Some(node) = self.cache.get(id) {
            return Ok(node.clone());
        }
        let wanted = self.with_siblings(id);
        let mut found = Err(ChunkFailure::Missing);
        for (answered, plain) in self.fetcher.fetch_few(&wanted)? {
            match plain.and_then(node) {
                Ok(node) if answered == *id => found = Ok(node),
                Err(failure) if answered == *id => found = Err(failure),
                // A sibling that cannot be had is asked for again, and reported, when its turn comes.
                Ok(node) => self.keep(node),
                Err(_) => {}
            }
        }
        let node = found?;
        if node.kind != common::keys::ChunkKind::Leaf {
            self.branches.push_front(node.children.clone());
            self.branches.truncate(BRANCHES_KEPT);
        }
        self.keep(node.clone());
        Ok(node)
    }

    /// `id`, and those that a walk asks for next.
    fn with_siblings(&self, id: &ChunkId) -> Vec<ChunkId> {
        let position =
            |branch: &Vec<ChunkId>| branch.iter().position(|child| child == id).map(|at| branch[at..].to_vec());
        let siblings = if self.ahead > 1 { self.branches.iter().find_map(position) } else { None };
        let mut wanted = vec![*id];
        let next = siblings.into_iter().flatten().skip(1).filter(|sibling| !self.cache.contains_key(sibling));
        wanted.extend(next.take(self.ahead - 1));
        wanted
    }

    fn keep(&mut self, node: Node) {
        let (id, bytes) = (node.id, cost_bytes(&node));
        if self.cache.insert(id, node).is_none() {
            self.order.push_back(id);
            self.cached_bytes += bytes;
        }
        while self.cached_bytes > NODE_CACHE_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(node) = self.cache.remove(&oldest) {
                self.cached_bytes -= cost_bytes(&node);
            }
        }
    }
}

fn cost_bytes(node: &Node) -> usize {
    node.plaintext.len() + node.children.len() * ChunkId::BYTES
}

fn node(plain: Plain) -> Result<Node, ChunkFailure> {
    let Plain { id, kind, children, bytes } = plain;
    if kind.is_node() { Ok(Node { kind, id, children, plaintext: bytes }) } else { Err(ChunkFailure::Unfitting) }
}
