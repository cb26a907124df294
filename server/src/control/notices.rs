//! Notices to customers: what the provider told them through the service itself, and when.
//!
//! People read their notices with their own login. It sends nothing itself: the monitor puts each into the queue of mails, once.
//!
//! Invariant: rows are only ever added, in the transaction of what they tell.
//! Invariant: a notice and the mark that it was carried are one transaction with its mails: none is lost, none is queued twice.

use common::id::SubscriptionId;
use rusqlite::{Transaction, params};

use super::alarms::{self, NewMessage};
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
CREATE TABLE notice_carried (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  number INTEGER NOT NULL
) STRICT;
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

/// A notice that no mail was made of yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uncarried {
    /// Its number.
    pub number: i64,
    /// Whose; none for everybody.
    pub subscription: Option<SubscriptionId>,
    /// What it tells.
    pub notice: Notice,
}

impl Control {
    /// The oldest notices that were not carried further yet.
    ///
    /// # Errors
    /// SQLite's.
    pub fn uncarried(&self, limit: u32) -> Result<Vec<Uncarried>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, subscription, at_ns, kind, detail FROM notice
                 WHERE number > coalesce((SELECT number FROM notice_carried), 0) ORDER BY number LIMIT ?1",
            )?;
            let rows = statement.query_map([limit], |row| {
                Ok(Uncarried {
                    number: row.get(0)?,
                    subscription: row.get::<_, Option<[u8; 16]>>(1)?.map(SubscriptionId::new),
                    notice: Notice { at_ns: row.get(2)?, kind: row.get(3)?, detail: row.get(4)? },
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Queues the mails of all notices up to a number, which are then carried.
    ///
    /// # Errors
    /// SQLite's.
    pub fn carry(&self, up_to: i64, messages: &[NewMessage], now_ns: i64) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO notice_carried (only_row, number) VALUES (1, ?1)
                 ON CONFLICT DO UPDATE SET number = max(number, ?1)",
                [up_to],
            )?;
            alarms::queue(transaction, messages, now_ns)
        })
    }

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
