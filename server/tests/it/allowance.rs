//! The daily change, enforced by the real engine: policies, sessions at once, midnight, missed days, and what does not pay.

use common::id::{SessionId, SourceId};
use common::keys::ChunkKind;
use common::stored::{ServerPart, SnapshotKind, SnapshotState, decode_strict};
use server::contract::day::is_outside_guarantee;
use server::contract::quota::{Level, Policy};
use server::session::commit::CommitAnswer;
use server::session::error::SessionError;
use server::session::subscription::Subscription;
use server::subscriptions::Subscriptions;
use server::upkeep::recount::recount;
use server::usage::{day, usage_of};
use tempfile::TempDir;

use crate::engine::{
    Agent, DAY_NS, Made, NOON_NS, OTHER_SOURCE, SOURCE, SUBSCRIPTION, receipt, received, server_under,
};

/// 2026-11-23 00:00 in Paris.
const MIDNIGHT_NS: i64 = NOON_NS + DAY_NS / 2;
const BASELINE_BYTES: u64 = 1_000_000;

/// A server whose subscription may change `per_mille` thousandths a day, with a first backup of 1,000,000 bytes on the day
/// before the 22nd.
pub struct Day0 {
    pub server: Subscriptions,
    _root: TempDir,
}

impl Day0 {
    pub fn new(policy: Policy, per_mille: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = server_under(root.path(), 11_000_000, move |terms| {
            (terms.policy, terms.per_mille) = (policy, per_mille);
        });
        Agent::new(1, 200).at(NOON_NS - DAY_NS).back_up(&server, &[&vec![7; usize::try_from(BASELINE_BYTES).unwrap()]]);
        Self { server, _root: root }
    }

    pub fn open(&self) -> std::sync::Arc<Subscription> {
        self.server.get(&SUBSCRIPTION).unwrap()
    }

    pub fn usage(&self, now_ns: i64, running: Option<&SourceId>) -> server::usage::Usage {
        let now = jiff::Timestamp::from_nanosecond(now_ns.into()).unwrap();
        let terms = self.server.terms(&SUBSCRIPTION).unwrap();
        let peeked =
            self.server.peek(&SUBSCRIPTION, |catalog, account| Ok(usage_of(catalog, account, (&terms, now), running)?));
        peeked.unwrap().expect("a subscription in use")
    }

    pub fn recount(&self) {
        assert_eq!(self.open().read(recount).unwrap(), Vec::<String>::new());
    }
}

/// Commits `root` and gives what the server added.
pub fn commit(
    agent: &Agent,
    open: &Subscription,
    root: &Made,
    state: SnapshotState,
) -> Result<ServerPart, SessionError> {
    let opened = open.read(|catalog| Ok(catalog.newest_snapshot(&agent.source)?)).unwrap();
    let head = common::snapshot::SnapshotHead {
        sequence: opened.map_or(0, |newest| newest.sequence) + 1,
        state,
        ..agent.head_at(root.id)
    };
    match open.commit(agent.who, agent.commit_request(&head), agent.now_ns())? {
        CommitAnswer::Committed { server_part, .. } => Ok(decode_strict("part", &server_part, 1_000).unwrap()),
        CommitAnswer::Missing(ids) => panic!("{} are missing", ids.len()),
    }
}

