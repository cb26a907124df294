//! Agents and the one-use tokens that enrol them, known by the digests of their tokens only.
//!
//! Invariant: an enrolment token makes at most one agent: it is spent in the transaction that makes the agent.
//! Invariant: a replaced agent's token ends, and its sets move, in the transaction that makes the new one.

use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::subscriptions::note_first_login;
use super::{Control, ControlError, sets};

/// Uses closer together than this are not written, in seconds.
const TOUCH_S: i64 = 60;

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id.
    pub agent: AgentId,
    /// Whose.
    pub subscription: SubscriptionId,
    /// Its dedup domain.
    pub scope: ScopeId,
    /// Name shown to people.
    pub host: String,
    /// Of the program.
    pub version: String,
    /// When it was made, in nanoseconds since 1970.
    pub enrolled_at_ns: i64,
    /// When it last called, in nanoseconds since 1970.
    pub seen_at_ns: Option<i64>,
    /// When its token ended, in nanoseconds since 1970.
    pub revoked_at_ns: Option<i64>,
    /// The one that took its place.
    pub replaced_by: Option<AgentId>,
    /// An explicit right to fetch content.
    pub can_restore: bool,
    /// The only source that it may make a first set for; any without a set if none.
    pub only_source: Option<SourceId>,
}

/// What a one-use token stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Where the agent will belong.
    pub subscription: SubscriptionId,
    /// The source that it may set up; any without a set if none.
    pub source: Option<SourceId>,
}

/// An agent to make, and what it takes over.
#[derive(Debug, Clone)]
pub struct NewAgent<'a> {
    /// The agent; its scope is ignored when it joins or replaces.
    pub agent: Agent,
    /// Digest of its token.
    pub token_digest: [u8; 32],
    /// The one-use token that pays for it; a person's login does if none.
    pub enrolment: Option<&'a [u8; 32]>,
    /// An existing scope of the subscription to join on purpose.
    pub join: Option<ScopeId>,
    /// The dead agent whose scope and sets it takes.
    pub replace: Option<AgentId>,
}

const COLUMNS: &str = "id, subscription, scope, host, version, enrolled_at_ns, seen_at_ns, revoked_at_ns, replaced_by, \
                       can_restore, only_source";

