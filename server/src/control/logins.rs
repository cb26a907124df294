//! Logins: tokens of people and operators, known by their digests only.
//!
//! Invariant: a login ends [`LOGIN_TOKEN_S`] after its last use; the use is written at most every `TOUCH_S`, so a token may
//! end that much earlier and never later.

use common::limits::LOGIN_TOKEN_S;
use rusqlite::params;

use super::accounts::{Account, COLUMNS, account_of};
use super::audit::{self, Action, Event, Trace};
use super::subscriptions::note_first_login;
use super::{Control, ControlError};

/// Most logins of one account; the oldest goes first.
const LOGINS_PER_ACCOUNT_MAX: i64 = 64;
/// Uses closer together than this are not written, in seconds.
const TOUCH_S: i64 = 30;

/// An account that a live token belongs to.
#[derive(Debug, Clone)]
pub struct Login {
    /// Whose.
    pub account: Account,
    /// The use is worth writing: [`Control::touch_login`].
    pub is_stale: bool,
}

impl Control {
    /// Keeps a token after a right password, and ends the account's expired and oldest ones.
    ///
    /// # Errors
    /// SQLite's.
    pub fn open_login(&self, account: &Account, token_digest: &[u8; 32], trace: &Trace) -> Result<(), ControlError> {
        let identifier = &account.identifier;
        self.write(|transaction| {
            transaction.execute(
                "DELETE FROM login WHERE used_at_ns <= ?1 OR token_digest IN
                 (SELECT token_digest FROM login WHERE identifier = ?2 ORDER BY used_at_ns DESC LIMIT -1 OFFSET ?3)",
                params![oldest_ns(trace.at_ns), identifier, LOGINS_PER_ACCOUNT_MAX - 1],
            )?;
            transaction.execute(
                "INSERT INTO login (token_digest, identifier, used_at_ns) VALUES (?1, ?2, ?3)",
                params![token_digest, identifier, trace.at_ns],
            )?;
            transaction.execute(
                "UPDATE account SET last_login_at_ns = ?2 WHERE identifier = ?1",
                params![identifier, trace.at_ns],
            )?;
            if let Some(subscription) = account.subscription() {
                note_first_login(transaction, &subscription, trace.at_ns)?;
            }
            let event = Event {
                action: Action::Login,
                subscription: account.subscription(),
                object: identifier,
                result: "done",
            };
            audit::append(transaction, trace, &event)
        })
    }

    /// The account of a live token; `None` for one that is unknown or over, or whose account is.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn login(&self, token_digest: &[u8; 32], now_ns: i64) -> Result<Option<Login>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS}, used_at_ns FROM login JOIN account USING (identifier)
                 WHERE token_digest = ?1 AND used_at_ns > ?2"
            ))?;
            let mut rows = statement.query(params![token_digest, oldest_ns(now_ns)])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            let account = account_of(row)?;
            let used_at_ns: i64 = row.get("used_at_ns")?;
            let is_stale = used_at_ns <= now_ns.saturating_sub(TOUCH_S * 1_000_000_000);
            Ok(Some(Login { account, is_stale }).filter(|login| !login.account.is_over(now_ns)))
        })
    }

    /// Writes that a token was used.
    ///
    /// # Errors
    /// SQLite's.
    pub fn touch_login(&self, token_digest: &[u8; 32], now_ns: i64) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE login SET used_at_ns = max(used_at_ns, ?2) WHERE token_digest = ?1",
                params![token_digest, now_ns],
            )?;
            Ok(())
        })
    }

    /// Ends one token.
    ///
    /// # Errors
    /// SQLite's.
    pub fn close_login(&self, token_digest: &[u8; 32], trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM login WHERE token_digest = ?1", [token_digest])?;
            let event = Event { action: Action::Logout, subscription: None, object: "", result: "done" };
            audit::append(transaction, trace, &event)
        })
    }
}

/// A token last used then or earlier is over.
const fn oldest_ns(now_ns: i64) -> i64 {
    now_ns.saturating_sub(LOGIN_TOKEN_S * 1_000_000_000)
}
