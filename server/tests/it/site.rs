//! A storage server with its guards and a clock, as the tests of upkeep use it: jobs run one by one, when the test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::id::{ChunkId, ScopeId, SessionId};
use jiff::Timestamp;
use parking_lot::Mutex;
use server::clock::Clock;
use server::contract::guards::TwoPersonRequest;
use server::contract::retention::History;
use server::contract::terms::Terms;
use server::control::Control;
use server::control::audit::Trace;
use server::session::fetch::{Fetched, Right};
use server::session::subscription::Subscription;
use server::store::objects::Objects;
use server::subscriptions::{Settings, Subscriptions};
use server::upkeep::compact::compact;
use server::upkeep::expire::expire;
use server::upkeep::guard::{Consent, Guards};
use server::upkeep::jobs::{Counts, JobError};
use server::upkeep::mark::{MarkSettings, mark};
use server::upkeep::purge::purge;
use server::upkeep::token::Token;

use crate::engine::{Agent, DAY_NS, NOON_NS, SUBSCRIPTION, settings};

/// What two persons agreed on.
pub type Consents = Arc<Mutex<Vec<(Consent, TwoPersonRequest)>>>;

/// What outlives a restart of the server in a test.
#[derive(Clone)]
pub struct World {
    pub now_ns: Arc<AtomicI64>,
    pub terms: Arc<Mutex<Option<Terms>>>,
    pub consents: Consents,
}

/// A running site.
pub struct Site {
    pub root: PathBuf,
    pub world: World,
    pub server: Arc<Subscriptions>,
    pub control: Arc<Control>,
    pub guards: Guards,
    pub open: Arc<Subscription>,
}

pub fn operator() -> Trace {
    Trace { who: "operator:anne".into(), address: "local".into(), at_ns: NOON_NS }
}

pub fn moment(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(ns.into()).unwrap()
}

impl World {
    pub fn new() -> Self {
        let (now_ns, terms, consents) = (Arc::new(AtomicI64::new(NOON_NS)), Arc::default(), Arc::default());
        Self { now_ns, terms, consents }
    }
}

impl Site {
    /// A new site with a history of so many days.
    pub fn new(root: &Path, history_days: u32) -> Self {
        let site = Self::start(root, &World::new());
        site.change_terms(|terms| terms.history = History { days: history_days, thinning: Vec::new() });
        site
    }

    /// Starts the server on what is in `root`.
    pub fn start(root: &Path, world: &World) -> Self {
        let base = settings(root, 1 << 40);
        let (clock_ns, terms, default_terms) = (world.now_ns.clone(), world.terms.clone(), base.terms.clone());
        let settings = Settings {
            clock: Clock::new(move || moment(clock_ns.load(Ordering::SeqCst))),
            terms: Arc::new(move |id| match terms.lock().clone() {
                Some(terms) => Ok(Some(terms)),
                None => default_terms(id),
            }),
            ..base
        };
        let objects = Objects::open(&root.join("store"), 0).unwrap();
        let server = Arc::new(Subscriptions::new(settings, objects).unwrap());
        let control = Arc::new(Control::open(&root.join("control.db")).unwrap());
        let consents = world.consents.clone();
        let consent = move |_: &_, wanted| {
            let consents = consents.lock();
            let given = consents.iter().find(|(given, _)| *given == wanted);
            Ok(given.map(|(_, request)| request.clone()))
        };
        let guards = Guards::new(control.clone(), server.clone(), Arc::new(consent));
        let open = server.get(&SUBSCRIPTION).unwrap();
        Self { root: root.to_owned(), world: world.clone(), server, control, guards, open }
    }

    pub fn change_terms(&self, change: impl FnOnce(&mut Terms)) {
        let mut terms = self.server.terms(&SUBSCRIPTION).unwrap();
        change(&mut terms);
        *self.world.terms.lock() = Some(terms);
    }

    pub fn now_ns(&self) -> i64 {
        self.world.now_ns.load(Ordering::SeqCst)
    }

    pub fn now(&self) -> Timestamp {
        moment(self.now_ns())
    }

    /// Lets a time of so many days pass, ticking daily as a running server does.
    pub fn pass_days(&self, days: i64) {
        for _ in 0..days {
            self.jump(DAY_NS);
            let _ = self.guards.tick(self.now());
        }
    }

    /// Moves the clock without a tick.
    pub fn jump(&self, ns: i64) {
        self.world.now_ns.fetch_add(ns, Ordering::SeqCst);
    }

    pub fn expire(&self) -> Result<Counts, JobError> {
        expire(&self.open, &self.guards.admit(&self.open, self.now())?, &Token::default())
    }

    pub fn mark(&self) -> Result<Counts, JobError> {
        let settings = MarkSettings { now_ns: self.now_ns(), memory_bytes_max: 1 << 28 };
        mark(&self.open, settings, &Token::default())
    }

    pub fn purge(&self) -> Result<Counts, JobError> {
        purge(&self.open, &self.guards.admit(&self.open, self.now())?, &Token::default())
    }

    pub fn compact(&self) -> Result<Counts, JobError> {
        compact(&self.open, &self.guards.admit(&self.open, self.now())?, &Token::default())
    }

    /// All jobs of a night.
    pub fn night(&self) {
        self.expire().unwrap();
        self.mark().unwrap();
        self.purge().unwrap();
        self.compact().unwrap();
    }

    /// An agent in a session of this number, whose clock is the site's.
    pub fn agent(&self, session: u32) -> Agent {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&session.to_be_bytes());
        Agent::in_session(1, SessionId::new(id)).at(self.now_ns())
    }

    /// A whole backup of these contents by a session of this number.
    pub fn back_up(&self, session: u32, contents: &[&[u8]]) -> Agent {
        let mut agent = self.agent(session);
        agent.parent = self.newest();
        agent.back_up(&self.server, contents);
        agent
    }

    pub fn newest(&self) -> Option<SessionId> {
        self.sessions().last().copied()
    }

    /// The snapshots that are there, in the order of reception.
    pub fn sessions(&self) -> Vec<SessionId> {
        let rows = self.open.read(|catalog| Ok(catalog.snapshots()?)).unwrap();
        rows.into_iter().map(|row| row.session).collect()
    }

    /// How many of these chunks can be read back.
    pub fn readable(&self, scope: &ScopeId, ids: &[ChunkId]) -> usize {
        let mut frames = 0;
        let count = |fetched| {
            frames += usize::from(matches!(fetched, Fetched::Frame { .. }));
            true
        };
        self.open.fetch(scope, ids, Right::Content, count).unwrap();
        frames
    }

    /// The number under a name.
    pub fn count(counts: &Counts, name: &str) -> u64 {
        counts.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).unwrap()
    }
}
