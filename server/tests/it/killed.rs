//! The process of a store dies: at random moments of backups, expiry, mark, purge, compaction and scrub, and at each call that makes something durable.
//!
//! After each death the next start needs nobody and every promise holds. The page cache survives a death: `power_cut` is for what is durable.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::scenario::{Days, Scenario};
use crate::support::campaign::Campaign;

/// Longest time after which a process is killed: some fifteen days of the scenario.
const MOMENT_MAX: Duration = Duration::from_millis(1_500);
/// Days from which on every step of a night has something to do.
const SETTLED_DAYS: u32 = 12;

/// The calls whose order decides what a crash leaves.
const DURABLE_CALLS: &[&str] = &[
    "fsync,fdatasync",
    "rename,renameat,renameat2,link,linkat",
    "unlink,unlinkat",
    "pwrite64",
    "write,writev",
    "ftruncate,fallocate",
    "mkdir,mkdirat,rmdir",
];

#[test]
fn no_promise_is_broken_when_the_process_is_killed_at_random() {
    let mut campaign = Campaign::begin("C01", "store killed", 40);
    let mut dice = campaign.dice();
    let scenario = Scenario::new();
    for _ in 0..campaign.rounds() {
        let child = scenario.process(1_000, &[]).spawn().unwrap();
        killed_after(child, dice.moment(MOMENT_MAX));
        campaign.count("kills", 1);
        scenario.keeps_its_promises();
    }
    scenario.goes_on(SETTLED_DAYS);
    campaign.count("receipts", scenario.keeps_its_promises());
    assert!(campaign.counted("receipts") * 8 > campaign.rounds(), "the store hardly ever came to an end of a day");
    campaign.pass();
}

fn killed_after(mut child: Child, moment: Duration) {
    let until = Instant::now() + moment;
    while Instant::now() < until && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // It may have ended by itself, which is judged like any other end.
    let _ = child.kill();
    let ended = child.wait_with_output().unwrap();
    Days::of(ended.status.code(), &ended.stderr);
}

/// Rounds here is how many calls of each kind are skipped between two deaths, less one: 1 tries each call.
#[test]
fn no_promise_is_broken_when_the_process_dies_at_a_durable_call() {
    if !crate::faults::can_trace() {
        return;
    }
    let mut campaign = Campaign::begin("C02", "died at a call", 40);
    let step = usize::try_from(campaign.rounds()).unwrap();
    let settled = Scenario::new();
    settled.goes_on(SETTLED_DAYS);
    let mut dice = campaign.dice();
    for calls in DURABLE_CALLS {
        for at in (1 + dice.index(step)..).step_by(step) {
            let scenario = settled.copied();
            let inject = format!("inject={calls}:signal=SIGKILL:when={at}");
            let ended = scenario.run(1, &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &inject]);
            scenario.keeps_its_promises();
            scenario.goes_on(1);
            scenario.keeps_its_promises();
            if ended.code == Some(0) {
                break;
            }
            campaign.count("calls died at", 1);
        }
        campaign.count("kinds of calls", 1);
    }
    campaign.pass();
}
