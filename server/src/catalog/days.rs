//! The day ledger: what each source's snapshots of each civil day added up to, baselines, last reseeds.
//!
//! It applies no rule of the contract and forgets nothing: a snapshot that expires stays counted.
//!
//! Invariant: I6 — a line is the sum of the server parts of its day's snapshots, kept in snapshot objects and tombstones, so
//! that `rebuild` makes the same lines and `upkeep::recount` compares them.

use std::collections::BTreeMap;

use common::id::SourceId;
use common::snapshot::SnapshotHead;
use common::stored::{ServerPart, SnapshotKind, SnapshotState};
use jiff::civil::Date;
use rusqlite::{OptionalExtension, Row, params};

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};
use crate::contract::ledger::{Baseline, Ledger, SourceLedger, Tally};

/// Days over which reseeds are added up.
const RESEED_DAYS: i32 = 30;

/// The ledger of a civil day, of one source or of all together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayLine {
    /// Civil day in Europe/Paris.
    pub day: Date,
    /// What its snapshots were the first to reach.
    pub tally: Tally,
    /// Frames of the chunks first reached.
    pub stored_bytes: u64,
    /// Frames accepted in its sessions.
    pub sent_bytes: u64,
    /// Plain bytes that the day's last snapshots reached.
    pub reachable_bytes: u64,
    /// Files that the agents found added, changed and gone.
    pub files: [u64; 3],
    /// Complete snapshots.
    pub complete: u32,
    /// Partial snapshots.
    pub partial: u32,
    /// What the day counted against its allowance, of all sources.
    pub counted_bytes: u64,
    /// The day's allowance by its last snapshot; `None` while there was no baseline.
    pub allowed_bytes: Option<u64>,
}

const LINE: &str = "SELECT day, sum(changed_bytes), sum(relaid_bytes), sum(reseed_bytes), sum(initial_bytes),
    sum(node_bytes), sum(chunks), sum(stored_bytes), sum(sent_bytes), sum(reachable_bytes), sum(files_new),
    sum(files_changed), sum(files_deleted), sum(complete), sum(partial), counted_bytes, allowed_bytes, max(received_at_ns)
    FROM days";

/// SQLite takes `counted_bytes` and `allowed_bytes` from the row that has the maximum: the day's last snapshot.
fn line(row: &Row<'_>) -> Result<DayLine, CatalogError> {
    Ok(DayLine {
        day: date(&row.get::<_, String>(0)?)?,
        tally: Tally {
            changed_bytes: count(row.get(1)?),
            relaid_bytes: count(row.get(2)?),
            reseed_bytes: count(row.get(3)?),
            initial_bytes: count(row.get(4)?),
            node_bytes: count(row.get(5)?),
            chunks: count(row.get(6)?),
        },
        stored_bytes: count(row.get(7)?),
        sent_bytes: count(row.get(8)?),
        reachable_bytes: count(row.get(9)?),
        files: [count(row.get(10)?), count(row.get(11)?), count(row.get(12)?)],
        complete: row.get(13)?,
        partial: row.get(14)?,
        counted_bytes: count(row.get(15)?),
        allowed_bytes: row.get::<_, Option<i64>>(16)?.map(count),
    })
}

fn date(text: &str) -> Result<Date, CatalogError> {
    text.parse().map_err(|_| CatalogError::Inconsistent("a day of the ledger is no date"))
}

/// What a snapshot was the first to reach, by class.
pub fn tally(part: &ServerPart) -> Tally {
    Tally {
        changed_bytes: part.changed_bytes,
        relaid_bytes: part.relaid_bytes,
        reseed_bytes: part.reseed_bytes,
        initial_bytes: part.initial_bytes,
        node_bytes: part.node_bytes,
        chunks: part.first_reached,
    }
}

