//! What a set of rows reaches: the pass of the garbage collector over the graph of nodes.
//!
//! Agents send children before their nodes, so a node's row number is mostly above those of its children. One scan of the
//! table of nodes from its end therefore meets nearly every node after all of its parents; what it meets too early is
//! looked up by row, or scanned for again when there is much of it. No list is ever kept, only bitmaps.
//!
//! Invariant: the time is bounded by the nodes and their children, each looked at once per scan, also for nodes that name
//! each other.

use roaring::RoaringBitmap;

use crate::catalog::children;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// A scan is worth its time once one node in so many is wanted.
const SCAN_SHARE: u64 = 16;
/// Nodes between two questions to the caller.
const STEP_NODES: u64 = 16_384;

/// How far a pass got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// Nodes looked at.
    pub nodes: u64,
    /// Bytes that the bitmaps hold, estimated upwards.
    pub memory_bytes: u64,
}

impl Catalog {
    /// The rows that `roots` reach, themselves included; `step` is told how far it got, and may end the pass with an error.
    ///
    /// # Errors
    /// [`CatalogError`], or that of `step`.
    pub fn reachable<E: From<CatalogError>>(
        &self,
        roots: RoaringBitmap,
        step: impl FnMut(Pass) -> Result<(), E>,
    ) -> Result<RoaringBitmap, E> {
        let nodes = self.node_rows()?;
        let left = &roots & &nodes;
        let mut walk = Walk { nodes, reached: roots, left, done: 0, step };
        walk.tell()?;
        while let Some(newest) = walk.left.max() {
            if walk.left.len().saturating_mul(SCAN_SHARE) > walk.nodes.len() {
                self.scan_nodes(newest, |row, blob| walk.visit(row, blob))?;
            } else {
                let node = self.node(newest)?.ok_or(CatalogError::Inconsistent("a node has no children row"))?;
                walk.left.remove(newest);
                walk.add(&node.children)?;
            }
        }
        Ok(walk.reached)
    }

    /// These rows and all nodes that reach one of them; `go_on` is asked now and then, and ends the search when it says false.
    ///
    /// Children mostly have lower rows than their nodes, so one scan upwards finds nearly all, and one more nothing.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn rows_above(
        &self,
        rows: &RoaringBitmap,
        mut go_on: impl FnMut() -> bool,
    ) -> Result<RoaringBitmap, CatalogError> {
        let mut above = rows.clone();
        let (mut found, mut done) = (true, 0u64);
        while found {
            found = false;
            let mut statement = self.connection.prepare_cached("SELECT row, children FROM nodes ORDER BY row")?;
            let mut nodes = statement.query([])?;
            while let Some(node) = nodes.next()? {
                done += 1;
                if done.is_multiple_of(STEP_NODES) && !go_on() {
                    return Ok(above);
                }
                let row = node.get(0)?;
                let blob = node.get_ref(1)?.as_blob();
                let blob = blob.map_err(|_| CatalogError::Inconsistent("children of a node are no blob"))?;
                if !above.contains(row) && children::decode(blob)?.iter().any(|child| above.contains(*child)) {
                    found |= above.insert(row);
                }
            }
        }
        Ok(above)
    }

    fn scan_nodes<E: From<CatalogError>>(
        &self,
        newest: u32,
        mut visit: impl FnMut(u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT row, children FROM nodes WHERE row <= ?1 ORDER BY row DESC";
        let mut statement = self.connection.prepare_cached(sql).map_err(CatalogError::from)?;
        let mut rows = statement.query([newest]).map_err(CatalogError::from)?;
        while let Some(row) = rows.next().map_err(CatalogError::from)? {
            let number = row.get(0).map_err(CatalogError::from)?;
            let blob = row.get_ref(1).map_err(CatalogError::from)?.as_blob();
            visit(number, blob.map_err(|_| CatalogError::Inconsistent("children of a node are no blob"))?)?;
        }
        Ok(())
    }
}

