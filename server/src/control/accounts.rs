//! Accounts of people and operators: what they log in with, as what, until when.
//!
//! It keeps hashes; making and checking them is `auth::password`.
//!
//! Invariant: a changed or reset password ends every other login of the account in the same transaction.

use common::id::SubscriptionId;
use rusqlite::{OptionalExtension, Row, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, is_taken, notices};
use crate::auth::principal::{OperatorRole, Role};

/// As what an account acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Somebody of a customer.
    Person {
        /// Whose data they may see.
        subscription: SubscriptionId,
        /// What they may do.
        role: Role,
    },
    /// Staff of the provider.
    Operator {
        /// What they may do.
        role: OperatorRole,
    },
}

/// What an account's password is kept as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// Argon2id with its parameters, in the PHC string format.
    pub hash: String,
    /// BLAKE3 of the last default password (random, so a fast hash is enough): it may not be chosen again.
    pub default_digest: [u8; 32],
    /// Until when a default password may be used, in nanoseconds since 1970; `None` once its owner changed it.
    pub default_expires_at_ns: Option<i64>,
    /// Since when it is the account's, in nanoseconds since 1970; each later one of the account has a greater value, whatever the clock did.
    pub since_ns: i64,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What they log in with, in lower case.
    pub identifier: String,
    /// As what they act.
    pub standing: Standing,
    /// End of the role, in nanoseconds since 1970.
    pub ends_at_ns: Option<i64>,
    /// The password.
    pub password: StoredPassword,
    /// When it was made, in nanoseconds since 1970.
    pub created_at_ns: i64,
    /// When it was last used to log in, in nanoseconds since 1970.
    pub last_login_at_ns: Option<i64>,
}

impl Account {
    /// Nothing but changing the password is allowed.
    pub fn must_change_password(&self) -> bool {
        self.password.default_expires_at_ns.is_some()
    }

    /// The role is over.
    pub fn is_over(&self, now_ns: i64) -> bool {
        self.ends_at_ns.is_some_and(|ends| ends <= now_ns)
    }

    /// Whose it is, for the trail.
    pub fn subscription(&self) -> Option<SubscriptionId> {
        match &self.standing {
            Standing::Person { subscription, .. } => Some(*subscription),
            Standing::Operator { .. } => None,
        }
    }
}

/// The columns of an account, in the order in which one is read.
pub(super) const COLUMNS: &str = "identifier, subscription, role, ends_at_ns, password_hash, default_digest, \
                                  default_expires_at_ns, created_at_ns, last_login_at_ns, password_since_ns";

/// Since version 2 an account knows since when it has its password.
pub(super) const SINCE: &str = "
ALTER TABLE account ADD COLUMN password_since_ns INTEGER NOT NULL DEFAULT 0;
UPDATE account SET password_since_ns = created_at_ns;
";

impl Control {
    /// Makes an account.
    ///
    /// # Errors
    /// [`ControlError::Exists`] if the identifier is taken.
    pub fn create_account(&self, account: &Account, trace: &Trace) -> Result<(), ControlError> {
        let (subscription, role) = match &account.standing {
            Standing::Person { subscription, role } => (Some(subscription.as_bytes()), role_name(*role)),
            Standing::Operator { role } => (None, operator_role_name(*role)),
        };
        self.write(|transaction| {
            transaction
                .execute(
                    &format!("INSERT INTO account ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
                    params![
                        account.identifier,
                        subscription,
                        role,
                        account.ends_at_ns,
                        account.password.hash,
                        account.password.default_digest,
                        account.password.default_expires_at_ns,
                        account.created_at_ns,
                        account.last_login_at_ns,
                        account.password.since_ns,
                    ],
                )
                .map_err(
                    |error| {
                        if is_taken(&error) { ControlError::Exists { what: "account" } } else { error.into() }
                    },
                )?;
            let (subscription, object) = (account.subscription(), &account.identifier);
            audit::append(
                transaction,
                trace,
                &Event { action: Action::CreateAccount, subscription, object, result: "done" },
            )
        })
    }

    /// One account.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn account(&self, identifier: &str) -> Result<Option<Account>, ControlError> {
        self.read(|transaction| {
            let mut statement =
                transaction.prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE identifier = ?1"))?;
            let mut rows = statement.query([identifier])?;
            rows.next()?.map_or(Ok(None), |row| account_of(row).map(Some))
        })
    }

