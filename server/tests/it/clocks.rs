//! Clocks that jump and servers that slept: whatever the clock says, nothing goes before its day by the true time.
//!
//! A case is a moment of the store's life, a jump of its clock, and then what a careless server would do: every job of a night, for some days. What the
//! guards let go is then compared with the time that really passed.

use common::id::SessionId;
use server::upkeep::jobs::JobError;

use crate::engine::{DAY_NS, scratch};
use crate::site::{Site, World};
use crate::support::campaign::Campaign;

const HOUR_NS: i64 = 3_600_000_000_000;
const HISTORY_DAYS: i64 = 3;

/// Jumps of the clock: a name, and how far.
const JUMPS: &[(&str, i64)] = &[
    ("ten years back", -3_650 * DAY_NS),
    ("a year back", -365 * DAY_NS),
    ("a day back", -DAY_NS),
    ("an hour back", -HOUR_NS),
    ("six minutes back", -HOUR_NS / 10),
    ("a second back", -1_000_000_000),
    ("a leap second on", 1_000_000_000),
    ("an hour on, as in spring", HOUR_NS),
    ("twenty-four hours on", DAY_NS),
    ("twenty-six hours on", 26 * HOUR_NS),
    ("thirty days on, as after a long stop", 30 * DAY_NS),
    ("a year on", 365 * DAY_NS),
    ("to 2038 and beyond", 4_200 * DAY_NS),
    ("ten years on", 3_650 * DAY_NS),
];

/// When it jumps: days of backups before it, and whether the server is started again then.
const MOMENTS: &[(u32, bool)] = &[(2, false), (5, false), (5, true), (12, false), (12, true)];

#[test]
fn no_clock_makes_anything_go_before_its_day() {
    let mut campaign = Campaign::begin("C11", "clocks", 1);
    for (name, jump_ns) in JUMPS {
        for (days, restarts) in MOMENTS {
            let folder = scratch();
            let mut site = Site::new(folder.path(), u32::try_from(HISTORY_DAYS).unwrap());
            let mut received: Vec<(SessionId, i64)> = Vec::new();
            // The true time, by which the store was right until the jump.
            let mut true_ns = site.now_ns();
            for day in 1..=*days {
                received.push((site.back_up(day, &[b"always", &day.to_le_bytes()]).session, true_ns));
                site.pass_days(1);
                true_ns += DAY_NS;
                site.night();
            }
            site.jump(*jump_ns);
            if *restarts {
                let world: World = site.world.clone();
                drop(site);
                site = Site::start(folder.path(), &world);
            }
            for _ in 0..4 {
                for job in [site.expire(), site.mark(), site.purge(), site.compact()] {
                    match job {
                        Err(JobError::Refused(_)) => campaign.count("jobs refused", 1),
                        other => drop(other.unwrap()),
                    }
                }
                let there = site.sessions();
                for (session, received_ns) in &received {
                    let is_due = true_ns - received_ns >= HISTORY_DAYS * DAY_NS;
                    assert!(
                        is_due || there.contains(session),
                        "{name} after {days} days: a snapshot went before its day"
                    );
                }
                assert!(there.contains(&received.last().unwrap().0), "{name}: the newest snapshot went");
                // One hour really passes, by both clocks.
                site.jump(HOUR_NS);
                true_ns += HOUR_NS;
                let _ = site.guards.tick(site.now());
            }
            campaign.count("cases", 1);
        }
    }
    assert!(campaign.counted("jobs refused") > 0, "no guard spoke");
    campaign.pass();
}
