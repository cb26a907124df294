//! The audit trail: who did what, when, from where, with which result.
//!
//! Reading it back and proving it are `audit_log`.
//!
//! Invariant: rows are only ever added (a trigger refuses anything else), numbered without a gap, each chained to all before it.
//! Invariant: no file name, path, pattern, password or token is written here.

use common::id::SubscriptionId;
use rusqlite::{OptionalExtension, Transaction, params};

use super::{Control, ControlError};
use crate::audit::chain::{self, EMPTY, Link};

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
    /// A password that was replaced once came back with older records, and was made worthless.
    WithdrawPassword,
    /// A customer was recorded.
    CreateCustomer,
    /// An order form was recorded and its subscription made.
    CreateSubscription,
    /// An account was made.
    CreateAccount,
    /// The end of an account was set to now or to a day.
    EndAccount,
    /// An account has no end, or a later one.
    ReopenAccount,
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
    /// An operator looked at something of one subscription; the object says at what.
    Read,
    /// An operator looked at an overview of all subscriptions; the object says at what.
    List,
    /// An amendment of an order form was recorded.
    Amend,
    /// An amendment began to apply.
    ApplyAmendment,
    /// An amendment was withdrawn before it applied.
    WithdrawAmendment,
    /// The end of a subscription was recorded.
    EndSubscription,
    /// A suspension was recorded.
    Suspend,
    /// A suspension was ended.
    Resume,
    /// Maintenance was announced.
    AnnounceMaintenance,
    /// Announced maintenance was called off or ended early.
    EndMaintenance,
    /// A customer's consent to another place was recorded.
    RecordConsent,
    /// A relocation was recorded.
    Relocate,
    /// The networks that an operator may call from were changed.
    SetNetworks,
    /// A re-evaluation file was opened.
    OpenReevaluation,
    /// What a re-evaluation led to was recorded, and its file closed.
    CloseReevaluation,
    /// Something that needs two persons was asked for.
    Propose,
    /// It was approved by another operator.
    Approve,
    /// It was withdrawn.
    Withdraw,
    /// It was carried out.
    CarryOut,
    /// Upkeep was paused.
    PauseUpkeep,
    /// Upkeep goes on.
    ResumeUpkeep,
    /// A control store restored from a copy was accepted as the live one.
    AcceptRestored,
    /// A test message was sent through every alarm channel.
    TestAlarms,
    /// Pruning that stood still goes on.
    AllowPruning,
    /// A job of upkeep was asked for; the object names it.
    RunUpkeep,
    /// The running job of upkeep was stopped.
    StopUpkeep,
    /// Holds were lifted.
    LiftHold,
    /// A snapshot was protected; the object names it.
    Protect,
    /// A protection was ended before its date.
    Unprotect,
}

impl Action {
    /// The name in the trail.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::ChangePassword => "change_password",
            Self::ResetPassword => "reset_password",
            Self::WithdrawPassword => "withdraw_password",
            Self::CreateCustomer => "create_customer",
            Self::CreateSubscription => "create_subscription",
            Self::CreateAccount => "create_account",
            Self::EndAccount => "end_account",
            Self::ReopenAccount => "reopen_account",
            Self::CreateEnrolment => "create_enrolment",
            Self::Enroll => "enroll",
            Self::ReplaceAgent => "replace_agent",
            Self::RevokeAgent => "revoke_agent",
            Self::SetAgentRestore => "set_agent_restore",
            Self::PutSet => "put_set",
            Self::AppendKeyring => "append_keyring",
            Self::Read => "read",
            Self::List => "list",
            Self::Amend => "amend",
            Self::ApplyAmendment => "apply_amendment",
            Self::WithdrawAmendment => "withdraw_amendment",
            Self::EndSubscription => "end_subscription",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::AnnounceMaintenance => "announce_maintenance",
            Self::EndMaintenance => "end_maintenance",
            Self::RecordConsent => "record_consent",
            Self::Relocate => "relocate",
            Self::SetNetworks => "set_networks",
            Self::OpenReevaluation => "open_reevaluation",
            Self::CloseReevaluation => "close_reevaluation",
            Self::Propose => "propose",
            Self::Approve => "approve",
            Self::Withdraw => "withdraw",
            Self::CarryOut => "carry_out",
            Self::PauseUpkeep => "pause_upkeep",
            Self::ResumeUpkeep => "resume_upkeep",
            Self::AcceptRestored => "accept_restored",
            Self::TestAlarms => "test_alarms",
            Self::AllowPruning => "allow_pruning",
            Self::RunUpkeep => "run_upkeep",
            Self::StopUpkeep => "stop_upkeep",
            Self::LiftHold => "lift_hold",
            Self::Protect => "protect",
            Self::Unprotect => "unprotect",
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
    /// Whose, if anybody's.
    pub subscription: Option<SubscriptionId>,
    /// On what.
    pub object: String,
    /// With which result.
    pub result: String,
}

impl Control {
    /// Adds a row for something that changed nothing else: a refusal, a look, or a change kept elsewhere.
    ///
    /// # Errors
    /// SQLite's.
    pub fn record(&self, trace: &Trace, event: &Event<'_>) -> Result<(), ControlError> {
        self.write(|transaction| append(transaction, trace, event))
    }
}

/// What the chain holds of a row: every column with its length, in order.
pub(super) fn record_of(row: &AuditRow) -> Vec<u8> {
    let trace = &row.trace;
    let subscription = row.subscription.as_ref().map_or(&[][..], |id| id.as_bytes());
    let texts: [&[u8]; 6] = [
        trace.who.as_bytes(),
        trace.address.as_bytes(),
        row.action.as_bytes(),
        subscription,
        row.object.as_bytes(),
        row.result.as_bytes(),
    ];
    let mut record = [row.number.to_le_bytes(), trace.at_ns.to_le_bytes()].concat();
    for text in texts {
        record.extend_from_slice(&(text.len() as u64).to_le_bytes());
        record.extend_from_slice(text);
    }
    record
}

/// The number and the hash of the newest row; 0 and the empty log's without one.
pub(super) fn newest(transaction: &Transaction<'_>) -> Result<(i64, Link), ControlError> {
    let newest = transaction
        .prepare_cached("SELECT number, link FROM audit ORDER BY number DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(newest.unwrap_or((0, EMPTY)))
}

/// Adds a row to the transaction of the change that it tells of, and to the chain.
pub(super) fn append(transaction: &Transaction<'_>, trace: &Trace, event: &Event<'_>) -> Result<(), ControlError> {
    let (last, previous) = newest(transaction)?;
    let row = AuditRow {
        number: last + 1,
        trace: trace.clone(),
        action: event.action.name().to_owned(),
        subscription: event.subscription,
        object: event.object.to_owned(),
        result: event.result.to_owned(),
    };
    let link = chain::link(&previous, &record_of(&row));
    transaction
        .prepare_cached(
            "INSERT INTO audit (number, at_ns, who, address, action, subscription, object, result, link)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            row.number,
            trace.at_ns,
            trace.who,
            trace.address,
            row.action,
            event.subscription.as_ref().map(SubscriptionId::as_bytes),
            event.object,
            event.result,
            link,
        ])?;
    Ok(())
}
