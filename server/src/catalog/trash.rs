//! Trash: chunks that nothing reached when mark looked, and that wait for their grace to end.
//!
//! Each run of mark is an epoch: a set of chunk rows, kept as bitmaps of 65,536 rows each, so that a whole epoch is stored in
//! one short transaction and one chunk is taken back by rewriting a few kilobytes.
//!
//! Invariant: trash is upward-closed: no node outside of it has a child in it. What stores a node brings back what the node
//! names, and what commits a root brings back what the root reaches, in the same transaction. So a node outside of the trash has
//! a whole closure outside of it, and "present and complete" is enough to refer to it.
//! Invariant: a row is taken off the trash in the transaction that deletes it.

use roaring::RoaringBitmap;
use rusqlite::OptionalExtension;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// Rows in one stored bitmap, as a power of two.
const PART_BITS: u32 = 16;

/// A run of mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrashEpoch {
    /// Its number.
    pub epoch: u32,
    /// When it moved rows to trash, in nanoseconds since 1970.
    pub at_ns: i64,
    /// The newest session at that moment: it and those before may still refer to what is in it without asking.
    pub newest_session: u32,
}

impl Catalog {
    /// Moves rows to trash as a further epoch; nothing happens for no rows.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction, with a set that keeps the trash upward-closed.
    pub fn put_in_trash(&self, rows: &RoaringBitmap, at_ns: i64) -> Result<(), CatalogError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.connection.execute(
            "INSERT INTO trash_epochs (at_ns, newest_session) SELECT ?1, coalesce(max(row), 0) FROM sessions",
            [at_ns],
        )?;
        let epoch = u32::try_from(self.connection.last_insert_rowid()).map_err(|_| CatalogError::Exhausted)?;
        let mut part = RoaringBitmap::new();
        let mut number = 0;
        for row in rows {
            if row >> PART_BITS != number {
                self.store_part(number, epoch, &part)?;
                part.clear();
                number = row >> PART_BITS;
            }
            part.insert(row);
        }
        self.store_part(number, epoch, &part)
    }

    /// The runs of mark whose trash is not empty, oldest first.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn trash_epochs(&self) -> Result<Vec<TrashEpoch>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT epoch, at_ns, newest_session FROM trash_epochs
             WHERE EXISTS (SELECT 1 FROM trash WHERE trash.epoch = trash_epochs.epoch) ORDER BY epoch",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(TrashEpoch { epoch: row.get(0)?, at_ns: row.get(1)?, newest_session: row.get(2)? })
        })?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// Forgets the epochs that have no rows left.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn forget_empty_epochs(&self) -> Result<(), CatalogError> {
        let sql =
            "DELETE FROM trash_epochs WHERE NOT EXISTS (SELECT 1 FROM trash WHERE trash.epoch = trash_epochs.epoch)";
        self.connection.execute(sql, [])?;
        Ok(())
    }

    /// The rows in trash, of one epoch or of all.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn trashed_rows(&self, epoch: Option<u32>) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT rows FROM trash WHERE ?1 IS NULL OR epoch = ?1")?;
        let mut all = RoaringBitmap::new();
        for blob in statement.query_map([epoch], |row| row.get::<_, Vec<u8>>(0))? {
            all |= decode(&blob?)?;
        }
        Ok(all)
    }

    /// Whether anything is in trash.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_trash(&self) -> Result<bool, CatalogError> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM trash LIMIT 1")?.exists([])?)
    }

    /// Whether a row is in trash.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn is_trashed(&self, row: u32) -> Result<bool, CatalogError> {
        Ok(self.parts_of(row)?.iter().any(|(_, rows)| rows.contains(row)))
    }

    /// Takes rows off the trash; how many were in it.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction, with a set that is downward-closed.
    pub fn bring_back(&self, rows: &RoaringBitmap) -> Result<u64, CatalogError> {
        let mut brought = 0;
        let mut next = rows.min();
        while let Some(first) = next {
            let last = first | ((1 << PART_BITS) - 1);
            for (epoch, mut part) in self.parts_of(first)? {
                let before = part.len();
                part -= rows;
                if part.len() < before {
                    brought += before - part.len();
                    self.store_part(first >> PART_BITS, epoch, &part)?;
                }
            }
            next = last.checked_add(1).and_then(|after| rows.range(after..).next());
        }
        Ok(brought)
    }

    /// Takes these rows off the trash with everything that they reach in it; how many were in it.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn bring_back_reached(&self, rows: impl IntoIterator<Item = u32>) -> Result<u64, CatalogError> {
        if !self.has_trash()? {
            return Ok(0);
        }
        let trashed = |row| self.is_trashed(row);
        let found = self.reached_within(rows, trashed)?;
        self.bring_back(&found)
    }

    /// The rows that are `within` a set and that these rows reach through rows of that set, themselves included.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn reached_within(
        &self,
        rows: impl IntoIterator<Item = u32>,
        within: impl Fn(u32) -> Result<bool, CatalogError>,
    ) -> Result<RoaringBitmap, CatalogError> {
        let mut found = RoaringBitmap::new();
        let mut left: RoaringBitmap = rows.into_iter().collect();
        while let Some(row) = left.max() {
            left.remove(row);
            if found.contains(row) || !within(row)? {
                continue;
            }
            found.insert(row);
            let children = self.node(row)?.map_or_else(Vec::new, |node| node.children);
            left.extend(children.into_iter().filter(|child| !found.contains(*child)));
        }
        Ok(found)
    }

    fn parts_of(&self, row: u32) -> Result<Vec<(u32, RoaringBitmap)>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT epoch, rows FROM trash WHERE part = ?1")?;
        let rows = statement.query_map([row >> PART_BITS], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (epoch, blob) = row?;
            Ok((epoch, decode(&blob)?))
        })
        .collect()
    }

    fn store_part(&self, part: u32, epoch: u32, rows: &RoaringBitmap) -> Result<(), CatalogError> {
        if rows.is_empty() {
            let mut statement = self.connection.prepare_cached("DELETE FROM trash WHERE part = ?1 AND epoch = ?2")?;
            statement.execute((part, epoch))?;
            return Ok(());
        }
        let mut blob = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut blob).map_err(|_| CatalogError::Inconsistent("trash cannot be written"))?;
        let mut statement =
            self.connection.prepare_cached("INSERT OR REPLACE INTO trash (part, epoch, rows) VALUES (?1, ?2, ?3)")?;
        statement.execute((part, epoch, blob))?;
        Ok(())
    }
}

