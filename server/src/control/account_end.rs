//! The end of accounts: somebody left, or stays after all.
//!
//! Invariant: an account that ends at once or sooner counts its password anew, so that an older copy of this store does not bring the account back with it.
//! Invariant: the end and the end of its logins are one transaction.

use common::id::SubscriptionId;
use rusqlite::{OptionalExtension, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, notices};

impl Control {
    /// Sets when an account's role is over, in nanoseconds since 1970: never without a moment. Its customer is told.
    /// Of a customer's account that ends at once or sooner: whose it is, and since when its password counts anew, in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] without such an account.
    pub fn set_account_end(
        &self,
        identifier: &str,
        ends_at_ns: Option<i64>,
        reason: &str,
        trace: &Trace,
    ) -> Result<Option<(SubscriptionId, i64)>, ControlError> {
        self.write(|transaction| {
            let account: Option<(Option<[u8; 16]>, Option<i64>)> = transaction
                .query_row("SELECT subscription, ends_at_ns FROM account WHERE identifier = ?1", [identifier], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            let (subscription, ended_at_ns) = account.ok_or(ControlError::NotFound { what: "account" })?;
            let subscription = subscription.map(SubscriptionId::new);
            let is_over = ends_at_ns.is_some_and(|ends| ends <= trace.at_ns);
            let is_sooner = is_over || ends_at_ns.unwrap_or(i64::MAX) < ended_at_ns.unwrap_or(i64::MAX);
            let password_since_ns = transaction.query_row(
                "UPDATE account SET ends_at_ns = ?2, password_since_ns =
                   CASE WHEN ?3 THEN max(?4, min(password_since_ns, 9223372036854775806) + 1) ELSE password_since_ns END
                 WHERE identifier = ?1 RETURNING password_since_ns",
                params![identifier, ends_at_ns, is_sooner, trace.at_ns],
                |row| row.get(0),
            )?;
            if is_over {
                transaction.execute("DELETE FROM login WHERE identifier = ?1", [identifier])?;
            }
            let (action, notice) = if is_sooner {
                (Action::EndAccount, "account_ended")
            } else {
                (Action::ReopenAccount, "account_reopened")
            };
            if let Some(subscription) = &subscription {
                notices::add(transaction, subscription, notice, identifier, trace.at_ns)?;
            }
            let object = format!("{identifier} ({reason})");
            audit::append(transaction, trace, &Event { action, subscription, object: &object, result: "done" })?;
            Ok(subscription.filter(|_| is_sooner).map(|whose| (whose, password_since_ns)))
        })
    }
}
