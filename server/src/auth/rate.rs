//! Requests per second of one subscription: a token bucket, twice as deep as a second.
//!
//! Invariant: one bucket per subscription with a live credential, so the table is bounded by the control store.

use std::collections::HashMap;

use common::id::SubscriptionId;
use common::limits::REQUESTS_PER_SECOND_MAX;
use parking_lot::Mutex;

/// Nanoseconds that one request costs.
const REQUEST_NS: i64 = 1_000_000_000 / REQUESTS_PER_SECOND_MAX as i64;
/// Nanoseconds that a full bucket holds.
const BURST_NS: i64 = 2_000_000_000;

/// The buckets: for each subscription, the moment at which its bucket would be full again.
#[derive(Default)]
pub struct Rates {
    full_at_ns: Mutex<HashMap<SubscriptionId, i64>>,
}

impl Rates {
    /// Takes one request from a subscription's bucket; false if it is empty.
    pub fn take(&self, subscription: &SubscriptionId, now_ns: i64) -> bool {
        let mut buckets = self.full_at_ns.lock();
        let full_at_ns = buckets.entry(*subscription).or_insert(now_ns);
        // A clock that was set back must not lock a subscription out.
        let from_ns = (*full_at_ns).clamp(now_ns, now_ns + BURST_NS);
        if from_ns + REQUEST_NS > now_ns + BURST_NS {
            return false;
        }
        *full_at_ns = from_ns + REQUEST_NS;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_twice_a_second_and_then_the_rate_holds() {
        let rates = Rates::default();
        let (one, other) = (SubscriptionId::new([1; 16]), SubscriptionId::new([2; 16]));
        let burst = std::iter::repeat_with(|| rates.take(&one, 0)).take_while(|taken| *taken).count();
        assert_eq!(burst, 2 * REQUESTS_PER_SECOND_MAX as usize);
        assert!(rates.take(&other, 0));
        let second = (0..1_000).filter(|tick| rates.take(&one, (tick + 1) * 1_000_000)).count();
        assert_eq!(second, REQUESTS_PER_SECOND_MAX as usize);
    }
}
