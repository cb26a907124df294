//! The audit trail read back: extracts, signed checkpoints, and the proof that nothing in it was changed.
//!
//! It does not add rows (`audit`), and it removes none: the trail is kept for as long as the control store.
//!
//! Invariant: a checkpoint is signed over what the chain was when it was signed; a later one never replaces it.

use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::SubscriptionId;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, params};

use super::audit::{AuditRow, Trace, newest, record_of};
use super::{Control, ControlError, unsigned};
use crate::audit::chain::{self, Checkpoint, Link, Tampered};

/// Which rows to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of one subscription only.
    pub subscription: Option<SubscriptionId>,
    /// Operators' accesses only, with the overviews that showed every subscription.
    pub operators_only: bool,
    /// From then on, in nanoseconds since 1970.
    pub from_ns: Option<i64>,
    /// Before then, in nanoseconds since 1970.
    pub until_ns: Option<i64>,
    /// Newer than this number.
    pub after_number: i64,
    /// Oldest first; newest first otherwise.
    pub ascending: bool,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were followed.
    pub records: u64,
    /// Checkpoints that were compared.
    pub checkpoints: u64,
    /// Rows after the newest checkpoint: chained, not signed yet.
    pub unsigned_records: u64,
    /// What is wrong, if anything is.
    pub tampered: Option<Tampered>,
}

const COLUMNS: &str = "number, at_ns, who, address, action, subscription, object, result";

impl Control {
    /// At most `limit` rows.
    ///
    /// # Errors
    /// SQLite's.
    pub fn audit_rows(&self, wanted: &Wanted, limit: u32) -> Result<Vec<AuditRow>, ControlError> {
        let order = if wanted.ascending { "ASC" } else { "DESC" };
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM audit
                 WHERE (?1 IS NULL OR subscription = ?1 OR (?2 AND subscription IS NULL AND action = 'list'))
                 AND (NOT ?2 OR who LIKE 'operator:%')
                 AND (?3 IS NULL OR at_ns >= ?3) AND (?4 IS NULL OR at_ns < ?4) AND number > ?5
                 ORDER BY number {order} LIMIT ?6"
            ))?;
            let rows = statement.query_map(
                params![
                    wanted.subscription.as_ref().map(SubscriptionId::as_bytes),
                    wanted.operators_only,
                    wanted.from_ns,
                    wanted.until_ns,
                    wanted.after_number,
                    limit
                ],
                row_of,
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The newest `limit` rows, newest first.
    ///
    /// # Errors
    /// SQLite's.
    pub fn audit(&self, limit: u32) -> Result<Vec<AuditRow>, ControlError> {
        self.audit_rows(&Wanted::default(), limit)
    }

    /// Signs the trail as it is; nothing if the newest checkpoint says the same.
    ///
    /// # Errors
    /// SQLite's.
    pub fn sign_checkpoint(&self, key: &Ed25519KeyPair, now_ns: i64) -> Result<Option<Checkpoint>, ControlError> {
        self.write(|transaction| {
            let (records, link) = newest(transaction)?;
            let signed: i64 =
                transaction
                    .query_row("SELECT coalesce(max(records), 0) FROM audit_checkpoint", [], |row| row.get(0))?;
            if records == signed {
                return Ok(None);
            }
            let checkpoint = Checkpoint::sign(unsigned("audit number", records)?, link, now_ns, key);
            transaction.execute(
                "INSERT INTO audit_checkpoint (records, link, at_ns, signature) VALUES (?1, ?2, ?3, ?4)",
                params![records, checkpoint.link, checkpoint.at_ns, checkpoint.signature],
            )?;
            Ok(Some(checkpoint))
        })
    }

    /// Follows the whole trail against its checkpoints.
    ///
    /// # Errors
    /// SQLite's; tampering is an answer, not an error.
    pub fn verify_audit(&self, key: &Ed25519KeyPair) -> Result<Verified, ControlError> {
        self.read(|transaction| {
            let checkpoints = checkpoints_of(transaction)?;
            let mut statement = transaction.prepare(&format!("SELECT {COLUMNS}, link FROM audit ORDER BY number"))?;
            let mut rows = statement.query([])?;
            let mut failed = None;
            let (mut records, mut expected) = (0, 0);
            let log = std::iter::from_fn(|| {
                expected += 1;
                match rows.next().and_then(|row| row.map(|row| linked(row, expected)).transpose()) {
                    Ok(found) => found.inspect(|_| records += 1),
                    Err(error) => {
                        failed = Some(error);
                        None
                    }
                }
            });
            let proof = chain::verify(log, &checkpoints, key);
            if let Some(error) = failed {
                return Err(error.into());
            }
            let signed = checkpoints.iter().map(|checkpoint| checkpoint.records).max().unwrap_or_default();
            Ok(Verified {
                records,
                checkpoints: checkpoints.len() as u64,
                unsigned_records: records.saturating_sub(signed),
                tampered: proof.err(),
            })
        })
    }
}

