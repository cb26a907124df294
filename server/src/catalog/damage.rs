//! What scrubbing found damaged beside packs and chunks, and which snapshots reach a damaged chunk.
//!
//! Packs and chunks carry their own states; this is what has no row of its own.
//!
//! Invariant: what a whole pass over the small objects did not find any more is forgotten, and nothing else is.

use common::id::SessionId;
use rusqlite::params;

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};

/// Small objects by name, and snapshots with how many damaged chunks they reach.
pub const TABLES: &str = "
CREATE TABLE damaged_objects (
    name TEXT PRIMARY KEY,
    since_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE affected_snapshots (
    session BLOB PRIMARY KEY,
    chunks INTEGER NOT NULL
) WITHOUT ROWID;
";

impl Catalog {
    /// Notes small objects that are damaged or gone; after a `whole` pass those that are not among them are well again.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn note_damaged_objects(&self, names: &[String], whole: bool, now_ns: i64) -> Result<(), CatalogError> {
        if whole {
            let known = self.damaged_objects()?;
            for (name, _) in known.iter().filter(|(name, _)| !names.contains(name)) {
                self.connection.execute("DELETE FROM damaged_objects WHERE name = ?1", [name])?;
            }
        }
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO damaged_objects VALUES (?1, ?2)")?;
        names.iter().try_for_each(|name| statement.execute(params![name, now_ns]).map(|_| ()))?;
        Ok(())
    }

    /// Notes that a small object did not read back well: the next round of scrubbing reads them all.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn suspect_object(&self, name: &str, now_ns: i64) -> Result<(), CatalogError> {
        self.note_damaged_objects(&[name.to_owned()], false, now_ns)?;
        self.set_objects_scrubbed(0)
    }

    /// How many small objects are damaged or missing.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn damaged_object_count(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT count(*) FROM damaged_objects";
        Ok(count(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
    }

    /// The small objects that are damaged or gone, and since when that is known.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn damaged_objects(&self) -> Result<Vec<(String, i64)>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT name, since_ns FROM damaged_objects ORDER BY name")?;
        Ok(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
    }

    /// Stores which snapshots reach damaged chunks, and how many, in place of what was known.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction.
    pub fn set_affected_snapshots(&self, affected: &[(SessionId, u64)]) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM affected_snapshots", [])?;
        let mut statement = self.connection.prepare_cached("INSERT INTO affected_snapshots VALUES (?1, ?2)")?;
        for (session, chunks) in affected {
            statement.execute(params![session.as_bytes(), stored(*chunks)])?;
        }
        Ok(())
    }

    /// The snapshots that reached damaged chunks when that was last counted, and how many.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn affected_snapshots(&self) -> Result<Vec<(SessionId, u64)>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT session, chunks FROM affected_snapshots")?;
        let rows = statement.query_map([], |row| Ok((SessionId::new(row.get(0)?), count(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
