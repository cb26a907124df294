//! One allowance for several sources: what one sends and another commits, and missed days that several carry at once.

use common::stored::SnapshotState;
use server::contract::quota::Policy;

use crate::allowance::{Day0, commit, refused_at};
use crate::engine::{Agent, DAY_NS, NOON_NS, OTHER_SOURCE};

/// Opens the session `number` of agent `agent` for the source without a baseline.
fn without_baseline(agent: u8, number: u8) -> Agent {
    Agent::new(agent, number).of(OTHER_SOURCE)
}

#[test]
fn what_a_source_sent_stays_change_when_a_source_without_a_baseline_commits_it() {
    for policy in [Policy::Refuse, Policy::Defer] {
        let day0 = Day0::new(policy, 2);
        let mut gained = 0;
        for round in 0..5u8 {
            let mut sender = Agent::new(1, 2 * round + 1);
            let (open, _) = sender.open(&day0.server).unwrap();
            let data = sender.data(&[round; 2_000]);
            match sender.put(&open, &[&data]) {
                Ok(_) => gained += 2_000,
                refused => assert_eq!(refused_at(refused), (2_000, 2_000)),
            }
            // The same machine commits what it sent under the other source, as a partial snapshot.
            let mut other = without_baseline(1, 2 * round + 2);
            other.open(&day0.server).unwrap();
            let children: &[_] = if round == 0 { &[&data] } else { &[] };
            let leaf = other.leaf(children, &[round]);
            other.put(&open, &[&leaf]).unwrap();
            let part = commit(&other, &open, &leaf, SnapshotState::Partial).unwrap();
            assert_eq!((part.initial_bytes, part.day_counted_bytes), (0, 2_000), "round {round}");
        }
        assert_eq!(gained, 2_000, "{policy:?}");
        let today = day0.usage(NOON_NS, None);
        assert_eq!((today.today.counted_bytes, today.uncommitted.changed_bytes), (2_000, 0));
        assert_eq!((today.ledger.started_bytes, today.ledger.today.initial_bytes), (0, 0));
        day0.recount();
    }
}

#[test]
fn a_first_snapshot_counts_no_change_but_for_what_another_source_was_charged_for() {
    let day0 = Day0::new(Policy::Refuse, 2);
    let mut sender = Agent::new(1, 1);
    let (open, _) = sender.open(&day0.server).unwrap();
    let shared = sender.data(&[1; 1_500]);
    sender.put(&open, &[&shared]).unwrap();
    let mut other = without_baseline(1, 2);
    other.open(&day0.server).unwrap();
    let own = other.data(&[2; 300_000]);
    other.put(&open, &[&own]).unwrap();
    let leaf = other.leaf(&[&shared, &own], b"entries");
    other.put(&open, &[&leaf]).unwrap();
    let part = commit(&other, &open, &leaf, SnapshotState::Complete).unwrap();
    assert!(part.first);
    assert_eq!((part.initial_bytes, part.changed_bytes, part.day_counted_bytes), (300_000, 1_500, 1_500));
    assert_eq!(part.day_allowed_bytes, Some((1_000_000 + 301_500) * 2 / 1_000));
    day0.recount();
}

/// Two sources of 1,000,000 bytes whose last snapshots are of the 21st; the moment is noon of the 24th.
fn after_three_days(policy: Policy) -> (Day0, i64) {
    let day0 = Day0::new(policy, 2);
    let before_ns = NOON_NS - DAY_NS + 1_000_000_000;
    Agent::new(2, 201).of(OTHER_SOURCE).at(before_ns).back_up(&day0.server, &[&[8; 1_000_000]]);
    (day0, NOON_NS + 2 * DAY_NS)
}

