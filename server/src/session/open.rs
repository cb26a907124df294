//! Opening a session, resuming it, ending it without a snapshot.
//!
//! Invariant: opening is idempotent, and a session id belongs for ever to the agent and source that used it first.
//! Invariant: one open session per agent and source; a later one supersedes it, and its frames stay usable.

use std::sync::Arc;

use common::id::{AgentId, ScopeId, SessionId, SourceId};
use common::limits::{ENVELOPE_BYTES_MAX, SESSION_EXPIRY_S, SESSIONS_PER_SUBSCRIPTION_MAX};
use common::stored::SnapshotKind;
use common::text::date::moment;

use crate::catalog::file::Catalog;
use crate::catalog::sessions::{SessionFacts, SessionState};
use crate::contract::terms::Terms;
use crate::session::error::SessionError;
use crate::session::live::LiveSession;
use crate::session::memory::{Memory, verdict};
use crate::session::subscription::Subscription;
use crate::session::writer::Writer;

/// The agent behind a call, as its credential says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPrincipal {
    /// Which agent.
    pub agent: AgentId,
    /// Its dedup domain.
    pub scope: ScopeId,
}

/// What an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The session.
    pub session: SessionId,
    /// What it will back up.
    pub source: SourceId,
    /// Version of the backup set.
    pub set_version: u64,
    /// Why.
    pub kind: SnapshotKind,
    /// The snapshot in the agent's memory.
    pub parent: Option<SessionId>,
    /// The session key for the recipients.
    pub envelope: Vec<u8>,
    /// Version of the protocol.
    pub protocol: u32,
}

/// What an agent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What its memory is worth.
    pub memory: Memory,
    /// Number of the snapshot that the session will make.
    pub sequence: u64,
    /// The newest snapshot of the source, with its receipt.
    pub newest: Option<(SessionId, Vec<u8>)>,
    /// The session made its snapshot already.
    pub committed: bool,
}

impl Subscription {
    /// Opens or resumes a session.
    ///
    /// # Errors
    /// [`SessionError`] says why not.
    pub fn open_session(
        &self,
        who: AgentPrincipal,
        request: OpenRequest,
        terms: &Terms,
        now_ns: i64,
    ) -> Result<Opened, SessionError> {
        check_request(&request)?;
        check_terms(terms, &request.source, now_ns)?;
        self.shared().set_terms(terms);
        self.writer().run(move |writer| writer.open_session(who, &request, now_ns))
    }

    /// Ends a session without a snapshot; again is no error.
    ///
    /// # Errors
    /// [`SessionError::Unknown`] if it is not this agent's.
    pub fn abort_session(&self, who: AgentPrincipal, session: SessionId, now_ns: i64) -> Result<(), SessionError> {
        self.writer().run(move |writer| {
            let known = writer.catalog.session(&session)?.filter(|known| known.agent == who.agent);
            let known = known.ok_or(SessionError::Unknown)?;
            if known.state != SessionState::Open {
                return Ok(());
            }
            writer.end_session(&known, SessionState::Aborted)?;
            writer.make_durable(now_ns)?;
            writer.publish_retired()
        })
    }

    /// Ends the sessions that were left alone for [`SESSION_EXPIRY_S`]; how many.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn expire_sessions(&self, now_ns: i64) -> Result<usize, SessionError> {
        self.writer().run(move |writer| {
            let oldest_ns = now_ns.saturating_sub(SESSION_EXPIRY_S * 1_000_000_000);
            let mut expired = 0;
            for known in writer.catalog.open_sessions()? {
                if known.touched_at_ns < oldest_ns {
                    writer.end_session(&known, SessionState::Expired)?;
                    expired += 1;
                }
            }
            writer.make_durable(now_ns)?;
            writer.publish_retired()?;
            Ok(expired)
        })
    }
}