impl Catalog {
    /// Adds a snapshot, present or expired, to the ledger: its day, and the baseline or the reseed of its source.
    ///
    /// # Errors
    /// [`CatalogError`]; to be called inside a transaction, once per snapshot, in any order.
    pub fn add_to_ledger(&self, head: &SnapshotHead, part: &ServerPart) -> Result<(), CatalogError> {
        self.add_to_day(head, part)?;
        if part.first {
            self.connection.prepare_cached("INSERT OR IGNORE INTO baselines VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(
                params![
                    head.source.as_bytes(),
                    head.session.as_bytes(),
                    stored(part.reachable_bytes),
                    part.day,
                    part.received_at_ns
                ],
            )?;
        }
        if head.kind == SnapshotKind::Reseed && head.state == SnapshotState::Complete {
            self.connection
                .prepare_cached("INSERT INTO reseeds VALUES (?1, ?2) ON CONFLICT DO UPDATE SET received_at_ns = max(received_at_ns, ?2)")?
                .execute((head.source.as_bytes(), part.received_at_ns))?;
        }
        Ok(())
    }

    fn add_to_day(&self, head: &SnapshotHead, part: &ServerPart) -> Result<(), CatalogError> {
        let complete = u32::from(head.state == SnapshotState::Complete);
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO days VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
             ON CONFLICT (day, source) DO UPDATE SET received_at_ns = max(received_at_ns, ?3),
             changed_bytes = changed_bytes + ?4, relaid_bytes = relaid_bytes + ?5, reseed_bytes = reseed_bytes + ?6,
             initial_bytes = initial_bytes + ?7, node_bytes = node_bytes + ?8, chunks = chunks + ?9,
             stored_bytes = stored_bytes + ?10, sent_bytes = sent_bytes + ?11,
             reachable_bytes = iif(?3 > received_at_ns, ?12, reachable_bytes),
             files_new = files_new + ?13, files_changed = files_changed + ?14, files_deleted = files_deleted + ?15,
             complete = complete + ?16, partial = partial + ?17,
             counted_bytes = iif(?3 > received_at_ns, ?18, counted_bytes),
             allowed_bytes = iif(?3 > received_at_ns, ?19, allowed_bytes)",
        )?;
        statement.execute(params![
            part.day,
            head.source.as_bytes(),
            part.received_at_ns,
            stored(part.changed_bytes),
            stored(part.relaid_bytes),
            stored(part.reseed_bytes),
            stored(part.initial_bytes),
            stored(part.node_bytes),
            stored(part.first_reached),
            stored(part.stored_bytes),
            stored(part.sent_bytes),
            stored(part.reachable_bytes),
            stored(head.counts.files_new),
            stored(head.counts.files_changed),
            stored(head.counts.files_deleted),
            complete,
            1 - complete,
            stored(part.day_counted_bytes),
            part.day_allowed_bytes.map(stored),
        ])?;
        Ok(())
    }

    /// The ledger by day, newest first, from `since` on, of one source or of all together.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn days(&self, since: Option<Date>, source: Option<&SourceId>) -> Result<Vec<DayLine>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!(
            "{LINE} WHERE (?1 IS NULL OR day >= ?1) AND (?2 IS NULL OR source = ?2) GROUP BY day ORDER BY day DESC"
        ))?;
        let since = since.map(|day| day.to_string());
        let rows = statement.query_map((since, source.map(|source| source.as_bytes())), |row| Ok(line(row)))?;
        rows.map(|row| row?).collect()
    }

    /// The ledger of one day, a line per source.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn sources_of_day(&self, day: Date) -> Result<Vec<(SourceId, DayLine)>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT source FROM days WHERE day = ?1 ORDER BY source")?;
        let sources = statement.query_map([day.to_string()], |row| Ok(SourceId::new(row.get(0)?)))?;
        let mut line_of =
            self.connection.prepare_cached(&format!("{LINE} WHERE day = ?1 AND source = ?2 GROUP BY day"))?;
        sources
            .map(|source| {
                let source = source?;
                Ok((source, line_of.query_row((day.to_string(), source.as_bytes()), |row| Ok(line(row)))??))
            })
            .collect()
    }

    /// What is counted of the subscription on a civil day.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn ledger(&self, day: Date) -> Result<Ledger, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{LINE} WHERE day = ?1 GROUP BY day"))?;
        let today = statement.query_row([day.to_string()], |row| Ok(line(row))).optional()?.transpose()?;
        let started = "SELECT coalesce(sum(initial_bytes), 0), min(day) FROM days
             WHERE initial_bytes > 0 AND source NOT IN (SELECT source FROM baselines) AND ?1 IS NOT NULL";
        let reseeded = "SELECT coalesce(sum(reseed_bytes), 0), min(day) FROM days WHERE day > ?1 AND reseed_bytes > 0";
        let oldest = day.checked_sub(jiff::Span::new().days(RESEED_DAYS)).unwrap_or(Date::MIN);
        let (started_bytes, started_on) = self.sum_since(started, oldest)?;
        let (reseeded_bytes, reseeded_on) = self.sum_since(reseeded, oldest)?;
        Ok(Ledger {
            day,
            today: today.map(|line| line.tally).unwrap_or_default(),
            volume_bytes: self.used_bytes()?,
            started_bytes,
            started_on,
            reseeded_bytes,
            reseeded_on,
            sources: self.source_ledgers(day)?,
        })
    }

    /// A sum of bytes, and the first day of it.
    fn sum_since(&self, sql: &str, oldest: Date) -> Result<(u64, Option<Date>), CatalogError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let (bytes, first): (i64, Option<String>) =
            statement.query_row([oldest.to_string()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok((count(bytes), first.map(|day| date(&day)).transpose()?))
    }

    fn source_ledgers(&self, day: Date) -> Result<Vec<SourceLedger>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT source, max(iif(days.day < ?1, days.day, NULL)), sum(iif(days.day = ?1, complete + partial, 0)),
                    baselines.bytes, baselines.day, baselines.received_at_ns
             FROM days LEFT JOIN baselines USING (source) WHERE days.day <= ?1 GROUP BY source ORDER BY source",
        )?;
        let mut rows = statement.query([day.to_string()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes: Option<i64> = row.get(3)?;
            let baseline = match bytes {
                None => None,
                Some(bytes) => Some(Baseline {
                    bytes: count(bytes),
                    day: date(&row.get::<_, String>(4)?)?,
                    received_at_ns: row.get(5)?,
                }),
            };
            let previous = row.get::<_, Option<String>>(1)?.map(|day| date(&day)).transpose()?;
            let source = SourceId::new(row.get(0)?);
            found.push(SourceLedger { source, baseline, previous, snapshots: row.get(2)? });
        }
        Ok(found)
    }

    /// True if a source has a first complete snapshot, expired or not.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn has_baseline(&self, source: &SourceId) -> Result<bool, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT 1 FROM baselines WHERE source = ?1")?;
        Ok(statement.exists([source.as_bytes()])?)
    }

    /// Plain bytes of a source's first complete snapshot, expired or not; none while there was none.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn baseline_of(&self, source: &SourceId) -> Result<Option<u64>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT bytes FROM baselines WHERE source = ?1")?;
        Ok(statement.query_row([source.as_bytes()], |row| row.get(0)).optional()?.map(count))
    }

    /// When the baseline of each source was received, in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn baseline_times(&self) -> Result<BTreeMap<SourceId, i64>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT source, received_at_ns FROM baselines")?;
        let rows = statement.query_map([], |row| Ok((SourceId::new(row.get(0)?), row.get(1)?)))?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// When the last complete reseed of a source was received; 0 if never.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn reseeded_at_ns(&self, source: &SourceId) -> Result<i64, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT received_at_ns FROM reseeds WHERE source = ?1")?;
        Ok(statement.query_row([source.as_bytes()], |row| row.get(0)).optional()?.unwrap_or_default())
    }
}