impl Control {
    /// Makes a one-use token.
    ///
    /// # Errors
    /// SQLite's.
    pub fn create_enrolment(
        &self,
        token_digest: &[u8; 32],
        enrolment: &Enrolment,
        expires_at_ns: i64,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO enrolment (token_digest, subscription, source, expires_at_ns) VALUES (?1, ?2, ?3, ?4)",
                params![
                    token_digest,
                    enrolment.subscription.as_bytes(),
                    enrolment.source.as_ref().map(SourceId::as_bytes),
                    expires_at_ns
                ],
            )?;
            let object = enrolment.source.map_or_else(String::new, |source| source.to_string());
            let subscription = Some(enrolment.subscription);
            let event = Event { action: Action::CreateEnrolment, subscription, object: &object, result: "done" };
            audit::append(transaction, trace, &event)
        })
    }

    /// What an unspent one-use token stands for.
    ///
    /// # Errors
    /// SQLite's.
    pub fn enrolment(&self, token_digest: &[u8; 32], now_ns: i64) -> Result<Option<Enrolment>, ControlError> {
        self.read(|transaction| {
            let found = transaction
                .prepare_cached(
                    "SELECT subscription, source FROM enrolment
                     WHERE token_digest = ?1 AND used_at_ns IS NULL AND expires_at_ns > ?2",
                )?
                .query_row(params![token_digest, now_ns], |row| {
                    let source: Option<[u8; 16]> = row.get(1)?;
                    Ok(Enrolment { subscription: SubscriptionId::new(row.get(0)?), source: source.map(SourceId::new) })
                })
                .optional()?;
            Ok(found)
        })
    }

    /// Makes an agent; the scope that it has.
    ///
    /// # Errors
    /// [`ControlError::TokenSpent`]; [`ControlError::NotFound`] for a scope or agent to take over that is not this
    /// subscription's, or that was replaced already.
    pub fn enroll(&self, new: &NewAgent<'_>, trace: &Trace) -> Result<ScopeId, ControlError> {
        let agent = &new.agent;
        self.write(|transaction| {
            if let Some(token_digest) = new.enrolment {
                spend(transaction, token_digest, trace.at_ns)?;
            }
            let scope = scope_of(transaction, new)?;
            transaction.execute(
                &format!("INSERT INTO agent ({COLUMNS}, token_digest) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"),
                params![
                    agent.agent.as_bytes(),
                    agent.subscription.as_bytes(),
                    scope.as_bytes(),
                    agent.host,
                    agent.version,
                    agent.enrolled_at_ns,
                    agent.seen_at_ns,
                    agent.revoked_at_ns,
                    agent.replaced_by.as_ref().map(AgentId::as_bytes),
                    agent.can_restore,
                    agent.only_source.as_ref().map(SourceId::as_bytes),
                    new.token_digest,
                ],
            )?;
            note_first_login(transaction, &agent.subscription, trace.at_ns)?;
            let object = agent.agent.to_string();
            let subscription = Some(agent.subscription);
            let mut event = Event { action: Action::Enroll, subscription, object: &object, result: "done" };
            audit::append(transaction, trace, &event)?;
            if let Some(dead) = new.replace {
                take_over(transaction, &dead, agent, trace)?;
                let object = dead.to_string();
                event = Event { action: Action::ReplaceAgent, object: &object, ..event };
                audit::append(transaction, trace, &event)?;
            }
            Ok(scope)
        })
    }

    /// The agent of a live token, and whether its use is worth writing.
    ///
    /// # Errors
    /// SQLite's.
    pub fn agent_by_token(&self, token_digest: &[u8; 32], now_ns: i64) -> Result<Option<(Agent, bool)>, ControlError> {
        self.read(|transaction| {
            let found = transaction
                .prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM agent WHERE token_digest = ?1 AND revoked_at_ns IS NULL"
                ))?
                .query_row([token_digest], agent_of)
                .optional()?;
            let stale_ns = now_ns.saturating_sub(TOUCH_S * 1_000_000_000);
            Ok(found.map(|agent| {
                let is_stale = agent.seen_at_ns.is_none_or(|seen| seen <= stale_ns);
                (agent, is_stale)
            }))
        })
    }

    /// Writes that an agent called.
    ///
    /// # Errors
    /// SQLite's.
    pub fn touch_agent(&self, agent: &AgentId, now_ns: i64) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE agent SET seen_at_ns = max(coalesce(seen_at_ns, 0), ?2) WHERE id = ?1",
                params![agent.as_bytes(), now_ns],
            )?;
            Ok(())
        })
    }

    /// The agents of a subscription, oldest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn agents(&self, subscription: &SubscriptionId) -> Result<Vec<Agent>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM agent WHERE subscription = ?1 ORDER BY enrolled_at_ns, id"
            ))?;
            let rows = statement.query_map([subscription.as_bytes()], agent_of)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// One agent of a subscription.
    ///
    /// # Errors
    /// SQLite's.
    pub fn agent(&self, subscription: &SubscriptionId, agent: &AgentId) -> Result<Option<Agent>, ControlError> {
        self.read(|transaction| find(transaction, subscription, agent))
    }

    /// Ends an agent's token; ending it twice is done. When it ended, in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] for an agent that is not this subscription's.
    pub fn revoke_agent(
        &self,
        subscription: &SubscriptionId,
        agent: &AgentId,
        trace: &Trace,
    ) -> Result<i64, ControlError> {
        self.write(|transaction| {
            let known = find(transaction, subscription, agent)?.ok_or(ControlError::NotFound { what: "agent" })?;
            end(transaction, agent, trace.at_ns)?;
            let object = agent.to_string();
            let subscription = Some(*subscription);
            let event = Event { action: Action::RevokeAgent, subscription, object: &object, result: "done" };
            audit::append(transaction, trace, &event)?;
            Ok(known.revoked_at_ns.unwrap_or(trace.at_ns))
        })
    }

    /// Gives or takes an agent's explicit right to fetch content.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] for an agent that is not this subscription's.
    pub fn set_agent_restore(
        &self,
        subscription: &SubscriptionId,
        agent: &AgentId,
        allowed: bool,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            find(transaction, subscription, agent)?.ok_or(ControlError::NotFound { what: "agent" })?;
            transaction
                .execute("UPDATE agent SET can_restore = ?2 WHERE id = ?1", params![agent.as_bytes(), allowed])?;
            let object = agent.to_string();
            let subscription = Some(*subscription);
            let event = Event {
                action: Action::SetAgentRestore,
                subscription,
                object: &object,
                result: if allowed { "allowed" } else { "forbidden" },
            };
            audit::append(transaction, trace, &event)
        })
    }
}

