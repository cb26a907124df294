//! How a run ended: for the schedule, for the state folder, and for the exit code.
//!
//! It tells nobody; `cli::backup` and the service do.
//!
//! Invariant: maintenance, suspension and another run at work are no failures.

use std::path::Path;

use common::schedule::Schedule;
use jiff::Timestamp;
use proto::code::{ErrorCode, Failure};

use crate::backup::BackupError;
use crate::backup::run::{Completeness, Outcome};
use crate::durable::DurableError;
use crate::remote::RemoteError;
use crate::remote::account::ChangePolicy;
use crate::schedule::{End, Planner};
use crate::source::journal::WalkNote;
use crate::state::journal::LockError;
use crate::state::runs::{LastRun, LastWalk, RunResult, Runs};

/// The limit whose refusal ends with its day.
const DAILY_CHANGE: &str = "daily_change";

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// For the schedule.
    pub end: End,
    /// For people.
    pub result: RunResult,
    /// The error's stable word, if there is one.
    pub error: Option<String>,
    /// How it walked, if it made a snapshot.
    pub walk: Option<WalkNote>,
}

impl Ending {
    /// Of a run that made a snapshot.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        let day = outcome.today.day.parse().ok().filter(|_| is_deferred(outcome));
        let result = match (&outcome.refusal, day, outcome.completeness) {
            (_, Some(_), _) => RunResult::Deferred,
            (Some(_), None, _) => RunResult::Refused,
            (None, None, Completeness::Complete) => RunResult::Complete,
            (None, None, Completeness::Partial) => RunResult::Partial,
        };
        let error = outcome.refusal.as_ref().map(word);
        let walk = Some(outcome.walk);
        Self { end: day.map_or(End::Snapshot, |day| End::Deferred { day }), result, error, walk }
    }

    /// Of a run that made none.
    pub fn of_error(error: &BackupError) -> Self {
        match error {
            BackupError::Cancelled => {
                Self { end: End::Interrupted, result: RunResult::Interrupted, error: None, walk: None }
            }
            BackupError::Lock(LockError::Busy) => {
                Self { end: End::Busy, result: RunResult::Busy, error: None, walk: None }
            }
            BackupError::Remote(error) => Self::of_remote(error),
            _ => Self::failed("backup_failed"),
        }
    }

    /// Of a run that the server did not let begin or go on.
    pub fn of_remote(error: &RemoteError) -> Self {
        let RemoteError::Refused(failure) = error else { return Self::failed("unreachable") };
        let (end, result) = match failure.code {
            ErrorCode::Maintenance => {
                let until = failure.param("until").and_then(|until| until.parse().ok());
                (End::Maintenance { until }, RunResult::Maintenance)
            }
            ErrorCode::Suspended => (End::Suspended, RunResult::Suspended),
            ErrorCode::SessionSuperseded => (End::Busy, RunResult::Busy),
            ErrorCode::QuotaExceeded => (End::Failed, RunResult::Refused),
            _ => (End::Failed, RunResult::Failed),
        };
        Self { end, result, error: Some(word(failure)), walk: None }
    }

    /// Of a run that ended before it opened a session: the refusal of the server, if it was that, and the error's stable word.
    pub fn of_command(refusal: Option<&Failure>, word: &str) -> Self {
        refusal.map_or_else(|| Self::failed(word), |failure| Self::of_remote(&RemoteError::Refused(failure.clone())))
    }

    /// Of a run that failed otherwise.
    pub fn failed(error: &str) -> Self {
        Self { end: End::Failed, result: RunResult::Failed, error: Some(error.to_owned()), walk: None }
    }
}

/// True if what is not in the snapshot goes on the next day by itself.
pub fn is_deferred(outcome: &Outcome) -> bool {
    let limit = outcome.refusal.as_ref().and_then(|failure| failure.param("limit"));
    outcome.today.policy == ChangePolicy::Defer && limit == Some(DAILY_CHANGE)
}

/// Notes in the state folder how a run of a source ended.
///
/// # Errors
/// If the disk refuses it.
pub fn note(
    folder: &Path,
    planner: Option<&Planner<'_>>,
    ending: &Ending,
    ran: (Timestamp, Timestamp),
) -> Result<(), DurableError> {
    let (started_at, ended_at) = ran;
    let mut runs = Runs::load(folder)?.unwrap_or_else(|| Runs::new(started_at));
    if let Some(planner) = planner {
        runs.standing.ended(ending.end, planner, started_at, ended_at);
    }
    runs.running_since = None;
    let walk = ending.walk.map(|walk| LastWalk { by: walk.word().to_owned(), divergences: walk.divergences });
    runs.last = Some(LastRun { started_at, ended_at, result: ending.result, error: ending.error.clone(), walk });
    runs.store(folder)
}

/// The schedule of a set; `None` if it has none, or one that this version does not know, which is logged.
pub fn schedule_of(text: &str) -> Option<Schedule> {
    Schedule::parse(text).unwrap_or_else(|error| {
        tracing::error!(%error, "the schedule of a backup set cannot be followed");
        None
    })
}

fn word(failure: &Failure) -> String {
    failure.code.as_str_name().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_failure() {
        let refused = |code| Ending::of_remote(&RemoteError::Refused(Failure::new(code)));
        for (ending, end, result) in [
            (refused(ErrorCode::Maintenance), End::Maintenance { until: None }, RunResult::Maintenance),
            (refused(ErrorCode::Suspended), End::Suspended, RunResult::Suspended),
            (refused(ErrorCode::SessionSuperseded), End::Busy, RunResult::Busy),
            (refused(ErrorCode::StoreFull), End::Failed, RunResult::Failed),
            (refused(ErrorCode::QuotaExceeded), End::Failed, RunResult::Refused),
            (Ending::of_remote(&RemoteError::Unreachable("x".into())), End::Failed, RunResult::Failed),
            (Ending::of_error(&BackupError::Lock(LockError::Busy)), End::Busy, RunResult::Busy),
            (Ending::of_error(&BackupError::Cancelled), End::Interrupted, RunResult::Interrupted),
            (Ending::of_error(&BackupError::StillMissing(3)), End::Failed, RunResult::Failed),
        ] {
            assert_eq!((ending.end, ending.result), (end, result));
        }
        let until = Failure::new(ErrorCode::Maintenance).with("until", "2026-11-22T23:00:00Z");
        let ending = Ending::of_remote(&RemoteError::Refused(until));
        assert_eq!(ending.end, End::Maintenance { until: Some("2026-11-22T23:00:00Z".parse().unwrap()) });
    }
}
