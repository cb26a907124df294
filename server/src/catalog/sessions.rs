//! Rows of sessions.
//!
//! Invariant: a session id is never used again, whatever became of the session.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row};

use common::id::{AgentId, ScopeId, SessionId, SourceId};
use common::stored::{PackSession, SnapshotKind};

use crate::catalog::error::CatalogError;
use crate::catalog::file::{Catalog, count, stored};

/// What became of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionState {
    /// It takes frames.
    Open,
    /// It made a snapshot.
    Committed,
    /// The agent ended it.
    Aborted,
    /// A later session of the same agent and source took its place.
    Superseded,
    /// It was left alone for too long, or its end is not known (after a rebuild).
    Expired,
}

impl SessionState {
    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Open => 0,
            Self::Committed => 1,
            Self::Aborted => 2,
            Self::Superseded => 3,
            Self::Expired => 4,
        }
    }

    /// The state that a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Open),
            1 => Some(Self::Committed),
            2 => Some(Self::Aborted),
            3 => Some(Self::Superseded),
            4 => Some(Self::Expired),
            _ => None,
        }
    }
}

/// What a session's row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its row.
    pub row: u32,
    /// Its id.
    pub id: SessionId,
    /// Who writes.
    pub agent: AgentId,
    /// Row of the dedup domain.
    pub scope: u32,
    /// The dedup domain.
    pub scope_id: ScopeId,
    /// What is backed up.
    pub source: SourceId,
    /// Why the snapshot is made.
    pub kind: SnapshotKind,
    /// Version of the backup set.
    pub set_version: u64,
    /// The snapshot that the agent compares with; pinned while the session is open.
    pub parent: Option<SessionId>,
    /// When it was opened, server's clock.
    pub opened_at_ns: i64,
    /// When it last did something.
    pub touched_at_ns: i64,
    /// What became of it.
    pub state: SessionState,
    /// Frames accepted, in bytes.
    pub sent_bytes: u64,
    /// The session key for the recipients.
    pub envelope: Vec<u8>,
}

impl SessionFacts {
    /// The record that travels with its frames.
    pub fn pack_session(&self) -> PackSession {
        PackSession {
            session: self.id.as_bytes().to_vec(),
            agent: self.agent.as_bytes().to_vec(),
            scope: self.scope_id.as_bytes().to_vec(),
            source: self.source.as_bytes().to_vec(),
            opened_at_ns: self.opened_at_ns,
            envelope: self.envelope.clone(),
        }
    }
}

const FACTS: &str = "SELECT sessions.row, sessions.id, agent, scope, scopes.id, source, kind, set_version, parent,
    opened_at_ns, touched_at_ns, state, sent_bytes, envelope FROM sessions JOIN scopes ON scopes.row = scope";

fn facts(row: &Row<'_>) -> Result<SessionFacts, CatalogError> {
    let kind: i32 = row.get(6)?;
    Ok(SessionFacts {
        row: row.get(0)?,
        id: SessionId::new(row.get(1)?),
        agent: AgentId::new(row.get(2)?),
        scope: row.get(3)?,
        scope_id: ScopeId::new(row.get(4)?),
        source: SourceId::new(row.get(5)?),
        kind: SnapshotKind::try_from(kind).map_err(|_| CatalogError::Inconsistent("unknown kind of a session"))?,
        set_version: count(row.get(7)?),
        parent: row.get::<_, Option<[u8; 16]>>(8)?.map(SessionId::new),
        opened_at_ns: row.get(9)?,
        touched_at_ns: row.get(10)?,
        state: SessionState::from_code(row.get(11)?).ok_or(CatalogError::Inconsistent("unknown state of a session"))?,
        sent_bytes: count(row.get(12)?),
        envelope: row.get(13)?,
    })
}

impl Catalog {
    /// Stores a session under the next free row, which is returned; `facts.row` is not looked at.
    ///
    /// # Errors
    /// [`CatalogError`], also if the id was used before.
    pub fn insert_session(&self, session: &SessionFacts) -> Result<u32, CatalogError> {
        let row = self.next_row("sessions")?;
        self.connection.execute(
            "INSERT INTO sessions (row, id, agent, scope, source, kind, set_version, parent, opened_at_ns, touched_at_ns,
             state, sent_bytes, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            (
                row,
                session.id.as_bytes(),
                session.agent.as_bytes(),
                session.scope,
                session.source.as_bytes(),
                i32::from(session.kind),
                stored(session.set_version),
                session.parent.map(|parent| *parent.as_bytes()),
                session.opened_at_ns,
                session.touched_at_ns,
                session.state.code(),
                stored(session.sent_bytes),
                &session.envelope,
            ),
        )?;
        Ok(row)
    }

    /// Says of a known session what its snapshot tells (after a rebuild).
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn complete_session(&self, session: &SessionFacts) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE sessions SET kind = ?2, set_version = ?3, parent = ?4, touched_at_ns = ?5, state = ?6, sent_bytes = ?7
             WHERE row = ?1",
        )?;
        statement.execute((
            session.row,
            i32::from(session.kind),
            stored(session.set_version),
            session.parent.map(|parent| *parent.as_bytes()),
            session.touched_at_ns,
            session.state.code(),
            stored(session.sent_bytes),
        ))?;
        Ok(())
    }

    /// The session of an id.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn session(&self, id: &SessionId) -> Result<Option<SessionFacts>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} WHERE sessions.id = ?1"))?;
        statement.query_row([id.as_bytes()], |row| Ok(facts(row))).optional()?.transpose()
    }

    /// The session of a row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn session_of_row(&self, row: u32) -> Result<SessionFacts, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{FACTS} WHERE sessions.row = ?1"))?;
        let found = statement.query_row([row], |row| Ok(facts(row))).optional()?;
        found.ok_or(CatalogError::Inconsistent("a session's row is missing"))?
    }

    /// The sessions that take frames, by row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn open_sessions(&self) -> Result<Vec<SessionFacts>, CatalogError> {
        let mut statement =
            self.connection.prepare_cached(&format!("{FACTS} WHERE state = 0 ORDER BY sessions.row"))?;
        statement.query_map([], |row| Ok(facts(row)))?.map(|row| row?).collect()
    }

    /// The source of each session, and when it was opened, by row.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn session_openings(&self) -> Result<BTreeMap<u32, (SourceId, i64)>, CatalogError> {
        let mut statement = self.connection.prepare_cached("SELECT row, source, opened_at_ns FROM sessions")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, (SourceId::new(row.get(1)?), row.get(2)?))))?;
        rows.map(|row| row.map_err(CatalogError::from)).collect()
    }

    /// Says what became of a session.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn set_session_state(&self, row: u32, state: SessionState) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached("UPDATE sessions SET state = ?2 WHERE row = ?1")?;
        statement.execute((row, state.code()))?;
        Ok(())
    }

    /// Notes that a session did something at `now_ns` and had `sent_bytes` more accepted.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn touch_session(&self, row: u32, now_ns: i64, sent_bytes: u64) -> Result<(), CatalogError> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE sessions SET touched_at_ns = max(touched_at_ns, ?2), sent_bytes = sent_bytes + ?3 WHERE row = ?1",
        )?;
        statement.execute((row, now_ns, stored(sent_bytes)))?;
        Ok(())
    }
}
