//! What upkeep remembers outside of the catalogs: last results of jobs, and which ones are paused.
//!
//! Last results are not audited: a job is nobody's act. Pausing and resuming are.

use common::id::SubscriptionId;
use rusqlite::{Row, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError};

/// Last results and pauses. The server itself has the empty blob for a subscription.
pub(super) const TABLES: &str = "
CREATE TABLE upkeep_job (
  subscription BLOB NOT NULL,
  job TEXT NOT NULL,
  started_at_ns INTEGER NOT NULL,
  ended_at_ns INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  counts TEXT NOT NULL,
  error TEXT NOT NULL,
  PRIMARY KEY (subscription, job)
) STRICT, WITHOUT ROWID;
CREATE TABLE upkeep_pause (
  subscription BLOB NOT NULL PRIMARY KEY,
  since_ns INTEGER NOT NULL,
  paused_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How the last run of a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Of which subscription; `None` is the server itself.
    pub subscription: Option<SubscriptionId>,
    /// Name of the job.
    pub job: String,
    /// When it began, in nanoseconds since 1970.
    pub started_at_ns: i64,
    /// When it ended.
    pub ended_at_ns: i64,
    /// `done`, `stopped`, `refused` (a guard) or `failed`.
    pub outcome: String,
    /// What it counted, by name.
    pub counts: Vec<(String, u64)>,
    /// Why it was refused or failed; empty otherwise.
    pub error: String,
}

fn key(subscription: Option<&SubscriptionId>) -> &[u8] {
    subscription.map_or(&[], |id| id.as_bytes())
}

fn place(bytes: &[u8]) -> Result<Option<SubscriptionId>, ControlError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    SubscriptionId::try_from(bytes).map(Some).map_err(|_| ControlError::Damaged { what: "subscription of a job" })
}

fn record(row: &Row<'_>) -> Result<JobRecord, ControlError> {
    let counts: String = row.get(5)?;
    let counts = counts.split_whitespace().map(|count| {
        let (name, number) = count.split_once('=').ok_or(ControlError::Damaged { what: "count of a job" })?;
        let number = number.parse().map_err(|_| ControlError::Damaged { what: "count of a job" })?;
        Ok((name.to_owned(), number))
    });
    Ok(JobRecord {
        subscription: place(&row.get::<_, Vec<u8>>(0)?)?,
        job: row.get(1)?,
        started_at_ns: row.get(2)?,
        ended_at_ns: row.get(3)?,
        outcome: row.get(4)?,
        counts: counts.collect::<Result<_, ControlError>>()?,
        error: row.get(6)?,
    })
}

impl Control {
    /// Notes how a job ended, in place of its last result.
    ///
    /// # Errors
    /// SQLite's.
    pub fn store_job(&self, job: &JobRecord) -> Result<(), ControlError> {
        let counts: Vec<String> = job.counts.iter().map(|(name, number)| format!("{name}={number}")).collect();
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO upkeep_job VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    key(job.subscription.as_ref()),
                    job.job,
                    job.started_at_ns,
                    job.ended_at_ns,
                    job.outcome,
                    counts.join(" "),
                    job.error
                ],
            )?;
            Ok(())
        })
    }

    /// The last results of all jobs.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::Damaged`].
    pub fn jobs(&self) -> Result<Vec<JobRecord>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached("SELECT * FROM upkeep_job ORDER BY subscription, job")?;
            statement.query_map([], |row| Ok(record(row)))?.map(|row| row?).collect()
        })
    }

    /// Whose upkeep is paused, and since when, in nanoseconds since 1970; `None` among them is the server's own.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::Damaged`].
    pub fn paused_upkeep(&self) -> Result<Vec<(Option<SubscriptionId>, i64)>, ControlError> {
        self.read(|transaction| {
            let mut statement = transaction.prepare_cached("SELECT subscription, since_ns FROM upkeep_pause")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?)))?;
            rows.map(|row| row.map_err(ControlError::from).and_then(|(key, since)| Ok((place(&key)?, since)))).collect()
        })
    }

    /// Pauses or resumes upkeep.
    ///
    /// # Errors
    /// SQLite's.
    pub fn pause_upkeep(
        &self,
        subscription: Option<&SubscriptionId>,
        paused: bool,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            let key = key(subscription);
            if paused {
                let sql = "INSERT OR IGNORE INTO upkeep_pause VALUES (?1, ?2, ?3)";
                transaction.execute(sql, params![key, trace.at_ns, trace.who])?;
            } else {
                transaction.execute("DELETE FROM upkeep_pause WHERE subscription = ?1", [key])?;
            }
            let action = if paused { Action::PauseUpkeep } else { Action::ResumeUpkeep };
            let event = Event { action, subscription: subscription.copied(), object: "upkeep", result: "done" };
            audit::append(transaction, trace, &event)
        })
    }
}
