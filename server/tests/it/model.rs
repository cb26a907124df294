//! 400 days of two sources through the jobs of the history, held each day against a naive model of what stays.
//!
//! The model is written from the contract's page, not from the code: it counts age by a clock of its own that stands still while the
//! subscription is suspended, names periods by their printed form, and keeps what a sentence of the contract keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use common::id::{ChunkId, ScopeId, SessionId, SourceId};
use common::stored::SnapshotState;
use jiff::tz::TimeZone;
use server::contract::retention::{History, Period, Thinning};
use server::contract::service::{SuspensionReason, Window};
use server::upkeep::facts::{self, NewProtection};
use server::upkeep::jobs::JobError;
use server::upkeep::recount::recount;

use crate::engine::{Agent, DAY_NS, NOON_NS, OTHER_SOURCE, SOURCE, SUBSCRIPTION, scratch};
use crate::site::{Site, moment};

const DAYS: i64 = 400;
const HOUR_NS: i64 = 3_600_000_000_000;
const SOURCES: [SourceId; 2] = [SOURCE, OTHER_SOURCE];
/// Days on which the subscription is suspended.
const SUSPENDED: std::ops::Range<i64> = 150..175;

/// A snapshot as the model knows it.
#[derive(Clone)]
struct Known {
    session: SessionId,
    source: usize,
    /// Printed in Paris: year, month, ISO week, day, hour with its offset.
    labels: BTreeMap<&'static str, String>,
    /// The model's clock when it was received.
    born_ns: i64,
    complete: bool,
    verified: bool,
    protected_until_day: i64,
    chunks: Vec<ChunkId>,
}

/// What the contract says, in sets.
struct Model {
    days: i64,
    rules: Vec<(&'static str, i64)>,
    /// Time that was not suspended.
    lived_ns: i64,
    known: Vec<Known>,
}

impl Model {
    fn kept(&self, day: i64) -> BTreeSet<SessionId> {
        (0..SOURCES.len()).flat_map(|source| self.kept_of(source, day)).collect()
    }

    fn kept_of(&self, source: usize, day: i64) -> BTreeSet<SessionId> {
        let all: Vec<&Known> = self.known.iter().filter(|known| known.source == source).collect();
        let younger = |known: &&&Known, days: i64| self.lived_ns - known.born_ns <= days * DAY_NS;
        let (window, before): (Vec<&Known>, Vec<&Known>) = all.iter().partition(|known| younger(known, self.days));
        let mut kept: Vec<&Known> = Vec::new();
        if self.rules.is_empty() {
            kept.extend(&window);
        }
        for (label, days) in &self.rules {
            let mut newest: BTreeMap<&str, (&Known, Option<&Known>)> = BTreeMap::new();
            for known in window.iter().filter(|known| younger(known, *days)) {
                let complete = newest.get(known.labels[label].as_str()).and_then(|(_, complete)| *complete);
                newest.insert(&known.labels[label], (known, if known.complete { Some(known) } else { complete }));
            }
            kept.extend(newest.values().flat_map(|(last, complete)| std::iter::once(*last).chain(*complete)));
        }
        kept.extend(before.last());
        kept.extend(all.last());
        kept.extend(all.iter().rfind(|known| known.complete));
        kept.extend(all.iter().rfind(|known| known.verified));
        kept.extend(all.iter().filter(|known| day < known.protected_until_day));
        kept.into_iter().map(|known| known.session).collect()
    }

