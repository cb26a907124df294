//! Questions and changes of the garbage collector: roots, purging, packs without chunks, and how full packs are.
//!
//! It decides nothing: `upkeep` does.
//!
//! Invariant: rows are deleted nodes first, each after every node that names it, so that no node ever names a row that is
//! gone; where nodes name each other, the row stays as absent.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count};

/// How much of a pack is still pointed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackUse {
    /// Frames.
    pub frames: u64,
    /// Bytes of these frames.
    pub live_bytes: u64,
}

/// The order in which an epoch's rows are deleted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PurgeOrder {
    /// Rows, each after all nodes of the epoch that name it.
    pub rows: Vec<u32>,
    /// Rows that a node later in the order names all the same.
    pub named_later: RoaringBitmap,
}

impl Catalog {
    /// What must stay although no snapshot reaches it: the roots of snapshots, frames of sessions that go on or that an agent
    /// may take up again (`touched_since_ns`), and frames of packs that are still staging.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn roots(&self, touched_since_ns: i64) -> Result<RoaringBitmap, CatalogError> {
        let mut roots = RoaringBitmap::new();
        let mut add = |sql: &str, parameter: &[&dyn rusqlite::ToSql]| {
            let mut statement = self.connection.prepare_cached(sql)?;
            for row in statement.query_map(parameter, |row| row.get::<_, u32>(0))? {
                roots.insert(row?);
            }
            Ok::<_, CatalogError>(())
        };
        add("SELECT root FROM snapshots WHERE expired_at_ns = 0", &[])?;
        add(
            "SELECT uncommitted.row FROM uncommitted JOIN chunks ON chunks.row = uncommitted.row
             JOIN sessions ON sessions.row = chunks.session WHERE sessions.state = 0 OR sessions.touched_at_ns > ?1",
            &[&touched_since_ns],
        )?;
        add("SELECT chunks.row FROM packs JOIN chunks ON chunks.pack = packs.row WHERE packs.state = 0", &[])?;
        Ok(roots)
    }

    /// The rows of all chunks, absent ones included.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunk_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM chunks")?;
        let mut rows = RoaringBitmap::new();
        for row in statement.query_map([], |row| row.get::<_, u32>(0))? {
            rows.insert(row?);
        }
        Ok(rows)
    }

    /// True if all of these chunks have a row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_rows(&self, rows: &RoaringBitmap) -> Result<bool, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM chunks WHERE row = ?1")?;
        for row in rows {
            if !statement.exists([row])? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The order in which these rows can be deleted.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn purge_order(&self, rows: &RoaringBitmap) -> Result<PurgeOrder, CatalogError> {
        let nodes = self.node_rows()? & rows;
        let (mut entered, mut left) = (RoaringBitmap::new(), RoaringBitmap::new());
        let mut order = PurgeOrder::default();
        for root in nodes.iter().rev() {
            let mut stack = vec![(root, None::<std::vec::IntoIter<u32>>)];
            while let Some((row, children)) = stack.last_mut() {
                let row = *row;
                let Some(children) = children else {
                    if !entered.insert(row) {
                        stack.pop();
                        continue;
                    }
                    let node = self.node(row)?.ok_or(CatalogError::Inconsistent("a node has no children row"))?;
                    stack.last_mut().expect("it was just looked at").1 = Some(node.children.into_iter());
                    continue;
                };
                match children.find(|child| nodes.contains(*child)) {
                    Some(child) if entered.contains(child) => {
                        // Entered and not left: the child is above this node, they name each other.
                        if !left.contains(child) {
                            order.named_later.insert(child);
                        }
                    }
                    Some(child) => stack.push((child, None)),
                    None => {
                        left.insert(row);
                        order.rows.push(row);
                        stack.pop();
                    }
                }
            }
        }
        order.rows.reverse();
        order.rows.extend((rows - &nodes).iter());
        Ok(order)
    }

    /// Deletes rows that are in trash, and takes them off the trash and the uncommitted account; rows of `named_later` stay as
    /// absent. How many went.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction, by [`Self::purge_order`].
    pub fn purge_rows(&self, rows: &[u32], named_later: &RoaringBitmap) -> Result<u64, CatalogError> {
        let mut purged = RoaringBitmap::new();
        for &row in rows {
            // What was brought back meanwhile stays.
            if !self.is_trashed(row)? {
                continue;
            }
            let sql = if named_later.contains(row) {
                "UPDATE chunks SET state = 0, pack = NULL, offset = 0, frame_bytes = 0, plain_bytes = 0, checksum = NULL WHERE row = ?1"
            } else {
                "DELETE FROM chunks WHERE row = ?1"
            };
            self.connection.prepare_cached(sql)?.execute([row])?;
            self.connection.prepare_cached("DELETE FROM nodes WHERE row = ?1")?.execute([row])?;
            self.connection.prepare_cached("DELETE FROM uncommitted WHERE row = ?1")?.execute([row])?;
            purged.insert(row);
        }
        self.forget_first_reached(&purged)?;
        self.bring_back(&purged)
    }

    /// The published packs that no chunk points to, and that are not noted as emptied.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn packs_without_chunks(&self) -> Result<Vec<u32>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT row FROM packs WHERE emptied_at_ns = 0 AND state NOT IN (0, 5, 6)
             AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = packs.row)",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// Notes that a pack is empty since `at_ns`, if no chunk points to it.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn note_emptied(&self, pack: u32, at_ns: i64) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE packs SET emptied_at_ns = ?2 WHERE row = ?1 AND emptied_at_ns = 0 AND state <> 6
             AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = ?1)",
        )?;
        statement.execute((pack, at_ns))?;
        Ok(())
    }

    /// True if a pack is noted as emptied since `until_ns` or earlier and no chunk points to it.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn is_emptied(&self, pack: u32, until_ns: i64) -> Result<bool, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT 1 FROM packs WHERE row = ?1 AND emptied_at_ns BETWEEN 1 AND ?2
             AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = ?1)",
        )?;
        Ok(statement.exists((pack, until_ns))?)
    }

    /// Forgets a pack whose object is gone and that no chunk points to, with when it was read: another pack may get its row.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn forget_emptied(&self, pack: u32) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "DELETE FROM packs WHERE row = ?1 AND state <> 0 AND NOT EXISTS (SELECT 1 FROM chunks WHERE chunks.pack = ?1)",
        )?;
        if statement.execute([pack])? == 1 {
            self.forget_scrub(pack)?;
        }
        Ok(())
    }

    /// How much of each pack is pointed to, by its row; packs without chunks are not in it.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn pack_uses(&self) -> Result<HashMap<u32, PackUse>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT pack, frame_bytes FROM chunks WHERE pack IS NOT NULL")?;
        let mut uses: HashMap<u32, PackUse> = HashMap::new();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (pack, bytes): (u32, i64) = (row.get(0)?, row.get(1)?);
            let pack = uses.entry(pack).or_default();
            pack.frames += 1;
            pack.live_bytes += count(bytes);
        }
        Ok(uses)
    }

    /// Bytes of the frames of these chunks.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn frame_bytes_of(&self, rows: &RoaringBitmap) -> Result<u64, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT coalesce(sum(frame_bytes), 0) FROM chunks WHERE row = ?1")?;
        rows.iter().try_fold(0, |sum, row| Ok(sum + count(statement.query_row([row], |row| row.get(0))?)))
    }

    /// The rows of the sessions that sealed the frames of a pack.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn sessions_of_pack(&self, pack: u32) -> Result<Vec<u32>, CatalogError> {
        let sql = "SELECT DISTINCT session FROM chunks WHERE pack = ?1 ORDER BY session";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map([pack], |row| row.get(0))?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// Moves a chunk to where its frame was copied, unless it went elsewhere meanwhile; true if it moved.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn move_chunk(&self, row: u32, from: (u32, u32), to: (u32, u32)) -> Result<bool, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE chunks SET pack = ?4, offset = ?5 WHERE row = ?1 AND pack = ?2 AND offset = ?3 AND state = 1",
        )?;
        Ok(statement.execute((row, from.0, from.1, to.0, to.1))? == 1)
    }
}
