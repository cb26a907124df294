//! Suspensions of a subscription, and maintenance of one or of the whole server: rows with a beginning and perhaps an end.
//!
//! It does not close anything: whoever serves a call asks the terms, which hold these windows.
//!
//! Invariant: rows are never removed; a window that is ended early gets its end.

use common::id::SubscriptionId;
use common::text::date::{moment, nanoseconds};
use rusqlite::{OptionalExtension, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, notices};
use crate::contract::service::{SuspensionReason, Window};

/// The statements of these tables.
pub(super) const TABLES: &str = "
CREATE TABLE suspension (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB NOT NULL REFERENCES subscription,
  from_ns INTEGER NOT NULL,
  until_ns INTEGER,
  reason TEXT NOT NULL,
  detail TEXT NOT NULL,
  told_at_ns INTEGER,
  untold_because TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL,
  recorded_by TEXT NOT NULL,
  CHECK (told_at_ns IS NOT NULL OR untold_because <> '')
) STRICT;
CREATE INDEX suspension_of_subscription ON suspension (subscription, from_ns);
CREATE TABLE maintenance (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB REFERENCES subscription,
  from_ns INTEGER NOT NULL,
  until_ns INTEGER NOT NULL,
  detail TEXT NOT NULL,
  recorded_at_ns INTEGER NOT NULL,
  recorded_by TEXT NOT NULL
) STRICT;
CREATE INDEX maintenance_of_subscription ON maintenance (subscription, from_ns);
";

/// A suspension as recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// 1, 2, 3 … over all subscriptions; 0 before it is recorded.
    pub number: i64,
    /// Whose.
    pub subscription: SubscriptionId,
    /// From when until when, and why.
    pub window: Window<SuspensionReason>,
    /// What for, in a sentence.
    pub detail: String,
    /// When the customer was told beforehand, in nanoseconds since 1970.
    pub told_at_ns: Option<i64>,
    /// Why the customer was not told beforehand; empty if they were.
    pub untold_because: String,
    /// When it was recorded, in nanoseconds since 1970.
    pub recorded_at_ns: i64,
    /// Who recorded it.
    pub recorded_by: String,
}

/// Maintenance as announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// 1, 2, 3 …; 0 before it is recorded.
    pub number: i64,
    /// Of one subscription; of the server if none.
    pub subscription: Option<SubscriptionId>,
    /// From when, in nanoseconds since 1970.
    pub from_ns: i64,
    /// Until when, in nanoseconds since 1970.
    pub until_ns: i64,
    /// What for, in a sentence.
    pub detail: String,
    /// When it was announced, in nanoseconds since 1970.
    pub recorded_at_ns: i64,
    /// Who announced it.
    pub recorded_by: String,
}

