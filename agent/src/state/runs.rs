//! What the runs of one source left behind: where it stands with its schedule, how the last run ended, when the next one is.
//!
//! Written by the service and by `dobaas backup`, read by `dobaas status`. It decides nothing.
//!
//! Invariant: losing it costs nothing but one run too many or one later: it is no record of what is protected.

use std::path::{Path, PathBuf};

use common::limits::RECORD_BYTES_MAX;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};
use crate::schedule::Standing;

const VERSION: u32 = 1;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Everything is in the snapshot.
    Complete,
    /// Some items are not, and are listed.
    Partial,
    /// What is not in the snapshot goes on another day.
    Deferred,
    /// The contract refused what is not in the snapshot.
    Refused,
    /// No snapshot was made.
    Failed,
    /// Another run held the source.
    Busy,
    /// The server was under maintenance.
    Maintenance,
    /// The subscription was suspended.
    Suspended,
    /// The run was stopped and goes on later.
    Interrupted,
}

impl RunResult {
    /// The stable English word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Maintenance => "maintenance",
            Self::Suspended => "suspended",
            Self::Interrupted => "interrupted",
        }
    }
}

/// The last run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastRun {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub result: RunResult,
    /// The error's stable word, if it failed.
    pub error: Option<String>,
    /// How it walked; absent if it made no snapshot.
    pub walk: Option<LastWalk>,
}

/// How the last run walked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastWalk {
    /// `journal`, `full`, or the word of what forbade to follow the journal.
    pub by: String,
    /// Directories in which a full walk found a change that the journal did not have.
    pub divergences: u64,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    version: u32,
    /// When the service runs the source next; absent without service or schedule.
    pub next_at: Option<Timestamp>,
    /// Since when a run is at work.
    pub running_since: Option<Timestamp>,
    /// Where the source stands.
    pub standing: Standing,
    /// The last run.
    pub last: Option<LastRun>,
}

impl Runs {
    /// Of a source that was never seen.
    pub const fn new(now: Timestamp) -> Self {
        Self { version: VERSION, next_at: None, running_since: None, standing: Standing::new(now), last: None }
    }

    /// Reads it; `None` if there is none, or none that can be read.
    ///
    /// # Errors
    /// If the disk cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>, DurableError> {
        let Some(bytes) = durable::read(&path(folder), RECORD_BYTES_MAX)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        Ok(toml::from_str::<Self>(&text).ok().filter(|runs| runs.version == VERSION))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// If the disk refuses it.
    pub fn store(&self, folder: &Path) -> Result<(), DurableError> {
        durable::create_folder(folder, 0o700)?;
        let text = toml::to_string(self).expect("numbers, texts and times");
        durable::replace(&path(folder), text.as_bytes(), 0o600)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("runs.toml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::{Wait, WaitReason};

    #[test]
    fn what_was_kept_comes_back_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-22T20:30:00Z".parse().unwrap();
        assert_eq!(Runs::load(folder.path()).unwrap(), None);
        let mut runs = Runs::new(now);
        runs.next_at = Some(now);
        runs.standing.wait = Some(Wait { reason: WaitReason::Deferred, from: now, until: now });
        runs.last = Some(LastRun {
            started_at: now,
            ended_at: now,
            result: RunResult::Failed,
            error: Some("x".into()),
            walk: None,
        });
        runs.store(folder.path()).unwrap();
        assert_eq!(Runs::load(folder.path()).unwrap(), Some(runs));
        durable::replace(&path(folder.path()), b"version = 2", 0o600).unwrap();
        assert_eq!(Runs::load(folder.path()).unwrap(), None);
    }
}
