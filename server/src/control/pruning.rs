//! What the deletion guards remember: the clock, runs per subscription, stops, the history last pruned by, and previews.
//!
//! It decides nothing: `contract::guards` and `upkeep::guard` do.
//!
//! Invariant: a stop stays until an operator lifts it, whatever restarts meanwhile.

use std::collections::BTreeSet;

use common::id::{SessionId, SubscriptionId};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::audit::{self, Action, Event, Trace};
use super::{Control, ControlError};
use crate::contract::retention::History;

/// The clock, what is known per subscription, and which snapshots were announced to go.
pub(super) const TABLES: &str = "
CREATE TABLE pruning_clock (
  one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  seen_ns INTEGER NOT NULL,
  stopped TEXT NOT NULL,
  stopped_at_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE pruning (
  subscription BLOB NOT NULL PRIMARY KEY,
  runs INTEGER NOT NULL,
  stopped TEXT NOT NULL,
  stopped_at_ns INTEGER NOT NULL,
  history TEXT NOT NULL,
  shortened_by INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE pruning_preview (
  subscription BLOB NOT NULL,
  session BLOB NOT NULL,
  goes_at_ns INTEGER NOT NULL,
  PRIMARY KEY (subscription, session)
) STRICT, WITHOUT ROWID;
";

/// The clock as pruning knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruningClock {
    /// Latest moment ever seen.
    pub seen: Timestamp,
    /// Why pruning stands still everywhere; empty if it does not.
    pub stopped: String,
    /// Since when.
    pub stopped_at_ns: i64,
}

/// What is known of a subscription's pruning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruning {
    /// Runs that might have removed something; its catalog counts them too.
    pub runs: i64,
    /// Why pruning stands still; empty if it does not.
    pub stopped: String,
    /// Since when, in nanoseconds since 1970.
    pub stopped_at_ns: i64,
    /// The history that the last run pruned by.
    pub history: Option<History>,
    /// Number of the request by which it became shorter the last time; 0 if never.
    pub shortened_by: i64,
}

/// Where pruning stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruningStop {
    /// Of which subscription; `None` is everywhere.
    pub subscription: Option<SubscriptionId>,
    /// Why: a stable word.
    pub reason: String,
    /// Since when, in nanoseconds since 1970.
    pub since_ns: i64,
}

