//! Suspensions of a subscription, and maintenance of one or of the whole server: rows with a beginning and perhaps an end.
//!
//! It does not close anything: whoever serves a call asks the terms, which hold these windows.
//!
//! Invariant: rows are never removed; a window that is ended early gets its end.

use common::id::SubscriptionId;
use common::text::date::moment;
use rusqlite::Transaction;

use super::ControlError;
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
