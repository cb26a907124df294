//! Late (B-076, B-085): a source that has no complete snapshot in its period, as the server sees it.
//!
//! It does not ask the agent: a dead agent is late like any other.

use jiff::{SignedDuration, Timestamp};

/// How often a source is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Between two complete snapshots.
    pub period: SignedDuration,
    /// Beyond which it is late.
    pub tolerance: SignedDuration,
}

impl Default for Due {
    fn default() -> Self {
        Self { period: SignedDuration::from_hours(24), tolerance: SignedDuration::from_hours(2) }
    }
}

impl Due {
    /// Since when a source is late; `None` if it is not. `reference` is its last complete snapshot, or the moment at which its
    /// backup set was made if there is none. Suspension and announced maintenance stop the clock: `paused` is their sum since.
    pub fn late_since(self, reference: Timestamp, paused: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let limit = reference.checked_add(self.period + self.tolerance + paused).unwrap_or(Timestamp::MAX);
        (now > limit).then_some(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_begins_after_period_and_tolerance() {
        let last: Timestamp = "2026-11-21T01:00:00Z".parse().unwrap();
        let paused = SignedDuration::from_hours(3);
        for (now, paused, late) in [
            ("2026-11-22T03:00:00Z", SignedDuration::ZERO, false),
            ("2026-11-22T03:00:01Z", SignedDuration::ZERO, true),
            ("2026-11-22T06:00:00Z", paused, false),
            ("2026-11-22T06:00:01Z", paused, true),
        ] {
            assert_eq!(Due::default().late_since(last, paused, now.parse().unwrap()).is_some(), late, "{now}");
        }
    }
}
