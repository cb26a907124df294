//! Rows of snapshots: what was committed, in which order, with which receipt.
//!
//! The object itself is in the store; its BLAKE3 is here.

use rusqlite::{OptionalExtension, Row};

use common::id::{AgentId, ScopeId, SessionId, SourceId};
use common::stored::{ServerPart, SnapshotState};

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};

/// What a snapshot's row says.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotFacts {
    /// Its name.
    pub session: SessionId,
    /// Row of its dedup domain.
    pub scope: u32,
    /// Who made it.
    pub agent: AgentId,
    /// Of what.
    pub source: SourceId,
    /// 1, 2, 3 … per source.
    pub sequence: u64,
    /// Whether everything is in it.
    pub state: SnapshotState,
    /// Row of its root node; 0 once it expired.
    pub root: u32,
    /// Bytes of all files in its tree, as its agent says.
    pub claimed_bytes: u64,
    /// What the server added.
    pub server: ServerPart,
    /// BLAKE3 of the object.
    pub digest: [u8; 32],
    /// The signed receipt, exact bytes.
    pub receipt: Vec<u8>,
    /// When a key holder last verified all of it; 0 if never.
    pub verified_at_ns: i64,
    /// When it left the history, in nanoseconds since 1970; 0 while it is there.
    pub expired_at_ns: i64,
}

const FACTS: &str = "SELECT session, scope, agent, source, sequence, state, root, day, received_at_ns, changed_bytes,
    relaid_bytes, reseed_bytes, node_bytes, stored_bytes, sent_bytes, reachable_bytes, first, initial_bytes, counted_bytes,
    allowed_bytes, digest, receipt, verified_at_ns, expired_at_ns, claimed_bytes FROM snapshots";

fn facts(row: &Row<'_>) -> Result<SnapshotFacts, CatalogError> {
    let state: i32 = row.get(5)?;
    let server = ServerPart {
        version: 1,
        day: row.get(7)?,
        received_at_ns: row.get(8)?,
        changed_bytes: count(row.get(9)?),
        relaid_bytes: count(row.get(10)?),
        reseed_bytes: count(row.get(11)?),
        node_bytes: count(row.get(12)?),
        stored_bytes: count(row.get(13)?),
        sent_bytes: count(row.get(14)?),
        reachable_bytes: count(row.get(15)?),
        first: row.get(16)?,
        initial_bytes: count(row.get(17)?),
        day_counted_bytes: count(row.get(18)?),
        day_allowed_bytes: row.get::<_, Option<i64>>(19)?.map(count),
        first_reached: 0,
        location: String::new(),
    };
    Ok(SnapshotFacts {
        session: SessionId::new(row.get(0)?),
        scope: row.get(1)?,
        agent: AgentId::new(row.get(2)?),
        source: SourceId::new(row.get(3)?),
        sequence: count(row.get(4)?),
        state: SnapshotState::try_from(state).map_err(|_| CatalogError::Inconsistent("unknown state of a snapshot"))?,
        root: row.get(6)?,
        claimed_bytes: count(row.get(24)?),
        server,
        digest: row.get(20)?,
        receipt: row.get(21)?,
        verified_at_ns: row.get(22)?,
        expired_at_ns: row.get(23)?,
    })
}

/// What the snapshots of one source add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatistics {
    /// The source.
    pub source: SourceId,
    /// Dedup domain of its newest snapshot.
    pub scope: ScopeId,
    /// Who made the newest.
    pub agent: AgentId,
    /// How many there are.
    pub snapshots: u64,
    /// When the newest was received.
    pub newest_at_ns: i64,
    /// When the oldest was received.
    pub oldest_at_ns: i64,
    /// Plain bytes that the newest reaches.
    pub latest_plain_bytes: u64,
    /// When one was last verified; 0 if never.
    pub verified_at_ns: i64,
    /// Digest of the newest one's signed receipt.
    pub receipt: [u8; 32],
}

