//! A storage server with its guards and a clock, as the tests of upkeep use it: jobs run one by one, when the test says so.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::id::{ChunkId, ScopeId, SessionId};
use common::source_kind::SourceKind;
use jiff::Timestamp;
use parking_lot::Mutex;
use server::clock::Clock;
use server::contract::hold::Thresholds;
use server::contract::order_form::{OrderForm, OrderedSource};
use server::contract::retention::History;
use server::contract::terms::Terms;
use server::control::Control;
use server::control::audit::Trace;
use server::control::customers::Customer;
use server::control::subscriptions::{Source, Subscription as OrderedSubscription};
use server::session::fetch::{Fetched, Right};
use server::session::subscription::Subscription;
use server::store::objects::Objects;
use server::subscriptions::{Settings, Subscriptions};
use server::upkeep::compact::compact;
use server::upkeep::expire::expire;
use server::upkeep::guard::Guards;
use server::upkeep::jobs::{Counts, JobError};
use server::upkeep::mark::{MarkSettings, mark};
use server::upkeep::purge::purge;
use server::upkeep::token::Token;

use crate::engine::{Agent, DAY_NS, NOON_NS, SOURCE, SUBSCRIPTION, settings};

/// What outlives a restart of the server in a test.
#[derive(Clone)]
pub struct World {
    pub now_ns: Arc<AtomicI64>,
    pub terms: Arc<Mutex<Option<Terms>>>,
}

/// A running site.
pub struct Site {
    pub world: World,
    pub server: Arc<Subscriptions>,
    pub control: Arc<Control>,
    pub guards: Guards,
    pub open: Arc<Subscription>,
}

pub fn operator() -> Trace {
    by("anne", NOON_NS)
}

pub fn by(who: &str, at_ns: i64) -> Trace {
    Trace { who: format!("operator:{who}"), address: "local".into(), at_ns }
}

/// The subscription as the control store knows it, if it does not yet; sessions are held to the test's own terms.
fn order(control: &Control) -> anyhow::Result<()> {
    if !control.customers()?.iter().any(|customer| customer.reference == "acme") {
        let customer = Customer { reference: "acme".into(), name: "Acme".into(), created_at_ns: NOON_NS };
        control.create_customer(&customer, &operator())?;
    }
    if control.subscription(&SUBSCRIPTION)?.is_some() {
        return Ok(());
    }
    let source = OrderedSource { name: "fichiers".into(), kind: SourceKind::Files };
    let form = OrderForm {
        reference: "BC-1".into(),
        customer: "acme".into(),
        contracted_bytes: 1_000_000_000_000,
        history: History { days: 90, thinning: Vec::new() },
        sources: vec![source],
        contact: "01 02 03 04 05".into(),
        ..OrderForm::default()
    };
    let form = form.complete().unwrap();
    let known = Source { source: SOURCE, name: "fichiers".into(), kind: SourceKind::Files };
    let subscription = OrderedSubscription::new(SUBSCRIPTION, form, vec![known], NOON_NS);
    Ok(control.create_subscription(&subscription, &operator())?)
}

pub fn moment(ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(ns.into()).unwrap()
}

impl World {
    pub fn new() -> Self {
        Self { now_ns: Arc::new(AtomicI64::new(NOON_NS)), terms: Arc::default() }
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
        Self::open(root, world).unwrap()
    }

    /// The same, where it may fail.
    pub fn open(root: &Path, world: &World) -> anyhow::Result<Self> {
        let base = settings(root, 1 << 40);
        let control = Arc::new(Control::create(&root.join("control.db"))?);
        let (clock_ns, terms, default_terms) = (world.now_ns.clone(), world.terms.clone(), base.terms.clone());
        let settings = Settings {
            clock: Clock::new(move || moment(clock_ns.load(Ordering::SeqCst))),
            terms: Arc::new(move |id| match terms.lock().clone() {
                Some(terms) => Ok(Some(terms)),
                None => default_terms(id),
            }),
            refusals: server::lookups::refusals(&control),
            // Changes of a few bytes are many times the allowance of a few bytes.
            hold: Thresholds {
                allowance_times: u64::MAX,
                changed_percent: u64::MAX,
                gone_percent: u64::MAX,
                ..base.hold
            },
            ..base
        };
        let objects = Objects::open(&root.join("store"), 0)?;
        let server = Arc::new(Subscriptions::new(settings, objects)?);
        order(&control)?;
        let guards = Guards::new(control.clone(), server.clone());
        let open = server.get(&SUBSCRIPTION)?;
        Ok(Self { world: world.clone(), server, control, guards, open })
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
