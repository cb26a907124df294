//! What every snapshot was the first to reach: the bytes that it counted, and the chunks that they are. Expired ones stay.
//!
//! Invariant: I6 — the day ledger adds up these lines; a line adds up its chunks as long as none of them was purged.

use common::id::SessionId;
use common::stored::ServerPart;
use roaring::RoaringBitmap;

use crate::catalog::days::tally;
use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};
use crate::catalog::ledger::{bitmap_of, blob_of};
use crate::contract::ledger::Tally;

/// What one snapshot was the first to reach.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstReached {
    /// Its name.
    pub session: SessionId,
    /// Its civil day.
    pub day: String,
    /// When it was received.
    pub received_at_ns: i64,
    /// What it counted.
    pub tally: Tally,
    /// `chunks` are exactly those that `tally` counted: none was purged, and no earlier snapshot is unknown.
    pub exact: bool,
    /// Rows of the chunks.
    pub chunks: RoaringBitmap,
}

impl Catalog {
    /// Stores what a snapshot was the first to reach.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside the transaction that stores the snapshot's row.
    pub fn set_first_reached(
        &self,
        session: &SessionId,
        part: &ServerPart,
        chunks: &RoaringBitmap,
    ) -> Result<(), CatalogError> {
        let Tally { changed_bytes, relaid_bytes, reseed_bytes, initial_bytes, node_bytes, chunks: number } =
            tally(part);
        let mut statement = self
            .connection
            .prepare_cached("INSERT INTO reached VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)")?;
        statement.execute(rusqlite::params![
            session.as_bytes(),
            part.day,
            part.received_at_ns,
            stored(changed_bytes),
            stored(relaid_bytes),
            stored(reseed_bytes),
            stored(initial_bytes),
            stored(node_bytes),
            stored(number),
            number == chunks.len(),
            chunks.min().unwrap_or(u32::MAX),
            chunks.max().unwrap_or(0),
            blob_of(chunks)?,
        ])?;
        Ok(())
    }

    /// What every snapshot was the first to reach, in the order of reception.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn first_reached(&self) -> Result<Vec<FirstReached>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT session, day, received_at_ns, changed_bytes, relaid_bytes, reseed_bytes, initial_bytes, node_bytes,
                    first_reached, exact, chunks FROM reached ORDER BY received_at_ns",
        )?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(FirstReached {
                session: SessionId::new(row.get(0)?),
                day: row.get(1)?,
                received_at_ns: row.get(2)?,
                tally: Tally {
                    changed_bytes: count(row.get(3)?),
                    relaid_bytes: count(row.get(4)?),
                    reseed_bytes: count(row.get(5)?),
                    initial_bytes: count(row.get(6)?),
                    node_bytes: count(row.get(7)?),
                    chunks: count(row.get(8)?),
                },
                exact: row.get(9)?,
                chunks: bitmap_of(row.get_ref(10)?.as_blob().unwrap_or_default())?,
            });
        }
        Ok(found)
    }

    /// Takes chunk rows that are about to be removed out of what snapshots were the first to reach: their numbers may be used
    /// again. Only lines whose rows can be meant are read: a session's rows lie close together.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside the transaction that removes the rows.
    pub fn forget_first_reached(&self, rows: &RoaringBitmap) -> Result<(), CatalogError> {
        let (Some(lowest), Some(highest)) = (rows.min(), rows.max()) else { return Ok(()) };
        let sql = "SELECT session, chunks FROM reached WHERE highest >= ?1 AND lowest <= ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut lines = statement.query((lowest, highest))?;
        let mut shorter = Vec::new();
        while let Some(line) = lines.next()? {
            let chunks = bitmap_of(line.get_ref(1)?.as_blob().unwrap_or_default())?;
            if !chunks.is_disjoint(rows) {
                shorter.push((SessionId::new(line.get(0)?), chunks - rows));
            }
        }
        let sql = "UPDATE reached SET exact = 0, lowest = ?2, highest = ?3, chunks = ?4 WHERE session = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        for (session, chunks) in &shorter {
            let (lowest, highest) = (chunks.min().unwrap_or(u32::MAX), chunks.max().unwrap_or(0));
            statement.execute((session.as_bytes(), lowest, highest, blob_of(chunks)?))?;
        }
        Ok(())
    }
}
