//! Scrubbing on a schedule: what is read next, how fast, and whether it is late.
//!
//! ```text
//! every round    packs that are lost or that a reader suspects → packs that were never read, oldest first → packs read longest ago
//! once a day     all small objects
//! ```
//! It does not read: `scrub` does. A round that is stopped goes on where it was: each pack that was read is remembered.
//!
//! Invariant: P3 — a pack is due as soon as it is an object, and again `AGAIN_NS` after it was read; it is late 24 hours after the
//! first and 30 days after the second.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::packs::PackState;
use crate::catalog::scrubs::PackAge;
use crate::session::subscription::Subscription;
use crate::subscriptions::Subscriptions;
use crate::upkeep::jobs::{Context, Counts, JobError, JobKind, Spec};
use crate::upkeep::scrub::{Scrubbed, Wanted, scrub_these};
use crate::upkeep::token::{Progress, Token};

const HOUR_NS: i64 = 3_600_000_000_000;
/// A pack that nobody read is late after this.
pub const FIRST_NS_MAX: i64 = 24 * HOUR_NS;
/// A pack is late when it was read this long ago.
pub const AGAIN_NS_MAX: i64 = 30 * 24 * HOUR_NS;
/// A pack is read again after this: five days are left for a slow disk.
const AGAIN_NS: i64 = 25 * 24 * HOUR_NS;
/// Small objects are read again after this.
const OBJECTS_NS: i64 = 20 * HOUR_NS;
/// Time from one round to the next.
const EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Longest time that a round reads, so that other jobs of the subscription and of others have their turn.
const ROUND: SignedDuration = SignedDuration::from_mins(5);
/// Bytes after which a round rests, so that its speed is even.
const STRIDE_BYTES: u64 = 4 << 20;

/// How fast scrubbing reads; a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pace {
    /// Bytes in a second, for each subscription that is read; 0 is as fast as the disk.
    pub bytes_per_second: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes_per_second: 50_000_000 }
    }
}

impl Pace {
    /// How long to rest after reading so many bytes.
    fn rest(self, bytes: u64) -> Duration {
        let ms = (bytes.saturating_mul(1_000)).checked_div(self.bytes_per_second).unwrap_or(0);
        Duration::from_millis(ms)
    }

    /// Bytes of one round.
    fn round_bytes(self) -> u64 {
        let seconds = u64::try_from(ROUND.as_secs()).unwrap_or(0);
        if self.bytes_per_second == 0 { u64::MAX } else { self.bytes_per_second.saturating_mul(seconds) }
    }
}

/// What scrubbing has still to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScrubState {
    /// Packs that are objects.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that were never read since they were met.
    pub unread: u64,
    /// When the pack that was read longest ago was read, unread ones apart; 0 if none was.
    pub oldest_read_at_ns: i64,
    /// Since when the first pack is late; none if none is.
    pub late_since_ns: Option<i64>,
}

/// What there is to do for packs of these ages; a lost pack cannot be read and is not waited for.
pub fn state_of(ages: &[PackAge], now_ns: i64) -> ScrubState {
    let mut state = ScrubState::default();
    for age in ages.iter().filter(|age| age.state != PackState::Lost) {
        state.packs += 1;
        state.bytes += age.bytes;
        let late_ns = if age.verified_at_ns == 0 {
            state.unread += 1;
            age.since_ns.saturating_add(FIRST_NS_MAX)
        } else {
            let oldest = Some(state.oldest_read_at_ns).filter(|oldest| *oldest != 0);
            state.oldest_read_at_ns = oldest.map_or(age.verified_at_ns, |oldest| oldest.min(age.verified_at_ns));
            age.verified_at_ns.saturating_add(AGAIN_NS_MAX)
        };
        if late_ns < now_ns {
            state.late_since_ns = Some(state.late_since_ns.map_or(late_ns, |since| since.min(late_ns)));
        }
    }
    state
}

/// The packs that are due, in the order in which they are to be read.
pub fn due(ages: &[PackAge], now_ns: i64) -> Vec<PackAge> {
    let is_due = |age: &&PackAge| {
        comes_first(age) || age.verified_at_ns == 0 || now_ns.saturating_sub(age.verified_at_ns) >= AGAIN_NS
    };
    let mut due: Vec<PackAge> = ages.iter().filter(is_due).copied().collect();
    due.sort_by_key(|age| {
        let first_ns = if age.verified_at_ns == 0 { age.since_ns } else { age.verified_at_ns };
        (!comes_first(age), age.verified_at_ns != 0, first_ns, age.pack)
    });
    due
}

/// A lost pack may be back: what it holds need not be laid again then, and nothing is read while it is not.
fn comes_first(age: &PackAge) -> bool {
    matches!(age.state, PackState::Suspect | PackState::Lost)
}

/// What scrubbing of a subscription has still to do: cheap enough for a look every minute.
///
/// # Errors
/// [`CatalogError`].
pub fn state(catalog: &Catalog, now_ns: i64) -> Result<ScrubState, CatalogError> {
    Ok(state_of(&catalog.pack_ages(now_ns)?, now_ns))
}