impl Control {
    /// The clock; none before the first tick.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::Damaged`].
    pub fn pruning_clock(&self) -> Result<Option<PruningClock>, ControlError> {
        self.read(|transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT seen_ns, stopped, stopped_at_ns FROM pruning_clock")?;
            let found: Option<(i64, String, i64)> =
                statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
            let clock = found.map(|(seen_ns, stopped, stopped_at_ns)| {
                let seen = Timestamp::from_nanosecond(seen_ns.into());
                let seen = seen.map_err(|_| ControlError::Damaged { what: "clock of pruning" })?;
                Ok(PruningClock { seen, stopped, stopped_at_ns })
            });
            clock.transpose()
        })
    }

    /// Stores the clock.
    ///
    /// # Errors
    /// SQLite's.
    pub fn store_pruning_clock(&self, clock: &PruningClock) -> Result<(), ControlError> {
        let seen_ns = i64::try_from(clock.seen.as_nanosecond()).unwrap_or(i64::MAX);
        self.write(|transaction| {
            let sql = "INSERT OR REPLACE INTO pruning_clock VALUES (1, ?1, ?2, ?3)";
            transaction.execute(sql, params![seen_ns, clock.stopped, clock.stopped_at_ns])?;
            Ok(())
        })
    }

    /// What is known of a subscription's pruning.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::Damaged`].
    pub fn pruning(&self, subscription: &SubscriptionId) -> Result<Pruning, ControlError> {
        self.read(|transaction| {
            let sql = "SELECT runs, stopped, stopped_at_ns, history, shortened_by FROM pruning WHERE subscription = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            let found: Option<(i64, String, i64, String, i64)> = statement
                .query_row([subscription.as_bytes()], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
                })
                .optional()?;
            let Some((runs, stopped, stopped_at_ns, history, shortened_by)) = found else {
                return Ok(Pruning::default());
            };
            let history = match history.as_str() {
                "" => None,
                text => Some(serde_json::from_str(text).map_err(|_| ControlError::Damaged { what: "pruned history" })?),
            };
            Ok(Pruning { runs, stopped, stopped_at_ns, history, shortened_by })
        })
    }

    /// Stores what is known of a subscription's pruning.
    ///
    /// # Errors
    /// SQLite's.
    pub fn store_pruning(&self, subscription: &SubscriptionId, pruning: &Pruning) -> Result<(), ControlError> {
        let history = pruning.history.as_ref().map(serde_json::to_string).transpose();
        let history = history.map_err(|_| ControlError::Damaged { what: "pruned history" })?.unwrap_or_default();
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO pruning VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    subscription.as_bytes(),
                    pruning.runs,
                    pruning.stopped,
                    pruning.stopped_at_ns,
                    history,
                    pruning.shortened_by
                ],
            )?;
            Ok(())
        })
    }

    /// Notes that an operator lets pruning go on, for the trail.
    ///
    /// # Errors
    /// SQLite's.
    pub fn audit_allowed_pruning(
        &self,
        subscription: Option<&SubscriptionId>,
        reason: &str,
        trace: &Trace,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            let subscription = subscription.copied();
            let event = Event { action: Action::AllowPruning, subscription, object: reason, result: "done" };
            audit::append(transaction, trace, &event)
        })
    }

    /// Where pruning stands still until somebody looks; cheap, for alarms and status.
    ///
    /// # Errors
    /// SQLite's, or [`ControlError::Damaged`].
    pub fn pruning_stops(&self) -> Result<Vec<PruningStop>, ControlError> {
        let clock = self.pruning_clock()?.filter(|clock| !clock.stopped.is_empty());
        let everywhere =
            clock.map(|clock| PruningStop { subscription: None, reason: clock.stopped, since_ns: clock.stopped_at_ns });
        let mut stops: Vec<PruningStop> = everywhere.into_iter().collect();
        self.read(|transaction| {
            let sql =
                "SELECT subscription, stopped, stopped_at_ns FROM pruning WHERE stopped <> '' ORDER BY subscription";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            for row in rows {
                let (id, reason, since_ns): ([u8; 16], String, i64) = row?;
                stops.push(PruningStop { subscription: Some(SubscriptionId::new(id)), reason, since_ns });
            }
            Ok(())
        })?;
        Ok(stops)
    }

    /// What the last preview of a subscription announced to go, and when, in nanoseconds since 1970.
    ///
    /// # Errors
    /// SQLite's.
    pub fn pruning_preview(&self, subscription: &SubscriptionId) -> Result<Vec<(SessionId, i64)>, ControlError> {
        self.read(|transaction| {
            let sql = "SELECT session, goes_at_ns FROM pruning_preview WHERE subscription = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows =
                statement.query_map([subscription.as_bytes()], |row| Ok((SessionId::new(row.get(0)?), row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Adds to what is announced to go, and forgets what is said of snapshots that are not `alive` any more.
    ///
    /// # Errors
    /// SQLite's.
    pub fn add_pruning_preview(
        &self,
        subscription: &SubscriptionId,
        announced: &[(SessionId, i64)],
        alive: &BTreeSet<SessionId>,
    ) -> Result<(), ControlError> {
        self.write(|transaction| {
            let key = subscription.as_bytes();
            let mut known =
                transaction.prepare_cached("SELECT session FROM pruning_preview WHERE subscription = ?1")?;
            let known: Vec<[u8; 16]> = known.query_map([key], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut forget =
                transaction.prepare_cached("DELETE FROM pruning_preview WHERE subscription = ?1 AND session = ?2")?;
            for session in known.iter().filter(|session| !alive.contains(&SessionId::new(**session))) {
                forget.execute(params![key, session])?;
            }
            let mut add = transaction.prepare_cached("INSERT OR REPLACE INTO pruning_preview VALUES (?1, ?2, ?3)")?;
            for (session, goes_at_ns) in announced {
                add.execute(params![key, session.as_bytes(), goes_at_ns])?;
            }
            Ok(())
        })
    }
}