fn spend(transaction: &Transaction<'_>, token_digest: &[u8; 32], now_ns: i64) -> Result<(), ControlError> {
    let spent = transaction.execute(
        "UPDATE enrolment SET used_at_ns = ?2 WHERE token_digest = ?1 AND used_at_ns IS NULL AND expires_at_ns > ?2",
        params![token_digest, now_ns],
    )?;
    if spent == 1 { Ok(()) } else { Err(ControlError::TokenSpent) }
}

/// The scope of an agent to make: a dead agent's, one joined on purpose, or its own.
fn scope_of(transaction: &Transaction<'_>, new: &NewAgent<'_>) -> Result<ScopeId, ControlError> {
    let subscription = &new.agent.subscription;
    if let Some(dead) = &new.replace {
        let dead = find(transaction, subscription, dead)?.filter(|dead| dead.replaced_by.is_none());
        return dead.map(|dead| dead.scope).ok_or(ControlError::NotFound { what: "agent" });
    }
    let Some(scope) = new.join else { return Ok(new.agent.scope) };
    let known: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM agent WHERE subscription = ?1 AND scope = ?2)",
        params![subscription.as_bytes(), scope.as_bytes()],
        |row| row.get(0),
    )?;
    if known { Ok(scope) } else { Err(ControlError::NotFound { what: "scope" }) }
}

fn take_over(transaction: &Transaction<'_>, dead: &AgentId, agent: &Agent, trace: &Trace) -> Result<(), ControlError> {
    end(transaction, dead, trace.at_ns)?;
    transaction
        .execute("UPDATE agent SET replaced_by = ?2 WHERE id = ?1", params![dead.as_bytes(), agent.agent.as_bytes()])?;
    sets::move_sets(transaction, dead, &agent.agent, trace)
}

fn end(transaction: &Transaction<'_>, agent: &AgentId, now_ns: i64) -> Result<(), ControlError> {
    transaction.execute(
        "UPDATE agent SET revoked_at_ns = coalesce(revoked_at_ns, ?2) WHERE id = ?1",
        params![agent.as_bytes(), now_ns],
    )?;
    Ok(())
}

pub(super) fn find(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    agent: &AgentId,
) -> Result<Option<Agent>, ControlError> {
    Ok(transaction
        .prepare_cached(&format!("SELECT {COLUMNS} FROM agent WHERE id = ?1 AND subscription = ?2"))?
        .query_row(params![agent.as_bytes(), subscription.as_bytes()], agent_of)
        .optional()?)
}

fn agent_of(row: &Row<'_>) -> rusqlite::Result<Agent> {
    let (replaced_by, only_source): (Option<[u8; 16]>, Option<[u8; 16]>) = (row.get(8)?, row.get(10)?);
    Ok(Agent {
        agent: AgentId::new(row.get(0)?),
        subscription: SubscriptionId::new(row.get(1)?),
        scope: ScopeId::new(row.get(2)?),
        host: row.get(3)?,
        version: row.get(4)?,
        enrolled_at_ns: row.get(5)?,
        seen_at_ns: row.get(6)?,
        revoked_at_ns: row.get(7)?,
        replaced_by: replaced_by.map(AgentId::new),
        can_restore: row.get(9)?,
        only_source: only_source.map(SourceId::new),
    })
}
