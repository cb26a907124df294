//! The system refuses a call: the n-th fsync, write, rename, removal or opening fails, once or from there on for ever.
//!
//! What failed gets no receipt, what got one stays, nothing panics, a file whose fsync failed is not synced a second time, and once the disk works again
//! the store goes on by itself.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use crate::scenario::Scenario;
use crate::support::campaign::Campaign;

/// Days from which on every step of a night has something to do.
const SETTLED_DAYS: u32 = 12;

/// Calls, and what they fail with.
const FAULTS: &[(&str, &str)] = &[
    ("fsync,fdatasync", "EIO"),
    ("write,writev,pwrite64", "ENOSPC"),
    ("write,writev,pwrite64", "EIO"),
    ("rename,renameat,renameat2,link,linkat", "EIO"),
    ("unlink,unlinkat", "EIO"),
    ("openat", "EMFILE"),
    ("openat", "ENOSPC"),
    ("pread64,read", "EIO"),
    ("mkdir,mkdirat", "ENOSPC"),
    ("write,writev,pwrite64,pread64,read", "EINTR"),
];

/// True if processes may be traced here; says so if not.
pub fn can_trace() -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    let can = strace.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: no fault can be injected where strace is not there or processes may not be traced");
    }
    can
}

/// Rounds here is how many calls of each kind are skipped between two faults, less one: 1 tries each call.
#[test]
fn a_call_that_fails_loses_nothing_and_is_not_taken_for_a_success() {
    if !can_trace() {
        return;
    }
    let mut campaign = Campaign::begin("C06", "failing calls", 60);
    let step = usize::try_from(campaign.rounds()).unwrap();
    let settled = Scenario::new();
    settled.goes_on(SETTLED_DAYS);
    let mut dice = campaign.dice();
    for (calls, error) in FAULTS {
        for (lasts, suffix) in [("once", ""), ("for ever", "+")] {
            // A call that is interrupted for ever is tried for ever, as it should be.
            if *error == "EINTR" && lasts != "once" {
                continue;
            }
            for at in (1 + dice.index(step)..).step_by(step) {
                let scenario = settled.copied();
                let trace = scenario.root.with_file_name("trace");
                let inject = format!("inject={calls}:error={error}:when={at}{suffix}");
                let trace_text = trace.to_str().unwrap();
                let ended = scenario.run(1, &["strace", "-f", "-y", "-qq", "-o", trace_text, "-e", &inject]);
                let lines = std::fs::read_to_string(&trace).unwrap();
                if !lines.contains("(INJECTED)") {
                    break;
                }
                campaign.count(if lasts == "once" { "calls failed once" } else { "calls failed for ever" }, 1);
                campaign.count("refused and said so", u64::from(ended.was_refused()));
                let again = synced_again(&lines);
                assert!(again.is_empty(), "{calls} {error} {lasts} at {at}: synced again: {again:?}");
                scenario.keeps_its_promises();
                scenario.goes_on(1);
                scenario.keeps_its_promises();
            }
        }
    }
    campaign.pass();
}

/// Files of the store whose fsync failed and was tried again by the same process, as a trace with paths of descriptors tells it.
fn synced_again(trace: &str) -> Vec<String> {
    let mut failed = BTreeSet::new();
    let mut again = Vec::new();
    for line in trace.lines().filter(|line| line.contains("fsync(") || line.contains("fdatasync(")) {
        let Some(path) = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path) else {
            continue;
        };
        // Catalogs are SQLite's, which rolls back and may sync a folder again.
        if failed.contains(path) && ["/store", "/staging"].iter().any(|part| path.contains(part)) {
            again.push(path.to_owned());
        }
        if line.contains("(INJECTED)") {
            failed.insert(path.to_owned());
        }
    }
    again
}
