//! The snapshot tree: a sorted map from path to entry, stored as a search tree whose node boundaries depend on the keys.
//!
//! `path` gives the keys, `entry` the values (`content` where a file's bytes are, `xattrs`, `view`
//! how they are read), `node` the bytes of one node, `extents` the content of large files, `builder`
//! writes a tree, `cursor` reads one, `diff` compares two. Nothing here seals, sends or stores: nodes go out through a sink and
//! come in through a `fetch` function.
//!
//! Invariant: equal content gives equal nodes, whatever the history.
//! Invariant: I10 — each node's plaintext starts with magic and version.
//! Invariant: a node's plaintext holds no ids: it refers to its children by index, so what the server walks is what a reader reads.

pub mod builder;
pub mod content;
pub mod cursor;
pub mod diff;
pub mod entry;
pub mod extents;
pub mod layers;
pub mod node;
pub mod path;
pub mod view;
pub mod wire;
pub mod xattrs;

use crate::id::ChunkId;

/// Why a tree cannot be read; `E` is the error of the function that fetches nodes.
#[derive(Debug, thiserror::Error)]
pub enum TreeError<E: std::error::Error + 'static> {
    /// A node could not be had.
    #[error("fetch node {id}")]
    Fetch {
        /// The node.
        id: ChunkId,
        /// Why.
        #[source]
        source: E,
    },
    /// A node contradicts its format or the node above it.
    #[error("node {id} is malformed: {what}")]
    Malformed {
        /// The node.
        id: ChunkId,
        /// What is wrong with it.
        what: &'static str,
    },
}
