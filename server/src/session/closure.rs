//! The closure of a snapshot: everything that its root reaches, and whether all of it can be used.
//!
//! A walk over row numbers with a stack of its own; nodes found complete in this epoch are not checked again, only descended.
//! An agent's nodes are not trusted: a node may name itself through others, or name data as a node; both end as "missing".
//!
//! Invariant: I3 — a closure is whole only if each chunk in it is present, in the scope of its root, and not damaged.

use roaring::RoaringBitmap;

use common::id::ChunkId;
use common::keys::ChunkKind;

use crate::catalog::chunks::ChunkState;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// A whole closure.
#[derive(Debug, Clone, PartialEq)]
pub struct Closure {
    /// Row of the root.
    pub root: u32,
    /// Rows of everything it reaches, itself included.
    pub chunks: RoaringBitmap,
    /// Nodes that were not known to be complete in `epoch`, and are.
    pub newly_complete: Vec<u32>,
    /// Rows among them that were in trash: they come back with the commit, if they are still there.
    pub trashed: RoaringBitmap,
    /// The closure epoch in which this was found.
    pub epoch: u32,
}

/// What a walk found.
#[derive(Debug, Clone, PartialEq)]
pub enum Walk {
    /// Everything is there.
    Whole(Closure),
    /// These are not; at most as many as asked for, and one more if there are more.
    Missing(Vec<ChunkId>),
}

struct Step {
    row: u32,
    children: Vec<u32>,
    next: usize,
    trusted: bool,
    whole: bool,
}

struct Walker<'a> {
    catalog: &'a Catalog,
    node_rows: RoaringBitmap,
    epoch: u32,
    seen: RoaringBitmap,
    whole: RoaringBitmap,
    left: RoaringBitmap,
    missing: RoaringBitmap,
    newly_complete: Vec<u32>,
}

/// What a root reaches, whole or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Rows of everything that was reached; what hangs below a node that was never stored is not known.
    pub chunks: RoaringBitmap,
    /// Rows among them that are not present, and nodes below themselves.
    pub missing: RoaringBitmap,
    /// Nodes that were not known to be complete in `epoch`, and are.
    pub newly_complete: Vec<u32>,
    /// The closure epoch in which this was found.
    pub epoch: u32,
}

/// Walks from the root `id` of a scope. Stops looking once more than `missing_max` chunks are missing.
///
/// # Errors
/// [`CatalogError`].
pub fn walk(catalog: &Catalog, scope: u32, id: &ChunkId, missing_max: usize) -> Result<Walk, CatalogError> {
    let root = catalog.chunk(scope, id)?;
    let is_root = |kind| matches!(kind, ChunkKind::Leaf | ChunkKind::Branch);
    let Some(root) = root.filter(|root| root.state != ChunkState::Absent && is_root(root.kind)) else {
        return Ok(Walk::Missing(vec![*id]));
    };
    let Survey { chunks, missing, newly_complete, epoch } = survey(catalog, root.row, missing_max as u64)?;
    if missing.is_empty() {
        let trashed = if catalog.has_trash()? { catalog.trashed_rows(None)? & &chunks } else { RoaringBitmap::new() };
        return Ok(Walk::Whole(Closure { root: root.row, chunks, newly_complete, trashed, epoch }));
    }
    let ids = missing.iter().take(missing_max + 1).map(|row| catalog.chunk_id(row));
    ids.collect::<Result<_, _>>().map(Walk::Missing)
}

/// Surveys what the node of a row reaches. Stops looking once more than `missing_max` chunks are missing.
///
/// # Errors
/// [`CatalogError`].
pub fn survey(catalog: &Catalog, root: u32, missing_max: u64) -> Result<Survey, CatalogError> {
    let (node_rows, epoch) = (catalog.node_rows()?, catalog.closure_epoch()?);
    let (seen, whole, left, missing) = Default::default();
    let mut walker = Walker { catalog, node_rows, epoch, seen, whole, left, missing, newly_complete: Vec::new() };
    if !walker.is_present(root)? {
        walker.missing.insert(root);
    }
    if walker.node_rows.contains(root) {
        walker.run(root, missing_max)?;
    } else {
        walker.seen.insert(root);
    }
    let Walker { seen, missing, newly_complete, .. } = walker;
    Ok(Survey { chunks: seen, missing, newly_complete, epoch })
}

impl Walker<'_> {
    fn run(&mut self, root: u32, missing_max: u64) -> Result<(), CatalogError> {
        let mut stack = vec![self.enter(root, false)?];
        while let Some(step) = stack.last_mut() {
            if self.missing.len() > missing_max {
                return Ok(());
            }
            let Some(&child) = step.children.get(step.next) else {
                let step = stack.pop().expect("it was just looked at");
                self.leave(&step, stack.last_mut());
                continue;
            };
            step.next += 1;
            let usable = step.trusted || self.is_present(child)?;
            if !usable {
                self.missing.insert(child);
                step.whole = false;
            }
            if !self.node_rows.contains(child) {
                self.seen.insert(child);
            } else if !self.seen.contains(child) {
                let trusted = step.trusted;
                let step = self.enter(child, trusted)?;
                stack.push(step);
            } else if !self.whole.contains(child) {
                if !self.left.contains(child) {
                    // A node below itself: no snapshot can be made of that.
                    self.missing.insert(child);
                }
                step.whole = false;
            }
        }
        Ok(())
    }

    fn enter(&mut self, row: u32, trusted: bool) -> Result<Step, CatalogError> {
        self.seen.insert(row);
        let node = self.catalog.node(row)?.ok_or(CatalogError::Inconsistent("a node has no children row"))?;
        let trusted = trusted || node.complete == self.epoch;
        Ok(Step { row, children: node.children, next: 0, trusted, whole: true })
    }

    fn leave(&mut self, step: &Step, parent: Option<&mut Step>) {
        self.left.insert(step.row);
        if step.whole {
            self.whole.insert(step.row);
            if !step.trusted {
                self.newly_complete.push(step.row);
            }
        } else if let Some(parent) = parent {
            parent.whole = false;
        }
    }

    fn is_present(&self, row: u32) -> Result<bool, CatalogError> {
        Ok(self.catalog.chunk_of_row(row)?.state == ChunkState::Present)
    }
}