/// One round over a subscription.
///
/// # Errors
/// [`JobError`]; damage is none, the counts tell it.
pub fn round(open: &Subscription, now_ns: i64, pace: Pace, token: &Token) -> Result<Scrubbed, JobError> {
    open.writer()
        .run(move |writer| Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| catalog.meet_packs(now_ns))?))?;
    let (packs, total, small_objects) = open.read(|catalog| {
        let mut left = pace.round_bytes();
        let due = due(&catalog.pack_ages(now_ns)?, now_ns).into_iter().take_while(|age| {
            let begins = left > 0;
            left = left.saturating_sub(if age.state == PackState::Lost { 0 } else { age.bytes });
            begins
        });
        let due: Vec<PackAge> = due.collect();
        let total = due.iter().map(|age| age.bytes).sum();
        let facts = due.iter().map(|age| catalog.pack(age.pack)).collect::<Result<Vec<_>, _>>()?;
        let small_objects = now_ns.saturating_sub(catalog.objects_scrubbed_at_ns()?) >= OBJECTS_NS;
        Ok((facts.into_iter().flatten().collect(), total, small_objects))
    })?;
    let (mut stopped, mut rested_at) = (false, 0);
    let scrubbed = scrub_these(open, now_ns, &Wanted { packs, small_objects }, |bytes| {
        token.report(Progress { done: bytes, total, unit: "bytes" });
        let read = bytes - rested_at;
        let go_on = if read < STRIDE_BYTES {
            token.go_on()
        } else {
            rested_at = bytes;
            token.rest(pace.rest(read))
        };
        stopped |= go_on.is_err();
        go_on.is_ok()
    })?;
    // A round that was stopped has still told what it found: damage is never kept back.
    if stopped && scrubbed.is_clean() { Err(crate::upkeep::token::Stopped.into()) } else { Ok(scrubbed) }
}

/// The job.
pub fn spec(subscriptions: std::sync::Arc<Subscriptions>, pace: Pace) -> Spec {
    let run = move |context: &Context<'_>| -> Result<Counts, JobError> {
        let open = subscriptions.get(context.subscription()?)?;
        let scrubbed = round(&open, context.now_ns(), pace, context.token)?;
        Ok(counts(&scrubbed))
    };
    Spec { kind: JobKind::Scrub, every: EVERY, for_server: false, run: Box::new(run) }
}

fn counts(scrubbed: &Scrubbed) -> Counts {
    let count = |list: usize| u64::try_from(list).unwrap_or(u64::MAX);
    vec![
        ("objects", scrubbed.objects),
        ("bytes", scrubbed.bytes),
        ("damaged_objects", count(scrubbed.damaged.len())),
        ("unknown_objects", count(scrubbed.unknown.len())),
        ("damaged_chunks", count(scrubbed.damaged_chunks.len())),
        ("affected_snapshots", count(scrubbed.affected_snapshots.len())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_NS: i64 = 24 * HOUR_NS;
    const NOW_NS: i64 = 1_000 * DAY_NS;

    const fn age(pack: u32, state: PackState, since_days: i64, read_days: Option<i64>) -> PackAge {
        let verified_at_ns = match read_days {
            Some(days) => NOW_NS - days * DAY_NS,
            None => 0,
        };
        PackAge { pack, state, bytes: 10, since_ns: NOW_NS - since_days * DAY_NS, verified_at_ns }
    }

    #[test]
    fn suspect_and_lost_packs_come_first_then_unread_ones_then_the_ones_read_longest_ago() {
        let ages = [
            age(1, PackState::Published, 90, Some(24)),
            age(2, PackState::Published, 90, Some(25)),
            age(3, PackState::Published, 0, None),
            age(4, PackState::Published, 1, None),
            age(5, PackState::Suspect, 90, Some(1)),
            age(6, PackState::Published, 90, Some(29)),
            age(7, PackState::Lost, 90, Some(0)),
        ];
        let rows: Vec<u32> = due(&ages, NOW_NS).iter().map(|age| age.pack).collect();
        assert_eq!(rows, [5, 7, 4, 3, 6, 2]);
    }

    #[test]
    fn late_is_a_day_after_the_first_meeting_and_thirty_days_after_reading() {
        let check = |age: PackAge, late: Option<i64>| {
            assert_eq!(state_of(&[age], NOW_NS).late_since_ns, late, "{age:?}");
        };
        check(age(1, PackState::Published, 1, None), None);
        check(age(1, PackState::Published, 2, None), Some(NOW_NS - DAY_NS));
        check(age(1, PackState::Published, 90, Some(30)), None);
        check(age(1, PackState::Published, 90, Some(31)), Some(NOW_NS - DAY_NS));
        check(age(1, PackState::Lost, 90, None), None);
        let both = [age(1, PackState::Published, 3, None), age(2, PackState::Published, 90, Some(40))];
        let expected = ScrubState {
            packs: 2,
            bytes: 20,
            unread: 1,
            oldest_read_at_ns: NOW_NS - 40 * DAY_NS,
            late_since_ns: Some(NOW_NS - 10 * DAY_NS),
        };
        assert_eq!(state_of(&both, NOW_NS), expected);
    }

    #[test]
    fn a_rest_follows_the_bytes_and_the_setting() {
        assert_eq!(Pace { bytes_per_second: 4 << 20 }.rest(2 << 20), Duration::from_millis(500));
        assert_eq!(Pace { bytes_per_second: 0 }.rest(u64::MAX), Duration::ZERO);
    }
}
