//! What a run has done so far, in counters that any thread may read while it goes on.
//!
//! It formats nothing and never blocks the pipeline. The counters of different fields may be of slightly different moments.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Opening the session.
    Opening,
    /// Fetching the last tree from the server.
    Fetching,
    /// Walking, comparing, reading and sending.
    Reading,
    /// Waiting for the server to have everything.
    Finishing,
    /// Making the snapshot.
    Committing,
}

/// Live counters of one run.
#[derive(Debug, Default)]
pub struct Progress {
    step: AtomicU8,
    cancelled: AtomicBool,
    /// Items that the walk saw.
    pub items_seen: AtomicU64,
    /// Bytes of the files that the walk saw.
    pub bytes_seen: AtomicU64,
    /// Files whose content is dealt with, unchanged ones among them.
    pub files_done: AtomicU64,
    /// Bytes of those files.
    pub bytes_done: AtomicU64,
    /// Files opened for reading.
    pub files_opened: AtomicU64,
    /// Bytes read from files.
    pub bytes_read: AtomicU64,
    /// Plain bytes of the data chunks that were sent.
    pub bytes_laid: AtomicU64,
    /// Frames sent.
    pub frames_sent: AtomicU64,
    /// Data frames among them.
    pub data_frames_sent: AtomicU64,
    /// Bytes of the frames sent.
    pub bytes_sent: AtomicU64,
    /// True once the walk is over, so that `items_seen` and `bytes_seen` are totals.
    pub walked: AtomicBool,
}

impl Progress {
    /// What the run is doing.
    pub fn step(&self) -> Step {
        match self.step.load(Ordering::Relaxed) {
            0 => Step::Opening,
            1 => Step::Fetching,
            2 => Step::Reading,
            3 => Step::Finishing,
            _ => Step::Committing,
        }
    }

    /// Says what the run does from here on.
    pub fn enter(&self, step: Step) {
        self.step.store(step as u8, Ordering::Relaxed);
    }

    /// Asks the run to stop; what is durable stays usable for the next one.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// True if the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Adds to one counter.
    pub fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// Reads one counter.
    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    pub(crate) fn add_sent(&self, frames: u64, bytes: u64) {
        Self::add(&self.frames_sent, frames);
        Self::add(&self.bytes_sent, bytes);
    }
}
