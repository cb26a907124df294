//! When a call is made again: exponential back-off with jitter, on what may pass by itself.
//!
//! It does not decide what a call does when it is repeated: every call of the protocol may be.
//!
//! Invariant: I9 — attempts and delays are bounded in `common::limits`.

use std::time::Duration;

use common::limits::{RETRY_ATTEMPTS_MAX, RETRY_MS_MAX, RETRY_MS_MIN};

use super::RemoteError;

/// Delays that double from [`RETRY_MS_MIN`] to [`RETRY_MS_MAX`], each drawn from its upper half.
#[derive(Debug, Clone)]
pub struct Backoff {
    next_ms: u64,
    random: u64,
    attempts: u32,
}

impl Backoff {
    /// `seed` is random, so that agents that were cut together do not come back together.
    pub fn new(seed: u64) -> Self {
        Self { next_ms: RETRY_MS_MIN, random: seed, attempts: 1 }
    }

    /// Starts again from the shortest delay: progress was made.
    pub fn reset(&mut self) {
        self.next_ms = RETRY_MS_MIN;
        self.attempts = 1;
    }

    /// How long to wait after `error` before the next attempt; `None` if it is final or there were enough attempts.
    pub fn after(&mut self, error: &RemoteError) -> Option<Duration> {
        if !error.is_transient() || self.attempts >= RETRY_ATTEMPTS_MAX {
            return None;
        }
        let asked_ms = error.retry_after_s().map_or(0, |seconds| seconds.saturating_mul(1_000));
        // Whoever is asked to come back later than that ends, and comes back.
        if asked_ms > RETRY_MS_MAX {
            return None;
        }
        self.attempts += 1;
        Some(Duration::from_millis(self.draw().max(asked_ms)))
    }

    fn draw(&mut self) -> u64 {
        let half = self.next_ms / 2;
        self.next_ms = (self.next_ms * 2).min(RETRY_MS_MAX);
        half + self.word() % (half + 1)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): jitter needs spread, not secrecy.
    fn word(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// Makes a call until it succeeds, fails for good, or was attempted [`RETRY_ATTEMPTS_MAX`] times.
///
/// # Errors
/// The last error.
pub async fn retry<T>(
    mut backoff: Backoff,
    mut call: impl AsyncFnMut() -> Result<T, RemoteError>,
) -> Result<T, RemoteError> {
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match backoff.after(&error) {
            Some(delay) => {
                tracing::debug!(%error, delay_ms = delay.as_millis(), "call is made again");
                tokio::time::sleep(delay).await;
            }
            None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::code::{ErrorCode, Failure};

    #[test]
    fn delays_double_within_their_bounds_and_end() {
        let mut backoff = Backoff::new(7);
        let unreachable = RemoteError::Unreachable("cut".into());
        let mut ceiling = RETRY_MS_MIN;
        let mut delays = 0;
        while let Some(delay) = backoff.after(&unreachable) {
            let ms = u64::try_from(delay.as_millis()).unwrap();
            assert!(ms >= ceiling / 2 && ms <= ceiling, "{ms} of {ceiling}");
            ceiling = (ceiling * 2).min(RETRY_MS_MAX);
            delays += 1;
        }
        assert_eq!(delays, RETRY_ATTEMPTS_MAX - 1);
        backoff.reset();
        assert!(backoff.after(&unreachable).is_some());
    }

    #[test]
    fn a_refusal_is_final_and_an_overloaded_server_names_its_delay() {
        let mut backoff = Backoff::new(7);
        assert!(backoff.after(&RemoteError::Refused(Failure::new(ErrorCode::QuotaExceeded))).is_none());
        let overloaded = Failure::new(ErrorCode::Overloaded).with("retry_s", 20);
        assert_eq!(backoff.after(&RemoteError::Refused(overloaded)), Some(Duration::from_secs(20)));
        let maintenance = Failure::new(ErrorCode::Maintenance).with("retry_s", u64::MAX);
        assert_eq!(backoff.after(&RemoteError::Refused(maintenance)), None, "longer than a call waits");
    }

    #[test]
    fn seeds_spread_agents_that_were_cut_together() {
        let first = |seed| Backoff::new(seed).after(&RemoteError::Unreachable(String::new()));
        let delays: std::collections::BTreeSet<_> = (0..20).map(first).collect();
        assert!(delays.len() > 10);
    }
}
