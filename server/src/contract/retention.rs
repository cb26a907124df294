//! History (B-077, B-230, C-35): which snapshots stay, which go, when, and why.
//!
//! Time, not counts: flooding a source with snapshots pushes nothing out. It does not delete: upkeep asks, guards decide.
//!
//! Invariant: I5 — the last complete, the last verified and the newest snapshot of a source never go, whatever the settings.

use common::id::SessionId;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use common::zone::paris;

/// A snapshot of one source, as far as its history depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub session: SessionId,
    /// Server's receipt time; nothing else counts.
    pub received_at: Timestamp,
    /// Everything was in it.
    pub complete: bool,
    /// A key holder verified or restored it.
    pub verified: bool,
    /// Kept at least until then (legal hold).
    pub protected_until: Option<Timestamp>,
}

/// A time during which nothing ages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// Since when.
    pub from: Timestamp,
    /// Until when; the present if it goes on.
    pub until: Option<Timestamp>,
}

/// What the order form says of the history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Length, in days of 24 hours.
    pub days: u32,
    /// Thinning inside the window; empty keeps everything.
    pub thinning: Vec<Thinning>,
}

/// Keep one snapshot per period, the newest, for as long as it is younger than `days`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thinning {
    /// The period.
    pub every: Period,
    /// How old a snapshot may be that this rule keeps, in days.
    pub days: u32,
}

/// Civil periods of Europe/Paris.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// One per hour.
    Hour,
    /// One per day.
    Day,
    /// One per ISO week.
    Week,
    /// One per month.
    Month,
    /// One per year.
    Year,
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for this reason.
    Keep(Reason),
    /// It goes.
    Expire,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Younger than the history.
    InWindow,
    /// The newest one before the window: the first day of the history can be restored.
    WindowEdge,
    /// The last complete one of its source.
    LastComplete,
    /// The newest one that a key holder verified or restored.
    LastVerified,
    /// Protected until a date.
    Protected,
    /// The newest one of its source: the next one is compared with it, and the chain of receipts goes on from it.
    Newest,
}

impl Reason {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InWindow => "in_window",
            Self::WindowEdge => "window_edge",
            Self::LastComplete => "last_complete",
            Self::LastVerified => "last_verified",
            Self::Protected => "protected",
            Self::Newest => "newest",
        }
    }
}

/// How long ago `received_at` was, not counting suspensions.
pub fn age(received_at: Timestamp, now: Timestamp, suspensions: &[Suspension]) -> SignedDuration {
    let asleep: SignedDuration = suspensions
        .iter()
        .map(|pause| pause.until.unwrap_or(now).min(now).duration_since(pause.from.max(received_at)))
        .filter(|overlap| overlap.is_positive())
        .sum();
    now.duration_since(received_at) - asleep
}

/// Decides for every snapshot of one source, given oldest first; suspensions do not overlap.
pub fn plan_retention(
    snapshots: &[Candidate],
    history: &History,
    suspensions: &[Suspension],
    now: Timestamp,
) -> Vec<(SessionId, Fate)> {
    let window = SignedDuration::from_hours(24 * i64::from(history.days));
    let in_window = |snapshot: &Candidate| age(snapshot.received_at, now, suspensions) <= window;
    let newest = |wanted: &dyn Fn(&Candidate) -> bool| snapshots.iter().rev().find(|s| wanted(s)).map(|s| s.session);
    let edge = newest(&|snapshot| !in_window(snapshot));
    let last_complete = newest(&|snapshot| snapshot.complete);
    let last_verified = newest(&|snapshot| snapshot.verified);
    let decide = |(at, snapshot): (usize, &Candidate)| {
        let session = Some(snapshot.session);
        let reason = if snapshot.protected_until.is_some_and(|until| until > now) {
            Some(Reason::Protected)
        } else if session == last_complete {
            Some(Reason::LastComplete)
        } else if session == last_verified {
            Some(Reason::LastVerified)
        } else if in_window(snapshot) {
            kept_by_thinning(snapshots, at, history, |s| age(s.received_at, now, suspensions))
                .then_some(Reason::InWindow)
        } else if session == edge {
            Some(Reason::WindowEdge)
        } else {
            None
        };
        let reason = reason.or_else(|| (at + 1 == snapshots.len()).then_some(Reason::Newest));
        (snapshot.session, reason.map_or(Fate::Expire, Fate::Keep))
    };
    snapshots.iter().enumerate().map(decide).collect()
}

/// What becomes of a snapshot, and when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// Which one.
    pub session: SessionId,
    /// What becomes of it at present.
    pub fate: Fate,
    /// When it goes, if it does until the end of the outlook.
    pub goes_at: Option<Timestamp>,
}

