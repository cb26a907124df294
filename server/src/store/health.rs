//! Whether the store may be written to.
//!
//! It does not repair: a person looks, and starts the server again.
//!
//! Invariant: an fsync that failed is never tried again. The kernel marks the pages clean although they are not on disk, so a
//! second fsync would report a success that is none. From the first failure on nothing is written; reading goes on.
//! Invariant: below the reserve no session begins, so that catalog, upkeep and audit can always write.

use std::path::PathBuf;

use parking_lot::Mutex;

use crate::store::activity::Activity;
use crate::store::error::StoreError;
use common::limits::RESERVE_PERCENT;

/// Shared by everything that writes to one store.
#[derive(Debug)]
pub struct Health {
    root: PathBuf,
    reserve_bytes_min: u64,
    suspect: Mutex<Option<String>>,
    activity: Activity,
}

/// The disk that holds a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    /// Its size, in bytes.
    pub total_bytes: u64,
    /// What may still be written, in bytes.
    pub free_bytes: u64,
    /// What is kept free for catalog, upkeep and audit, in bytes.
    pub reserve_bytes: u64,
}

impl Health {
    /// Watches the file system that holds `root`.
    pub fn new(root: PathBuf, reserve_bytes_min: u64) -> Self {
        Self { root, reserve_bytes_min, suspect: Mutex::new(None), activity: Activity::default() }
    }

    /// What the store does, counted.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Stops every later write. The first reason is the one that is kept.
    pub fn suspect(&self, reason: &str) {
        let mut suspect = self.suspect.lock();
        if suspect.is_none() {
            tracing::error!(reason, "the store accepts no more writes");
            *suspect = Some(reason.to_owned());
        }
    }

    /// The reason why nothing is written, if so.
    pub fn reason(&self) -> Option<String> {
        self.suspect.lock().clone()
    }

    /// Passes if writing is allowed at all.
    ///
    /// # Errors
    /// [`StoreError::Suspect`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.reason().map_or(Ok(()), |reason| Err(StoreError::Suspect(reason)))
    }

    /// Passes if a session may begin.
    ///
    /// # Errors
    /// [`StoreError::Suspect`], or [`StoreError::Full`] below the reserve.
    pub fn check_room(&self) -> Result<(), StoreError> {
        self.check()?;
        let room = self.room()?;
        if room.free_bytes < room.reserve_bytes { Err(StoreError::Full) } else { Ok(()) }
    }

    /// The disk as it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn room(&self) -> Result<Room, StoreError> {
        let disk = rustix::fs::statvfs(&self.root)
            .map_err(|error| StoreError::from_io("measure the free space of", self.root.display(), error.into()))?;
        let total_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
        Ok(Room {
            total_bytes,
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            reserve_bytes: (total_bytes / 100 * RESERVE_PERCENT).max(self.reserve_bytes_min),
        })
    }

    /// Turns the failure of an fsync, or of a write that cannot be undone, into a suspect store.
    pub fn failed(&self, attempt: &'static str, object: impl ToString, source: std::io::Error) -> StoreError {
        let object = object.to_string();
        self.suspect(&format!("{attempt} {object}: {source}"));
        StoreError::Failed { attempt, object, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_stops_writing_for_good() {
        let health = Health::new(std::env::temp_dir(), 0);
        assert!(health.check_room().is_ok());
        health.failed("fsync", "a", std::io::Error::other("first"));
        health.failed("fsync", "b", std::io::Error::other("second"));
        assert!(matches!(health.check(), Err(StoreError::Suspect(reason)) if reason == "fsync a: first"));
    }

    #[test]
    fn below_the_reserve_no_session_begins_but_writing_goes_on() {
        let health = Health::new(std::env::temp_dir(), u64::MAX);
        assert!(matches!(health.check_room(), Err(StoreError::Full)));
        assert!(health.check().is_ok());
    }
}