struct Walk<F> {
    nodes: RoaringBitmap,
    reached: RoaringBitmap,
    left: RoaringBitmap,
    done: u64,
    step: F,
}

impl<E: From<CatalogError>, F: FnMut(Pass) -> Result<(), E>> Walk<F> {
    fn visit(&mut self, row: u32, blob: &[u8]) -> Result<(), E> {
        if self.left.remove(row) { self.add(&children::decode(blob)?) } else { Ok(()) }
    }

    fn add(&mut self, children: &[u32]) -> Result<(), E> {
        for &child in children {
            if self.reached.insert(child) && self.nodes.contains(child) {
                self.left.insert(child);
            }
        }
        self.done += 1;
        if self.done.is_multiple_of(STEP_NODES) { self.tell() } else { Ok(()) }
    }

    fn tell(&mut self) -> Result<(), E> {
        let bitmaps = [&self.nodes, &self.reached, &self.left];
        let bytes: usize = bitmaps.iter().map(|bitmap| bitmap.serialized_size()).sum();
        // Lists of a few rows are kept with room to grow.
        (self.step)(Pass { nodes: self.done, memory_bytes: 2 * bytes as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(u32, &[u32])]) -> (tempfile::TempDir, Catalog) {
        let root = tempfile::tempdir().unwrap();
        let catalog = Catalog::create(&root.path().join("catalog.db")).unwrap();
        for (row, children) in edges {
            let blob = children::encode(children);
            catalog.connection.execute("INSERT INTO nodes VALUES (?1, ?2, 0)", (row, blob)).unwrap();
        }
        (root, catalog)
    }

    fn reached(catalog: &Catalog, roots: &[u32]) -> Vec<u32> {
        let roots = roots.iter().copied().collect();
        catalog.reachable::<CatalogError>(roots, |_| Ok(())).unwrap().iter().collect()
    }

    #[test]
    fn children_are_reached_wherever_their_rows_stand() {
        let (_root, catalog) = graph(&[(9, &[1, 8]), (8, &[2, 20]), (20, &[3, 30]), (30, &[4]), (40, &[5])]);
        assert_eq!(reached(&catalog, &[9]), [1, 2, 3, 4, 8, 9, 20, 30]);
        assert_eq!(reached(&catalog, &[1, 40]), [1, 5, 40]);
        assert!(reached(&catalog, &[]).is_empty());
    }

    #[test]
    fn nodes_above_a_row_are_found_wherever_their_rows_stand() {
        let (_root, catalog) = graph(&[(9, &[1, 8]), (8, &[2, 20]), (20, &[3, 30]), (30, &[4]), (40, &[5])]);
        let above = |rows: &[u32]| {
            let rows = rows.iter().copied().collect();
            catalog.rows_above(&rows, || true).unwrap().iter().collect::<Vec<_>>()
        };
        assert_eq!(above(&[4]), [4, 8, 9, 20, 30]);
        assert_eq!(above(&[1, 5]), [1, 5, 9, 40]);
        assert!(above(&[]).is_empty());
    }

    #[test]
    fn nodes_that_name_each_other_end_the_pass() {
        let (_root, catalog) = graph(&[(1, &[2]), (2, &[3, 1]), (3, &[1])]);
        assert_eq!(reached(&catalog, &[2]), [1, 2, 3]);
    }

    #[test]
    fn a_few_roots_among_many_nodes_are_looked_up() {
        let children: Vec<[u32; 1]> = (0..2_000).map(|row| [row + 10_000]).collect();
        let edges: Vec<(u32, &[u32])> = (1..).zip(children.iter().map(|child| &child[..])).collect();
        let (_root, catalog) = graph(&edges);
        assert_eq!(reached(&catalog, &[7, 1_999]), [7, 1_999, 10_006, 11_998]);
    }

    #[test]
    fn the_caller_ends_a_pass() {
        let (_root, catalog) = graph(&[(1, &[2])]);
        let refused = |_| Err(CatalogError::Inconsistent("enough"));
        assert!(catalog.reachable(RoaringBitmap::new(), refused).is_err());
    }
}
