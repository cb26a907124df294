//! A provider's server in one process whose year passes in seconds: its real jobs, guards, monitor and outbox, one step after the other.
//!
//! Nothing listens and no thread works: what `app` does with timers, a step does in the same order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::id::SessionId;
use common::source_kind::SourceKind;
use jiff::Timestamp;
use serde_json::Value;
use server::app::{CONTROL_FILE, Environment, IDENTITY_FOLDER, subscriptions};
use server::clock::Clock;
use server::config::{Config, FILE, Settings};
use server::contract::location::Location;
use server::contract::order_form::{OrderForm, OrderedSource};
use server::contract::quota::Policy;
use server::contract::retention::History;
use server::control::Control;
use server::control::customers::Customer;
use server::control::subscriptions::{Source, Subscription as Ordered};
use server::identity::Identity;
use server::monitor::deliver::{Channel, Channels};
use server::monitor::traffic::Traffic;
use server::monitor::watch::{Monitor, Parts};
use server::session::subscription::Subscription;
use server::setup::initialize;
use server::subscriptions::Subscriptions;
use server::tls::Certificates;
use server::upkeep::guard::Guards;
use server::upkeep::history::history_jobs;
use server::upkeep::jobs::Jobs;
use server::upkeep::{control_copy, records, scrub_round};
use tempfile::TempDir;

use crate::engine::{Agent, NOON_NS, OTHER_SOURCE, SOURCE, SUBSCRIPTION, scratch};
use crate::site::{by, moment};

pub const REFERENCE: &str = "BC-1";

/// The provider.
pub struct Provider {
    folder: TempDir,
    now_ns: Arc<AtomicI64>,
    up: Option<Up>,
    /// What jobs counted since the last look at it, by job and counter.
    pub counted: BTreeMap<(String, String), u64>,
}

/// What runs.
pub struct Up {
    pub control: Arc<Control>,
    pub server: Arc<Subscriptions>,
    pub guards: Guards,
    pub jobs: Jobs,
    pub monitor: Monitor,
    certificates: Arc<Certificates>,
    identity: Identity,
    environment: Environment,
    names: Vec<String>,
}

