//! What is counted: the day ledger, the uncommitted account, the reach of the newest snapshots.
//!
//! It applies no rule of the contract.
//!
//! Invariant: I6 — `days` adds up the snapshots of each day, `uncommitted` is what no snapshot reached, `closures` is the reach of
//! the newest snapshot of each source; `upkeep::recount` recomputes all three.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use rusqlite::OptionalExtension;

use common::id::SourceId;
use common::stored::{ServerPart, SnapshotState};

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};
use crate::catalog::snapshots::SnapshotFacts;

/// What was accepted and not yet reached by a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uncommitted {
    /// Plain bytes of data.
    pub data_bytes: u64,
    /// Plain bytes of nodes.
    pub node_bytes: u64,
    /// Chunks of both.
    pub chunks: u64,
}

/// One line of the day ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayLine {
    /// Civil day in Europe/Paris.
    pub day: String,
    /// Plain bytes of data first reached that day, class changed.
    pub changed_bytes: u64,
    /// The same, class relaid.
    pub relaid_bytes: u64,
    /// The same, class reseed.
    pub reseed_bytes: u64,
    /// Plain bytes of nodes first reached that day.
    pub node_bytes: u64,
    /// Complete snapshots.
    pub complete: u32,
    /// Partial snapshots.
    pub partial: u32,
}

/// What the newest snapshot of a source reaches.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// Rows of its chunks.
    pub chunks: RoaringBitmap,
    /// Plain bytes of the data among them.
    pub plain_bytes: u64,
}

impl Catalog {
    /// Adds a snapshot to the ledger of its day.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside the transaction that stores the snapshot's row.
    pub fn add_to_day(&self, snapshot: &SnapshotFacts) -> Result<(), CatalogError> {
        let ServerPart { day, changed_bytes, relaid_bytes, reseed_bytes, node_bytes, stored_bytes, sent_bytes, .. } =
            &snapshot.server;
        let complete = u32::from(snapshot.state == SnapshotState::Complete);
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO days VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (day, source) DO UPDATE SET
             changed_bytes = changed_bytes + ?3, relaid_bytes = relaid_bytes + ?4, reseed_bytes = reseed_bytes + ?5,
             node_bytes = node_bytes + ?6, stored_bytes = stored_bytes + ?7, sent_bytes = sent_bytes + ?8,
             complete = complete + ?9, partial = partial + ?10",
        )?;
        statement.execute((
            day,
            snapshot.source.as_bytes(),
            stored(*changed_bytes),
            stored(*relaid_bytes),
            stored(*reseed_bytes),
            stored(*node_bytes),
            stored(*stored_bytes),
            stored(*sent_bytes),
            complete,
            1 - complete,
        ))?;
        Ok(())
    }

    /// The ledger by day, newest first: of one day or of all, of one source or of all.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn days(&self, day: Option<&str>, source: Option<&SourceId>) -> Result<Vec<DayLine>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT day, sum(changed_bytes), sum(relaid_bytes), sum(reseed_bytes), sum(node_bytes), sum(complete), sum(partial)
             FROM days WHERE (?1 IS NULL OR day = ?1) AND (?2 IS NULL OR source = ?2) GROUP BY day ORDER BY day DESC",
        )?;
        let rows = statement.query_map((day, source.map(|source| source.as_bytes())), |row| {
            Ok(DayLine {
                day: row.get(0)?,
                changed_bytes: count(row.get(1)?),
                relaid_bytes: count(row.get(2)?),
                reseed_bytes: count(row.get(3)?),
                node_bytes: count(row.get(4)?),
                complete: row.get(5)?,
                partial: row.get(6)?,
            })
        })?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// Plain bytes that the newest snapshot of each day reaches, of one source or of all sources together.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn newest_of_days(&self, source: Option<&SourceId>) -> Result<BTreeMap<String, u64>, CatalogError> {
        // SQLite takes the other columns of a group from the row that has the maximum.
        let mut statement = self.connection.prepare_cached(
            "SELECT day, sum(reachable_bytes) FROM (
                SELECT day, reachable_bytes, max(sequence) FROM snapshots WHERE ?1 IS NULL OR source = ?1 GROUP BY day, source
             ) GROUP BY day",
        )?;
        let rows = statement.query_map([source.map(|source| source.as_bytes())], |row| {
            Ok((row.get::<_, String>(0)?, count(row.get(1)?)))
        })?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

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

    /// The sum of the uncommitted account.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn uncommitted(&self) -> Result<Uncommitted, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(iif(kind = 0, plain_bytes, 0)), 0),
                    coalesce(sum(iif(kind = 0, 0, max(plain_bytes, frame_bytes))), 0), count(*)
             FROM uncommitted JOIN chunks USING (row)",
        )?;
        Ok(statement.query_row([], |row| {
            Ok(Uncommitted {
                data_bytes: count(row.get(0)?),
                node_bytes: count(row.get(1)?),
                chunks: count(row.get(2)?),
            })
        })?)
    }

    /// Plain bytes that the newest snapshots of all sources reach, each source for itself.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn used_bytes(&self) -> Result<u64, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT coalesce(sum(reachable_bytes), 0) FROM closures")?;
        Ok(count(statement.query_row([], |row| row.get(0))?))
    }

    /// Plain bytes of the first complete snapshots of all sources; 0 while there is none.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn baseline_bytes(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT coalesce(sum(reachable_bytes), 0) FROM snapshots WHERE first = 1";
        Ok(count(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
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
        found
            .map(|(bytes, blob)| {
                let chunks = RoaringBitmap::deserialize_from(&blob[..])
                    .map_err(|_| CatalogError::Inconsistent("the reach of a snapshot is malformed"))?;
                Ok(Reach { chunks, plain_bytes: count(bytes) })
            })
            .transpose()
    }

    /// Stores what the newest snapshot of a source reaches.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_reach(&self, source: &SourceId, reach: &Reach) -> Result<(), CatalogError> {
        let mut blob = Vec::with_capacity(reach.chunks.serialized_size());
        reach.chunks.serialize_into(&mut blob).map_err(|_| CatalogError::Inconsistent("a reach cannot be written"))?;
        let mut statement = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO closures (source, reachable_bytes, chunks) VALUES (?1, ?2, ?3)")?;
        statement.execute((source.as_bytes(), stored(reach.plain_bytes), blob))?;
        Ok(())
    }
}