/// Looks ahead for every snapshot of one source, given oldest first, supposing that complete ones go on to come; in `steps` steps
/// of `step`.
pub fn plan_outlook(
    snapshots: &[Candidate],
    terms: (&History, &[Suspension]),
    now: Timestamp,
    (step, steps): (SignedDuration, u32),
) -> Vec<Outlook> {
    let (history, suspensions) = terms;
    let fates = plan_retention(snapshots, history, suspensions, now).into_iter();
    let mut all: Vec<Outlook> = fates
        .map(|(session, fate)| Outlook { session, fate, goes_at: (fate == Fate::Expire).then_some(now) })
        .collect();
    let mut ahead = snapshots.to_vec();
    let mut then = now;
    for _ in 0..steps {
        let Ok(next) = then.checked_add(step) else { break };
        then = next;
        // Its id is nobody's: the outlook of what does not exist yet is cut off below.
        let coming = SessionId::new([0xff; 16]);
        let next =
            Candidate { session: coming, received_at: then, complete: true, verified: false, protected_until: None };
        ahead.truncate(snapshots.len());
        ahead.push(next);
        let fates = plan_retention(&ahead, history, suspensions, then);
        for (outlook, (_, fate)) in all.iter_mut().zip(fates).filter(|(_, (_, fate))| *fate == Fate::Expire) {
            outlook.goes_at.get_or_insert(then);
            debug_assert_eq!(fate, Fate::Expire, "only those are left");
        }
    }
    all
}

/// True if `new` keeps less than `old` for some snapshot.
pub fn is_shorter(new: &History, old: &History) -> bool {
    new.days < old.days
        || match (new.thinning.as_slice(), old.thinning.as_slice()) {
            ([], _) => false,
            (_, []) => true,
            (new, old) => {
                !old.iter().all(|rule| new.iter().any(|kept| kept.every == rule.every && kept.days >= rule.days))
            }
        }
}

/// True without thinning, or if some rule that still reaches this age keeps it as the newest of its period.
fn kept_by_thinning(
    snapshots: &[Candidate],
    at: usize,
    history: &History,
    age_of: impl Fn(&Candidate) -> SignedDuration,
) -> bool {
    let snapshot = &snapshots[at];
    let newest_of = |period: Period| {
        let name = period.name(snapshot.received_at);
        // Oldest first: those of one period stand together.
        let same = snapshots[at + 1..].iter().take_while(|later| period.name(later.received_at) == name);
        same.into_iter().all(|later| snapshot.complete && !later.complete)
    };
    history.thinning.is_empty()
        || history.thinning.iter().any(|rule| {
            age_of(snapshot) <= SignedDuration::from_hours(24 * i64::from(rule.days)) && newest_of(rule.every)
        })
}

impl Period {
    /// A value that two moments share if they are in the same period.
    fn name(self, at: Timestamp) -> (i16, i16, i8, i8) {
        let at = at.to_zoned(paris());
        let date: Date = at.date();
        match self {
            Self::Hour => (date.year(), i16::from(date.month()), date.day(), hour_name(&at)),
            Self::Day => (date.year(), i16::from(date.month()), date.day(), -1),
            Self::Week => (date.iso_week_date().year(), i16::from(date.iso_week_date().week()), -1, -1),
            Self::Month => (date.year(), i16::from(date.month()), -1, -1),
            Self::Year => (date.year(), -1, -1, -1),
        }
    }
}

