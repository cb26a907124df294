//! Deletion guards (G1, G2, G3, G5) and the two-person rule: what must hold before anything is removed.
//!
//! G4 (holds, lock dates, last complete and last verified) is `retention` and `hold`. It does not remove anything; the one
//! function that removes objects asks here.
//!
//! Invariant: I5 — in doubt nothing is deleted; a guard that cannot be evaluated refuses.

use jiff::{SignedDuration, Timestamp};

/// Largest step forward between two ticks that is not suspicious.
const STEP_FORWARD_MAX: SignedDuration = SignedDuration::from_hours(25);
/// Largest step back that is not suspicious.
const STEP_BACK_MAX: SignedDuration = SignedDuration::from_mins(5);
/// Longest downtime after which pruning goes on by itself.
const DOWNTIME_MAX: SignedDuration = SignedDuration::from_hours(24);
/// Time between two approvals' notice and the act.
pub const TWO_PERSON_DELAY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Why pruning stands still until an operator looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// G1: the clock went forward too far since the last tick.
    ClockForward,
    /// G1: the clock went back too far.
    ClockBack,
    /// G2: the server was down for more than a day.
    Downtime,
    /// G2: a catalog was rebuilt, or the control store restored.
    Rebuilt,
    /// G3: the run would remove more than the preview announced.
    TooMany {
        /// Snapshots that the run would remove.
        wanted: usize,
        /// How many it may remove.
        allowed: usize,
    },
    /// G5: a listing or a read failed.
    ReadFailed,
}

impl Stop {
    /// The word of each.
    pub const WORDS: [&str; 6] = ["clock_forward", "clock_back", "downtime", "rebuilt", "too_many", "read_failed"];

    /// The word that stands for it in records, answers and metrics.
    pub const fn word(self) -> &'static str {
        let [forward, back, downtime, rebuilt, too_many, read_failed] = Self::WORDS;
        match self {
            Self::ClockForward => forward,
            Self::ClockBack => back,
            Self::Downtime => downtime,
            Self::Rebuilt => rebuilt,
            Self::TooMany { .. } => too_many,
            Self::ReadFailed => read_failed,
        }
    }
}

/// The clock as pruning sees it: never before what was already seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HighWater {
    /// Latest moment ever seen, persisted.
    pub seen: Timestamp,
}

impl HighWater {
    /// The time to prune by, and the mark to persist: `max(wall, seen)`.
    ///
    /// # Errors
    /// A step that an operator must look at. The mark stays, so the next tick says the same.
    pub fn tick(self, wall: Timestamp) -> Result<Self, Stop> {
        let step = wall.duration_since(self.seen);
        if step > STEP_FORWARD_MAX {
            Err(Stop::ClockForward)
        } else if step < -STEP_BACK_MAX {
            Err(Stop::ClockBack)
        } else {
            Ok(Self { seen: self.seen.max(wall) })
        }
    }
}

/// G2: a start after more than a day without a tick waits for an operator.
///
/// # Errors
/// [`Stop::Downtime`] or [`Stop::Rebuilt`].
pub fn check_start(last_tick: Option<Timestamp>, now: Timestamp, rebuilt: bool) -> Result<(), Stop> {
    if rebuilt {
        return Err(Stop::Rebuilt);
    }
    match last_tick {
        Some(tick) if now.duration_since(tick) > DOWNTIME_MAX => Err(Stop::Downtime),
        _ => Ok(()),
    }
}

/// G3: beyond what the last preview announced, a run removes at most max(2, 20 %) of a subscription's snapshots.
///
/// # Errors
/// [`Stop::TooMany`].
pub fn check_count(wanted: usize, announced: usize, total: usize) -> Result<(), Stop> {
    let allowed = announced + (total / 5).max(2);
    if wanted > allowed { Err(Stop::TooMany { wanted, allowed }) } else { Ok(()) }
}

/// A request that destroys or allows destruction: shortening history, lifting a hold, destroying, deleting a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoPersonRequest {
    /// Who asked.
    pub asked_by: String,
    /// Who approved, and when; the delay runs from here.
    pub approved: Option<(String, Timestamp)>,
    /// When the customer was told.
    pub customer_told_at: Option<Timestamp>,
}

