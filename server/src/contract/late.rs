//! Late (B-076, B-085): a source that has no complete snapshot in its period, as the server sees it.
//!
//! It does not ask the agent: a dead agent is late like any other.

use jiff::{SignedDuration, Timestamp};

use super::terms::{State, Terms};

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

impl Terms {
    /// Since when a source is late whose last complete snapshot, or else whose backup set, is of `reference`; `None` if it is not.
    /// Suspension and maintenance stop the clock, and a subscription that takes no backups is not late.
    pub fn late_since(&self, reference: Timestamp, now: Timestamp) -> Option<Timestamp> {
        if self.state(now) != State::Active {
            return None;
        }
        let suspensions = self.suspensions.iter().map(|window| (window.from, window.until));
        let maintenance = self.maintenance.iter().map(|window| (window.from, window.until));
        let paused = paused(suspensions.chain(maintenance), reference, now);
        self.due().late_since(reference, paused, now)
    }
}

/// How long at least one of the windows stood between two moments.
fn paused(
    windows: impl Iterator<Item = (Timestamp, Option<Timestamp>)>,
    from: Timestamp,
    until: Timestamp,
) -> SignedDuration {
    let mut windows: Vec<_> = windows.map(|(start, end)| (start.max(from), end.unwrap_or(until).min(until))).collect();
    windows.sort_unstable();
    let (mut sum, mut reached) = (SignedDuration::ZERO, from);
    for (start, end) in windows {
        let start = start.max(reached);
        if end > start {
            sum += end.duration_since(start);
            reached = end;
        }
    }
    sum
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

    #[test]
    fn windows_that_overlap_pause_once() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (from, until) = (at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:00Z"));
        let windows = [
            (at("2026-11-21T00:00:00Z"), Some(at("2026-11-22T02:00:00Z"))),
            (at("2026-11-22T01:00:00Z"), Some(at("2026-11-22T03:00:00Z"))),
            (at("2026-11-22T22:00:00Z"), None),
        ];
        assert_eq!(paused(windows.into_iter(), from, until), SignedDuration::from_hours(5));
        assert_eq!(paused([].into_iter(), from, until), SignedDuration::ZERO);
    }
}
