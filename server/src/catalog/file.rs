//! The file of a catalog: opening, settings, transactions, counters of its own.
//!
//! Invariant: one connection writes, any number read; a reader sees whole transactions only.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::catalog::error::CatalogError;
use crate::catalog::schema::{CREATE, VERSION};

/// Page cache of one connection, in KiB.
const CACHE_KIB: i64 = 8 << 10;
/// Pages in the log after which SQLite copies them into the file.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Prepared statements that a connection keeps.
const STATEMENTS: usize = 64;
/// Time that a reader waits for a lock (recovery of the log only), in milliseconds.
const BUSY_MS: u64 = 10_000;

/// A connection to one subscription's catalog.
#[derive(Debug)]
pub struct Catalog {
    pub(in crate::catalog) connection: Connection,
}

impl Catalog {
    /// Makes a catalog; the file must not exist.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn create(path: &Path) -> Result<Self, CatalogError> {
        let catalog = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        catalog.atomically::<_, CatalogError>(|catalog| {
            CREATE.iter().try_for_each(|statements| catalog.connection.execute_batch(statements))?;
            catalog.connection.pragma_update(None, "user_version", VERSION)?;
            Ok(())
        })?;
        Ok(catalog)
    }

    /// Opens a catalog for writing.
    ///
    /// # Errors
    /// [`CatalogError`], also if there is none.
    pub fn open(path: &Path) -> Result<Self, CatalogError> {
        Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?.checked()
    }

    /// Opens a catalog for reading, beside the one that writes.
    ///
    /// # Errors
    /// [`CatalogError`], also if there is none.
    pub fn open_reader(path: &Path) -> Result<Self, CatalogError> {
        let catalog = Self::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?.checked()?;
        catalog.connection.pragma_update(None, "query_only", true)?;
        Ok(catalog)
    }

    fn connect(path: &Path, flags: OpenFlags) -> Result<Self, CatalogError> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(std::time::Duration::from_millis(BUSY_MS))?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT_PAGES, |_| Ok(()))?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(Self { connection })
    }

    fn checked(self) -> Result<Self, CatalogError> {
        let version = self.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == VERSION { Ok(self) } else { Err(CatalogError::UnknownVersion(version)) }
    }

    /// Runs `change` as one durable transaction; an error leaves no trace of it.
    ///
    /// # Errors
    /// Those of `change`, and [`CatalogError`] of the commit.
    pub fn atomically<T, E: From<CatalogError>>(&self, change: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        let execute = |sql| self.connection.execute_batch(sql).map_err(CatalogError::from);
        execute("BEGIN IMMEDIATE")?;
        let result = change(self).and_then(|value| execute("COMMIT").map(|()| value).map_err(E::from));
        if result.is_err() && !self.connection.is_autocommit() {
            execute("ROLLBACK")?;
        }
        result
    }

    /// Runs `read` against one state of the catalog, whatever is written meanwhile.
    ///
    /// # Errors
    /// Those of `read`, and [`CatalogError`].
    pub fn at_once<T, E: From<CatalogError>>(&self, read: impl FnOnce(&Self) -> Result<T, E>) -> Result<T, E> {
        let execute = |sql| self.connection.execute_batch(sql).map_err(CatalogError::from);
        execute("BEGIN")?;
        let result = read(self);
        execute("COMMIT")?;
        result
    }

    /// The present closure epoch: what was found complete in an earlier one must be looked at again.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn closure_epoch(&self) -> Result<u32, CatalogError> {
        self.meta("closure_epoch").and_then(|value| u32::try_from(value).map_err(|_| CatalogError::Exhausted))
    }

    /// Starts a closure epoch: something that was stored is no longer usable.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn start_closure_epoch(&self) -> Result<(), CatalogError> {
        let next = self.closure_epoch()?.checked_add(1).ok_or(CatalogError::Exhausted)?;
        self.set_meta("closure_epoch", i64::from(next))
    }

    /// The latest time at which a snapshot was received, in nanoseconds; no two snapshots share one.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn received_at_ns(&self) -> Result<i64, CatalogError> {
        self.meta("received_at_ns")
    }

    /// Runs of upkeep that might have removed something; the control store counts them too. Below zero after a rebuild.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn upkeep_runs(&self) -> Result<i64, CatalogError> {
        self.meta("upkeep_runs")
    }

    /// Sets the number of runs.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_upkeep_runs(&self, runs: i64) -> Result<(), CatalogError> {
        self.set_meta("upkeep_runs", runs)
    }

    pub(in crate::catalog) fn set_meta(&self, name: &str, value: i64) -> Result<(), CatalogError> {
        self.connection.prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?.execute((name, value))?;
        Ok(())
    }

    pub(in crate::catalog) fn meta(&self, name: &str) -> Result<i64, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
        let value = statement.query_row([name], |row| row.get(0)).optional()?;
        value.ok_or(CatalogError::Inconsistent("a counter is missing"))
    }

    /// Copies the log into the file and empties it, before the file is moved.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn checkpoint(&self) -> Result<(), CatalogError> {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// The next free row number of a table.
    pub(in crate::catalog) fn next_row(&self, table: &'static str) -> Result<u32, CatalogError> {
        let sql = format!("SELECT coalesce(max(row), 0) + 1 FROM {table}");
        let row: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        u32::try_from(row).map_err(|_| CatalogError::Exhausted)
    }
}

/// A count as SQLite stores it; counts stay below 2⁶³.
pub(in crate::catalog) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A stored count; a negative one, which is never written, reads as 0.
pub(in crate::catalog) fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("catalog.db");
        assert!(Catalog::open(&path).is_err(), "opening never makes one");
        let catalog = Catalog::create(&path).unwrap();
        let failed: Result<(), _> = catalog.atomically(|catalog| {
            catalog.start_closure_epoch()?;
            Err(CatalogError::Inconsistent("on purpose"))
        });
        assert!(failed.is_err());
        assert_eq!(Catalog::open_reader(&path).unwrap().closure_epoch().unwrap(), 1);
        catalog.atomically(Catalog::start_closure_epoch).unwrap();
        assert_eq!(Catalog::open(&path).unwrap().closure_epoch().unwrap(), 2);
        assert!(Catalog::open_reader(&path).unwrap().start_closure_epoch().is_err(), "a reader cannot write");
    }
}