impl Provider {
    /// A new server with one customer, whose order form has these days of history.
    pub fn new(history_days: u32) -> Self {
        let folder = scratch();
        let now_ns = Arc::new(AtomicI64::new(NOON_NS));
        let mut provider = Self { folder, now_ns, up: None, counted: BTreeMap::new() };
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            names: vec!["localhost".into()],
            location: Location { site: "Lyon".into(), country: "FR".into(), owner: "provider".into() },
        };
        initialize(&provider.home(), &settings, "anne", &provider.environment()).unwrap();
        let handed = provider.handed();
        let alarms = format!("\n[alarms.command]\nprogram = ['/bin/sh', '-c', 'cat >> {}']\n", handed.display());
        let file = provider.home().join(FILE);
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text + &alarms).unwrap();
        provider.start();
        provider.order(history_days);
        provider
    }

    fn order(&self, history_days: u32) {
        let control = &self.up().control;
        let customer = Customer { reference: "acme".into(), name: "Acme".into(), created_at_ns: NOON_NS };
        control.create_customer(&customer, &by("anne", NOON_NS)).unwrap();
        let sources = [(SOURCE, "bureautique"), (OTHER_SOURCE, "comptabilité")];
        let sources = sources.map(|(source, name)| Source { source, name: name.into(), kind: SourceKind::Files });
        let form = OrderForm {
            reference: REFERENCE.into(),
            customer: "acme".into(),
            contracted_bytes: 100_000_000,
            policy: Policy::Flag,
            history: History { days: history_days, thinning: Vec::new() },
            sources: sources
                .iter()
                .map(|source| OrderedSource { name: source.name.clone(), kind: source.kind })
                .collect(),
            ..OrderForm::default()
        };
        let ordered = Ordered::new(SUBSCRIPTION, form.complete().unwrap(), sources.to_vec(), NOON_NS);
        control.create_subscription(&ordered, &by("anne", NOON_NS)).unwrap();
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    fn handed(&self) -> PathBuf {
        self.folder.path().join("handed")
    }

    fn environment(&self) -> Environment {
        let now_ns = self.now_ns.clone();
        let clock = Clock::new(move || moment(now_ns.load(Ordering::SeqCst)));
        Environment { clock, ..Environment::system() }
    }

    fn start(&mut self) {
        let (home, environment) = (self.home(), self.environment());
        let config = Config::load(&home).unwrap();
        let identity = Identity::load(&home.join(IDENTITY_FOLDER)).unwrap();
        let leaf = identity.leaf(&config.names, &environment.random, self.now()).unwrap();
        let certificates = Arc::new(Certificates::new(leaf, None).unwrap());
        let control = Arc::new(Control::create(&home.join(CONTROL_FILE)).unwrap());
        let server = Arc::new(subscriptions(&home, &config, &identity, &control, &environment).unwrap());
        let guards = Guards::new(control.clone(), server.clone());
        guards.start(self.now()).unwrap();
        let mut specs = vec![
            control_copy::spec(home.join(CONTROL_FILE), server.objects().control_copies()),
            records::checkpoint(control.clone(), identity.receipt_key()),
            records::amend(control.clone(), server.clone()),
            scrub_round::spec(server.clone(), scrub_round::Pace { bytes_per_second: 0 }),
        ];
        specs.extend(history_jobs(&guards, &server, config.upkeep.memory_bytes_max));
        let jobs = Jobs::new(control.clone(), server.clone(), specs).unwrap();
        let monitor = Monitor::new(Parts {
            control: control.clone(),
            subscriptions: server.clone(),
            channels: Channels::new(&config.alarms, "Lyon"),
            certificates: certificates.clone(),
            traffic: Traffic::default(),
            clock: environment.clock.clone(),
        })
        .unwrap();
        let names = config.names.clone();
        self.up = Some(Up { control, server, guards, jobs, monitor, certificates, identity, environment, names });
    }

    /// The control store is lost; the newest copy takes its place, and an operator takes it for the live one.
    pub fn lose_control_store(&mut self) {
        let copies = self.up().server.objects().control_copies();
        self.up = None;
        let control = self.home().join(CONTROL_FILE);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", control.display()));
        }
        control_copy::restore(&control, &copies, None).unwrap();
        self.start();
        self.up().control.accept_restored(&by("anne", self.now_ns())).unwrap();
    }

    pub fn up(&self) -> &Up {
        self.up.as_ref().unwrap()
    }

    pub fn open(&self) -> Arc<Subscription> {
        self.up().server.get(&SUBSCRIPTION).unwrap()
    }

    pub fn store(&self) -> PathBuf {
        self.home().join("store")
    }

    pub fn now_ns(&self) -> i64 {
        self.now_ns.load(Ordering::SeqCst)
    }

    pub fn now(&self) -> Timestamp {
        moment(self.now_ns())
    }

    /// Sets the clock.
    pub fn go_to(&self, ns: i64) {
        self.now_ns.store(ns, Ordering::SeqCst);
    }

    /// What the timers of a running server do, once: guards, sessions left alone, jobs that are due, a look, and its messages.
    pub fn step(&mut self) {
        let now = self.now();
        // Refused while it stands still, which is an alarm.
        let _ = self.up().guards.tick(now);
        self.open().expire_sessions(self.now_ns()).unwrap();
        self.up().jobs.run_due();
        for status in self.up().jobs.status().unwrap() {
            let Some(last) = status.last.filter(|last| last.started_at_ns == self.now_ns()) else { continue };
            assert_ne!(last.outcome, "failed", "{last:?}");
            *self.counted.entry((last.job.clone(), last.outcome.clone())).or_default() += 1;
            for (name, count) in last.counts {
                *self.counted.entry((last.job.clone(), name)).or_default() += count;
            }
        }
        let up = self.up();
        let leaf = up.identity.leaf(&up.names, &up.environment.random, now).unwrap();
        up.certificates.renew(leaf).unwrap();
        up.monitor.look().unwrap();
        assert_eq!(up.monitor.deliver(Channel::Command).unwrap(), 0);
    }

    /// The sum of a job's counter so far.
    pub fn total(&self, job: &str, counter: &str) -> u64 {
        self.counted.get(&(job.to_owned(), counter.to_owned())).copied().unwrap_or_default()
    }

    /// Everything that was told so far, in order.
    pub fn told(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.handed()).unwrap_or_default();
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        documents.flat_map(|document| document.unwrap()["notices"].as_array().unwrap().clone()).collect()
    }

    /// An agent of a source in a session of this number.
    pub fn agent(&self, source: usize, session: u32) -> Agent {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&session.to_be_bytes());
        let (number, source) = [(1, SOURCE), (2, OTHER_SOURCE)][source];
        Agent::in_session(number, SessionId::new(id)).of(source).at(self.now_ns())
    }
}