    /// Every account, or those of one subscription, by identifier.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn accounts(&self, subscription: Option<&SubscriptionId>) -> Result<Vec<Account>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM account WHERE ?1 IS NULL OR subscription = ?1 ORDER BY identifier"
            ))?;
            let mut rows = statement.query([subscription.map(SubscriptionId::as_bytes)])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(account_of(row)?);
            }
            Ok(found)
        })
    }

    /// Replaces the password and ends every login of the account; `event` tells who did it. Where it was not its owner, the customer is told
    /// (B-177). Returns since when the password is the account's.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] without such an account.
    pub fn set_password(
        &self,
        identifier: &str,
        password: &StoredPassword,
        trace: &Trace,
        event: &Event<'_>,
    ) -> Result<i64, ControlError> {
        let StoredPassword { hash, default_digest, default_expires_at_ns, since_ns } = password;
        let notice = match event.action {
            Action::ResetPassword => Some("password_reset"),
            Action::WithdrawPassword => Some("password_withdrawn"),
            _ => None,
        };
        self.write(|transaction| {
            let since_ns = transaction
                .query_row(
                    "UPDATE account SET password_hash = ?2, default_digest = ?3, default_expires_at_ns = ?4,
                            password_since_ns = max(?5, min(password_since_ns, 9223372036854775806) + 1)
                     WHERE identifier = ?1 RETURNING password_since_ns",
                    params![identifier, hash, default_digest, default_expires_at_ns, since_ns],
                    |row| row.get(0),
                )
                .optional()?
                .ok_or(ControlError::NotFound { what: "account" })?;
            transaction.execute("DELETE FROM login WHERE identifier = ?1", [identifier])?;
            if let (Some(notice), Some(subscription)) = (notice, &event.subscription) {
                notices::add(transaction, subscription, notice, identifier, trace.at_ns)?;
            }
            audit::append(transaction, trace, event)?;
            Ok(since_ns)
        })
    }
}

pub(super) fn account_of(row: &Row<'_>) -> Result<Account, ControlError> {
    let role: String = row.get(2)?;
    let standing = match row.get::<_, Option<[u8; 16]>>(1)? {
        Some(id) => Standing::Person { subscription: SubscriptionId::new(id), role: role_of(&role)? },
        None => Standing::Operator { role: operator_role_of(&role)? },
    };
    Ok(Account {
        identifier: row.get(0)?,
        standing,
        ends_at_ns: row.get(3)?,
        password: StoredPassword {
            hash: row.get(4)?,
            default_digest: row.get(5)?,
            default_expires_at_ns: row.get(6)?,
            since_ns: row.get(9)?,
        },
        created_at_ns: row.get(7)?,
        last_login_at_ns: row.get(8)?,
    })
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::ReadOnly => "read_only",
        Role::Restore => "restore",
        Role::Admin => "admin",
    }
}

const fn operator_role_name(role: OperatorRole) -> &'static str {
    match role {
        OperatorRole::ReadOnly => "read_only",
        OperatorRole::Operator => "operator",
    }
}

fn role_of(name: &str) -> Result<Role, ControlError> {
    [Role::ReadOnly, Role::Restore, Role::Admin]
        .into_iter()
        .find(|role| role_name(*role) == name)
        .ok_or(ControlError::Damaged { what: "role" })
}

fn operator_role_of(name: &str) -> Result<OperatorRole, ControlError> {
    [OperatorRole::ReadOnly, OperatorRole::Operator]
        .into_iter()
        .find(|role| operator_role_name(*role) == name)
        .ok_or(ControlError::Damaged { what: "role" })
}
