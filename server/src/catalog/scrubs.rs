//! When each pack was last read whole.
//!
//! It does not survive a rebuild, on purpose: what nobody remembers reading counts as unread.

use roaring::RoaringBitmap;
use rusqlite::params;

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count};
use crate::catalog::packs::PackState;

/// The table; `since_ns` is when scrubbing first met the pack, `verified_at_ns` is 0 until it was read.
pub const TABLES: &str = "
CREATE TABLE scrubs (
    pack INTEGER PRIMARY KEY,
    since_ns INTEGER NOT NULL,
    verified_at_ns INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX chunks_damaged ON chunks (row) WHERE state = 2;
INSERT INTO meta VALUES ('objects_scrubbed_at_ns', 0);
";

/// A pack as scrubbing sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackAge {
    /// Its row.
    pub pack: u32,
    /// Whether it reads well, as far as is known.
    pub state: PackState,
    /// Length.
    pub bytes: u64,
    /// When scrubbing first met it.
    pub since_ns: i64,
    /// When it was last read whole; 0 if never.
    pub verified_at_ns: i64,
}

impl Catalog {
    /// Takes up the packs that are objects and have no row yet, and forgets those that are gone.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn meet_packs(&self, now_ns: i64) -> Result<(), CatalogError> {
        self.connection.execute(
            "INSERT OR IGNORE INTO scrubs (pack, since_ns) SELECT row, ?1 FROM packs WHERE name IS NOT NULL",
            [now_ns],
        )?;
        self.connection.execute("DELETE FROM scrubs WHERE pack NOT IN (SELECT row FROM packs)", [])?;
        Ok(())
    }

    /// Notes that a pack was read whole and was as it was stored.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn set_pack_verified(&self, pack: u32, now_ns: i64) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO scrubs (pack, since_ns, verified_at_ns) VALUES (?1, ?2, ?2)
             ON CONFLICT (pack) DO UPDATE SET verified_at_ns = max(verified_at_ns, ?2)",
        )?;
        statement.execute(params![pack, now_ns])?;
        Ok(())
    }

    /// Forgets when a pack was read.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside the transaction that forgets the pack.
    pub(in crate::catalog) fn forget_scrub(&self, pack: u32) -> Result<(), CatalogError> {
        self.connection.prepare_cached("DELETE FROM scrubs WHERE pack = ?1")?.execute([pack])?;
        Ok(())
    }

    /// Every pack that is an object, with when it was read; one that scrubbing has not met yet is as old as `now_ns`.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn pack_ages(&self, now_ns: i64) -> Result<Vec<PackAge>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT row, state, bytes, coalesce(since_ns, ?1), coalesce(verified_at_ns, 0)
             FROM packs LEFT JOIN scrubs ON scrubs.pack = packs.row WHERE name IS NOT NULL ORDER BY row",
        )?;
        let rows = statement.query_map([now_ns], |row| {
            let (pack, state, bytes): (u32, u8, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((pack, state, bytes, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (pack, state, bytes, since_ns, verified_at_ns) = row?;
            Ok(PackAge { pack, state: PackState::from_code(state)?, bytes: count(bytes), since_ns, verified_at_ns })
        })
        .collect()
    }

    /// The rows of chunks whose frame is lost or damaged.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn damaged_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM chunks WHERE state = 2")?;
        Ok(statement.query_map([], |row| row.get::<_, u32>(0))?.collect::<Result<_, _>>()?)
    }

    /// When the small objects were last read; 0 if never.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn objects_scrubbed_at_ns(&self) -> Result<i64, CatalogError> {
        self.meta("objects_scrubbed_at_ns")
    }

    /// Notes that all small objects were read.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_objects_scrubbed(&self, now_ns: i64) -> Result<(), CatalogError> {
        self.set_meta("objects_scrubbed_at_ns", now_ns)
    }
}

#[cfg(test)]
mod tests {
    use common::id::PackId;
    use common::pack::PackKind;

    use super::*;
    use crate::catalog::packs::PackFacts;

    #[test]
    fn a_pack_in_the_row_of_one_that_went_was_never_read() {
        let root = tempfile::tempdir().unwrap();
        let catalog = Catalog::create(&root.path().join("catalog.db")).unwrap();
        let pack = |name| PackFacts {
            row: 5,
            name: Some(PackId::new([name; 32])),
            kind: PackKind::Data,
            state: PackState::Published,
            salt: [0; 16],
            bytes: 10,
            session: 1,
            emptied_at_ns: 0,
        };
        catalog.store_pack(&pack(1)).unwrap();
        catalog.meet_packs(1).unwrap();
        catalog.set_pack_verified(5, 2).unwrap();
        catalog.forget_emptied(5).unwrap();
        assert_eq!(catalog.next_pack_row().unwrap(), 1);
        catalog.store_pack(&pack(2)).unwrap();
        let ages = catalog.pack_ages(9).unwrap();
        assert_eq!((ages[0].since_ns, ages[0].verified_at_ns), (9, 0));
    }
}