    /// The newest snapshot of a source that is at least so many days old.
    fn older(&mut self, source: usize, days: i64) -> Option<&mut Known> {
        let until_ns = self.lived_ns - days * DAY_NS;
        self.known.iter_mut().rfind(|known| known.source == source && known.born_ns <= until_ns)
    }
}

/// What a run of a day does.
#[derive(Clone, Copy)]
struct Run {
    hours: i64,
    complete: bool,
}

/// The runs of a day and source: missed days, partial runs, several runs, two of one hour, weeks without any.
fn script(day: i64, source: usize) -> Vec<Run> {
    let dice = blake3::hash(format!("{day} of {source}").as_bytes()).as_bytes()[0];
    let run = |hours, complete| Run { hours, complete };
    match (source, day) {
        // Longer than the history: the edge of the window is all that is left.
        (0, 250..310) => Vec::new(),
        // Nothing complete for longer than the history.
        (1, 210..255) => vec![run(1, false)],
        _ => match dice {
            0..30 => Vec::new(),
            30..60 => vec![run(1, false)],
            60..80 => vec![run(1, true), run(4, false)],
            80..100 => vec![run(1, true), run(1, true)],
            _ => vec![run(1, true)],
        },
    }
}

struct Simulation {
    site: Site,
    model: Model,
    sessions: u32,
    expired: u64,
    purged: u64,
}

impl Simulation {
    fn back_up(&mut self, day: i64, source: usize, run: Run) {
        self.sessions += 1;
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.sessions.to_be_bytes());
        let number = u8::try_from(source + 1).unwrap();
        let session = SessionId::new(id);
        let mut agent = Agent::in_session(number, session).of(SOURCES[source]).at(self.site.now_ns());
        agent.parent = self.model.known.iter().rfind(|known| known.source == source).map(|known| known.session);
        let (open, opened) = agent.open(&self.site.server).unwrap();
        // Kept for ever, for a fortnight, and for this snapshot.
        let contents = [format!("always {source}"), format!("{source} of {}", day / 14), format!("{}", self.sessions)];
        let data: Vec<_> = contents.iter().map(|content| agent.data(content.as_bytes())).collect();
        let data: Vec<_> = data.iter().collect();
        agent.put(&open, &data).unwrap();
        let leaf = agent.leaf(&data, b"entries");
        agent.put(&open, &[&leaf]).unwrap();
        let mut head = agent.head(&opened, leaf.id);
        head.state = if run.complete { SnapshotState::Complete } else { SnapshotState::Partial };
        crate::engine::receipt(open.commit(agent.who, agent.commit_request(&head), agent.now_ns()).unwrap());
        let paris = self.site.now().to_zoned(TimeZone::get("Europe/Paris").unwrap());
        let formats = ["%Y", "%Y-%m", "%G-%V", "%F", "%F %H %z"];
        self.model.known.push(Known {
            session,
            source,
            labels: formats.map(|format| (format, paris.strftime(format).to_string())).into(),
            born_ns: self.model.lived_ns,
            complete: run.complete,
            verified: false,
            protected_until_day: 0,
            chunks: data.iter().map(|made| made.id).chain([leaf.id]).collect(),
        });
    }

    /// Moves the clock to an hour of a day.
    fn go_to(&mut self, day: i64, hours: i64) {
        let to_ns = NOON_NS + day * DAY_NS + hours * HOUR_NS;
        let passed_ns = to_ns - self.site.world.now_ns.swap(to_ns, Ordering::SeqCst);
        assert!((0..=DAY_NS).contains(&passed_ns), "{passed_ns} at {day}");
        if !SUSPENDED.contains(&day) || hours == 0 && day == SUSPENDED.start {
            self.model.lived_ns += passed_ns;
        }
        self.site.guards.tick(self.site.now()).unwrap();
    }

    /// What persons do on a day.
    fn persons(&mut self, day: i64) {
        let now_ns = self.site.now_ns();
        let window = |until| Window { from: moment(now_ns), until, reason: SuspensionReason::Unpaid };
        if day == SUSPENDED.start {
            self.site.change_terms(|terms| terms.suspensions = vec![window(None)]);
        }
        if day == SUSPENDED.end {
            let end = Some(moment(now_ns));
            self.site.change_terms(|terms| terms.suspensions[0].until = end);
        }
        for source in 0..SOURCES.len() {
            if day % 45 == 20
                && let Some(known) = self.model.older(source, 3)
            {
                known.verified = true;
                self.site.open.report_verified(known.session, "person:lea".into(), now_ns).unwrap();
            }
            if day % 61 == 30
                && let Some(known) = self.model.older(source, 5)
            {
                known.protected_until_day = known.protected_until_day.max(day + 40 + day % 50);
                let (snapshot, until_ns) = (known.session, NOON_NS + known.protected_until_day * DAY_NS);
                let (reason, by) = ("litige".to_owned(), "anne".to_owned());
                let new = NewProtection { snapshot, until_ns, reason, by, at_ns: now_ns };
                let protect = self.site.open.writer().run(move |writer| {
                    facts::protect(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new).map(|_| ())
                });
                protect.unwrap();
            }
        }
    }