/// Plain bytes and what they took as frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// Before compression.
    pub plain_bytes: u64,
    /// As stored.
    pub stored_bytes: u64,
}

/// The snapshots of a civil day that can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorableDay {
    /// Civil day in Europe/Paris.
    pub day: String,
    /// Complete ones.
    pub complete: u32,
    /// Partial ones.
    pub partial: u32,
    /// Plain bytes of class changed that they were the first to reach.
    pub changed_bytes: u64,
    /// Plain bytes that the newest of each source reaches.
    pub newest_plain_bytes: u64,
}

impl Catalog {
    /// Stores a snapshot's row.
    ///
    /// # Errors
    /// [`CatalogError`], also if session, sequence or time are taken; to be called inside a transaction.
    pub fn insert_snapshot(&self, snapshot: &SnapshotFacts) -> Result<(), CatalogError> {
        let server = &snapshot.server;
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO snapshots (session, scope, agent, source, sequence, state, root, day, received_at_ns, changed_bytes,
             relaid_bytes, reseed_bytes, node_bytes, stored_bytes, sent_bytes, reachable_bytes, first, initial_bytes,
             counted_bytes, allowed_bytes, digest, receipt, verified_at_ns, expired_at_ns, claimed_bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
             ?22, ?23, ?24, ?25)",
        )?;
        statement.execute(rusqlite::params![
            snapshot.session.as_bytes(),
            snapshot.scope,
            snapshot.agent.as_bytes(),
            snapshot.source.as_bytes(),
            stored(snapshot.sequence),
            i32::from(snapshot.state),
            snapshot.root,
            server.day,
            server.received_at_ns,
            stored(server.changed_bytes),
            stored(server.relaid_bytes),
            stored(server.reseed_bytes),
            stored(server.node_bytes),
            stored(server.stored_bytes),
            stored(server.sent_bytes),
            stored(server.reachable_bytes),
            server.first,
            stored(server.initial_bytes),
            stored(server.day_counted_bytes),
            server.day_allowed_bytes.map(stored),
            snapshot.digest,
            snapshot.receipt,
            snapshot.verified_at_ns,
            snapshot.expired_at_ns,
            stored(snapshot.claimed_bytes),
        ])?;
        self.set_meta("received_at_ns", server.received_at_ns.max(self.received_at_ns()?))
    }

    /// The snapshot of a session, also if it expired.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn snapshot(&self, session: &SessionId) -> Result<Option<SnapshotFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} WHERE session = ?1"))?;
        statement.query_row([session.as_bytes()], |row| Ok(facts(row))).optional()?.transpose()
    }

    /// The newest snapshot of a source; it never expires.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn newest_snapshot(&self, source: &SourceId) -> Result<Option<SnapshotFacts>, CatalogError> {
        let sql = format!("{FACTS} WHERE source = ?1 ORDER BY sequence DESC LIMIT 1");
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_row([source.as_bytes()], |row| Ok(facts(row))).optional()?.transpose()
    }

    /// All snapshots that did not expire, in the order in which they were received.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn snapshots(&self) -> Result<Vec<SnapshotFacts>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached(&format!("{FACTS} WHERE expired_at_ns = 0 ORDER BY received_at_ns"))?;
        statement.query_map([], |row| Ok(facts(row)))?.map(|row| row?).collect()
    }

    /// At most `limit` snapshots received at or before `until_ns`, of one source or of all, newest first.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn snapshots_until(
        &self,
        source: Option<&SourceId>,
        until_ns: i64,
        limit: u32,
    ) -> Result<Vec<SnapshotFacts>, CatalogError> {
        let sql = format!(
            "{FACTS} WHERE expired_at_ns = 0 AND (?1 IS NULL OR source = ?1) AND received_at_ns <= ?2
             ORDER BY received_at_ns DESC LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let parameters = (source.map(|source| source.as_bytes()), until_ns, limit);
        statement.query_map(parameters, |row| Ok(facts(row)))?.map(|row| row?).collect()
    }

    /// The days that have snapshots, newest first, of one source or of all together.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn restorable_days(&self, source: Option<&SourceId>) -> Result<Vec<RestorableDay>, CatalogError> {
        // SQLite takes the other columns of a group from the row that has the maximum.
        let mut statement = self.connection.prepare_cached(
            "SELECT day, sum(complete), sum(partial), sum(changed), sum(reachable_bytes) FROM (
                SELECT day, sum(state = 1) AS complete, sum(state <> 1) AS partial, sum(changed_bytes) AS changed,
                    reachable_bytes, max(sequence)
                FROM snapshots WHERE expired_at_ns = 0 AND (?1 IS NULL OR source = ?1) GROUP BY day, source
             ) GROUP BY day ORDER BY day DESC",
        )?;
        let rows = statement.query_map([source.map(|source| source.as_bytes())], |row| {
            Ok(RestorableDay {
                day: row.get(0)?,
                complete: row.get(1)?,
                partial: row.get(2)?,
                changed_bytes: count(row.get(3)?),
                newest_plain_bytes: count(row.get(4)?),
            })
        })?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// How a source's history compressed: everything that its snapshots were the first to reach.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn history_of(&self, source: &SourceId) -> Result<Compression, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT coalesce(sum(initial_bytes + changed_bytes + relaid_bytes + reseed_bytes + node_bytes), 0),
                    coalesce(sum(stored_bytes), 0) FROM snapshots WHERE source = ?1",
        )?;
        Ok(statement.query_row([source.as_bytes()], |row| {
            Ok(Compression { plain_bytes: count(row.get(0)?), stored_bytes: count(row.get(1)?) })
        })?)
    }

    /// What the snapshots of each source add up to.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn source_statistics(&self) -> Result<Vec<SourceStatistics>, CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT source, count(*), max(received_at_ns), min(received_at_ns), max(verified_at_ns)
             FROM snapshots WHERE expired_at_ns = 0 GROUP BY source ORDER BY source",
        )?;
        let rows = statement.query_map([], |row| {
            Ok((SourceId::new(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        rows.map(|row| {
            let (source, snapshots, newest_at_ns, oldest_at_ns, verified_at_ns) = row?;
            let newest = self.newest_snapshot(&source)?.ok_or(CatalogError::Inconsistent("a source has no newest"))?;
            Ok(SourceStatistics {
                source,
                scope: self.scope_id(newest.scope)?,
                agent: newest.agent,
                snapshots: count(snapshots),
                newest_at_ns,
                oldest_at_ns,
                latest_plain_bytes: newest.server.reachable_bytes,
                verified_at_ns,
                receipt: common::receipt::digest(&newest.receipt),
            })
        })
        .collect()
    }

    fn scope_id(&self, row: u32) -> Result<ScopeId, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM scopes WHERE row = ?1")?;
        Ok(ScopeId::new(statement.query_row([row], |row| row.get(0))?))
    }

    /// The snapshots that expired, in the order in which they were received.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn expired_snapshots(&self) -> Result<Vec<SnapshotFacts>, CatalogError> {
        let sql = format!("{FACTS} WHERE expired_at_ns <> 0 ORDER BY received_at_ns");
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_map([], |row| Ok(facts(row)))?.map(|row| row?).collect()
    }

    /// Notes that a snapshot left the history; its counters and its receipt stay.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_expired(&self, session: &SessionId, at_ns: i64) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE snapshots SET expired_at_ns = ?2, root = 0 WHERE session = ?1 AND expired_at_ns = 0",
        )?;
        statement.execute((session.as_bytes(), at_ns))?;
        Ok(())
    }

    /// Notes when a key holder verified a snapshot.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_verified(&self, session: &SessionId, at_ns: i64) -> Result<(), CatalogError> {
        let mut statement = self
            .connection
            .prepare_cached("UPDATE snapshots SET verified_at_ns = max(verified_at_ns, ?2) WHERE session = ?1")?;
        statement.execute((session.as_bytes(), at_ns))?;
        Ok(())
    }
}