pub fn refused_at(result: Result<u64, SessionError>) -> (u64, u64) {
    match result {
        Err(SessionError::Quota { exceeded, contact }) => {
            assert_eq!((exceeded.limit.name(), contact.as_str()), ("daily_change", "01 02 03 04 05"));
            assert_eq!((exceeded.since.year(), exceeded.since.month()), (2026, 11));
            (exceeded.used, exceeded.allowed)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_and_thirty_two_sessions_at_the_allowance_overshoot_by_no_byte() {
    for (policy, sessions) in [(Policy::Refuse, 2u8), (Policy::Refuse, 32), (Policy::Defer, 2), (Policy::Defer, 32)] {
        let day0 = Day0::new(policy, 100);
        let accepted: u64 = std::thread::scope(|scope| {
            let run = |number: u8| {
                let server = &day0.server;
                scope.spawn(move || {
                    let mut agent = Agent::new(number, number);
                    let (open, _) = agent.open(server).unwrap();
                    let mut accepted = 0;
                    for round in 0..100u8 {
                        let made = agent.data(&[&[number, round][..], &[0; 1_495]].concat());
                        match agent.put(&open, &[&made]) {
                            Ok(_) => accepted += 1_497,
                            refused => assert!(refused_at(refused).0 <= 100_000),
                        }
                        if round % 16 == 0 {
                            open.flush_and_wait(agent.now_ns()).unwrap();
                        }
                    }
                    accepted
                })
            };
            let threads: Vec<_> = (1..=sessions).map(run).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(accepted, 100_000 / 1_497 * 1_497, "{policy:?} {sessions}");
        let open = day0.open();
        open.flush_and_wait(NOON_NS).unwrap();
        let counted = open.read(|catalog| Ok(catalog.uncommitted()?)).unwrap();
        assert_eq!((counted.changed_bytes, open.account().uncommitted), (accepted, counted));
        day0.recount();
    }
}

#[test]
fn a_baseline_of_a_million_has_2_000_bytes_inside_and_2_001_over_under_every_policy() {
    for (policy, accepted) in [(Policy::Flag, true), (Policy::Defer, false), (Policy::Refuse, false)] {
        let day0 = Day0::new(policy, 2);
        let mut agent = Agent::new(1, 1);
        let (open, _) = agent.open(&day0.server).unwrap();
        let (fits, more) = (agent.data(&[1; 2_000]), agent.data(&[2]));
        agent.put(&open, &[&fits]).unwrap();
        assert_eq!(day0.usage(NOON_NS, Some(&SOURCE)).today.allowed_bytes, Some(2_000));
        let last = agent.put(&open, &[&more]);
        let children = if accepted {
            last.unwrap();
            vec![&fits, &more]
        } else {
            assert_eq!(refused_at(last), (2_000, 2_000));
            vec![&fits]
        };
        agent.put(&open, &[&fits]).unwrap();
        let leaf = agent.leaf(&children, b"entries");
        agent.put(&open, &[&leaf]).unwrap();
        let state = if accepted { SnapshotState::Complete } else { SnapshotState::Partial };
        let part = commit(&agent, &open, &leaf, state).unwrap();
        assert_eq!(part.day_allowed_bytes, Some(2_000));
        assert_eq!(part.day_counted_bytes, if accepted { 2_001 } else { 2_000 });
        let today = day0.usage(NOON_NS, None);
        assert_eq!(today.today.level(), if accepted { Level::Over } else { Level::Near });
        assert_eq!(is_outside_guarantee(part.day_counted_bytes, &day(&today.days[0])), accepted);
        day0.recount();
    }
}

#[test]
fn aborted_sessions_and_floods_of_tiny_snapshots_gain_nothing() {
    let day0 = Day0::new(Policy::Refuse, 2);
    let mut gained = 0;
    for number in 1..=10u8 {
        let mut agent = Agent::new(1, number);
        let (open, _) = agent.open(&day0.server).unwrap();
        let data = agent.data(&[number; 300]);
        if agent.put(&open, &[&data]).is_ok() {
            gained += 300;
        }
        open.abort_session(agent.who, agent.session, agent.now_ns()).unwrap();
    }
    assert_eq!(gained, 1_800, "what aborted sessions sent stays on the account");
    for number in 11..=30u8 {
        let mut agent = Agent::new(1, number);
        let (open, _) = agent.open(&day0.server).unwrap();
        let data = agent.data(&[number; 20]);
        let sent = agent.put(&open, &[&data]).is_ok();
        let children: &[&Made] = if sent { &[&data] } else { &[] };
        gained += if sent { 20 } else { 0 };
        let leaf = agent.leaf(children, &[number]);
        agent.put(&open, &[&leaf]).unwrap();
        commit(&agent, &open, &leaf, SnapshotState::Partial).unwrap();
    }
    assert_eq!(gained, 2_000);
    let today = day0.usage(NOON_NS, None);
    assert_eq!((today.today.counted_bytes, today.uncommitted.changed_bytes), (200, 1_800));
    day0.recount();
}

#[test]
fn a_source_that_commits_too_often_is_stopped_for_the_day() {
    let day0 = Day0::new(Policy::Flag, 2);
    let open = day0.open();
    let max = common::limits::SNAPSHOTS_PER_DAY_MAX;
    let at = |number: u32| {
        let mut session = [9; 16];
        session[..4].copy_from_slice(&number.to_le_bytes());
        let mut agent = Agent::in_session(1, SessionId::new(session)).at(NOON_NS + i64::from(number) * 1_000_000);
        agent.open(&day0.server).unwrap();
        let leaf = agent.leaf(&[], b"nothing");
        agent.put(&open, &[&leaf]).unwrap();
        commit(&agent, &open, &leaf, SnapshotState::Partial)
    };
    for number in 0..max {
        at(number).unwrap();
    }
    assert!(matches!(at(max), Err(SessionError::Limit { limit: "snapshots_per_day", .. })));
}

#[test]
fn a_false_size_is_no_frame_and_the_children_of_a_node_are_charged() {
    let day0 = Day0::new(Policy::Refuse, 2);
    let mut agent = Agent::new(1, 1);
    let (open, _) = agent.open(&day0.server).unwrap();
    let live = open.live(agent.who, &agent.session).unwrap();
    let honest = agent.data(&[1; 3_000]);
    let mut frame = honest.frame.frame.to_vec();
    frame[7..11].copy_from_slice(&1u32.to_le_bytes());
    let refused = open.put(&live, vec![received(frame)], NOON_NS).unwrap_err();
    assert!(matches!(refused, SessionError::Invalid { field: "frame", .. }), "{refused}");
    let children: Vec<_> = (0..200u8).map(|number| agent.data(&[number]).id).collect();
    let node = agent.made(ChunkKind::Leaf, &children, b"x");
    let frame_bytes = node.frame.frame.len() as u64;
    agent.put(&open, &[&node]).unwrap();
    assert!(frame_bytes > 200 * 32);
    assert_eq!(open.account().uncommitted.node_bytes, frame_bytes);
}

#[test]
fn a_day_begins_at_midnight_in_paris_while_sessions_are_open() {
    let day0 = Day0::new(Policy::Refuse, 2);
    let mut one = Agent::new(1, 1).at(MIDNIGHT_NS - 60_000_000_000);
    let two = Agent::new(2, 2).of(OTHER_SOURCE).at(MIDNIGHT_NS - 1_000_000_000);
    let (open, _) = one.open(&day0.server).unwrap();
    two.open(&day0.server).unwrap();
    let root = one.send(&open, &[&[1; 2_000]]);
    commit(&one, &open, &root, SnapshotState::Complete).unwrap();
    let mut late = Agent::new(3, 3).at(MIDNIGHT_NS - 10_000);
    late.open(&day0.server).unwrap();
    let data = late.data(&[3; 500]);
    assert_eq!(refused_at(late.put(&open, &[&data])), (2_000, 2_000));
    let late = late.at(MIDNIGHT_NS);
    late.put(&open, &[&data]).unwrap();
    let today = day0.usage(MIDNIGHT_NS, Some(&SOURCE));
    assert_eq!(today.today.day.to_string(), "2026-11-23");
    assert_eq!((today.today.counted_bytes, today.uncommitted.changed_bytes), (0, 500));
    // What yesterday accepted and did not commit goes on to count today.
    let mut more = Agent::new(4, 4).at(MIDNIGHT_NS + 1_000_000);
    more.open(&day0.server).unwrap();
    let (fits, over) = (more.data(&[4; 1_500]), more.data(&[5]));
    more.put(&open, &[&fits]).unwrap();
    assert_eq!(refused_at(more.put(&open, &[&over])), (2_000, 2_000));
    // A clock that steps back does not open yesterday again.
    assert_eq!(refused_at(more.at(MIDNIGHT_NS - DAY_NS).put(&open, &[&over])), (2_000, 2_000));
    day0.recount();
}

#[test]
fn missed_days_are_carried_by_the_source_that_missed_them_alone() {
    let day0 = Day0::new(Policy::Refuse, 2);
    Agent::new(2, 201).of(OTHER_SOURCE).at(NOON_NS).back_up(&day0.server, &[&[8; 500_000]]);
    // SOURCE runs on the 26th after the 21st: 5 days; OTHER_SOURCE has not run: 1 day.
    let now_ns = NOON_NS + 4 * DAY_NS;
    assert_eq!(day0.usage(now_ns, None).today.allowed_bytes, Some(3_000));
    assert_eq!(day0.usage(now_ns, Some(&SOURCE)).today.allowed_bytes, Some(11_000));
    let mut agent = Agent::new(1, 1).at(now_ns);
    let (open, _) = agent.open(&day0.server).unwrap();
    let (fits, over) = (agent.data(&[1; 11_000]), agent.data(&[2]));
    agent.put(&open, &[&fits]).unwrap();
    assert_eq!(refused_at(agent.put(&open, &[&over])), (11_000, 11_000));
    let leaf = agent.leaf(&[&fits], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    let part = commit(&agent, &open, &leaf, SnapshotState::Partial).unwrap();
    assert_eq!((part.day_counted_bytes, part.day_allowed_bytes), (11_000, Some(11_000)));
    let today = day0.usage(now_ns, None);
    assert_eq!((today.today.allowed_bytes, today.days_carried), (Some(11_000), 5));
    assert_eq!(day0.usage(now_ns + DAY_NS, Some(&SOURCE)).today.allowed_bytes, Some(3_000));
    day0.recount();
}

#[test]
fn what_was_sent_before_the_baseline_is_change_when_a_later_snapshot_reaches_it() {
    for (policy, accepted) in [(Policy::Flag, true), (Policy::Refuse, false)] {
        let root = tempfile::tempdir().unwrap();
        let server = server_under(root.path(), 11_000_000, move |terms| terms.policy = policy);
        let mut early = Agent::new(1, 1).at(NOON_NS - 2 * DAY_NS);
        let (open, _) = early.open(&server).unwrap();
        let hoard = early.data(&[1; 50_000]);
        early.put(&open, &[&hoard]).unwrap();
        open.abort_session(early.who, early.session, early.now_ns()).unwrap();
        Agent::new(1, 2).at(NOON_NS - DAY_NS).back_up(&server, &[&[7; 1_000_000]]);
        let day0 = Day0 { server, _root: root };
        let before = day0.usage(NOON_NS, Some(&SOURCE));
        assert_eq!((before.uncommitted.initial_bytes, before.uncommitted.changed_bytes), (50_000, 0));
        let mut agent = Agent::new(1, 3).at(NOON_NS);
        agent.open(&day0.server).unwrap();
        let leaf = agent.leaf(&[&hoard], b"entries");
        agent.put(&open, &[&leaf]).unwrap();
        let committed = commit(&agent, &open, &leaf, SnapshotState::Complete);
        if accepted {
            let part = committed.unwrap();
            assert_eq!((part.changed_bytes, part.day_counted_bytes), (50_000, 50_000));
            assert_eq!(day0.usage(NOON_NS, None).today.level(), Level::Over);
        } else {
            assert_eq!(refused_at(committed.map(|part| part.changed_bytes)), (0, 2_000));
        }
        day0.recount();
    }
}

#[test]
fn a_subscription_without_a_baseline_is_not_started_and_bounded() {
    let root = tempfile::tempdir().unwrap();
    let server = server_under(root.path(), 4_000_000, |terms| {
        (terms.policy, terms.contracted_bytes) = (Policy::Refuse, 1_000_000);
    });
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let (first, second) = (agent.data(&[1; 700_000]), agent.data(&[2; 400_001]));
    agent.put(&open, &[&first]).unwrap();
    match agent.put(&open, &[&second]) {
        Err(SessionError::Quota { exceeded, .. }) => {
            assert_eq!((exceeded.limit.name(), exceeded.used, exceeded.allowed), ("first_backup", 700_000, 1_100_000));
        }
        other => panic!("{other:?}"),
    }
    let day0 = Day0 { server, _root: root };
    assert_eq!(day0.usage(NOON_NS, Some(&SOURCE)).today.level(), Level::NotStarted);
    // A partial snapshot makes no baseline, and what it took stays taken.
    let leaf = agent.leaf(&[&first], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    let head = common::snapshot::SnapshotHead { state: SnapshotState::Partial, ..agent.head(&opened, leaf.id) };
    receipt(open.commit(agent.who, agent.commit_request(&head), agent.now_ns()).unwrap());
    let ledger = day0.usage(NOON_NS, None).ledger;
    assert_eq!((ledger.started_bytes, ledger.today.initial_bytes), (700_000, 700_000));
    let mut agent = Agent::new(1, 2).at(NOON_NS + 1_000_000);
    agent.open(&day0.server).unwrap();
    assert!(agent.put(&open, &[&second]).is_err(), "the bound is on all that sources without a baseline sent");
    let last = agent.data(&[3; 400_000]);
    agent.put(&open, &[&last]).unwrap();
    let leaf = agent.leaf(&[&first, &last], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    let part = commit(&agent, &open, &leaf, SnapshotState::Complete).unwrap();
    assert_eq!((part.first, part.changed_bytes, part.day_counted_bytes), (true, 0, 0));
    let today = day0.usage(NOON_NS, None);
    assert_eq!(
        (today.baseline_bytes, today.ledger.volume_bytes),
        (1_000_000, 1_100_000),
        "at most the contracted volume"
    );
    assert_eq!(today.today.allowed_bytes, Some(2_000));
    day0.recount();
}

#[test]
fn relaid_bytes_count_above_the_days_change() {
    let day0 = Day0::new(Policy::Refuse, 2);
    let mut agent = Agent::new(1, 1);
    let (open, _) = agent.open(&day0.server).unwrap();
    let relaid = |made: Made| {
        let mut made = made;
        made.frame.class = Some(common::pack::FrameClass::Relaid);
        made
    };
    let (changed, laid) = (agent.data(&[1; 1_500]), agent.data(&[2; 2_000]));
    let (laid, more) = (relaid(laid), agent.data(&[3]));
    let more = relaid(more);
    agent.put(&open, &[&changed, &laid]).unwrap();
    assert_eq!(refused_at(agent.put(&open, &[&more])), (2_000, 2_000));
    let leaf = agent.leaf(&[&changed, &laid], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    let part = commit(&agent, &open, &leaf, SnapshotState::Complete).unwrap();
    assert_eq!((part.changed_bytes, part.relaid_bytes, part.day_counted_bytes), (1_500, 2_000, 2_000));
    assert_eq!(agent.kind, SnapshotKind::Regular);
    day0.recount();
}
