//! Which run of a source is next: its schedule, the runs that were missed, failures, maintenance, suspension, what was put off.
//!
//! Values in, the next moment out; it reads no clock, keeps nothing and runs nothing. The language of schedules is
//! `common::schedule`.
//!
//! ```text
//! scheduled moment ─ spread ─► run ─┬─ done, or partial ──────────────► covered: the next scheduled moment
//!                                   ├─ put off by the contract ────────► the next day in Paris, or the next moment if earlier
//!                                   ├─ failed ─► 5, 10, 20 … 120 min ──► or the next moment if earlier
//!                                   ├─ busy, maintenance, suspended ───► later; no failure, and no scheduled moment before that
//!                                   └─ interrupted ────────────────────► at the next start
//! ```
//! Invariant: a scheduled moment is covered only by a run that made a snapshot, and any number of missed ones by one run.
//! Invariant: a clock that goes backwards never keeps a source waiting: what lies in the future is not believed.

use common::id::{AgentId, SourceId};
use common::limits::{
    CATCH_UP_SPREAD_S, MAINTENANCE_ASK_S, MAINTENANCE_ASK_S_MAX, RUN_BUSY_S, RUN_RETRY_S_MAX, RUN_RETRY_S_MIN,
    SCHEDULE_SPREAD_S_MAX, SUSPENDED_ASK_S,
};
use common::schedule::Schedule;
use common::zone::paris;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// Spreads machines that share a schedule; the same for one source of one agent for ever, so that its hour does not wander.
#[derive(Debug, Clone, Copy)]
pub struct Spread(u64);

impl Spread {
    /// The one of a source.
    pub fn of(agent: &AgentId, source: &SourceId) -> Self {
        let hash = blake3::Hasher::new().update(agent.as_bytes()).update(source.as_bytes()).finalize();
        Self(u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("eight of 32 bytes")))
    }

    /// A part of `range_s` seconds.
    fn within(self, range_s: i64) -> SignedDuration {
        let range = u64::try_from(range_s).unwrap_or(0) + 1;
        SignedDuration::from_secs(i64::try_from(self.0 % range).unwrap_or(0))
    }
}

/// What is known of a source from its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// When it was first seen; nothing before was missed.
    pub since: Timestamp,
    /// The newest scheduled moment that a snapshot covers.
    pub covered: Option<Timestamp>,
    /// Failed runs since the last that did not fail.
    pub failures: u32,
    /// What the next run waits for, beside the schedule.
    pub wait: Option<Wait>,
}

/// A run that is to come whatever the schedule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Why.
    pub reason: WaitReason,
    /// Since when.
    pub from: Timestamp,
    /// When it comes.
    pub until: Timestamp,
}

/// Why a run waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The last one failed.
    Failed,
    /// Another run held the source.
    Busy,
    /// The server is under maintenance.
    Maintenance,
    /// The subscription is suspended.
    Suspended,
    /// The day's allowance is used up; the rest goes on the next day.
    Deferred,
}

impl WaitReason {
    /// True if a scheduled moment before the end of the wait counts nothing.
    const fn outweighs_schedule(self) -> bool {
        matches!(self, Self::Busy | Self::Maintenance | Self::Suspended)
    }
}

/// How a run ended, as far as the next one depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A snapshot was made.
    Snapshot,
    /// A snapshot was made; what is not in it waits until the day after `day`, as the server counts days.
    Deferred {
        /// The server's day.
        day: Date,
    },
    /// No snapshot, for a reason that may pass.
    Failed,
    /// Another run is at work.
    Busy,
    /// The server is under maintenance, until then if it said so.
    Maintenance {
        /// Its end.
        until: Option<Timestamp>,
    },
    /// The subscription takes no backups for now.
    Suspended,
    /// The service was stopped.
    Interrupted,
}

/// When the next run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is due.
    Now,
    /// Then.
    At(Timestamp),
}

/// What the next run of a source depends on.
#[derive(Debug, Clone, Copy)]
pub struct Planner<'a> {
    /// Its schedule.
    pub schedule: &'a Schedule,
    /// Its spread.
    pub spread: Spread,
    /// When the service started.
    pub awake_since: Timestamp,
}

impl Standing {
    /// A source that was never seen.
    pub const fn new(now: Timestamp) -> Self {
        Self { since: now, covered: None, failures: 0, wait: None }
    }