/// The hour, told apart from its repetition at the end of summer time.
fn hour_name(at: &jiff::Zoned) -> i8 {
    if at.offset().seconds() == 7_200 { at.hour() } else { at.hour() + 24 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn now() -> Timestamp {
        NOW.parse().unwrap()
    }

    fn snapshot(number: u8, days_ago: i64) -> Candidate {
        Candidate {
            session: SessionId::new([number; 16]),
            received_at: now().checked_sub((24 * days_ago).hours()).unwrap(),
            complete: true,
            verified: false,
            protected_until: None,
        }
    }

    fn fates(snapshots: &[Candidate], days: u32, suspensions: &[Suspension]) -> Vec<Option<Reason>> {
        let history = History { days, thinning: Vec::new() };
        let reason = |(_, fate)| match fate {
            Fate::Keep(reason) => Some(reason),
            Fate::Expire => None,
        };
        plan_retention(snapshots, &history, suspensions, now()).into_iter().map(reason).collect()
    }

    #[test]
    fn the_window_its_edge_and_the_last_complete_stay() {
        let snapshots = [snapshot(1, 40), snapshot(2, 31), snapshot(3, 30), snapshot(4, 10), snapshot(5, 1)];
        let wanted = [
            None,
            Some(Reason::WindowEdge),
            Some(Reason::InWindow),
            Some(Reason::InWindow),
            Some(Reason::LastComplete),
        ];
        assert_eq!(fates(&snapshots, 30, &[]), wanted);
    }

    #[test]
    fn a_flood_of_partial_snapshots_pushes_nothing_out() {
        let mut snapshots = vec![Candidate { verified: true, ..snapshot(1, 400) }, snapshot(2, 399)];
        snapshots.extend((3..200).map(|number| Candidate { complete: false, ..snapshot(number, 1) }));
        let fates = fates(&snapshots, 30, &[]);
        assert_eq!(fates[0], Some(Reason::LastVerified));
        assert_eq!(fates[1], Some(Reason::LastComplete));
        assert!(fates[2..].iter().all(|fate| *fate == Some(Reason::InWindow)));
    }

    #[test]
    fn nothing_ages_while_suspended() {
        let at = |days_ago: i64| now().checked_sub((24 * days_ago).hours()).unwrap();
        let snapshots = [snapshot(1, 60), snapshot(2, 50), snapshot(3, 1)];
        assert_eq!(fates(&snapshots, 30, &[])[0], None);
        let pause = Suspension { from: at(55), until: Some(at(20)) };
        assert_eq!(fates(&snapshots, 30, &[pause])[..2], [Some(Reason::InWindow); 2]);
        let open = Suspension { from: at(55), until: None };
        assert_eq!(age(at(60), now(), &[open]), SignedDuration::from_hours(5 * 24));
        assert_eq!(age(at(10), now(), &[open]), SignedDuration::ZERO);
    }

    #[test]
    fn a_protected_snapshot_stays_until_its_date() {
        let until = |days: i64| Some(now().checked_add((24 * days).hours()).unwrap());
        let snapshots = [
            Candidate { protected_until: until(1), ..snapshot(1, 90) },
            Candidate { protected_until: until(-1), ..snapshot(2, 89) },
            snapshot(3, 80),
            snapshot(4, 1),
        ];
        let wanted = [Some(Reason::Protected), None, Some(Reason::WindowEdge), Some(Reason::LastComplete)];
        assert_eq!(fates(&snapshots, 30, &[]), wanted);
    }

    #[test]
    fn thinning_keeps_the_newest_complete_one_of_each_period() {
        let hours = |number: u8, hours_ago: i64, complete| Candidate {
            received_at: now().checked_sub(hours_ago.hours()).unwrap(),
            complete,
            ..snapshot(number, 0)
        };
        let snapshots =
            [hours(1, 52, true), hours(2, 50, true), hours(3, 49, false), hours(4, 3, true), hours(5, 1, true)];
        let history = History { days: 30, thinning: vec![Thinning { every: Period::Day, days: 30 }] };
        let kept: Vec<_> = plan_retention(&snapshots, &history, &[], now())
            .into_iter()
            .filter(|(_, fate)| *fate != Fate::Expire)
            .map(|(session, _)| session.as_bytes()[0])
            .collect();
        assert_eq!(kept, [2, 3, 5]);
    }

    #[test]
    fn the_outlook_says_when_each_goes() {
        let snapshots = [snapshot(1, 40), snapshot(2, 29), snapshot(3, 28), snapshot(4, 1)];
        let history = History { days: 30, thinning: Vec::new() };
        let step = SignedDuration::from_hours(24);
        let outlook = plan_outlook(&snapshots, (&history, &[]), now(), (step, 8));
        let days: Vec<_> =
            outlook.iter().map(|o| o.goes_at.map(|at| at.duration_since(now()).as_hours() / 24)).collect();
        // Each stays as the edge of the window until the next one leaves it.
        assert_eq!(days, [Some(2), Some(3), None, None]);
        assert_eq!(outlook[0].fate, Fate::Keep(Reason::WindowEdge));
        assert_eq!(outlook[3].fate, Fate::Keep(Reason::LastComplete));
    }

    #[test]
    fn a_history_is_shorter_if_anything_would_go_sooner() {
        let rule = |every, days| Thinning { every, days };
        let history = |days, thinning: &[Thinning]| History { days, thinning: thinning.to_vec() };
        let (daily, weekly) = (rule(Period::Day, 30), rule(Period::Week, 90));
        for (new, old, shorter) in [
            (history(30, &[]), history(30, &[]), false),
            (history(29, &[]), history(30, &[]), true),
            (history(90, &[daily]), history(90, &[]), true),
            (history(90, &[]), history(90, &[daily]), false),
            (history(90, &[daily, weekly]), history(90, &[daily]), false),
            (history(90, &[daily]), history(90, &[daily, weekly]), true),
            (history(90, &[rule(Period::Day, 29), weekly]), history(90, &[daily, weekly]), true),
        ] {
            assert_eq!(is_shorter(&new, &old), shorter, "{new:?} {old:?}");
        }
    }

    #[test]
    fn the_newest_stays_although_no_rule_of_thinning_reaches_it() {
        let snapshots = [snapshot(1, 60), Candidate { complete: false, ..snapshot(2, 59) }];
        let history = History { days: 90, thinning: vec![Thinning { every: Period::Day, days: 30 }] };
        let fates = plan_retention(&snapshots, &history, &[], now());
        assert_eq!([fates[0].1, fates[1].1], [Fate::Keep(Reason::LastComplete), Fate::Keep(Reason::Newest)]);
    }

    #[test]
    fn the_doubled_hour_of_october_is_two_hours() {
        let (summer, winter): (Timestamp, Timestamp) =
            ("2026-10-25T00:30:00Z".parse().unwrap(), "2026-10-25T01:30:00Z".parse().unwrap());
        assert_ne!(Period::Hour.name(summer), Period::Hour.name(winter));
        assert_eq!(Period::Day.name(summer), Period::Day.name(winter));
    }
}
