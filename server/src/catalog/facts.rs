//! Rows of facts and of other small objects that the store was seen to hold.
//!
//! The objects are what counts; a row tells what they say without reading them, and that one went missing.
//!
//! Invariant: an object is durable before its row, so a row without an object is a loss, never a crash.

use common::id::FactId;
use rusqlite::Row;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::store::fact::KnownFact;
use crate::store::name::FactKind;

/// The tables.
pub const TABLES: &str = "
CREATE TABLE facts (
    kind TEXT NOT NULL,
    id BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE TABLE seen (
    name TEXT PRIMARY KEY
) WITHOUT ROWID;
";

impl Catalog {
    /// Stores the row of a fact that is durable.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn insert_fact(&self, fact: &KnownFact) -> Result<(), CatalogError> {
        let mut statement =
            self.connection.prepare_cached("INSERT OR IGNORE INTO facts (kind, id, bytes) VALUES (?1, ?2, ?3)")?;
        statement.execute((fact.kind.word(), fact.id.as_bytes(), &fact.bytes))?;
        Ok(())
    }

    /// The facts of one kind, in the order of their names.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn facts(&self, kind: FactKind) -> Result<Vec<KnownFact>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT id, bytes FROM facts WHERE kind = ?1 ORDER BY id")?;
        let known = |row: &Row<'_>| Ok(KnownFact { kind, id: FactId::new(row.get(0)?), bytes: row.get(1)? });
        Ok(statement.query_map([kind.word()], known)?.collect::<Result<_, _>>()?)
    }

    /// True if a fact has its row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_fact(&self, kind: FactKind, id: &FactId) -> Result<bool, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM facts WHERE kind = ?1 AND id = ?2")?;
        Ok(statement.exists((kind.word(), id.as_bytes()))?)
    }

    /// True if an object of this name was noted.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_seen(&self, name: &str) -> Result<bool, CatalogError> {
        Ok(self.connection.prepare_cached("SELECT 1 FROM seen WHERE name = ?1")?.exists([name])?)
    }

    /// Notes that the store holds an object of this name.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn note_seen(&self, name: &str) -> Result<(), CatalogError> {
        self.connection.prepare_cached("INSERT OR IGNORE INTO seen (name) VALUES (?1)")?.execute([name])?;
        Ok(())
    }

    /// Names of the objects that were noted, in order.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn seen(&self) -> Result<Vec<String>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT name FROM seen ORDER BY name")?;
        Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    }
}