impl Control {
    /// Records a suspension and tells the customer; its number.
    ///
    /// # Errors
    /// SQLite's; neither told nor a reason why not is refused there.
    pub fn suspend(&self, new: &Suspended, trace: &Trace) -> Result<i64, ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO suspension (subscription, from_ns, until_ns, reason, detail, told_at_ns, untold_because,
                                         recorded_at_ns, recorded_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    new.subscription.as_bytes(),
                    nanoseconds(new.window.from),
                    new.window.until.map(nanoseconds),
                    new.window.reason.name(),
                    new.detail,
                    new.told_at_ns,
                    new.untold_because,
                    trace.at_ns,
                    trace.who,
                ],
            )?;
            let number = transaction.last_insert_rowid();
            let until = new.window.until.map_or_else(|| "…".to_owned(), |until| until.to_string());
            let told = format!("{} → {until} : {}", new.window.from, new.detail);
            notices::add(transaction, &new.subscription, "suspension", &told, trace.at_ns)?;
            let object = format!("{} {number}", new.window.reason.name());
            record(transaction, Action::Suspend, Some(new.subscription), &object, trace)?;
            Ok(number)
        })
    }

    /// Ends a suspension now, or before it begins; whose it was.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if none of that number is to come or under way.
    pub fn resume(&self, number: i64, trace: &Trace) -> Result<SubscriptionId, ControlError> {
        self.write(|transaction| {
            let found = transaction
                .query_row(
                    "UPDATE suspension SET until_ns = max(from_ns, ?2)
                     WHERE number = ?1 AND (until_ns IS NULL OR until_ns > ?2) RETURNING subscription",
                    params![number, trace.at_ns],
                    |row| row.get(0),
                )
                .optional()?;
            let subscription = SubscriptionId::new(found.ok_or(ControlError::NotFound { what: "suspension" })?);
            notices::add(transaction, &subscription, "resumed", &number.to_string(), trace.at_ns)?;
            record(transaction, Action::Resume, Some(subscription), &number.to_string(), trace)?;
            Ok(subscription)
        })
    }

    /// The suspensions of one subscription or of all, newest first.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn suspensions(&self, subscription: Option<&SubscriptionId>) -> Result<Vec<Suspended>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, subscription, from_ns, until_ns, reason, detail, told_at_ns, untold_because,
                        recorded_at_ns, recorded_by
                 FROM suspension WHERE ?1 IS NULL OR subscription = ?1 ORDER BY number DESC",
            )?;
            let mut rows = statement.query([subscription.map(SubscriptionId::as_bytes)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let reason = SuspensionReason::from_name(row.get_ref(4)?.as_str().unwrap_or_default());
                found.push(Suspended {
                    number: row.get(0)?,
                    subscription: SubscriptionId::new(row.get(1)?),
                    window: Window {
                        from: moment(row.get(2)?),
                        until: row.get::<_, Option<i64>>(3)?.map(moment),
                        reason: reason.ok_or(ControlError::Damaged { what: "suspension reason" })?,
                    },
                    detail: row.get(5)?,
                    told_at_ns: row.get(6)?,
                    untold_because: row.get(7)?,
                    recorded_at_ns: row.get(8)?,
                    recorded_by: row.get(9)?,
                });
            }
            Ok(found)
        })
    }

    /// Announces maintenance, to one customer or to all; its number.
    ///
    /// # Errors
    /// SQLite's.
    pub fn announce_maintenance(&self, new: &Maintenance, trace: &Trace) -> Result<i64, ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO maintenance (subscription, from_ns, until_ns, detail, recorded_at_ns, recorded_by)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    new.subscription.as_ref().map(SubscriptionId::as_bytes),
                    new.from_ns,
                    new.until_ns,
                    new.detail,
                    trace.at_ns,
                    trace.who,
                ],
            )?;
            let number = transaction.last_insert_rowid();
            let told = format!("{} → {} : {}", moment(new.from_ns), moment(new.until_ns), new.detail);
            notices::tell(transaction, new.subscription.as_ref(), ("maintenance", &told), trace.at_ns)?;
            record(transaction, Action::AnnounceMaintenance, new.subscription, &number.to_string(), trace)?;
            Ok(number)
        })
    }

    /// Ends maintenance now, or calls it off.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] if none of that number is to come or under way.
    pub fn end_maintenance(&self, number: i64, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            let found = transaction
                .query_row(
                    "UPDATE maintenance SET until_ns = max(from_ns, ?2) WHERE number = ?1 AND until_ns > ?2
                     RETURNING subscription",
                    params![number, trace.at_ns],
                    |row| row.get::<_, Option<[u8; 16]>>(0),
                )
                .optional()?;
            let subscription = found.ok_or(ControlError::NotFound { what: "maintenance" })?.map(SubscriptionId::new);
            let told = ("maintenance_over", number.to_string());
            notices::tell(transaction, subscription.as_ref(), (told.0, &told.1), trace.at_ns)?;
            record(transaction, Action::EndMaintenance, subscription, &told.1, trace)
        })
    }

    /// Every maintenance that is not over at `now_ns`, in order; all of them with `all`.
    ///
    /// # Errors
    /// SQLite's.
    pub fn maintenance(&self, now_ns: i64, all: bool) -> Result<Vec<Maintenance>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, subscription, from_ns, until_ns, detail, recorded_at_ns, recorded_by
                 FROM maintenance WHERE ?2 OR until_ns > ?1 ORDER BY from_ns, number",
            )?;
            let rows = statement.query_map(params![now_ns, all], |row| {
                Ok(Maintenance {
                    number: row.get(0)?,
                    subscription: row.get::<_, Option<[u8; 16]>>(1)?.map(SubscriptionId::new),
                    from_ns: row.get(2)?,
                    until_ns: row.get(3)?,
                    detail: row.get(4)?,
                    recorded_at_ns: row.get(5)?,
                    recorded_by: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn record(
    transaction: &Transaction<'_>,
    action: Action,
    subscription: Option<SubscriptionId>,
    object: &str,
    trace: &Trace,
) -> Result<(), ControlError> {
    audit::append(transaction, trace, &Event { action, subscription, object, result: "done" })
}

/// The suspensions of a subscription, in order.
pub(super) fn suspensions_of(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
) -> Result<Vec<Window<SuspensionReason>>, ControlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT from_ns, until_ns, reason FROM suspension WHERE subscription = ?1 ORDER BY from_ns, number",
    )?;
    let mut rows = statement.query([subscription.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let reason = SuspensionReason::from_name(row.get_ref(2)?.as_str().unwrap_or_default());
        found.push(Window {
            from: moment(row.get(0)?),
            until: row.get::<_, Option<i64>>(1)?.map(moment),
            reason: reason.ok_or(ControlError::Damaged { what: "suspension reason" })?,
        });
    }
    Ok(found)
}

/// The maintenance windows that concern a subscription: its own and the server's, in order.
pub(super) fn maintenance_of(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
) -> Result<Vec<Window<()>>, ControlError> {
    let mut statement = transaction.prepare_cached(
        "SELECT from_ns, until_ns FROM maintenance WHERE subscription IS NULL OR subscription = ?1
         ORDER BY from_ns, number",
    )?;
    let rows = statement.query_map([subscription.as_bytes()], |row| {
        Ok(Window { from: moment(row.get(0)?), until: Some(moment(row.get(1)?)), reason: () })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
