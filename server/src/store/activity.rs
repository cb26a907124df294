//! What the store does, counted: bytes that come and go, commits, the time that each fsync takes.
//!
//! The counts begin at 0 with the process and decide nothing; the ledger of a subscription is in its catalog.

use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Counts since the process began.
#[derive(Debug, Clone)]
pub struct Activity {
    /// Bytes of frames accepted into staging.
    pub received_bytes: Counter,
    /// Bytes of frames that committed snapshots were the first to reach.
    pub stored_bytes: Counter,
    /// Snapshots committed.
    pub commits: Counter,
    /// Receipts given, those of repeated commits among them.
    pub receipts: Counter,
    /// Bytes of frames sent to restores.
    pub restored_bytes: Counter,
    /// Duration of each fsync, in seconds.
    pub fsync_seconds: Histogram,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            received_bytes: Counter::default(),
            stored_bytes: Counter::default(),
            commits: Counter::default(),
            receipts: Counter::default(),
            restored_bytes: Counter::default(),
            // 0.25 ms to 8 s: from a battery-backed cache to a disk that dies.
            fsync_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
        }
    }
}

impl Activity {
    /// Runs an fsync and counts its time, whatever its result.
    pub fn fsync<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.fsync_seconds.observe(begun.elapsed().as_secs_f64());
        result
    }
}