    fn day(&mut self, day: i64) {
        self.go_to(day, 0);
        self.persons(day);
        let mut runs: Vec<(usize, Run)> = (0..SOURCES.len())
            .flat_map(|source| script(day, source).into_iter().map(move |run| (source, run)))
            .collect();
        runs.sort_by_key(|(_, run)| run.hours);
        for (source, run) in runs.into_iter().filter(|_| !SUSPENDED.contains(&day)) {
            self.go_to(day, run.hours);
            self.back_up(day, source, run);
        }
        self.go_to(day, 12);
        self.night(day);
        self.check(day);
    }

    /// The jobs of a night, and the model's.
    fn night(&mut self, day: i64) {
        let expired = self.site.expire();
        if SUSPENDED.contains(&day) {
            assert!(matches!(expired, Err(JobError::Refused("suspended"))), "{expired:?}");
            assert!(matches!(self.site.purge(), Err(JobError::Refused("suspended"))));
            self.site.mark().unwrap();
            return;
        }
        let kept = self.model.kept(day);
        let before = self.model.known.len();
        self.model.known.retain(|known| kept.contains(&known.session));
        let gone = (before - self.model.known.len()) as u64;
        assert_eq!(Site::count(&expired.unwrap(), "expired"), gone, "day {day}");
        self.expired += gone;
        self.site.mark().unwrap();
        self.purged += Site::count(&self.site.purge().unwrap(), "purged");
        self.site.compact().unwrap();
    }

    /// The same snapshots are there, and everything that they reach can be read.
    fn check(&self, day: i64) {
        let known: BTreeSet<SessionId> = self.model.known.iter().map(|known| known.session).collect();
        let stored: BTreeSet<SessionId> = self.site.sessions().into_iter().collect();
        assert_eq!(stored, known, "day {day}");
        for source in 0..SOURCES.len() {
            let chunks = self.reached(source);
            assert_eq!(self.site.readable(&scope(source), &chunks), chunks.len(), "day {day}, source {source}");
        }
    }

    fn reached(&self, source: usize) -> Vec<ChunkId> {
        let of = self.model.known.iter().filter(|known| known.source == source);
        of.flat_map(|known| known.chunks.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

fn scope(source: usize) -> ScopeId {
    ScopeId::new([u8::try_from(source + 1).unwrap(); 16])
}

fn simulate(days: u32, thinning: Vec<Thinning>) {
    let root = scratch();
    let site = Site::new(root.path(), days);
    let name = |period| match period {
        Period::Hour => "%F %H %z",
        Period::Day => "%F",
        Period::Week => "%G-%V",
        Period::Month => "%Y-%m",
        Period::Year => "%Y",
    };
    let rules = thinning.iter().map(|rule| (name(rule.every), i64::from(rule.days))).collect();
    site.change_terms(|terms| terms.history = History { days, thinning });
    let model = Model { days: i64::from(days), rules, lived_ns: 0, known: Vec::new() };
    let mut simulation = Simulation { site, model, sessions: 0, expired: 0, purged: 0 };
    for day in 0..DAYS {
        simulation.day(day);
    }
    let Simulation { site, model, sessions, expired, purged } = simulation;
    eprintln!(
        "{DAYS} days: {sessions} snapshots, {} kept, {expired} expired, {purged} chunks purged",
        model.known.len()
    );
    assert_eq!(u64::from(sessions), expired + model.known.len() as u64);
    // Each snapshot had a chunk and a leaf of its own; those of the last nine days of expiry are in trash.
    assert!(purged > 2 * (expired - 60), "{purged} of {expired}");
    assert_eq!(site.open.read(recount).unwrap(), Vec::<String>::new());
}

#[test]
fn four_hundred_days_keep_what_a_naive_model_keeps() {
    simulate(30, Vec::new());
}

#[test]
fn four_hundred_days_of_a_thinned_history_keep_what_a_naive_model_keeps() {
    let rule = |every, days| Thinning { every, days };
    let rules = [rule(Period::Hour, 2), rule(Period::Day, 14), rule(Period::Week, 60), rule(Period::Month, 200)];
    simulate(150, rules.to_vec());
}