impl Control {
    /// Holds the trail against the checkpoints in a copy of this store: whoever rewrites the store and its own checkpoints does not
    /// rewrite its copies. How many agreed; the first that does not, if one does not.
    ///
    /// # Errors
    /// SQLite's, of either.
    pub fn compare_with_copy(
        &self,
        copy: &Path,
        key: &Ed25519KeyPair,
    ) -> Result<(u64, Option<Tampered>), ControlError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let failed = |source| ControlError::Open { path: copy.to_owned(), source };
        // Nobody writes a finished copy: neither a lock nor a log is made beside it.
        let uri = format!("file:{}?immutable=1", copy.display());
        let mut connection = Connection::open_with_flags(uri, flags).map_err(failed)?;
        let copied = checkpoints_of(&connection.transaction()?)?;
        self.read(|transaction| {
            let (records, _) = newest(transaction)?;
            let found = unsigned("audit number", records)?;
            let mut statement = transaction.prepare_cached("SELECT link FROM audit WHERE number = ?1")?;
            let mut agreed = 0;
            for checkpoint in copied {
                let signed = checkpoint.records;
                if !checkpoint.is_authentic(key) {
                    return Ok((agreed, Some(Tampered::Signature(signed))));
                }
                if signed > found {
                    return Ok((agreed, Some(Tampered::Truncated { found, signed })));
                }
                let link: Option<Vec<u8>> =
                    statement.query_row([i64::try_from(signed).unwrap_or(i64::MAX)], |row| row.get(0)).optional()?;
                if link.is_none_or(|link| link != checkpoint.link) {
                    return Ok((agreed, Some(Tampered::Checkpoint(signed))));
                }
                agreed += 1;
            }
            Ok((agreed, None))
        })
    }
}

/// A row as the chain holds it. A number that does not follow is no record of ours, and breaks the chain there.
fn linked(row: &Row<'_>, expected: i64) -> rusqlite::Result<(Vec<u8>, Link)> {
    let found = row_of(row)?;
    let record = if found.number == expected { record_of(&found) } else { Vec::new() };
    let stored: Vec<u8> = row.get(8)?;
    // A hash of another length is as wrong as any other.
    Ok((record, Link::try_from(stored).unwrap_or([0; 32])))
}

fn checkpoints_of(transaction: &Transaction<'_>) -> Result<Vec<Checkpoint>, ControlError> {
    let mut statement =
        transaction.prepare("SELECT records, link, at_ns, signature FROM audit_checkpoint ORDER BY records")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let link: Vec<u8> = row.get(1)?;
        found.push(Checkpoint {
            records: unsigned("audit number", row.get(0)?)?,
            link: Link::try_from(link).unwrap_or([0; 32]),
            at_ns: row.get(2)?,
            signature: row.get(3)?,
        });
    }
    Ok(found)
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let trace = Trace { at_ns: row.get(1)?, who: row.get(2)?, address: row.get(3)? };
    Ok(AuditRow {
        number: row.get(0)?,
        trace,
        action: row.get(4)?,
        subscription: row.get::<_, Option<[u8; 16]>>(5)?.map(SubscriptionId::new),
        object: row.get(6)?,
        result: row.get(7)?,
    })
}
