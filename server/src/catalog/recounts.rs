//! Sums that the catalog keeps beside the rows that they are sums of, for `upkeep::recount` (I6).
//!
//! Expired snapshots keep their rows and stay counted, so that every line of the ledger can be added up again.

use common::id::SourceId;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;

/// The ledger's lines as the snapshots' rows give them.
const LINES: &str = "
    SELECT day, source, max(received_at_ns) AS received_at_ns, sum(changed_bytes) AS changed_bytes,
           sum(relaid_bytes) AS relaid_bytes, sum(reseed_bytes) AS reseed_bytes, sum(initial_bytes) AS initial_bytes,
           sum(node_bytes) AS node_bytes, sum(stored_bytes) AS stored_bytes, sum(sent_bytes) AS sent_bytes,
           reachable_bytes, sum(state = 1) AS complete, sum(state <> 1) AS partial, counted_bytes, allowed_bytes
    FROM snapshots GROUP BY day, source";
/// What is compared of each.
const COLUMNS: &str =
    "day, source, received_at_ns, changed_bytes, relaid_bytes, reseed_bytes, initial_bytes, node_bytes,
    stored_bytes, sent_bytes, reachable_bytes, complete, partial, counted_bytes, allowed_bytes";

impl Catalog {
    /// The lines of the day ledger, by day and source, that are not what the rows of their snapshots add up to.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn wrong_day_lines(&self) -> Result<Vec<(String, SourceId)>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "WITH lines AS ({LINES})
             SELECT day, source FROM (SELECT {COLUMNS} FROM days EXCEPT SELECT {COLUMNS} FROM lines)
             UNION SELECT day, source FROM (SELECT {COLUMNS} FROM lines EXCEPT SELECT {COLUMNS} FROM days)
             ORDER BY day, source"
        ))?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, SourceId::new(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The sources whose baseline is not what its snapshot reached.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn wrong_baselines(&self) -> Result<Vec<SourceId>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT baselines.source FROM baselines LEFT JOIN snapshots USING (session)
             WHERE snapshots.reachable_bytes IS NOT baselines.bytes OR snapshots.day IS NOT baselines.day
                OR snapshots.received_at_ns IS NOT baselines.received_at_ns OR snapshots.source IS NOT baselines.source",
        )?;
        let rows = statement.query_map([], |row| Ok(SourceId::new(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