    /// Notes how a run ended that was begun at `begun`.
    pub fn ended(&mut self, end: End, planner: &Planner<'_>, begun: Timestamp, now: Timestamp) {
        let spread = planner.spread;
        let wait = |reason, until| Some(Wait { reason, from: now, until });
        let after = |pause_s: i64| later(now, SignedDuration::from_secs(pause_s) + spread.within(pause_s / 4));
        match end {
            End::Interrupted => return,
            End::Snapshot | End::Deferred { .. } => {
                self.covered = Some(planner.schedule.last(begun));
                self.failures = 0;
            }
            End::Failed => self.failures = self.failures.saturating_add(1),
            End::Busy | End::Maintenance { .. } | End::Suspended => {}
        }
        self.wait = match end {
            End::Deferred { day } => {
                let next_day = later(day_after(day), spread.within(SCHEDULE_SPREAD_S_MAX));
                // A clock ahead of the server's must not ask again and again.
                wait(WaitReason::Deferred, next_day.max(after(MAINTENANCE_ASK_S)))
            }
            End::Failed => {
                let doubled = RUN_RETRY_S_MIN.checked_shl(self.failures.saturating_sub(1)).unwrap_or(RUN_RETRY_S_MAX);
                let pause_s =
                    if (RUN_RETRY_S_MIN..RUN_RETRY_S_MAX).contains(&doubled) { doubled } else { RUN_RETRY_S_MAX };
                wait(WaitReason::Failed, after(pause_s))
            }
            End::Busy => wait(WaitReason::Busy, after(RUN_BUSY_S)),
            End::Maintenance { until } => {
                let asked = until.map_or_else(|| after(MAINTENANCE_ASK_S), |until| later(until, spread.within(300)));
                wait(WaitReason::Maintenance, asked.max(now).min(after(MAINTENANCE_ASK_S_MAX)))
            }
            End::Suspended => wait(WaitReason::Suspended, after(SUSPENDED_ASK_S)),
            End::Snapshot | End::Interrupted => None,
        };
    }
}

impl Planner<'_> {
    /// When the source is to be backed up next.
    pub fn next(&self, standing: &Standing, now: Timestamp) -> Next {
        // A wait that began in the future was noted by a clock that has been set back since.
        let wait = standing.wait.filter(|wait| wait.from <= now);
        match wait {
            Some(wait) if wait.reason.outweighs_schedule() => due(wait.until, now),
            Some(wait) => due(wait.until.min(self.scheduled(standing, wait.from, now)), now),
            None => due(self.scheduled(standing, Timestamp::MIN, now), now),
        }
    }

    /// The run of the schedule: of the newest moment that was missed since `from`, or of the next one.
    fn scheduled(&self, standing: &Standing, from: Timestamp, now: Timestamp) -> Timestamp {
        let covered = standing.covered.unwrap_or(standing.since).max(standing.since).max(from).min(now);
        let last = self.schedule.last(now);
        if last > covered {
            let own = later(last, self.offset(last));
            let awake = later(self.awake_since, self.spread.within(CATCH_UP_SPREAD_S));
            return if last < self.awake_since { own.max(awake) } else { own };
        }
        let next = self.schedule.next(now);
        later(next, self.offset(next))
    }

    fn offset(&self, moment: Timestamp) -> SignedDuration {
        let gap = self.schedule.next(moment).duration_since(moment);
        self.spread.within(SCHEDULE_SPREAD_S_MAX.min(gap.as_secs() / 4))
    }
}

