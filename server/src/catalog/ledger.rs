//! What is accepted and not committed, and what the newest snapshots reach.
//!
//! It applies no rule of the contract; what each snapshot was the first to reach is `reached`'s, the sums by day are `days`'.
//!
//! Invariant: I6 — `uncommitted` is what no snapshot ever reached, `closures` the reach of the newest snapshot of each source;
//! `upkeep::recount` recomputes both.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use rusqlite::OptionalExtension;

use common::id::{SessionId, SourceId};

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};
use crate::contract::ledger::Tally;

/// The uncommitted account, each chunk with the session that is charged for it.
const UNCOMMITTED: &str = "FROM uncommitted JOIN chunks USING (row) LEFT JOIN sessions ON sessions.row = chunks.charged
    LEFT JOIN baselines ON baselines.source = sessions.source";
/// Whether such a chunk was sent before its source had a baseline.
const INITIAL: &str = "(baselines.received_at_ns IS NULL OR sessions.opened_at_ns < baselines.received_at_ns)";

/// What the newest snapshot of a source reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// Rows of its chunks.
    pub chunks: RoaringBitmap,
    /// Plain bytes of the data among them.
    pub plain_bytes: u64,
}

impl Catalog {
    /// The rows that no snapshot reached yet.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn uncommitted_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM uncommitted")?;
        let mut rows = RoaringBitmap::new();
        for row in statement.query_map([], |row| row.get::<_, u32>(0))? {
            rows.insert(row?);
        }
        Ok(rows)
    }

    /// The same, of one session's own.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn uncommitted_rows_of(&self, session: &SessionId) -> Result<RoaringBitmap, CatalogError> {
        let sql = format!("SELECT chunks.row {UNCOMMITTED} WHERE sessions.id = ?1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = RoaringBitmap::new();
        for row in statement.query_map([session.as_bytes()], |row| row.get::<_, u32>(0))? {
            rows.insert(row?);
        }
        Ok(rows)
    }

    /// The rows of all chunks that a frame was ever stored of.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn stored_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row FROM chunks WHERE state <> 0")?;
        let mut rows = RoaringBitmap::new();
        for row in statement.query_map([], |row| row.get::<_, u32>(0))? {
            rows.insert(row?);
        }
        Ok(rows)
    }

    /// Takes rows off the uncommitted account.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside the transaction that stores the snapshot's row.
    pub fn release_uncommitted(&self, rows: &RoaringBitmap) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached("DELETE FROM uncommitted WHERE row = ?1")?;
        rows.iter().try_for_each(|row| statement.execute([row]).map(|_| ()))?;
        Ok(())
    }

    /// The sum of the uncommitted account. What a session sends is initial if it was opened before its source's baseline.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn uncommitted(&self) -> Result<Tally, CatalogError> {
        Ok(self.uncommitted_by_source()?.into_values().fold(Tally::default(), Tally::plus))
    }

    /// The same by the source whose sessions sent it; `None` if no session is known of.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn uncommitted_by_source(&self) -> Result<BTreeMap<Option<SourceId>, Tally>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "SELECT coalesce(sum(iif(chunks.kind = 0 AND class = 1 AND NOT {INITIAL}, plain_bytes, 0)), 0),
                    coalesce(sum(iif(chunks.kind = 0 AND class = 2, plain_bytes, 0)), 0),
                    coalesce(sum(iif(chunks.kind = 0 AND class = 3, plain_bytes, 0)), 0),
                    coalesce(sum(iif(chunks.kind = 0 AND class = 1 AND {INITIAL}, plain_bytes, 0)), 0),
                    coalesce(sum(iif(chunks.kind = 0, 0, max(plain_bytes, frame_bytes))), 0), count(*),
                    sessions.source
             {UNCOMMITTED} GROUP BY sessions.source"
        ))?;
        let rows = statement.query_map([], |row| {
            let source = row.get::<_, Option<[u8; 16]>>(6)?.map(SourceId::new);
            let tally = Tally {
                changed_bytes: count(row.get(0)?),
                relaid_bytes: count(row.get(1)?),
                reseed_bytes: count(row.get(2)?),
                initial_bytes: count(row.get(3)?),
                node_bytes: count(row.get(4)?),
                chunks: count(row.get(5)?),
            };
            Ok((source, tally))
        })?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// The rows of the uncommitted account that were accepted as initial.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn initial_rows(&self) -> Result<RoaringBitmap, CatalogError> {
        let sql = format!("SELECT chunks.row {UNCOMMITTED} WHERE chunks.kind = 0 AND class = 1 AND {INITIAL}");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = RoaringBitmap::new();
        for row in statement.query_map([], |row| row.get::<_, u32>(0))? {
            rows.insert(row?);
        }
        Ok(rows)
    }

    /// Plain bytes that the newest snapshots of all sources reach, each source for itself.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn used_bytes(&self) -> Result<u64, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT coalesce(sum(reachable_bytes), 0) FROM closures")?;
        Ok(count(statement.query_row([], |row| row.get(0))?))
    }

    /// What the newest snapshot of a source reaches.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn reach(&self, source: &SourceId) -> Result<Option<Reach>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached("SELECT reachable_bytes, chunks FROM closures WHERE source = ?1")?;
        let found: Option<(i64, Vec<u8>)> =
            statement.query_row([source.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        found.map(|(bytes, blob)| Ok(Reach { chunks: bitmap_of(&blob)?, plain_bytes: count(bytes) })).transpose()
    }

    /// Stores what the newest snapshot of a source reaches.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_reach(&self, source: &SourceId, reach: &Reach) -> Result<(), CatalogError> {
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO closures (source, reachable_bytes, chunks) VALUES (?1, ?2, ?3)")?;
        statement.execute((source.as_bytes(), stored(reach.plain_bytes), blob_of(&reach.chunks)?))?;
        Ok(())
    }
}

/// A set of rows as it is stored.
pub(in crate::catalog) fn blob_of(rows: &RoaringBitmap) -> Result<Vec<u8>, CatalogError> {
    let mut rows = rows.clone();
    rows.optimize();
    let mut blob = Vec::with_capacity(rows.serialized_size());
    rows.serialize_into(&mut blob).map_err(|_| CatalogError::Inconsistent("a set of rows cannot be written"))?;
    Ok(blob)
}

/// A stored set of rows.
pub(in crate::catalog) fn bitmap_of(blob: &[u8]) -> Result<RoaringBitmap, CatalogError> {
    RoaringBitmap::deserialize_from(blob).map_err(|_| CatalogError::Inconsistent("a set of rows is malformed"))
}
