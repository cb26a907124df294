//! Rows of nodes: what each refers to, and in which closure epoch it was found complete.
//!
//! A node is complete in an epoch when it is present and all its children are present and, if nodes, complete in the same epoch.
//! The mark is a memory of that finding, never a fact of its own: in another epoch it is worth nothing.

use roaring::RoaringBitmap;
use rusqlite::OptionalExtension;

use common::id::ChunkId;

use crate::catalog::children;
use crate::catalog::chunks::{ChunkFacts, ChunkState};
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// What a node's row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Rows of its children, in order.
    pub children: Vec<u32>,
    /// The epoch in which it was found complete; 0 if never.
    pub complete: u32,
}

impl Catalog {
    /// Stores what the node of `row` refers to, and whether it is complete in `epoch`; the rows of its children, which the
    /// caller takes off the trash in the same transaction.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn store_node(&self, node: NewNode<'_>, next_row: &mut u32) -> Result<Vec<u32>, CatalogError> {
        let mut rows = Vec::with_capacity(node.children.len());
        let mut complete = true;
        for id in node.children {
            let child = self.named_chunk(node.scope, id, next_row)?;
            complete = complete && self.is_usable(&child, node.epoch)?;
            rows.push(child.row);
        }
        let complete = if complete { node.epoch } else { 0 };
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO nodes (row, children, complete) VALUES (?1, ?2, ?3)")?;
        statement.execute((node.row, children::encode(&rows), complete))?;
        Ok(rows)
    }

    /// True if a chunk may be referred to: present and, if a node, complete in `epoch`.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn is_usable(&self, chunk: &ChunkFacts, epoch: u32) -> Result<bool, CatalogError> {
        if chunk.state != ChunkState::Present || !chunk.kind.is_node() {
            return Ok(chunk.state == ChunkState::Present);
        }
        let mut statement = self.connection.prepare_cached("SELECT complete FROM nodes WHERE row = ?1")?;
        let complete: Option<u32> = statement.query_row([chunk.row], |row| row.get(0)).optional()?;
        Ok(complete == Some(epoch))
    }

    /// The node of a row; none if the row is no node that was ever stored.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn node(&self, row: u32) -> Result<Option<NodeFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT children, complete FROM nodes WHERE row = ?1")?;
        let found: Option<(Vec<u8>, u32)> =
            statement.query_row([row], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        found.map(|(blob, complete)| Ok(NodeFacts { children: children::decode(&blob)?, complete })).transpose()
    }

    /// The rows of all nodes.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn node_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM nodes")?;
        let rows = statement.query_map([], |row| row.get::<_, u32>(0))?;
        let mut bitmap = RoaringBitmap::new();
        for row in rows {
            bitmap.insert(row?);
        }
        Ok(bitmap)
    }

    /// Remembers that nodes were found complete in an epoch.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn mark_complete(&self, nodes: &[u32], epoch: u32) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached("UPDATE nodes SET complete = ?2 WHERE row = ?1")?;
        nodes.iter().try_for_each(|row| statement.execute((row, epoch)).map(|_| ()))?;
        Ok(())
    }
}

/// A node that gets its row.
#[derive(Debug, Clone, Copy)]
pub struct NewNode<'a> {
    /// Row of its chunk.
    pub row: u32,
    /// Row of its scope: its children are chunks of the same.
    pub scope: u32,
    /// What it refers to.
    pub children: &'a [ChunkId],
    /// The present closure epoch.
    pub epoch: u32,
}
