//! What a catalog holds, in a few numbers: cheap enough to be asked every minute.
//!
//! Only tables of packs, sessions, snapshots and days are read; chunks are not counted one by one.

use std::collections::BTreeMap;

use common::id::SourceId;
use common::stored::SnapshotState;

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count};
use crate::contract::claim::Claim;

/// Packs of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackTotals {
    /// Objects in the store.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are still staging files.
    pub staging_bytes: u64,
    /// Packs of which something is known to be damaged or gone, and small objects that are.
    pub damaged: u64,
}

/// What a source has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SourceTotals {
    /// Snapshots that are kept.
    pub snapshots: u64,
    /// When the first of them was received, in nanoseconds since 1970.
    pub oldest_at_ns: i64,
    /// When the newest complete one was received; none if there is none.
    pub complete_at_ns: Option<i64>,
    /// When one was last verified; 0 if never.
    pub verified_at_ns: i64,
    /// What the newest says of itself.
    pub claim: Claim,
}

/// Chunks of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkTotals {
    /// Chunks that have a row.
    pub chunks: u64,
    /// Those of them in the trash.
    pub trashed: u64,
}

impl Catalog {
    /// The packs.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn pack_totals(&self) -> Result<PackTotals, CatalogError> {
        let small = self.damaged_object_count()?;
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(state IN (1, 2, 3, 6)), 0), coalesce(sum(iif(state IN (1, 2, 3, 6), bytes, 0)), 0),
                    coalesce(sum(iif(state = 0, bytes, 0)), 0), coalesce(sum(state IN (2, 3, 4, 6)), 0) FROM packs",
        )?;
        Ok(statement.query_row([], |row| {
            Ok(PackTotals {
                packs: count(row.get(0)?),
                bytes: count(row.get(1)?),
                staging_bytes: count(row.get(2)?),
                damaged: count(row.get(3)?) + small,
            })
        })?)
    }

    /// Sessions that are open.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn open_session_count(&self) -> Result<u64, CatalogError> {
        let sql = "SELECT count(*) FROM sessions WHERE state = 0";
        Ok(count(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
    }

    /// What each source has that has a snapshot.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn source_totals(&self) -> Result<BTreeMap<SourceId, SourceTotals>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT source, count(*), min(received_at_ns), max(iif(state = ?1, received_at_ns, NULL)), max(verified_at_ns)
             FROM snapshots WHERE expired_at_ns = 0 GROUP BY source",
        )?;
        let rows = statement.query_map([i32::from(SnapshotState::Complete)], |row| {
            let totals = SourceTotals {
                snapshots: count(row.get(1)?),
                oldest_at_ns: row.get(2)?,
                complete_at_ns: row.get(3)?,
                verified_at_ns: row.get(4)?,
                claim: Claim::default(),
            };
            Ok((SourceId::new(row.get(0)?), totals))
        })?;
        let mut totals: BTreeMap<_, _> = rows.collect::<Result<_, _>>()?;
        for (source, claim) in self.claims()? {
            totals.entry(source).and_modify(|totals: &mut SourceTotals| totals.claim = claim);
        }
        Ok(totals)
    }

    /// What the newest snapshot of each source says of itself.
    fn claims(&self) -> Result<Vec<(SourceId, Claim)>, CatalogError> {
        // SQLite takes the other columns of a group from the row that has the maximum.
        let mut statement = self.connection.prepare_cached(
            "SELECT source, claimed_bytes, changed_bytes + relaid_bytes + reseed_bytes + initial_bytes, received_at_ns,
                    max(sequence)
             FROM snapshots WHERE expired_at_ns = 0 GROUP BY source",
        )?;
        let rows = statement.query_map([], |row| {
            let (claimed_bytes, laid_bytes) = (count(row.get(1)?), count(row.get(2)?));
            Ok((SourceId::new(row.get(0)?), Claim { claimed_bytes, laid_bytes, at_ns: row.get(3)? }))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Chunks one by one: a scan of an index and of the trash's bitmaps, for a look now and then.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn chunk_totals(&self) -> Result<ChunkTotals, CatalogError> {
        let chunks = self.connection.query_row("SELECT count(*) FROM chunks", [], |row| row.get(0))?;
        Ok(ChunkTotals { chunks: count(chunks), trashed: self.trashed_rows(None)?.len() })
    }
}
