//! Requests that need two persons: what destroys data before its date, or allows that.
//!
//! It does not carry anything out: whoever removes, lifts or shortens asks [`Control::standing`] and checks it with
//! `contract::guards` in the same step.
//!
//! Invariant: at most one request of a kind stands for a subscription; the same operator never asks and approves.
//! Invariant: the customer's notice is recorded in the transaction of the request, so that no request exists without one.

use common::id::SubscriptionId;
use common::text::date::moment;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, notices};
use crate::contract::guards::{NotYet, TwoPersonRequest};

/// The statements of this table.
pub(super) const TABLES: &str = "
CREATE TABLE approval (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  subscription BLOB NOT NULL REFERENCES subscription,
  detail TEXT NOT NULL,
  asked_by TEXT NOT NULL,
  asked_at_ns INTEGER NOT NULL,
  customer_told_at_ns INTEGER NOT NULL,
  approved_by TEXT,
  approved_at_ns INTEGER,
  closed_by TEXT,
  closed_at_ns INTEGER,
  carried_out INTEGER NOT NULL DEFAULT 0,
  CHECK (approved_by IS NULL OR lower(approved_by) <> lower(asked_by))
) STRICT;
CREATE INDEX approval_of_subscription ON approval (subscription, kind, closed_at_ns);
";

/// How long a request stands, from asking until it must have been carried out, in nanoseconds: 60 days.
pub const APPROVAL_LIFE_NS: i64 = 60 * 24 * 3_600 * 1_000_000_000;

/// What a request is for; stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalKind {
    /// A shorter history, by amendment.
    ShortenHistory,
    /// Holds taken away: those that stood when it was asked for.
    LiftHold,
    /// A protection ended before its date; the detail begins with its id.
    Unprotect,
    /// What a hand-back of kind `destroy` removes.
    Destroy,
    /// A subscription with all that it stores.
    DeleteSubscription,
    /// Pruning against the guards.
    PruneOverride,
    /// A file or person taken out of all history.
    Expunge,
}

impl ApprovalKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::ShortenHistory,
        Self::LiftHold,
        Self::Unprotect,
        Self::Destroy,
        Self::DeleteSubscription,
        Self::PruneOverride,
        Self::Expunge,
    ];

    /// The name used in records, on the wire and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortenHistory => "shorten_history",
            Self::LiftHold => "lift_hold",
            Self::Unprotect => "unprotect",
            Self::Destroy => "destroy",
            Self::DeleteSubscription => "delete_subscription",
            Self::PruneOverride => "prune_override",
            Self::Expunge => "expunge",
        }
    }

    /// True if something carries it out, and it is asked for by itself: a shorter history comes with its amendment and the end of a
    /// protection with the protection, so that they stand or fall together; nothing destroys in this version.
    pub const fn can_be_proposed(self) -> bool {
        matches!(self, Self::LiftHold | Self::PruneOverride)
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// 1, 2, 3 …
    pub number: i64,
    /// What for.
    pub kind: ApprovalKind,
    /// Whose data.
    pub subscription: SubscriptionId,
    /// What exactly, and why.
    pub detail: String,
    /// Who asked (`operator:…`).
    pub asked_by: String,
    /// When, in nanoseconds since 1970.
    pub asked_at_ns: i64,
    /// When the customer's notice was recorded, in nanoseconds since 1970.
    pub customer_told_at_ns: i64,
    /// Who approved, and when, in nanoseconds since 1970.
    pub approved: Option<(String, i64)>,
    /// Who withdrew it or carried it out, and when, in nanoseconds since 1970.
    pub closed: Option<(String, i64)>,
    /// It was carried out; otherwise a closed one was withdrawn.
    pub carried_out: bool,
}

impl Approval {
    /// The request as the guards judge it.
    pub fn request(&self) -> TwoPersonRequest {
        TwoPersonRequest {
            asked_by: self.asked_by.clone(),
            approved: self.approved.clone().map(|(by, at_ns)| (by, moment(at_ns))),
            customer_told_at: Some(moment(self.customer_told_at_ns)),
        }
    }

    /// Whether it may be carried out at `now`.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, now: Timestamp) -> Result<(), NotYet> {
        self.request().check(now)
    }

    /// True if it is neither closed nor older than [`APPROVAL_LIFE_NS`].
    pub fn stands(&self, now_ns: i64) -> bool {
        self.closed.is_none() && now_ns < self.asked_at_ns.saturating_add(APPROVAL_LIFE_NS)
    }
}

const COLUMNS: &str = "number, kind, subscription, detail, asked_by, asked_at_ns, customer_told_at_ns, approved_by, \
                       approved_at_ns, closed_by, closed_at_ns, carried_out";

impl Control {
    /// Asks; the number of the request. The customer's notice is recorded with it.
    ///
    /// # Errors
    /// [`ControlError::Exists`] while another of this kind stands for this subscription.
    pub fn propose(
        &self,
        kind: ApprovalKind,
        subscription: &SubscriptionId,
        detail: &str,
        trace: &Trace,
    ) -> Result<i64, ControlError> {
        self.write(|transaction| propose(transaction, kind, subscription, detail, trace))
    }

    /// Approves as another operator than the one who asked; seven days run from here.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if it does not stand, [`ControlError::SamePerson`], [`ControlError::Exists`] if somebody
    /// approved it already.
    pub fn approve(&self, number: i64, trace: &Trace) -> Result<Approval, ControlError> {
        self.write(|transaction| {
            let found = find_standing(transaction, number, trace.at_ns)?;
            if found.asked_by.eq_ignore_ascii_case(&trace.who) {
                return Err(ControlError::SamePerson);
            }
            if found.approved.is_some() {
                return Err(ControlError::Exists { what: "approval" });
            }
            transaction.execute(
                "UPDATE approval SET approved_by = ?2, approved_at_ns = ?3 WHERE number = ?1",
                params![number, trace.who, trace.at_ns],
            )?;
            record(transaction, &found, Action::Approve, trace)?;
            Ok(Approval { approved: Some((trace.who.clone(), trace.at_ns)), ..found })
        })
    }

