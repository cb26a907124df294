//! The control store: the provider's own records (customers, order forms, accounts, agents, sets, audit) in one SQLite file.
//!
//! It does not decide who may do what (`auth`) nor what is allowed (`contract`); it keeps rows and their relations.
//!
//! Invariant: I7 — with `catalog`, the only home of `rusqlite`; each statement is written once, in the module of its table.
//! Invariant: a change and its audit row are one transaction, `synchronous=FULL`: durable before the answer, or not at all.

pub mod account_end;
pub mod accounts;
pub mod agents;
pub mod alarms;
pub mod amendments;
pub mod approvals;
pub mod audit;
pub mod audit_log;
pub mod copy;
pub mod customers;
pub mod logins;
pub mod networks;
pub mod notices;
pub mod places;
pub mod pruning;
pub mod reevaluations;
mod schema;
pub mod sets;
pub mod subscriptions;
pub mod upkeep;
pub mod windows;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::contract::location::MoveRefused;
use crate::contract::order_form::InvalidOrderForm;
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Why a call on the control store failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The file cannot be opened.
    #[error("open the control store {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be made.
    #[error("make the control store {path}")]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no control store.
    #[error("there is no control store {path}")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file is not a control store of a known version.
    #[error("the control store has version {version}, this program knows up to {newest}")]
    UnknownVersion {
        /// The file's.
        version: usize,
        /// The newest known.
        newest: usize,
    },
    /// SQLite failed.
    #[error("read or write the control store")]
    Sql(#[from] rusqlite::Error),
    /// A row holds something that this program would not have written.
    #[error("the control store holds a bad {what}")]
    Damaged {
        /// What was read.
        what: &'static str,
    },
    /// The name is taken.
    #[error("the {what} exists")]
    Exists {
        /// Of what kind.
        what: &'static str,
    },
    /// Absent, or somebody else's.
    #[error("there is no such {what}")]
    NotFound {
        /// Of what kind.
        what: &'static str,
    },
    /// Somebody else was faster; the newest version.
    #[error("the set is at version {newest}")]
    SetConflict {
        /// The newest version.
        newest: u64,
    },
    /// The contract does not allow this place.
    #[error(transparent)]
    Place(#[from] MoveRefused),
    /// The contract does not allow this order form.
    #[error(transparent)]
    Form(#[from] InvalidOrderForm),
    /// The second person must be another one.
    #[error("the same operator asked for it")]
    SamePerson,
    /// A one-use token that was used, or has expired.
    #[error("the enrolment token is spent")]
    TokenSpent,
}

impl ControlError {
    /// True if the disk had no room.
    pub fn is_full(&self) -> bool {
        let full = Some(rusqlite::ErrorCode::DiskFull);
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == full)
    }

    /// True if the file is no control store, or not whole.
    pub fn is_damaged(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        matches!(self, Self::Sql(error) if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)))
    }
}

/// The open control store. Calls block on the disk: handlers make them off the async workers.
pub struct Control {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
}

impl Control {
    /// Opens the store at `path` and brings it to the newest version. One that is lost is not made anew: an empty one would be copied over the
    /// last copies of it.
    ///
    /// # Errors
    /// [`ControlError::Missing`], also of an empty file, [`ControlError::Open`], [`ControlError::UnknownVersion`], or SQLite's.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        must_be_there(path)?;
        Self::create(path)
    }

    /// Makes the store at `path`, or opens the one that is there.
    ///
    /// # Errors
    /// [`ControlError::Create`], or as [`Self::open`].
    pub fn create(path: &Path) -> Result<Self, ControlError> {
        let opened = |source: std::io::Error| ControlError::Create { path: path.to_owned(), source };
        // SQLite would make the file readable by everybody; its journal takes the mode of the file.
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(opened)?;
        let connect = || {
            let connection =
                Connection::open(path).map_err(|source| ControlError::Open { path: path.to_owned(), source })?;
            schema::configure(&connection)?;
            Ok::<_, ControlError>(connection)
        };
        let mut writer = connect()?;
        schema::migrate(&mut writer)?;
        let reader = connect()?;
        reader.pragma_update(None, "query_only", true)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader) })
    }

    /// Runs `work` in one durable transaction; an error undoes all of it.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, ControlError>) -> Result<T, ControlError> {
        let mut connection = self.writer.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let value = work(&transaction)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Runs `work` on one consistent view of the last commit.
    fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, ControlError>) -> Result<T, ControlError> {
        let mut connection = self.reader.lock();
        let transaction = connection.transaction()?;
        work(&transaction)
    }
}

/// Refuses a control store that is missing or empty; one that cannot be looked at is left to whoever opens it.
fn must_be_there(path: &Path) -> Result<(), ControlError> {
    let is_missing = match std::fs::metadata(path) {
        Ok(file) => file.len() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if is_missing { Err(ControlError::Missing { path: path.to_owned() }) } else { Ok(()) }
}

/// A `u64` as SQLite keeps it. Everything that is stored was checked to be far below the limit.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A stored count or size read back.
fn unsigned(what: &'static str, value: i64) -> Result<u64, ControlError> {
    u64::try_from(value).map_err(|_| ControlError::Damaged { what })
}

/// True if a statement failed because a row with that key exists.
fn is_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_damaged_file_and_from_any_other_failure() {
        let failed = |code| ControlError::Sql(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None));
        assert!(failed(rusqlite::ffi::SQLITE_FULL).is_full() && !failed(rusqlite::ffi::SQLITE_FULL).is_damaged());
        assert!(!failed(rusqlite::ffi::SQLITE_CORRUPT).is_full() && failed(rusqlite::ffi::SQLITE_CORRUPT).is_damaged());
        assert!(!ControlError::SamePerson.is_full());
    }
}