impl Writer {
    fn open_session(
        &mut self,
        who: AgentPrincipal,
        request: &OpenRequest,
        now_ns: i64,
    ) -> Result<Opened, SessionError> {
        let known = self.catalog.session(&request.session)?;
        let committed = match &known {
            Some(known) if known.agent != who.agent || known.source != request.source => {
                return Err(SessionError::IdTaken);
            }
            Some(known) => match known.state {
                SessionState::Open => false,
                SessionState::Committed => true,
                SessionState::Superseded => return Err(SessionError::Superseded),
                SessionState::Aborted | SessionState::Expired => return Err(SessionError::Unknown),
            },
            None => false,
        };
        if known.is_none() {
            self.shared.objects.health().check_room()?;
            self.begin_session(who, request, now_ns)?;
        } else if let Some(known) = known.filter(|_| !committed) {
            self.catalog.touch_session(known.row, now_ns, 0)?;
        }
        answer(&self.catalog, who, request, committed)
    }

    fn begin_session(&mut self, who: AgentPrincipal, request: &OpenRequest, now_ns: i64) -> Result<(), SessionError> {
        let open = self.catalog.open_sessions()?;
        let (superseded, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|open| open.agent == who.agent && open.source == request.source);
        if others.len() >= SESSIONS_PER_SUBSCRIPTION_MAX {
            let max = SESSIONS_PER_SUBSCRIPTION_MAX as u64;
            return Err(SessionError::Limit { limit: "sessions_per_subscription", max });
        }
        for old in &superseded {
            self.end_session(old, SessionState::Superseded)?;
        }
        let facts = self.catalog.atomically::<_, SessionError>(|catalog| {
            let mut facts = SessionFacts {
                row: 0,
                id: request.session,
                agent: who.agent,
                scope: catalog.scope_row(&who.scope)?,
                scope_id: who.scope,
                source: request.source,
                kind: request.kind,
                set_version: request.set_version,
                parent: request.parent,
                opened_at_ns: now_ns,
                touched_at_ns: now_ns,
                state: SessionState::Open,
                sent_bytes: 0,
                envelope: request.envelope.clone(),
            };
            facts.row = catalog.insert_session(&facts)?;
            Ok(facts)
        })?;
        self.shared.live.lock().insert(request.session, Arc::new(LiveSession::new(facts)));
        Ok(())
    }

    /// Ends a session: its streams stop, its packs take no more frames and are published with the next durable point.
    pub(in crate::session) fn end_session(
        &mut self,
        known: &SessionFacts,
        state: SessionState,
    ) -> Result<(), SessionError> {
        self.catalog.atomically(|catalog| catalog.set_session_state(known.row, state))?;
        self.forget_live(&known.id, known.row, state);
        Ok(())
    }

    /// Lets go of a session whose row says that it ended.
    pub(in crate::session) fn forget_live(&self, id: &SessionId, row: u32, state: SessionState) {
        if let Some(live) = self.shared.live.lock().remove(id) {
            live.end(state);
        }
        self.shared.intake.lock().retire_session(row);
    }
}

fn check_request(request: &OpenRequest) -> Result<(), SessionError> {
    if request.protocol != proto::PROTOCOL {
        return Err(SessionError::Protocol(request.protocol));
    }
    if request.kind == SnapshotKind::Unspecified {
        return Err(SessionError::invalid("kind", "is missing"));
    }
    if request.envelope.is_empty() || request.envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(SessionError::invalid("envelope", "is empty or too long"));
    }
    Ok(())
}

fn check_terms(terms: &Terms, source: &SourceId, now_ns: i64) -> Result<(), SessionError> {
    terms.check_backup(moment(now_ns))?;
    let contracted = terms.sources.iter().any(|contracted| contracted.source == *source);
    if contracted { Ok(()) } else { Err(SessionError::NotContracted(*source)) }
}

fn answer(
    catalog: &Catalog,
    who: AgentPrincipal,
    request: &OpenRequest,
    committed: bool,
) -> Result<Opened, SessionError> {
    let newest = catalog.newest_snapshot(&request.source)?;
    let scope = catalog.scope_row(&who.scope)?;
    let memory = verdict(catalog, scope, request.parent, newest.as_ref())?;
    let sequence = newest.as_ref().map_or(0, |newest| newest.sequence) + 1;
    Ok(Opened { memory, sequence, newest: newest.map(|newest| (newest.session, newest.receipt)), committed })
}