/// Why a request may not be carried out yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotYet {
    /// Nobody approved it.
    NotApproved,
    /// The same person asked and approved.
    SamePerson,
    /// The customer was not told.
    CustomerNotTold,
    /// Seven days have not passed since approval and notice.
    Until(Timestamp),
}

impl TwoPersonRequest {
    /// Whether it may be carried out at `now`.
    ///
    /// # Errors
    /// What is missing.
    pub fn check(&self, now: Timestamp) -> Result<(), NotYet> {
        let (by, approved_at) = self.approved.as_ref().ok_or(NotYet::NotApproved)?;
        if by.eq_ignore_ascii_case(&self.asked_by) {
            return Err(NotYet::SamePerson);
        }
        let told_at = self.customer_told_at.ok_or(NotYet::CustomerNotTold)?;
        let from = (*approved_at).max(told_at);
        let due = from.checked_add(TWO_PERSON_DELAY).unwrap_or(Timestamp::MAX);
        if now < due { Err(NotYet::Until(due)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_clock_may_creep_but_not_jump() {
        let mark = HighWater { seen: at("2026-11-22T12:00:00Z") };
        for (wall, wanted) in [
            ("2026-11-22T12:00:01Z", Ok("2026-11-22T12:00:01Z")),
            ("2026-11-23T13:00:00Z", Ok("2026-11-23T13:00:00Z")),
            ("2026-11-23T13:00:01Z", Err(Stop::ClockForward)),
            ("2026-11-22T11:55:00Z", Ok("2026-11-22T12:00:00Z")),
            ("2026-11-22T11:54:59Z", Err(Stop::ClockBack)),
            ("2016-11-22T12:00:00Z", Err(Stop::ClockBack)),
            ("2038-01-19T03:14:08Z", Err(Stop::ClockForward)),
        ] {
            assert_eq!(mark.tick(at(wall)), wanted.map(|seen| HighWater { seen: at(seen) }), "{wall}");
        }
    }

    #[test]
    fn a_long_downtime_or_a_rebuild_waits_for_an_operator() {
        let now = at("2026-11-22T12:00:00Z");
        assert_eq!(check_start(None, now, false), Ok(()));
        assert_eq!(check_start(Some(at("2026-11-21T12:00:00Z")), now, false), Ok(()));
        assert_eq!(check_start(Some(at("2026-11-21T11:59:59Z")), now, false), Err(Stop::Downtime));
        assert_eq!(check_start(Some(now), now, true), Err(Stop::Rebuilt));
    }

    #[test]
    fn a_run_removes_little_more_than_was_announced() {
        for (wanted, announced, total, ok) in [
            (2, 0, 5, true),
            (3, 0, 5, false),
            (20, 0, 100, true),
            (21, 0, 100, false),
            (51, 31, 100, true),
            (52, 31, 100, false),
        ] {
            assert_eq!(check_count(wanted, announced, total).is_ok(), ok, "{wanted} {announced} {total}");
        }
    }

    #[test]
    fn two_different_people_seven_days_and_a_notice() {
        let approved = at("2026-11-22T12:00:00Z");
        let request = TwoPersonRequest {
            asked_by: "alice".into(),
            approved: Some(("bruno".into(), approved)),
            customer_told_at: Some(at("2026-11-23T12:00:00Z")),
        };
        assert_eq!(request.check(at("2026-11-30T11:59:59Z")), Err(NotYet::Until(at("2026-11-30T12:00:00Z"))));
        assert_eq!(request.check(at("2026-11-30T12:00:00Z")), Ok(()));
        let same = TwoPersonRequest { approved: Some(("Alice".into(), approved)), ..request.clone() };
        assert_eq!(same.check(at("2027-01-01T00:00:00Z")), Err(NotYet::SamePerson));
        let untold = TwoPersonRequest { customer_told_at: None, ..request.clone() };
        assert_eq!(untold.check(at("2027-01-01T00:00:00Z")), Err(NotYet::CustomerNotTold));
        let alone = TwoPersonRequest { approved: None, ..request };
        assert_eq!(alone.check(at("2027-01-01T00:00:00Z")), Err(NotYet::NotApproved));
    }
}
