//! Late (B-076, B-085): a source that has no complete snapshot in its period, as the server sees it.
//!
//! It does not ask the agent: a dead agent is late like any other.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::calendar::start_of;
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
    /// Since when a source is late; `None` if it is not. `reference` is its last complete snapshot, or the moment of
    /// [`due_from`] if there is none. Suspension and announced maintenance stop the clock: `paused` is their sum since.
    pub fn late_since(self, reference: Timestamp, paused: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        let limit = reference.checked_add(self.period + self.tolerance + paused).unwrap_or(Timestamp::MAX);
        (now > limit).then_some(limit)
    }
}

/// From when the first complete snapshot of a source is waited for: from the first version of its backup set; without one, from the
/// day on which the subscription became effective, but not from before the source was ordered. None while it is not effective.
pub fn due_from(first_set: Option<Timestamp>, effective: Option<Date>, ordered_at: Timestamp) -> Option<Timestamp> {
    first_set.or_else(|| effective.map(|day| start_of(day).max(ordered_at)))
}

impl Terms {
    /// Since when a source is late whose last complete snapshot, or else whose [`due_from`], is `reference`; `None` if it is not.
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
    use super::super::service::{SuspensionReason, Window};
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
    fn a_first_snapshot_is_waited_for_from_the_first_set_or_from_the_effective_date() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (set, ordered) = (at("2026-11-22T09:00:00Z"), at("2026-11-20T09:00:00Z"));
        let day = |day| Some(jiff::civil::date(2026, 11, day));
        for (first_set, effective, due) in [
            (Some(set), None, Some(set)),
            (Some(set), day(1), Some(set)),
            (None, None, None),
            // Signed long before it was recorded: not late for the time before.
            (None, day(1), Some(ordered)),
            (None, day(25), Some(at("2026-11-24T23:00:00Z"))),
        ] {
            assert_eq!(due_from(first_set, effective, ordered), due, "{first_set:?} {effective:?}");
        }
    }

    #[test]
    fn terms_are_late_by_their_own_period_and_only_while_they_take_backups() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let last = at("2026-11-21T01:00:00Z");
        let terms = |period_h, ended: Option<&str>| Terms {
            subscription: common::id::SubscriptionId::new([1; 16]),
            contracted_bytes: 1,
            hard_volume_bytes: 1,
            per_mille: 2,
            min_daily_allowance_bytes: 0,
            policy: super::super::quota::Policy::Flag,
            history: super::super::retention::History { days: 30, thinning: Vec::new() },
            period_h,
            tolerance_h: 2,
            sources: Vec::new(),
            suspensions: Vec::new(),
            maintenance: Vec::new(),
            ended_at: ended.map(at),
            contact: String::new(),
        };
        let window = |from: &str, until: Option<&str>| Window {
            from: at(from),
            until: until.map(at),
            reason: SuspensionReason::Unpaid,
        };
        let suspended = |from, until| Terms { suspensions: vec![window(from, until)], ..terms(24, None) };
        let maintained = |from: &str, until: &str| Terms {
            maintenance: vec![Window { from: at(from), until: Some(at(until)), reason: () }],
            ..terms(24, None)
        };
        for (terms, now, since) in [
            (terms(24, None), "2026-11-22T03:00:00Z", None),
            (terms(24, None), "2026-11-22T03:00:01Z", Some("2026-11-22T03:00:00Z")),
            (terms(1, None), "2026-11-21T04:00:01Z", Some("2026-11-21T04:00:00Z")),
            (terms(168, None), "2026-11-28T03:00:00Z", None),
            (terms(24, Some("2026-11-22T00:00:00Z")), "2026-11-23T00:00:00Z", None),
            (suspended("2026-11-22T00:00:00Z", None), "2026-11-30T00:00:00Z", None),
            (suspended("2026-11-21T12:00:00Z", Some("2026-11-21T18:00:00Z")), "2026-11-22T09:00:00Z", None),
            (
                suspended("2026-11-21T12:00:00Z", Some("2026-11-21T18:00:00Z")),
                "2026-11-22T09:00:01Z",
                Some("2026-11-22T09:00:00Z"),
            ),
            (
                suspended("2026-11-20T00:00:00Z", Some("2026-11-21T00:00:00Z")),
                "2026-11-22T03:00:01Z",
                Some("2026-11-22T03:00:00Z"),
            ),
            (maintained("2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z"), "2026-11-22T05:00:00Z", None),
            (
                maintained("2026-11-22T02:00:00Z", "2026-11-22T04:00:00Z"),
                "2026-11-22T05:00:01Z",
                Some("2026-11-22T05:00:00Z"),
            ),
        ] {
            assert_eq!(terms.late_since(last, at(now)), since.map(at), "{now} {terms:?}");
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