#[test]
fn sources_that_run_together_after_missed_days_use_what_both_carry_and_no_byte_more() {
    for policy in [Policy::Refuse, Policy::Defer] {
        let (day0, now_ns) = after_three_days(policy);
        let (mut one, mut other) = (Agent::new(1, 1).at(now_ns), Agent::new(2, 2).of(OTHER_SOURCE).at(now_ns));
        let (open, _) = one.open(&day0.server).unwrap();
        other.open(&day0.server).unwrap();
        let (large, fits, more) = (other.data(&[1; 8_000]), one.data(&[2; 4_000]), one.data(&[3]));
        other.put(&open, &[&large]).unwrap();
        let beyond = other.data(&[4]);
        assert_eq!(refused_at(other.put(&open, &[&beyond])), (8_000, 8_000), "one carries its own days only");
        one.put(&open, &[&fits]).unwrap();
        assert_eq!(refused_at(one.put(&open, &[&more])), (12_000, 12_000));
        for (agent, data, counted, allowed) in [(&mut one, &fits, 4_000, 8_000), (&mut other, &large, 12_000, 12_000)] {
            let leaf = agent.leaf(&[data], b"entries");
            agent.put(&open, &[&leaf]).unwrap();
            let part = commit(agent, &open, &leaf, SnapshotState::Partial).unwrap();
            assert_eq!((part.day_counted_bytes, part.day_allowed_bytes), (counted, Some(allowed)), "{policy:?}");
        }
        day0.recount();
    }
}

#[test]
fn a_session_that_ended_lends_its_missed_days_to_nobody() {
    let (day0, now_ns) = after_three_days(Policy::Refuse);
    let (mut one, mut other) = (Agent::new(1, 1).at(now_ns), Agent::new(2, 2).of(OTHER_SOURCE).at(now_ns));
    let (open, _) = one.open(&day0.server).unwrap();
    other.open(&day0.server).unwrap();
    let large = other.data(&[1; 8_000]);
    other.put(&open, &[&large]).unwrap();
    open.abort_session(other.who, other.session, now_ns + 1_000_000).unwrap();
    let small = one.data(&[2]);
    assert_eq!(refused_at(one.put(&open, &[&small])), (8_000, 8_000));
    // Begun again it has what both carry, less what it left behind.
    let mut again = Agent::new(2, 3).of(OTHER_SOURCE).at(now_ns + 2_000_000);
    again.open(&day0.server).unwrap();
    let further = again.data(&[3]);
    assert_eq!(refused_at(again.put(&open, &[&further])), (8_000, 8_000));
    let fits = one.data(&[4; 4_000]);
    one.put(&open, &[&fits]).unwrap();
    assert_eq!(refused_at(one.put(&open, &[&small])), (12_000, 12_000));
    day0.recount();
}

#[test]
fn thirty_two_sessions_of_two_sources_after_missed_days_overshoot_by_no_byte() {
    let (day0, now_ns) = after_three_days(Policy::Refuse);
    let accepted: u64 = std::thread::scope(|scope| {
        let run = |number: u8| {
            let server = &day0.server;
            scope.spawn(move || {
                let agent = Agent::new(number, number).at(now_ns);
                let mut agent = if number.is_multiple_of(2) { agent.of(OTHER_SOURCE) } else { agent };
                let (open, _) = agent.open(server).unwrap();
                let mut accepted = 0;
                for round in 0..40u8 {
                    let made = agent.data(&[&[number, round][..], &[0; 95]].concat());
                    match agent.put(&open, &[&made]) {
                        Ok(_) => accepted += 97,
                        refused => assert!(refused_at(refused).1 <= 12_000),
                    }
                }
                accepted
            })
        };
        let threads: Vec<_> = (1..=32).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(accepted <= 12_000 && accepted > 12_000 - 2 * 97, "{accepted}");
    let open = day0.open();
    open.flush_and_wait(now_ns).unwrap();
    let counted = open.read(|catalog| Ok(catalog.uncommitted()?)).unwrap();
    assert_eq!((counted.changed_bytes, open.account().uncommitted), (accepted, counted));
    day0.recount();
}