fn decode(blob: &[u8]) -> Result<RoaringBitmap, CatalogError> {
    RoaringBitmap::deserialize_from(blob).map_err(|_| CatalogError::Inconsistent("trash is malformed"))
}

impl Catalog {
    /// True while a session goes on that was there at `newest_session`.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_open_session_until(&self, newest_session: u32) -> Result<bool, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT 1 FROM sessions WHERE state = 0 AND row <= ?1 LIMIT 1")?;
        Ok(statement.query_row([newest_session], |_| Ok(())).optional()?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(root: &std::path::Path) -> Catalog {
        Catalog::create(&root.join("catalog.db")).unwrap()
    }

    #[test]
    fn rows_go_to_trash_by_epoch_and_come_back_one_by_one() {
        let root = tempfile::tempdir().unwrap();
        let catalog = catalog(root.path());
        let rows: RoaringBitmap = [1, 2, 65_535, 65_536, 200_000, u32::MAX].into_iter().collect();
        catalog.put_in_trash(&rows, 7).unwrap();
        catalog.put_in_trash(&RoaringBitmap::new(), 8).unwrap();
        catalog.put_in_trash(&[3, 70_000].into_iter().collect(), 9).unwrap();
        let epochs = catalog.trash_epochs().unwrap();
        assert_eq!(epochs.iter().map(|epoch| epoch.at_ns).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(catalog.trashed_rows(Some(epochs[0].epoch)).unwrap(), rows);
        assert_eq!(catalog.trashed_rows(None).unwrap().len(), 8);
        assert!(catalog.is_trashed(65_536).unwrap() && !catalog.is_trashed(4).unwrap());
        let wanted = [1, 3, 4, 65_536, u32::MAX].into_iter().collect();
        assert_eq!(catalog.bring_back(&wanted).unwrap(), 4);
        let left: Vec<u32> = catalog.trashed_rows(None).unwrap().iter().collect();
        assert_eq!(left, [2, 65_535, 70_000, 200_000]);
        catalog.bring_back(&left.into_iter().collect()).unwrap();
        assert!(!catalog.has_trash().unwrap() && catalog.trash_epochs().unwrap().is_empty());
        catalog.forget_empty_epochs().unwrap();
    }
}
