//! Whether the service is open: suspensions (B-190..196) and maintenance windows (B-197).
//!
//! It does not announce anything; it answers for one moment.
//!
//! Invariant: nothing is deleted for being suspended, and restores close for two reasons only.

use jiff::Timestamp;

/// Why a subscription is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspensionReason {
    /// Bills are unpaid; restores stay open.
    Unpaid,
    /// Something endangers the service or the data; restores are closed.
    Security,
    /// An authority asked for it; restores are closed.
    AuthorityRequest,
    /// Anything else, named in the record; restores stay open.
    Other,
}

impl SuspensionReason {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Unpaid, Self::Security, Self::AuthorityRequest, Self::Other];

    /// The name used in records, on the wire and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unpaid => "unpaid",
            Self::Security => "security",
            Self::AuthorityRequest => "authority_request",
            Self::Other => "other",
        }
    }

    /// The reason of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// A period, open at its end if `until` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window<Reason> {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: Reason,
}

impl<Reason: Copy> Window<Reason> {
    /// True at its first moment, false at its last.
    pub fn covers(&self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

/// What a subscription may do at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Openness {
    /// The suspension that closes backups, if any.
    pub suspended: Option<Window<SuspensionReason>>,
    /// The maintenance that postpones them, if any.
    pub maintenance_until: Option<Timestamp>,
    /// Restores are open.
    pub restore: bool,
    /// Pruning may run.
    pub pruning: bool,
}

/// Answers for `now`.
pub fn openness(suspensions: &[Window<SuspensionReason>], maintenance: &[Window<()>], now: Timestamp) -> Openness {
    let closes_restore = |reason| matches!(reason, SuspensionReason::Security | SuspensionReason::AuthorityRequest);
    let active = || suspensions.iter().filter(|window| window.covers(now));
    Openness {
        suspended: active().max_by_key(|window| closes_restore(window.reason)).copied(),
        maintenance_until: maintenance
            .iter()
            .filter(|window| window.covers(now))
            .filter_map(|window| window.until)
            .max(),
        restore: !active().any(|window| closes_restore(window.reason)),
        pruning: active().next().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i8) -> Timestamp {
        format!("2026-11-22T{hour:02}:00:00Z").parse().unwrap()
    }

    #[test]
    fn suspensions_stop_backups_and_two_reasons_stop_restores() {
        for (reason, restore) in [
            (SuspensionReason::Unpaid, true),
            (SuspensionReason::Security, false),
            (SuspensionReason::AuthorityRequest, false),
            (SuspensionReason::Other, true),
        ] {
            let window = Window { from: at(3), until: Some(at(5)), reason };
            for (hour, inside) in [(2, false), (3, true), (4, true), (5, false)] {
                let answer = openness(&[window], &[], at(hour));
                assert_eq!(answer.suspended.is_some(), inside, "{reason:?} {hour}");
                assert_eq!(answer.pruning, !inside);
                assert_eq!(answer.restore, !inside || restore, "{reason:?} {hour}");
            }
        }
        let both = [
            Window { from: at(1), until: None, reason: SuspensionReason::Unpaid },
            Window { from: at(2), until: None, reason: SuspensionReason::Security },
        ];
        assert_eq!(openness(&both, &[], at(6)).suspended.map(|w| w.reason), Some(SuspensionReason::Security));
    }

    #[test]
    fn maintenance_postpones_and_leaves_the_rest_open() {
        let windows = [Window { from: at(3), until: Some(at(5)), reason: () }];
        let answer = openness(&[], &windows, at(4));
        assert_eq!(answer.maintenance_until, Some(at(5)));
        assert!(answer.restore && answer.pruning && answer.suspended.is_none());
    }
}