    /// Withdraws a request, approved or not.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if it does not stand.
    pub fn withdraw(&self, number: i64, trace: &Trace) -> Result<Approval, ControlError> {
        self.write(|transaction| {
            let found = find_standing(transaction, number, trace.at_ns)?;
            close(transaction, &found, false, trace)?;
            Ok(found)
        })
    }

    /// Notes that an approved request was carried out, so that it cannot serve twice.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if it does not stand.
    pub fn carried_out(&self, number: i64, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            let found = find_standing(transaction, number, trace.at_ns)?;
            close(transaction, &found, true, trace)
        })
    }

    /// The request of a kind that stands for a subscription, approved or not.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn standing(
        &self,
        kind: ApprovalKind,
        subscription: &SubscriptionId,
        now_ns: i64,
    ) -> Result<Option<Approval>, ControlError> {
        self.read(|transaction| standing(transaction, kind, subscription, now_ns))
    }

    /// Every request, or those of one subscription, newest first.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn approvals(&self, subscription: Option<&SubscriptionId>) -> Result<Vec<Approval>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM approval WHERE ?1 IS NULL OR subscription = ?1 ORDER BY number DESC"
            ))?;
            let mut rows = statement.query([subscription.map(SubscriptionId::as_bytes)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(approval_of(row)?);
            }
            Ok(found)
        })
    }
}

/// Asks, inside the transaction of what it is asked for.
pub(super) fn propose(
    transaction: &Transaction<'_>,
    kind: ApprovalKind,
    subscription: &SubscriptionId,
    detail: &str,
    trace: &Trace,
) -> Result<i64, ControlError> {
    if standing(transaction, kind, subscription, trace.at_ns)?.is_some() {
        return Err(ControlError::Exists { what: "approval" });
    }
    transaction.execute(
        "INSERT INTO approval (kind, subscription, detail, asked_by, asked_at_ns, customer_told_at_ns)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
        params![kind.name(), subscription.as_bytes(), detail, trace.who, trace.at_ns],
    )?;
    let number = transaction.last_insert_rowid();
    notices::add(transaction, subscription, &format!("approval_{}", kind.name()), detail, trace.at_ns)?;
    let object = format!("{} {number}", kind.name());
    let event = Event { action: Action::Propose, subscription: Some(*subscription), object: &object, result: "done" };
    audit::append(transaction, trace, &event)?;
    Ok(number)
}

/// Closes a request inside the transaction of what it allowed, or of its withdrawal.
pub(super) fn close(
    transaction: &Transaction<'_>,
    approval: &Approval,
    carried_out: bool,
    trace: &Trace,
) -> Result<(), ControlError> {
    transaction.execute(
        "UPDATE approval SET closed_by = ?2, closed_at_ns = ?3, carried_out = ?4 WHERE number = ?1",
        params![approval.number, trace.who, trace.at_ns, carried_out],
    )?;
    record(transaction, approval, if carried_out { Action::CarryOut } else { Action::Withdraw }, trace)
}

/// The request of a number, if it stands.
pub(super) fn find_standing(transaction: &Transaction<'_>, number: i64, now_ns: i64) -> Result<Approval, ControlError> {
    let mut statement = transaction.prepare_cached(&format!("SELECT {COLUMNS} FROM approval WHERE number = ?1"))?;
    let mut rows = statement.query([number])?;
    let found = rows.next()?.map(approval_of).transpose()?;
    found.filter(|approval| approval.stands(now_ns)).ok_or(ControlError::NotFound { what: "approval" })
}

fn standing(
    transaction: &Transaction<'_>,
    kind: ApprovalKind,
    subscription: &SubscriptionId,
    now_ns: i64,
) -> Result<Option<Approval>, ControlError> {
    let number: Option<i64> = transaction
        .prepare_cached(
            "SELECT max(number) FROM approval WHERE subscription = ?1 AND kind = ?2 AND closed_at_ns IS NULL",
        )?
        .query_row(params![subscription.as_bytes(), kind.name()], |row| row.get(0))
        .optional()?
        .flatten();
    match number.map(|number| find_standing(transaction, number, now_ns)) {
        Some(Err(ControlError::NotFound { .. })) | None => Ok(None),
        Some(found) => found.map(Some),
    }
}

fn record(
    transaction: &Transaction<'_>,
    approval: &Approval,
    action: Action,
    trace: &Trace,
) -> Result<(), ControlError> {
    let object = format!("{} {}", approval.kind.name(), approval.number);
    let event = Event { action, subscription: Some(approval.subscription), object: &object, result: "done" };
    audit::append(transaction, trace, &event)
}

fn approval_of(row: &Row<'_>) -> Result<Approval, ControlError> {
    let kind = ApprovalKind::from_name(row.get_ref(1)?.as_str().unwrap_or_default());
    let pair = |by: Option<String>, at_ns: Option<i64>| by.zip(at_ns);
    Ok(Approval {
        number: row.get(0)?,
        kind: kind.ok_or(ControlError::Damaged { what: "approval kind" })?,
        subscription: SubscriptionId::new(row.get(2)?),
        detail: row.get(3)?,
        asked_by: row.get(4)?,
        asked_at_ns: row.get(5)?,
        customer_told_at_ns: row.get(6)?,
        approved: pair(row.get(7)?, row.get(8)?),
        closed: pair(row.get(9)?, row.get(10)?),
        carried_out: row.get(11)?,
    })
}
