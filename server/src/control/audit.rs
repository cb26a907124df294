//! The audit trail: who did what, when, from where, with which result.
//!
//! Invariant: rows are only ever added (a trigger refuses anything else).
//! Invariant: no file name, path, pattern, password or token is written here.

use common::id::SubscriptionId;
use rusqlite::{Transaction, params};

use super::{Control, ControlError};

/// Who a call comes from, for the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// `person:…`, `operator:…`, `agent:…`, `enrolment`, `anonymous:…` or `local`.
    pub who: String,
    /// The peer's address, or `local`.
    pub address: String,
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
}

/// What was done; stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A person or operator gave a password.
    Login,
    /// A login was ended.
    Logout,
    /// A password was changed by its owner.
    ChangePassword,
    /// A default password was made by an operator.
    ResetPassword,
    /// A customer was recorded.
    CreateCustomer,
    /// An order form was recorded and its subscription made.
    CreateSubscription,
    /// An account was made.
    CreateAccount,
    /// A one-use enrolment token was made.
    CreateEnrolment,
    /// An agent was made.
    Enroll,
    /// An agent took the place of another.
    ReplaceAgent,
    /// An agent's token ended.
    RevokeAgent,
    /// An agent's right to fetch content was changed.
    SetAgentRestore,
    /// A set has a further version.
    PutSet,
    /// The keyring has a further generation.
    AppendKeyring,
    /// Upkeep was paused.
    PauseUpkeep,
    /// Upkeep goes on.
    ResumeUpkeep,
}

impl Action {
    /// The name in the trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::ChangePassword => "change_password",
            Self::ResetPassword => "reset_password",
            Self::CreateCustomer => "create_customer",
            Self::CreateSubscription => "create_subscription",
            Self::CreateAccount => "create_account",
            Self::CreateEnrolment => "create_enrolment",
            Self::Enroll => "enroll",
            Self::ReplaceAgent => "replace_agent",
            Self::RevokeAgent => "revoke_agent",
            Self::SetAgentRestore => "set_agent_restore",
            Self::PutSet => "put_set",
            Self::AppendKeyring => "append_keyring",
            Self::PauseUpkeep => "pause_upkeep",
            Self::ResumeUpkeep => "resume_upkeep",
        }
    }
}

/// What was done, on what, with which result.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// What.
    pub action: Action,
    /// Whose, if anybody's.
    pub subscription: Option<SubscriptionId>,
    /// On what: an id or a reference.
    pub object: &'a str,
    /// `done`, or the error code's name.
    pub result: &'a str,
}

/// One row, as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// 1, 2, 3 …
    pub number: i64,
    /// Who, from where, when.
    pub trace: Trace,
    /// What.
    pub action: String,
    /// On what.
    pub object: String,
    /// With which result.
    pub result: String,
}

impl Control {
    /// Adds a row for something that changed nothing else: a refusal, or a change kept elsewhere.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(&self, trace: &Trace, event: &Event<'_>) -> Result<(), ControlError> {
        self.write(|transaction| append(transaction, trace, event))
    }

    /// The newest `limit` rows, newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn audit(&self, limit: u32) -> Result<Vec<AuditRow>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, at_ns, who, address, action, object, result FROM audit ORDER BY number DESC LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                let trace = Trace { at_ns: row.get(1)?, who: row.get(2)?, address: row.get(3)? };
                Ok(AuditRow {
                    number: row.get(0)?,
                    trace,
                    action: row.get(4)?,
                    object: row.get(5)?,
                    result: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Adds a row to the transaction of the change that it tells of.
pub(super) fn append(transaction: &Transaction<'_>, trace: &Trace, event: &Event<'_>) -> Result<(), ControlError> {
    transaction
        .prepare_cached(
            "INSERT INTO audit (at_ns, who, address, action, subscription, object, result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            trace.at_ns,
            trace.who,
            trace.address,
            event.action.name(),
            event.subscription.as_ref().map(SubscriptionId::as_bytes),
            event.object,
            event.result,
        ])?;
    Ok(())
}
