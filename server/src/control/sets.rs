//! Backup sets, every version of each.
//!
//! Invariant: versions of a set are 1, 2, 3 … without a gap, and none is ever changed.

use std::collections::BTreeMap;

use common::id::{AgentId, SourceId, SubscriptionId};
use common::text::date::moment;
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::audit::{self, Action, Event, Trace};
use super::subscriptions::Subscription;
use super::{Control, ControlError, agents, integer, unsigned};
use crate::contract::backup_set::{BackupSet, SetRules};
use crate::contract::late;

/// A version to add.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// Whose.
    pub subscription: SubscriptionId,
    /// Of which source's set.
    pub source: SourceId,
    /// Who reads it.
    pub agent: AgentId,
    /// The version that it follows; 0 for the first.
    pub follows: u64,
    /// What is read.
    pub rules: &'a SetRules,
    /// Who set it.
    pub changed_by: &'a str,
}

const COLUMNS: &str = "backup_set.source, version, agent, rules, changed_at_ns, changed_by";

impl Control {
    /// Adds a version; its number.
    ///
    /// # Errors
    /// [`ControlError::NotFound`] for a source or a live agent that is not this subscription's,
    /// [`ControlError::SetConflict`] when it follows another than the newest.
    pub fn put_set(&self, new: &NewVersion<'_>, trace: &Trace) -> Result<u64, ControlError> {
        self.write(|transaction| {
            check_owner(transaction, &new.subscription, &new.source)?;
            agents::find(transaction, &new.subscription, &new.agent)?
                .filter(|agent| agent.revoked_at_ns.is_none())
                .ok_or(ControlError::NotFound { what: "agent" })?;
            let newest = newest_version(transaction, &new.source)?;
            if newest != new.follows {
                return Err(ControlError::SetConflict { newest });
            }
            let set = BackupSet {
                source: new.source,
                version: newest + 1,
                agent: new.agent,
                rules: new.rules.clone(),
                changed_at_ns: trace.at_ns,
                changed_by: new.changed_by.to_owned(),
            };
            insert(transaction, &set)?;
            let object = format!("{} {}", set.source, set.version);
            let subscription = Some(new.subscription);
            audit::append(
                transaction,
                trace,
                &Event { action: Action::PutSet, subscription, object: &object, result: "done" },
            )?;
            Ok(set.version)
        })
    }

    /// The newest version of each set of a subscription.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn newest_sets(&self, subscription: &SubscriptionId) -> Result<Vec<BackupSet>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM backup_set JOIN source ON source.id = backup_set.source
                 WHERE subscription = ?1
                 AND version = (SELECT max(version) FROM backup_set AS other WHERE other.source = backup_set.source)
                 ORDER BY source.rowid"
            ))?;
            let mut rows = statement.query([subscription.as_bytes()])?;
            let mut sets = Vec::new();
            while let Some(row) = rows.next()? {
                sets.push(set_of(row)?);
            }
            Ok(sets)
        })
    }

    /// From when the first complete snapshot of each source of a subscription is waited for ([`late::due_from`]).
    ///
    /// # Errors
    /// SQLite's.
    pub fn due_from(&self, known: &Subscription) -> Result<BTreeMap<SourceId, Timestamp>, ControlError> {
        let effective = known.term().effective();
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(
                "SELECT id, ordered_at_ns,
                        (SELECT changed_at_ns FROM backup_set WHERE source = source.id AND version = 1)
                 FROM source WHERE subscription = ?1",
            )?;
            let mut rows = statement.query([known.subscription.as_bytes()])?;
            let mut found = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let first_set = row.get::<_, Option<i64>>(2)?.map(moment);
                if let Some(due) = late::due_from(first_set, effective, moment(row.get(1)?)) {
                    found.insert(SourceId::new(row.get(0)?), due);
                }
            }
            Ok(found)
        })
    }

    /// One version of one set, 0 for the newest; `None` if absent or somebody else's.
    ///
    /// # Errors
    /// SQLite's, or a damaged row.
    pub fn set(
        &self,
        subscription: &SubscriptionId,
        source: &SourceId,
        version: u64,
    ) -> Result<Option<BackupSet>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM backup_set JOIN source ON source.id = backup_set.source
                 WHERE subscription = ?1 AND backup_set.source = ?2 AND (?3 = 0 OR version = ?3)
                 ORDER BY version DESC LIMIT 1"
            ))?;
            let mut rows = statement.query(params![subscription.as_bytes(), source.as_bytes(), integer(version)])?;
            rows.next()?.map_or(Ok(None), |row| set_of(row).map(Some))
        })
    }
}

/// Gives every set that `dead` reads a further version that `heir` reads.
pub(super) fn move_sets(
    transaction: &Transaction<'_>,
    dead: &AgentId,
    heir: &AgentId,
    trace: &Trace,
) -> Result<(), ControlError> {
    let mut statement = transaction.prepare(&format!(
        "SELECT {COLUMNS} FROM backup_set WHERE agent = ?1
         AND version = (SELECT max(version) FROM backup_set AS other WHERE other.source = backup_set.source)"
    ))?;
    let mut rows = statement.query([dead.as_bytes()])?;
    let mut moved = Vec::new();
    while let Some(row) = rows.next()? {
        let set = set_of(row)?;
        moved.push(BackupSet {
            version: set.version + 1,
            agent: *heir,
            changed_at_ns: trace.at_ns,
            changed_by: trace.who.clone(),
            ..set
        });
    }
    moved.iter().try_for_each(|set| insert(transaction, set))
}

fn check_owner(
    transaction: &Transaction<'_>,
    subscription: &SubscriptionId,
    source: &SourceId,
) -> Result<(), ControlError> {
    transaction
        .query_row(
            "SELECT 1 FROM source WHERE id = ?1 AND subscription = ?2",
            params![source.as_bytes(), subscription.as_bytes()],
            |_| Ok(()),
        )
        .optional()?
        .ok_or(ControlError::NotFound { what: "source" })
}

fn newest_version(transaction: &Transaction<'_>, source: &SourceId) -> Result<u64, ControlError> {
    let newest = transaction.query_row(
        "SELECT coalesce(max(version), 0) FROM backup_set WHERE source = ?1",
        [source.as_bytes()],
        |row| row.get(0),
    )?;
    unsigned("set version", newest)
}

fn insert(transaction: &Transaction<'_>, set: &BackupSet) -> Result<(), ControlError> {
    let rules = serde_json::to_string(&set.rules).expect("strings and booleans are always valid JSON");
    transaction.execute(
        "INSERT INTO backup_set (source, version, agent, rules, changed_at_ns, changed_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            set.source.as_bytes(),
            integer(set.version),
            set.agent.as_bytes(),
            rules,
            set.changed_at_ns,
            set.changed_by
        ],
    )?;
    Ok(())
}

fn set_of(row: &Row<'_>) -> Result<BackupSet, ControlError> {
    let rules: String = row.get(3)?;
    Ok(BackupSet {
        source: SourceId::new(row.get(0)?),
        version: unsigned("set version", row.get(1)?)?,
        agent: AgentId::new(row.get(2)?),
        rules: serde_json::from_str(&rules).map_err(|_| ControlError::Damaged { what: "set" })?,
        changed_at_ns: row.get(4)?,
        changed_by: row.get(5)?,
    })
}
