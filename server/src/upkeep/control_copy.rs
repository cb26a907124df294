//! The job that copies the control store into the object store, and which copies it keeps.
//!
//! Kept: the newest [`CONTROL_COPIES_NEWEST`], and the last one of each of the last [`CONTROL_COPIES_DAYS`] days that have one.
//!
//! Invariant: old copies go only after a newer one is durable, and a copy never goes because a listing failed (G5).

use std::path::{Path, PathBuf};

use common::limits::{CONTROL_COPIES_DAYS, CONTROL_COPIES_NEWEST, CONTROL_COPY_EVERY_MS};
use common::text::date::moment;
use jiff::SignedDuration;

use crate::contract::calendar::day_of;
use crate::control::ControlError;
use crate::control::copy::copy;
use crate::store::control_copies::{ControlCopies, CopyName};
use crate::store::error::StoreError;
use crate::upkeep::jobs::{Context, Counts, JobError, JobKind, Spec};

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The control store cannot be copied.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The copy cannot be stored, or is not what it was.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is none to restore.
    #[error("there is no copy of the control store")]
    None,
    /// A control store is in the way.
    #[error("{0} exists")]
    Exists(PathBuf),
}

/// The job.
pub fn spec(control: PathBuf, copies: ControlCopies) -> Spec {
    Spec {
        kind: JobKind::ControlCopy,
        every: SignedDuration::from_millis(CONTROL_COPY_EVERY_MS),
        for_server: true,
        run: Box::new(move |context| run(&control, &copies, context)),
    }
}

fn run(control: &Path, copies: &ControlCopies, context: &Context<'_>) -> Result<Counts, JobError> {
    let job = |error: CopyError| match error {
        CopyError::Control(error) => JobError::Control(error),
        error => JobError::Failed(error.to_string()),
    };
    make(control, copies, context.now_ns()).map_err(job)?;
    let gone = let_go(copies).map_err(|error| job(error.into()))?;
    Ok(vec![("copies", 1), ("removed", gone)])
}

/// Makes a copy.
///
/// # Errors
/// [`CopyError`].
pub fn make(control: &Path, copies: &ControlCopies, now_ns: i64) -> Result<CopyName, CopyError> {
    let draft = copies.begin()?;
    copy(control, draft.path(), now_ns)?;
    Ok(copies.publish(&draft, now_ns)?)
}

/// Puts a copy, the newest if none is named, in the place of a control store that is gone.
///
/// # Errors
/// [`CopyError::Exists`] if a control store or a log of one is there; it is then as it was.
pub fn restore(control: &Path, copies: &ControlCopies, wanted: Option<&CopyName>) -> Result<CopyName, CopyError> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = control.as_os_str().to_owned();
        path.push(suffix);
        let path = PathBuf::from(path);
        let there = path.try_exists().map_err(|error| StoreError::from_io("look for", path.display(), error))?;
        if there {
            return Err(CopyError::Exists(path));
        }
    }
    let name = match wanted {
        Some(name) => name.clone(),
        None => copies.list()?.pop().ok_or(CopyError::None)?,
    };
    let path = copies.check(&name)?;
    copies.install(&path, control)?;
    Ok(name)
}

fn let_go(copies: &ControlCopies) -> Result<u64, StoreError> {
    let gone = needless(&copies.list()?);
    gone.iter().try_for_each(|name| copies.remove(name))?;
    Ok(gone.len() as u64)
}

/// The copies that newer ones made needless; `all` is oldest first.
fn needless(all: &[CopyName]) -> Vec<CopyName> {
    let mut days = Vec::new();
    let mut gone = Vec::new();
    for (age, name) in all.iter().rev().enumerate() {
        let day = day_of(moment(name.taken_at_ns));
        let is_last_of_day = !days.contains(&day);
        if is_last_of_day {
            days.push(day);
        }
        let is_kept = age < CONTROL_COPIES_NEWEST || (is_last_of_day && days.len() <= CONTROL_COPIES_DAYS);
        if !is_kept {
            gone.push(name.clone());
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_and_one_of_each_day_are_kept() {
        let name = |minutes: i64| CopyName { taken_at_ns: minutes * 60_000_000_000, digest: "0".repeat(64) };
        // Every five minutes for 60 days, as the job runs.
        let mut kept: Vec<CopyName> = Vec::new();
        for minutes in (0..60 * 1_440).step_by(5) {
            kept.push(name(minutes));
            let gone = needless(&kept);
            kept.retain(|name| !gone.contains(name));
        }
        // The newest of all span midnight in Paris: the last ones of two days are among them.
        assert_eq!(kept.len(), CONTROL_COPIES_NEWEST + CONTROL_COPIES_DAYS - 2);
        assert_eq!(kept.last(), Some(&name(60 * 1_440 - 5)));
        let days: std::collections::BTreeSet<_> = kept.iter().map(|name| day_of(moment(name.taken_at_ns))).collect();
        assert_eq!(days.len(), CONTROL_COPIES_DAYS);
    }
}
