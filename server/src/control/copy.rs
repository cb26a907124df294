//! Copies of the control store: a consistent one made while the server works, and the mark by which a restored one is known.
//!
//! It does not know where copies are kept (`store::control_copies`) nor when they are made (`upkeep::control_copy`).
//!
//! Invariant: a copy says of itself that it is one. However it comes back, by our command or by `cp`, pruning waits until an operator
//! looked (G2): holds, approvals and amendments made after it was taken are not in it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError, must_be_there};

/// Empty in a store that always was the live one.
pub(super) const TABLES: &str = "
CREATE TABLE control_copy (
  taken_at_ns INTEGER NOT NULL
) STRICT;
";

/// Time that a copy waits for the log's recovery, in seconds.
const BUSY_S: u64 = 10;

/// Copies the control store at `source` to `target`, which must not exist; nobody waits for it. The copy is one whole file, checked, but not
/// durable yet. It holds no logins and no enrolment tokens.
///
/// # Errors
/// SQLite's, [`ControlError::Missing`], [`ControlError::Create`], or [`ControlError::Damaged`] if the copy does not hold together.
pub fn copy(source: &Path, target: &Path, taken_at_ns: i64) -> Result<(), ControlError> {
    must_be_there(source)?;
    let made = |error: std::io::Error| ControlError::Create { path: target.to_owned(), source: error };
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target).map_err(made)?;
    let open = |path: &Path| {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |source| ControlError::Open { path: path.to_owned(), source };
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(std::time::Duration::from_secs(BUSY_S))?;
        Ok::<_, ControlError>(connection)
    };
    let (live, mut copied) = (open(source)?, open(target)?);
    live.pragma_update(None, "query_only", true)?;
    // All pages in one step: one read transaction, beside which the log goes on.
    let step = Backup::new(&live, &mut copied)?.step(-1)?;
    if step != StepResult::Done {
        return Err(ControlError::Damaged { what: "copy" });
    }
    copied.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    // What was asked for with a password, or handed out for one use, is worth nothing with older records.
    copied.execute_batch("DELETE FROM login; DELETE FROM enrolment")?;
    copied.execute("INSERT INTO control_copy VALUES (?1)", params![taken_at_ns])?;
    let verdict: String = copied.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(ControlError::Damaged { what: "copy" }) }
}

/// When the copy was taken that the store of this transaction was restored from, until an operator accepted it.
pub(super) fn restored_from(transaction: &Transaction<'_>) -> Result<Option<i64>, ControlError> {
    Ok(transaction.query_row("SELECT max(taken_at_ns) FROM control_copy", [], |row| row.get(0))?)
}

impl Control {
    /// When the copy was taken that this store was restored from, in nanoseconds since 1970; none if it was not, or if an operator accepted
    /// it since.
    ///
    /// # Errors
    /// SQLite's.
    pub fn restored_from(&self) -> Result<Option<i64>, ControlError> {
        self.read(restored_from)
    }

    /// An operator looked at what a restored store lacks: it is the live one from here on.
    ///
    /// # Errors
    /// SQLite's.
    pub fn accept_restored(&self, trace: &Trace) -> Result<(), ControlError> {
        self.write(|transaction| {
            transaction.execute("DELETE FROM control_copy", [])?;
            let event =
                Event { action: Action::AcceptRestored, subscription: None, object: "control store", result: "done" };
            audit::append(transaction, trace, &event)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::principal::OperatorRole;
    use crate::control::accounts::{Account, Standing, StoredPassword};
    use crate::control::customers::Customer;

    fn trace() -> Trace {
        Trace { who: "local".into(), address: "local".into(), at_ns: 1 }
    }

    #[test]
    fn a_copy_holds_no_logins() {
        let folder = tempfile::tempdir().unwrap();
        let (live, copied) = (folder.path().join("control.db"), folder.path().join("copy.db"));
        let control = Control::create(&live).unwrap();
        let password =
            StoredPassword { hash: "-".into(), default_digest: [0; 32], default_expires_at_ns: None, since_ns: 1 };
        let account = Account {
            identifier: "anna".into(),
            standing: Standing::Operator { role: OperatorRole::Operator },
            ends_at_ns: None,
            password,
            created_at_ns: 1,
            last_login_at_ns: None,
        };
        control.create_account(&account, &trace()).unwrap();
        control.open_login(&account, &[7; 32], &trace()).unwrap();
        assert!(control.login(&[7; 32], 1).unwrap().is_some());
        copy(&live, &copied, 42).unwrap();
        assert!(Control::open(&copied).unwrap().login(&[7; 32], 1).unwrap().is_none());
    }

    #[test]
    fn a_copy_is_whole_while_the_store_is_open_and_knows_that_it_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let (live, copied) = (folder.path().join("control.db"), folder.path().join("copy.db"));
        let control = Control::create(&live).unwrap();
        let customer = Customer { reference: "C-1".into(), name: "Acme".into(), created_at_ns: 1 };
        control.create_customer(&customer, &trace()).unwrap();
        assert_eq!(control.restored_from().unwrap(), None);
        copy(&live, &copied, 42).unwrap();
        assert!(copy(&live, &copied, 43).is_err(), "a copy is never replaced");
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            4,
            "live store, its two logs, one file of the copy"
        );
        let restored = Control::open(&copied).unwrap();
        assert_eq!(restored.customers().unwrap(), [customer]);
        assert_eq!(restored.restored_from().unwrap(), Some(42));
        restored.accept_restored(&trace()).unwrap();
        assert_eq!(restored.restored_from().unwrap(), None);
        assert_eq!(restored.audit(1).unwrap()[0].action, "accept_restored");
        assert_eq!(control.restored_from().unwrap(), None, "the live store is not marked");
    }
}
