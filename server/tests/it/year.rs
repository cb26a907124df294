//! A year of a subscription: everything that can happen to it, in seconds, and what it adds up to.
//!
//! Sessions, ledger, jobs, guards, alarms and their outbox are the real ones; only the clock is not. The table of the months is printed
//! with `--no-capture`.

use std::collections::BTreeMap;
use std::fs;

use common::id::{ChunkId, SessionId, SourceId};
use common::keys::ChunkKind;
use common::stored::SnapshotState;
use jiff::civil::Date;
use server::contract::amendment::FormChange;
use server::contract::calendar::day_of;
use server::contract::quota::Policy;
use server::contract::retention::History;
use server::contract::service::{SuspensionReason, Window};
use server::control::amendments::NewAmendment;
use server::control::approvals::ApprovalKind;
use server::control::windows::{Maintenance, Suspended};
use server::session::error::SessionError;
use server::session::memory::Memory;
use server::upkeep::facts::{self, Lift, NewProtection};
use server::upkeep::jobs::JobKind;
use server::upkeep::recount::recount;

use crate::engine::{DAY_NS, NOON_NS, SUBSCRIPTION, receipt};
use crate::provider::Provider;
use crate::site::by;

const DAYS: i64 = 380;
const HOUR_NS: i64 = DAY_NS / 24;
/// Chunks of 10,000 bytes that each source always has: 200,000 bytes together, of which 400 may change in a day.
const ALWAYS: [usize; 2] = [12, 8];
const ALWAYS_BYTES: usize = 10_000;
/// What changes on an ordinary day in each source.
const ORDINARY: &[usize] = &[140];

/// Days on which a source's agent does not run.
const MISSED: [&[i64]; 2] = [&[10, 45, 75, 160, 290], &[33, 90]];
/// Days of 600 bytes more, while the policy only marks them.
const OVER: [i64; 2] = [20, 60];
const PROTECTED: std::ops::Range<i64> = 30..200;
const SHORTENED: i64 = 100;
const DEFER: i64 = 120;
const DEFERRED: i64 = 140;
const REFUSE: i64 = 180;
const REFUSED: i64 = 200;
const FLAG_AGAIN: i64 = 220;
const SUSPENDED: std::ops::Range<i64> = 240..250;
const MAINTENANCE: i64 = 260;
const HELD: std::ops::Range<i64> = 280..289;
const DAMAGED: i64 = 310;
const DEAD: std::ops::Range<i64> = 330..340;
const RESTORED: std::ops::Range<i64> = 350..352;

/// A snapshot that was made.
struct Made {
    session: SessionId,
    source: usize,
    at_ns: i64,
    complete: bool,
}

/// What a source still has to send, and what it sent of it.
#[derive(Default)]
struct Change {
    left: Vec<Vec<u8>>,
    sent: Vec<ChunkId>,
}

struct Year {
    provider: Provider,
    made: Vec<Made>,
    changes: [Change; 2],
    always: [Vec<ChunkId>; 2],
    protected: Option<SessionId>,
    suspension: i64,
    refused: u64,
    healed: u64,
    months: Vec<String>,
    before: BTreeMap<&'static str, u64>,
}

impl Year {
    fn new() -> Self {
        Self {
            provider: Provider::new(90),
            made: Vec::new(),
            changes: Default::default(),
            always: Default::default(),
            protected: None,
            suspension: 0,
            refused: 0,
            healed: 0,
            months: Vec::new(),
            before: BTreeMap::new(),
        }
    }

    fn day(&mut self, day: i64) {
        self.provider.go_to(NOON_NS + day * DAY_NS);
        self.persons(day);
        let closed = SUSPENDED.contains(&day) || day == MAINTENANCE;
        for source in [1, 0] {
            if DEAD.contains(&day) || MISSED[source].contains(&day) {
                continue;
            }
            if closed {
                let refused = self.provider.agent(source, u32::MAX).open(&self.provider.up().server);
                let expected = match refused {
                    Err(SessionError::Suspended { .. }) => SUSPENDED.contains(&day),
                    Err(SessionError::Maintenance { .. }) => day == MAINTENANCE,
                    _ => false,
                };
                assert!(expected, "day {day}");
                continue;
            }
            self.back_up(day, source);
        }
        self.provider.step();
        self.provider.go_to(NOON_NS + day * DAY_NS + DAY_NS / 2);
        if day == MAINTENANCE {
            // The agent comes back after the window.
            [1, 0].into_iter().for_each(|source| self.back_up(day, source));
        }
        self.provider.step();
    }

