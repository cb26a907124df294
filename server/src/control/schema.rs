//! The schema of `control.db`, one statement list per version.
//!
//! Invariant: a version's list is never edited once released; a change is a further version.
//! Invariant: an unknown version is an error, so an older server never opens a newer store (I10).

use rusqlite::{Connection, TransactionBehavior};

use super::{
    ControlError, accounts, alarms, amendments, approvals, copy, networks, notices, places, pruning, reevaluations,
    upkeep, windows,
};

/// Marks the file as a control store ("DBct").
const APPLICATION_ID: i64 = 0x4442_6374;

/// The lists of each version, one per area.
const VERSIONS: [&[&str]; 2] = [
    &[
        BASE,
        alarms::TABLES,
        approvals::TABLES,
        amendments::TABLES,
        copy::TABLES,
        networks::TABLES,
        notices::TABLES,
        places::TABLES,
        pruning::TABLES,
        reevaluations::TABLES,
        upkeep::TABLES,
        windows::TABLES,
    ],
    &[accounts::SINCE],
];

/// Customers, subscriptions, accounts, agents, sets and the audit trail.
const BASE: &str = "
CREATE TABLE customer (
  reference TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE subscription (
  id BLOB NOT NULL PRIMARY KEY,
  reference TEXT NOT NULL UNIQUE,
  customer TEXT NOT NULL REFERENCES customer,
  form TEXT NOT NULL,
  created_at_ns INTEGER NOT NULL,
  first_login_at_ns INTEGER,
  commissioned_at_ns INTEGER,
  ended_at_ns INTEGER
) STRICT;
CREATE TABLE source (
  id BLOB NOT NULL PRIMARY KEY,
  subscription BLOB NOT NULL REFERENCES subscription,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  ordered_at_ns INTEGER NOT NULL,
  UNIQUE (subscription, name)
) STRICT;
CREATE TABLE account (
  identifier TEXT NOT NULL PRIMARY KEY,
  subscription BLOB REFERENCES subscription,
  role TEXT NOT NULL,
  ends_at_ns INTEGER,
  password_hash TEXT NOT NULL,
  default_digest BLOB NOT NULL,
  default_expires_at_ns INTEGER,
  created_at_ns INTEGER NOT NULL,
  last_login_at_ns INTEGER
) STRICT;
CREATE TABLE login (
  token_digest BLOB NOT NULL PRIMARY KEY,
  identifier TEXT NOT NULL REFERENCES account,
  used_at_ns INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_of_account ON login (identifier, used_at_ns);
CREATE TABLE agent (
  id BLOB NOT NULL PRIMARY KEY,
  subscription BLOB NOT NULL REFERENCES subscription,
  scope BLOB NOT NULL,
  host TEXT NOT NULL,
  version TEXT NOT NULL,
  token_digest BLOB NOT NULL UNIQUE,
  enrolled_at_ns INTEGER NOT NULL,
  seen_at_ns INTEGER,
  revoked_at_ns INTEGER,
  replaced_by BLOB REFERENCES agent,
  can_restore INTEGER NOT NULL,
  only_source BLOB REFERENCES source
) STRICT;
CREATE INDEX agent_of_subscription ON agent (subscription, enrolled_at_ns);
CREATE TABLE enrolment (
  token_digest BLOB NOT NULL PRIMARY KEY,
  subscription BLOB NOT NULL REFERENCES subscription,
  source BLOB REFERENCES source,
  expires_at_ns INTEGER NOT NULL,
  used_at_ns INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE backup_set (
  source BLOB NOT NULL REFERENCES source,
  version INTEGER NOT NULL,
  agent BLOB NOT NULL REFERENCES agent,
  rules TEXT NOT NULL,
  changed_at_ns INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  PRIMARY KEY (source, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ns INTEGER NOT NULL,
  who TEXT NOT NULL,
  address TEXT NOT NULL,
  action TEXT NOT NULL,
  subscription BLOB,
  object TEXT NOT NULL,
  result TEXT NOT NULL,
  link BLOB NOT NULL
) STRICT;
CREATE TABLE audit_checkpoint (
  records INTEGER NOT NULL PRIMARY KEY,
  link BLOB NOT NULL,
  at_ns INTEGER NOT NULL,
  signature BLOB NOT NULL
) STRICT;
CREATE INDEX audit_of_subscription ON audit (subscription, number);
CREATE TRIGGER audit_is_append_only_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
CREATE TRIGGER audit_is_append_only_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
";

/// Sets the connection up for durable commits.
pub(super) fn configure(connection: &Connection) -> Result<(), ControlError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    Ok(())
}

/// Brings an empty or older store to the newest version, in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), ControlError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let application: i64 = transaction.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: usize = transaction.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))? as usize;
    if (version > 0 && application != APPLICATION_ID) || version > VERSIONS.len() {
        return Err(ControlError::UnknownVersion { version, newest: VERSIONS.len() });
    }
    for statements in VERSIONS[version..].iter().copied().flatten() {
        transaction.execute_batch(statements)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", i64::try_from(VERSIONS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}