fn due(at: Timestamp, now: Timestamp) -> Next {
    if at <= now { Next::Now } else { Next::At(at) }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The first moment of the day after `day` in the contract's zone.
fn day_after(day: Date) -> Timestamp {
    let next = day.saturating_add(1.day()).to_zoned(paris());
    next.map_or(Timestamp::MAX, |start| start.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap().unwrap()
    }

    /// Spread 0: every machine at its moment.
    fn planner(schedule: &Schedule) -> Planner<'_> {
        Planner { schedule, spread: Spread(0), awake_since: at("2026-01-01T00:00:00Z") }
    }

    fn standing(covered: &str) -> Standing {
        Standing { covered: Some(at(covered)), ..Standing::new(at("2026-01-01T00:00:00Z")) }
    }

    #[test]
    fn the_next_run_follows_the_schedule_and_one_run_covers_all_that_was_missed() {
        for (text, covered, now, wanted) in [
            ("21:30", "2026-11-21T20:30:00Z", "2026-11-22T08:00:00Z", Some("2026-11-22T20:30:00Z")),
            ("21:30", "2026-11-21T20:30:00Z", "2026-11-22T20:30:00Z", None),
            ("21:30", "2026-11-21T20:30:00Z", "2026-11-23T08:00:00Z", None),
            ("21:30", "2026-11-22T20:30:00Z", "2026-11-23T08:00:00Z", Some("2026-11-23T20:30:00Z")),
            ("21:30", "2026-10-22T19:30:00Z", "2026-11-22T20:00:00Z", None),
            ("21:30", "2026-11-21T20:30:00Z", "2026-11-22T20:00:00Z", Some("2026-11-22T20:30:00Z")),
            ("sat 04:00", "2026-11-14T03:00:00Z", "2026-11-20T12:00:00Z", Some("2026-11-21T03:00:00Z")),
            ("every 4h", "2026-11-22T07:00:00Z", "2026-11-22T10:59:59Z", Some("2026-11-22T11:00:00Z")),
            // The nights that clocks change.
            ("02:30", "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", Some("2026-03-29T01:30:00Z")),
            ("02:30", "2026-03-29T01:30:00Z", "2026-03-29T12:00:00Z", Some("2026-03-30T00:30:00Z")),
            ("02:30", "2026-10-24T00:30:00Z", "2026-10-25T00:29:59Z", Some("2026-10-25T00:30:00Z")),
            ("02:30", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", Some("2026-10-26T01:30:00Z")),
            // A clock that was set back by an hour, by a month, by years.
            ("21:30", "2026-11-22T20:30:00Z", "2026-11-22T20:00:00Z", Some("2026-11-22T20:30:00Z")),
            ("21:30", "2026-11-22T20:30:00Z", "2026-10-22T08:00:00Z", Some("2026-10-22T19:30:00Z")),
            ("21:30", "2036-11-22T20:30:00Z", "2026-11-22T08:00:00Z", Some("2026-11-22T20:30:00Z")),
        ] {
            let schedule = schedule(text);
            let next = planner(&schedule).next(&standing(covered), at(now));
            assert_eq!(next, wanted.map_or(Next::Now, |wanted| Next::At(at(wanted))), "{text}, {covered}, {now}");
        }
    }

    #[test]
    fn thirty_one_missed_days_are_one_run_and_then_the_usual_hour() {
        let schedule = schedule("21:30");
        let planner = Planner { awake_since: at("2026-11-22T07:00:00Z"), ..planner(&schedule) };
        let mut standing = standing("2026-10-22T19:30:00Z");
        let now = at("2026-11-22T07:00:00Z");
        assert_eq!(planner.next(&standing, now), Next::Now);
        standing.ended(End::Snapshot, &planner, now, at("2026-11-22T09:00:00Z"));
        assert_eq!(planner.next(&standing, at("2026-11-22T09:00:00Z")), Next::At(at("2026-11-22T20:30:00Z")));
    }

    #[test]
    fn a_source_seen_for_the_first_time_has_missed_nothing() {
        let schedule = schedule("21:30");
        let standing = Standing::new(at("2026-11-22T08:00:00Z"));
        let next = planner(&schedule).next(&standing, at("2026-11-22T08:00:00Z"));
        assert_eq!(next, Next::At(at("2026-11-22T20:30:00Z")));
        assert_eq!(planner(&schedule).next(&standing, at("2026-11-23T06:00:00Z")), Next::Now, "off at its first hour");
    }

    #[test]
    fn each_end_puts_the_next_run_where_it_belongs() {
        let schedule = schedule("21:30");
        let planner = planner(&schedule);
        let (begun, now) = (at("2026-11-22T20:30:00Z"), at("2026-11-22T20:40:00Z"));
        let day = jiff::civil::date(2026, 11, 22);
        for (end, wanted) in [
            (End::Snapshot, Some("2026-11-23T20:30:00Z")),
            (End::Deferred { day }, Some("2026-11-22T23:00:00Z")),
            (End::Failed, Some("2026-11-22T20:45:00Z")),
            (End::Busy, Some("2026-11-22T20:50:00Z")),
            (End::Maintenance { until: Some(at("2026-11-22T23:00:00Z")) }, Some("2026-11-22T23:00:00Z")),
            (End::Maintenance { until: None }, Some("2026-11-22T20:55:00Z")),
            (End::Maintenance { until: Some(at("2027-11-22T23:00:00Z")) }, Some("2026-11-23T02:40:00Z")),
            (End::Maintenance { until: Some(at("2025-11-22T23:00:00Z")) }, None),
            (End::Suspended, Some("2026-11-22T21:10:00Z")),
            (End::Interrupted, None),
        ] {
            let mut standing = standing("2026-11-21T20:30:00Z");
            standing.ended(end, &planner, begun, now);
            let next = planner.next(&standing, now);
            assert_eq!(next, wanted.map_or(Next::Now, |wanted| Next::At(at(wanted))), "{end:?}");
            let is_failure = end == End::Failed;
            assert_eq!(standing.failures, u32::from(is_failure), "{end:?}");
        }
    }

    #[test]
    fn pauses_after_failures_double_to_two_hours_and_end_with_success_or_the_next_moment() {
        let schedule = schedule("21:30");
        let planner = planner(&schedule);
        let mut standing = standing("2026-11-21T20:30:00Z");
        let mut now = at("2026-11-22T20:30:00Z");
        let mut pauses = Vec::new();
        for _ in 0..70 {
            let begun = now;
            standing.ended(End::Failed, &planner, begun, now);
            let Next::At(next) = planner.next(&standing, now) else { panic!("a pause") };
            pauses.push(next.duration_since(now).as_secs() / 60);
            now = next;
        }
        assert_eq!(pauses[..7], [5, 10, 20, 40, 80, 120, 120]);
        assert!(
            pauses.contains(&95) || pauses.iter().any(|pause| *pause < 120),
            "the moment of the next day comes first"
        );
        standing.ended(End::Snapshot, &planner, now, now);
        assert_eq!((standing.failures, standing.wait), (0, None));
    }

    #[test]
    fn a_wait_noted_by_a_clock_that_was_ahead_is_not_believed() {
        let schedule = schedule("21:30");
        let planner = planner(&schedule);
        let mut standing = standing("2026-11-21T20:30:00Z");
        standing.ended(End::Suspended, &planner, at("2030-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z"));
        assert_eq!(planner.next(&standing, at("2026-11-22T08:00:00Z")), Next::At(at("2026-11-22T20:30:00Z")));
    }

    #[test]
    fn machines_spread_each_at_its_own_minute_for_ever() {
        let schedule = schedule("21:30");
        let moment = at("2026-11-22T20:30:00Z");
        let offsets: std::collections::BTreeSet<i64> = (0..200u8)
            .map(|agent| {
                let spread = Spread::of(&AgentId::new([agent; 16]), &SourceId::new([7; 16]));
                let planner = Planner { spread, ..planner(&schedule) };
                let next = planner.next(&standing("2026-11-21T20:30:00Z"), at("2026-11-22T08:00:00Z"));
                let Next::At(next) = next else { panic!("later") };
                next.duration_since(moment).as_secs()
            })
            .collect();
        assert!(offsets.len() > 150, "{}", offsets.len());
        assert!(offsets.iter().all(|offset| (0..=SCHEDULE_SPREAD_S_MAX).contains(offset)));
        let quarter = Schedule::parse("every 1h").unwrap().unwrap();
        let spread = Planner { spread: Spread(u64::MAX), ..planner(&quarter) };
        assert!(spread.offset(moment).as_secs() <= 900);
    }

    #[test]
    fn machines_that_start_together_do_not_catch_up_together() {
        let schedule = schedule("21:30");
        let started = at("2026-11-23T07:00:00Z");
        let starts: std::collections::BTreeSet<_> = (0..50u8)
            .map(|agent| {
                let spread = Spread::of(&AgentId::new([agent; 16]), &SourceId::new([7; 16]));
                let planner = Planner { spread, awake_since: started, ..planner(&schedule) };
                match planner.next(&standing("2026-11-21T20:30:00Z"), started) {
                    Next::Now => started,
                    Next::At(next) => next,
                }
            })
            .collect();
        assert!(starts.len() > 40);
        assert!(starts.iter().all(|at| at.duration_since(started).as_secs() <= CATCH_UP_SPREAD_S));
    }
}