    /// What is new in a source on a day, in chunks.
    fn begin_change(&mut self, day: i64, source: usize) {
        let sizes: &[usize] = match (source, day) {
            (0, day) if OVER.contains(&day) => &[600],
            (0, DEFERRED) => &[100; 10],
            (0, REFUSED) => &[600],
            (1, day) if day == HELD.start => &[12_000],
            _ => ORDINARY,
        };
        let change = &mut self.changes[source];
        // What a day did not allow is sent before anything newer, unless it can never be: then the next run finds an ordinary day.
        if change.left.is_empty() || day == REFUSED + 1 {
            let noise = |(at, size): (usize, &usize)| noise(&format!("{source} on {day}, {at}"), *size);
            *change = Change { left: sizes.iter().enumerate().map(noise).collect(), sent: Vec::new() };
        }
    }

    fn back_up(&mut self, day: i64, source: usize) {
        self.begin_change(day, source);
        let number = u32::try_from(self.made.len() + 1).unwrap();
        let mut agent = self.provider.agent(source, number);
        agent.parent = self.made.iter().rfind(|made| made.source == source).map(|made| made.session);
        let (open, opened) = agent.open(&self.provider.up().server).unwrap();
        let scope = agent.who.scope;
        let always: Vec<Vec<u8>> =
            (0..ALWAYS[source]).map(|at| noise(&format!("{source} always {at}"), ALWAYS_BYTES)).collect();
        let missing = match &opened.memory {
            Memory::ValidExcept(missing) => missing.clone(),
            _ => Vec::new(),
        };
        if self.always[source].is_empty() {
            for content in &always {
                let made = agent.data(content);
                self.always[source].push(made.id);
                agent.put(&open, &[&made]).unwrap();
            }
        } else if !missing.is_empty() {
            for (content, id) in always.iter().zip(self.always[source].clone()).filter(|(_, id)| missing.contains(id)) {
                let made = agent.data(content);
                assert_eq!((made.id, open.have(&scope, &[id]).unwrap()), (id, vec![false]));
                agent.put(&open, &[&made]).unwrap();
                self.healed += 1;
            }
        }
        while let Some(content) = self.changes[source].left.first().cloned() {
            let made = agent.data(&content);
            match agent.put(&open, &[&made]) {
                Ok(_) => {
                    self.changes[source].left.remove(0);
                    self.changes[source].sent.push(made.id);
                }
                Err(SessionError::Quota { .. }) => {
                    self.refused += 1;
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        let complete = self.changes[source].left.is_empty();
        let children = [&self.always[source][..], &self.changes[source].sent[..]].concat();
        let leaf = agent.made(ChunkKind::Leaf, &children, b"entries");
        agent.put(&open, &[&leaf]).unwrap();
        let mut head = agent.head(&opened, leaf.id);
        head.state = if complete { SnapshotState::Complete } else { SnapshotState::Partial };
        receipt(open.commit(agent.who, agent.commit_request(&head), agent.now_ns()).unwrap());
        self.made.push(Made { session: agent.session, source, at_ns: self.provider.now_ns(), complete });
    }

    /// What people do.
    fn persons(&mut self, day: i64) {
        let (now_ns, control) = (self.provider.now_ns(), self.provider.up().control.clone());
        let (anne, bruno) = (by("anne", now_ns), by("bruno", now_ns));
        let policy = |policy| FormChange { policy: Some(policy), ..FormChange::default() };
        match day {
            _ if day == PROTECTED.start => self.protect(),
            SHORTENED => {
                let history = Some(History { days: 60, thinning: Vec::new() });
                self.amend(FormChange { history, ..FormChange::default() });
                let asked = control.standing(ApprovalKind::ShortenHistory, &SUBSCRIPTION, now_ns).unwrap().unwrap();
                control.approve(asked.number, &bruno).unwrap();
            }
            DEFER => self.amend(policy(Policy::Defer)),
            REFUSE => self.amend(policy(Policy::Refuse)),
            FLAG_AGAIN => self.amend(policy(Policy::Flag)),
            _ if day == SUSPENDED.start => {
                let window = Window { from: self.provider.now(), until: None, reason: SuspensionReason::Unpaid };
                let suspended = Suspended {
                    number: 0,
                    subscription: SUBSCRIPTION,
                    window,
                    detail: "facture".into(),
                    told_at_ns: Some(now_ns - 8 * DAY_NS),
                    untold_because: String::new(),
                    recorded_at_ns: now_ns,
                    recorded_by: "operator:anne".into(),
                };
                self.suspension = control.suspend(&suspended, &anne).unwrap();
            }
            _ if day == SUSPENDED.end => drop(control.resume(self.suspension, &anne).unwrap()),
            _ if day == MAINTENANCE - 5 => {
                let from_ns = NOON_NS + MAINTENANCE * DAY_NS - HOUR_NS;
                let maintenance = Maintenance {
                    number: 0,
                    subscription: None,
                    from_ns,
                    until_ns: from_ns + 4 * HOUR_NS,
                    detail: "disques".into(),
                    recorded_at_ns: now_ns,
                    recorded_by: "operator:anne".into(),
                };
                control.announce_maintenance(&maintenance, &anne).unwrap();
            }
            _ if day == HELD.start + 1 => {
                let asked = control.propose(ApprovalKind::LiftHold, &SUBSCRIPTION, "export voulu", &anne).unwrap();
                control.approve(asked, &bruno).unwrap();
            }
            _ if day == HELD.end => self.lift(),
            DAMAGED => self.damage(),
            _ if day == RESTORED.start => self.provider.lose_control_store(),
            _ if day == RESTORED.end => {
                let up = self.provider.up();
                up.guards.allow(None, self.provider.now(), ("rétabli", &anne)).unwrap();
                up.guards.allow(Some(&SUBSCRIPTION), self.provider.now(), ("rétabli", &anne)).unwrap();
            }
            _ => {}
        }
        if day % 15 == 14 {
            for source in 0..2 {
                let newest = self.made.iter().rfind(|made| made.source == source).unwrap().session;
                self.provider.open().report_verified(newest, "person:lea".into(), now_ns).unwrap();
            }
        }
    }

    fn amend(&self, change: FormChange) {
        let (document, signed_on) = ("AV".to_owned(), day_of(self.provider.now()));
        let new = NewAmendment { subscription: SUBSCRIPTION, change, document, signed_on, applies_on: None };
        self.provider.up().control.amend(&new, &by("anne", self.provider.now_ns())).unwrap();
    }

    /// The newest snapshot of the first source is kept until a day.
    fn protect(&mut self) {
        let snapshot = self.made.iter().rfind(|made| made.source == 0).unwrap().session;
        let (until_ns, at_ns) = (NOON_NS + PROTECTED.end * DAY_NS, self.provider.now_ns());
        let new = NewProtection { snapshot, until_ns, reason: "litige".into(), by: "anne".into(), at_ns };
        let protect = self.provider.open().writer().run(move |writer| {
            facts::protect(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new).map(|_| ())
        });
        protect.unwrap();
        self.protected = Some(snapshot);
    }

    /// Two operators end the hold, seven days after the second one agreed.
    fn lift(&self) {
        let (now_ns, control) = (self.provider.now_ns(), &self.provider.up().control);
        let approval = control.standing(ApprovalKind::LiftHold, &SUBSCRIPTION, now_ns).unwrap().unwrap();
        approval.check(self.provider.now()).unwrap();
        let open = self.provider.open();
        let held = open.read(|catalog| facts::frozen(&open.shared().objects, &SUBSCRIPTION, catalog)).unwrap();
        let [hold] = &held.holds[..] else { panic!("{held:?}") };
        let (id, approved_by) = (hold.id, approval.approved.clone().unwrap().0);
        let lift = Lift { at_ns: now_ns, reason: approval.detail, asked_by: approval.asked_by, approved_by };
        let lifted = open
            .writer()
            .run(move |writer| facts::lift(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, (&id, &lift)));
        lifted.unwrap();
        control.carried_out(approval.number, &by("anne", now_ns)).unwrap();
    }

    /// A bit of a chunk that every snapshot uses flips.
    fn damage(&self) {
        let open = self.provider.open();
        let (scope, chunk) = (self.provider.agent(0, 0).who.scope, self.always[0][3]);
        let location = open.read(|catalog| Ok(catalog.location(catalog.find_scope(&scope)?.unwrap(), &chunk)?));
        let location = location.unwrap().unwrap();
        let name = location.name.unwrap().to_string();
        let stored = crate::engine::files(&self.provider.store());
        let file = stored.iter().find(|file| file.ends_with(&name)).unwrap();
        let mut bytes = fs::read(file).unwrap();
        bytes[usize::try_from(location.range.offset).unwrap() + 500] ^= 1;
        fs::File::create(file).and_then(|mut file| std::io::Write::write_all(&mut file, &bytes)).unwrap();
    }

    fn totals(&self) -> BTreeMap<&'static str, u64> {
        let told = self.provider.told();
        let events = |word: &str| told.iter().filter(|notice| notice["event"] == word).count() as u64;
        BTreeMap::from([
            ("1 snapshots", self.made.len() as u64),
            ("2 partial", self.made.iter().filter(|made| !made.complete).count() as u64),
            ("3 over", self.over().len() as u64),
            ("4 expired", self.provider.total("expire", "expired")),
            ("5 purged", self.provider.total("purge", "purged")),
            ("6 freed", self.provider.total("purge", "bytes")),
            ("7 raised", events("raised")),
            ("8 ended", events("ended")),
        ])
    }

    /// Adds the line of a month that is over.
    fn close_month(&mut self, month: &str) {
        let totals = self.totals();
        let since = |name: &&'static str| totals[*name] - self.before.get(*name).copied().unwrap_or_default();
        let kept = self.kept().len();
        let stored = self.provider.open().read(|catalog| Ok(catalog.stored_bytes()?)).unwrap();
        let columns: Vec<String> = totals.keys().map(since).map(|number| format!("{number:>10}")).collect();
        self.months.push(format!("{month} {} {kept:>8} {stored:>10}", columns.join("")));
        self.before = totals;
    }

    /// Civil days on which more was charged than allowed.
    fn over(&self) -> Vec<Date> {
        let days = self.provider.open().read(|catalog| Ok(catalog.days(None, None::<&SourceId>)?)).unwrap();
        let over = days.into_iter().filter(|day| day.allowed_bytes.is_some_and(|allowed| day.counted_bytes > allowed));
        let mut over: Vec<Date> = over.map(|day| day.day).collect();
        over.sort();
        over
    }

    fn kept(&self) -> Vec<SessionId> {
        let rows = self.provider.open().read(|catalog| Ok(catalog.snapshots()?)).unwrap();
        rows.into_iter().map(|row| row.session).collect()
    }

    /// What the history of 60 days keeps at the end, by the contract: every run of the last 60 days and the last one before, of each source.
    fn expected(&self) -> Vec<SessionId> {
        let jobs = self.provider.up().jobs.status().unwrap();
        let expiry = jobs.into_iter().find(|job| job.kind == JobKind::Expire).and_then(|job| job.last).unwrap();
        let window_ns = expiry.started_at_ns - 60 * DAY_NS;
        let mut kept = Vec::new();
        for source in 0..2 {
            let (recent, older): (Vec<&Made>, Vec<&Made>) =
                self.made.iter().filter(|made| made.source == source).partition(|made| made.at_ns >= window_ns);
            kept.extend(older.last().into_iter().chain(&recent).map(|made| (made.at_ns, made.session)));
        }
        kept.sort();
        kept.into_iter().map(|(_, session)| session).collect()
    }
}

fn noise(seed: &str, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(seed.as_bytes()).finalize_xof().fill(&mut out);
    out
}

/// How often each alarm was raised and ended, by kind and subject.
fn alarms(provider: &Provider) -> BTreeMap<String, (u64, u64)> {
    let mut alarms: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for notice in provider.told() {
        let key = format!("{} {}", notice["kind"].as_str().unwrap(), notice["subject"].as_str().unwrap_or_default());
        let counted = alarms.entry(key.clone()).or_default();
        match notice["event"].as_str().unwrap() {
            "raised" => {
                assert_eq!(counted.0, counted.1, "{key} was raised twice");
                counted.0 += 1;
            }
            "ended" => counted.1 += 1,
            _ => assert_eq!(counted.0, counted.1 + 1, "{key} goes on"),
        }
    }
    alarms
}

#[test]
fn a_year_of_a_subscription_adds_up() {
    let mut year = Year::new();
    for day in 0..DAYS {
        year.day(day);
        let month = |day: i64| day_of(crate::site::moment(NOON_NS + day * DAY_NS)).strftime("%Y-%m").to_string();
        if month(day) != month(day + 1) || day + 1 == DAYS {
            year.close_month(&month(day));
        }
        if day == PROTECTED.end - 1 {
            assert!(year.kept().contains(&year.protected.unwrap()), "protected until the day after");
        }
    }
    eprintln!(
        "month    snapshots   partial      over   expired    purged     freed    raised     ended     kept     stored"
    );
    year.months.iter().for_each(|line| eprintln!("{line}"));
    let alarms = alarms(&year.provider);
    alarms.iter().for_each(|(key, (raised, ended))| eprintln!("{key}: raised {raised}, ended {ended}"));
    year.check_kept();
    year.check_alarms(&alarms);
}

impl Year {
    /// What was kept, expired, purged and freed.
    fn check_kept(&self) {
        assert!(self.kept() == self.expected(), "{} kept, not {}", self.kept().len(), self.expected().len());
        let totals = self.totals();
        let expired = self.made.len() - self.kept().len();
        assert_eq!(totals["4 expired"], expired as u64);
        // A leaf and a chunk of its own each, but for those that went within the last eight days, and for the chunks of deferred days.
        let range = 2 * (expired as u64 - 16 - 4)..2 * (expired as u64 + 4);
        assert!(range.contains(&totals["5 purged"]), "{} purged of {expired} snapshots", totals["5 purged"]);
        assert!(totals["6 freed"] > 0);
        assert_eq!(self.provider.open().read(recount).unwrap(), Vec::<String>::new());
        let stored = self.provider.open().read(|catalog| Ok(catalog.stored_bytes()?)).unwrap();
        let always = (ALWAYS.iter().sum::<usize>() * ALWAYS_BYTES) as u64;
        assert!(stored < 4 * always, "{stored} stored for {always} bytes and their history");
    }

    /// What was flagged, refused and told: each alarm raised once and ended once.
    fn check_alarms(&self, alarms: &BTreeMap<String, (u64, u64)>) {
        let day = |day: i64| day_of(crate::site::moment(NOON_NS + day * DAY_NS));
        assert_eq!(self.over(), [day(OVER[0]), day(OVER[1]), day(HELD.start)]);
        assert_eq!(self.totals()["2 partial"], 5, "four days of a deferred change, and one refused one");
        assert_eq!((self.refused, self.healed), (5, 1));
        // A source is late after each missed run, while it is not complete, and while its agent is dead.
        let late = |source: usize, incomplete: u64| MISSED[source].len() as u64 + 1 + incomplete;
        for (key, times) in [
            ("late bureautique", late(0, 2)),
            ("late comptabilité", late(1, 0)),
            ("hold comptabilité", 1),
            ("pruning_stopped rebuilt", 1),
            ("damaged ", 1),
        ] {
            assert_eq!(alarms.get(key), Some(&(times, times)), "{key}");
        }
        // What is told of a day is told once and has no end: three days over, four of a deferred change and a refused one; one came near.
        let told = |kind: &str| alarms.iter().filter(|(key, times)| key.starts_with(kind) && **times == (1, 0)).count();
        assert_eq!((told("quota_over "), told("quota_near "), alarms.len()), (8, 1, 5 + 9), "{alarms:?}");
    }
}
