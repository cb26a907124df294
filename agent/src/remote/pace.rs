//! Sending no faster than the settings allow.
//!
//! Who sent waits for as long as that should have taken, so the line is used whole by the time, one message at a time. Reading is not slowed:
//! who restores is in a hurry.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Bytes that may leave in a second now; none if nothing is limited.
type Rate = dyn Fn() -> Option<u64> + Send + Sync;

/// The pace of one connection.
pub struct Pace {
    rate: Box<Rate>,
    /// When the line is free again.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// A line that `rate` limits; it is asked at each message.
    pub fn new(rate: impl Fn() -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { rate: Box::new(rate), free_at: Mutex::new(None) }
    }

    /// Waits until the next message may leave.
    pub async fn ready(&self) {
        let free_at = *self.free_at.lock();
        if let Some(free_at) = free_at {
            tokio::time::sleep_until(free_at).await;
        }
    }

    /// Notes a message that leaves now.
    pub fn sent(&self, bytes: u64) {
        let mut free_at = self.free_at.lock();
        *free_at = next(*free_at, Instant::now(), bytes, (self.rate)());
    }
}

/// When a line is free again after a message; it was to be free at `free_at`.
fn next(free_at: Option<Instant>, now: Instant, bytes: u64, per_second: Option<u64>) -> Option<Instant> {
    let takes = Duration::from_secs_f64(bytes as f64 / per_second?.max(1) as f64);
    Some(free_at.unwrap_or(now).max(now) + takes)
}

impl fmt::Debug for Pace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pace").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_take_the_time_that_the_rate_gives_them() {
        let begun = Instant::now();
        let after = |ms: u64| begun + Duration::from_millis(ms);
        let rate = Some(2_500_000);
        for (free_at, now, bytes, rate, wanted) in [
            (None, after(0), 1_000_000, rate, Some(after(400))),
            // A little late: the line is used whole by the time all the same.
            (Some(after(400)), after(400), 1_000_000, rate, Some(after(800))),
            // A pause is not saved up.
            (Some(after(800)), after(60_000), 1_000_000, rate, Some(after(60_400))),
            // Another hour, another rate, or none.
            (Some(after(60_400)), after(60_400), 1_000_000, Some(10_000_000), Some(after(60_500))),
            (Some(after(60_500)), after(60_500), 1_000_000, None, None),
            (None, after(0), 0, rate, Some(after(0))),
        ] {
            assert_eq!(next(free_at, now, bytes, rate), wanted);
        }
    }
}
