//! Notices to customers: what the provider told them through the service itself, and when.
//!
//! It sends nothing: people read their notices with their own login, and alarms may carry them further.
//!
//! Invariant: rows are only ever added, in the transaction of what they tell.

use common::id::SubscriptionId;
use rusqlite::{Transaction, params};

use super::{Control, ControlError};

/// The statements of this table.
pub(super) const TABLES: &str = "
CREATE TABLE notice (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  subscription BLOB REFERENCES subscription,
  at_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
CREATE INDEX notice_of_subscription ON notice (subscription, number);
CREATE TRIGGER notice_is_append_only_update BEFORE UPDATE ON notice BEGIN SELECT RAISE(ABORT, 'notices are append-only'); END;
CREATE TRIGGER notice_is_append_only_delete BEFORE DELETE ON notice BEGIN SELECT RAISE(ABORT, 'notices are append-only'); END;
";

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// When, in nanoseconds since 1970.
    pub at_ns: i64,
    /// What about: a stable name.
    pub kind: String,
    /// What exactly.
    pub detail: String,
}

impl Control {
    /// The newest notices of a subscription and those to everybody, newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn notices(&self, subscription: &SubscriptionId, limit: u32) -> Result<Vec<Notice>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT at_ns, kind, detail FROM notice WHERE subscription IS NULL OR subscription = ?1
                 ORDER BY number DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![subscription.as_bytes(), limit], |row| {
                Ok(Notice { at_ns: row.get(0)?, kind: row.get(1)?, detail: row.get(2)? })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Tells a customer, inside the transaction of what is told.
pub(super) fn add(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    kind: &str,
    detail: &str,
    at_ns: i64,
) -> Result<(), ControlError> {
    tell(transaction, Some(subscription), (kind, detail), at_ns)
}

/// Tells one customer, or every one, inside the transaction of what is told: a stable name and the detail.
pub(super) fn tell(
    transaction: &Transaction<'_>,
    subscription: Option<&SubscriptionId>,
    (kind, detail): (&str, &str),
    at_ns: i64,
) -> Result<(), ControlError> {
    transaction
        .prepare_cached("INSERT INTO notice (subscription, at_ns, kind, detail) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![subscription.map(SubscriptionId::as_bytes), at_ns, kind, detail])?;
    Ok(())
}
