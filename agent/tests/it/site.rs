//! A provider's site for tests: the real server on loopback, one customer with one subscription and one person.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use common::id::{AgentId, SourceId, SubscriptionId};
use common::source_kind::SourceKind;
use jiff::{SignedDuration, Timestamp};
use server::app::{Environment, Running, start};
use server::auth::logins::default_password;
use server::auth::password;
use server::auth::principal::Role;
use server::auth::token::{TokenKind, make};
use server::clock::Clock;
use server::config::{Config, Settings};
use server::contract::amendment::{AddedSource, FormChange};
use server::contract::backup_set::SetRules;
use server::contract::calendar::day_of;
use server::contract::location::Location;
use server::contract::order_form::{OrderForm, OrderedSource};
use server::contract::retention::History;
use server::control::accounts::{Account, Standing};
use server::control::agents::Enrolment;
use server::control::amendments::NewAmendment;
use server::control::audit::Trace;
use server::control::customers::Customer;
use server::control::sets::NewVersion;
use server::control::subscriptions::{Source, Subscription};
use server::control::windows::Maintenance;
use server::setup::initialize;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// What the person of the site logs in with.
pub const IDENTIFIER: &str = "alice@example.fr";
/// The password that the person chooses.
pub const PASSWORD: &str = "Vingt-Deux tournesols";
/// The passphrase of the keyring.
pub const PASSPHRASE: &str = "correct cheval pile agrafe";
/// The source on the order form.
pub const SOURCE: &str = "bureautique";

/// A running site. The server ends with it.
pub struct Site {
    folder: TempDir,
    runtime: Runtime,
    running: Running,
    environment: Environment,
    /// How far the server's clock is ahead of this machine's, in nanoseconds.
    ahead_ns: Arc<AtomicI64>,
    subscription: SubscriptionId,
    /// Printed once by the operator, to be changed.
    pub default_password: String,
}

impl Site {
    /// Starts one.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let ahead_ns = Arc::new(AtomicI64::new(0));
        let ahead = Arc::clone(&ahead_ns);
        let clock = Clock::new(move || Timestamp::now() + SignedDuration::from_nanos(ahead.load(Ordering::Relaxed)));
        let environment = Environment { clock, ..Environment::system() };
        let names = ["localhost", "127.0.0.1"].map(str::to_owned).to_vec();
        let location = Location { site: "Lille".into(), country: "FR".into(), owner: "Exemple SARL".into() };
        let settings = Settings { listen: SocketAddr::from(([127, 0, 0, 1], 0)), names, location };
        let home = folder.path().join("server");
        initialize(&home, &settings, "operator", &environment).unwrap();
        let runtime = Runtime::new().unwrap();
        let running = runtime.block_on(start(&home, &Config::load(&home).unwrap(), &environment)).unwrap();
        let subscription = SubscriptionId::new(environment.random.bytes());
        let default_password = "Provisoire-1234-abcd".to_owned();
        let site = Self { folder, runtime, running, environment, ahead_ns, subscription, default_password };
        site.sign_contract();
        site
    }

    fn trace(&self) -> Trace {
        Trace { who: "operator".into(), address: "local".into(), at_ns: self.environment.clock.now_ns() }
    }

    fn sign_contract(&self) {
        let (control, trace) = (self.running.control(), self.trace());
        let customer = Customer { reference: "C1".into(), name: "Menuiserie Duval".into(), created_at_ns: trace.at_ns };
        control.create_customer(&customer, &trace).unwrap();
        let form = OrderForm {
            reference: "BC-2026-001".into(),
            customer: "C1".into(),
            contracted_bytes: 100_000_000_000,
            history: History { days: 400, thinning: Vec::new() },
            sources: vec![OrderedSource { name: SOURCE.into(), kind: SourceKind::Files }],
            contact: "01 02 03 04 05".into(),
            ..OrderForm::default()
        };
        let source = Source { source: SourceId::new([7; 16]), name: SOURCE.into(), kind: SourceKind::Files };
        let form = form.complete().unwrap();
        let subscription = Subscription::new(self.subscription, form, vec![source], trace.at_ns);
        control.create_subscription(&subscription, &trace).unwrap();
        let hash = password::hash(self.default_password.as_bytes(), &[9; 16]).unwrap();
        let account = Account {
            identifier: IDENTIFIER.into(),
            standing: Standing::Person { subscription: self.subscription, role: Role::Admin },
            ends_at_ns: None,
            password: default_password(&self.default_password, hash, trace.at_ns),
            created_at_ns: trace.at_ns,
            last_login_at_ns: None,
        };
        control.create_account(&account, &trace).unwrap();
    }

    /// Moves the server's clock on by a day.
    pub fn pass_a_day(&self) {
        self.ahead_ns.fetch_add(86_400_000_000_000, Ordering::Relaxed);
    }

    /// Changes the order form at once, by a signed writing.
    pub fn amend(&self, change: FormChange) {
        let signed_on = day_of(self.environment.clock.now());
        let (subscription, document) = (self.subscription, "Avenant".to_owned());
        let new = NewAmendment { subscription, change, document, signed_on, applies_on: None };
        assert!(self.running.control().amend(&new, &self.trace()).unwrap().applied_at_ns.is_some());
    }

    /// Adds a source to the order form, with an id of the test's choice.
    pub fn order(&self, source: SourceId, name: &str) {
        let ordered = OrderedSource { name: name.into(), kind: SourceKind::Files };
        self.amend(FormChange { added_sources: vec![AddedSource { source, ordered }], ..FormChange::default() });
    }

    /// Has an agent back a source up: the version that it follows, one path, a schedule.
    pub fn schedule(&self, source: SourceId, agent: AgentId, (follows, path, schedule): (u64, &str, &str)) {
        let rules = SetRules { paths: vec![path.to_owned()], schedule: schedule.to_owned(), ..SetRules::default() };
        let (subscription, changed_by) = (self.subscription, IDENTIFIER);
        let new = NewVersion { subscription, source, agent, follows, rules: &rules, changed_by };
        self.running.control().put_set(&new, &self.trace()).unwrap();
    }

    /// Announces maintenance of the server for an hour, from now on; its number.
    pub fn begin_maintenance(&self) -> i64 {
        let trace = self.trace();
        let announced = Maintenance {
            number: 0,
            subscription: None,
            from_ns: trace.at_ns,
            until_ns: trace.at_ns + 3_600_000_000_000,
            detail: "disques".into(),
            recorded_at_ns: trace.at_ns,
            recorded_by: trace.who.clone(),
        };
        self.running.control().announce_maintenance(&announced, &trace).unwrap()
    }

    /// Ends it.
    pub fn end_maintenance(&self, number: i64) {
        self.running.control().end_maintenance(number, &self.trace()).unwrap();
    }

    /// A one-use token.
    pub fn enrolment_token(&self) -> String {
        let (text, digest) = make(TokenKind::Enrolment, &self.environment.random);
        let enrolment = Enrolment { subscription: self.subscription, source: None };
        let expires = self.trace().at_ns + 3_600_000_000_000;
        self.running.control().create_enrolment(&digest, &enrolment, expires, &self.trace()).unwrap();
        text
    }

    /// Where the server listens.
    pub fn url(&self) -> String {
        format!("https://{}", self.running.address())
    }

    /// What people compare.
    pub fn fingerprint(&self) -> &str {
        self.running.fingerprint()
    }

    /// Everything that the test keeps.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place for files of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file that holds one secret.
    pub fn secret(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Sets a machine up without anybody at it; the recovery key. The secrets stay in `password` and `passphrase`.
    pub fn set_up(&self, machine: &Machine, more: &[&str]) -> String {
        let files = [
            self.secret("default", &self.default_password),
            self.secret("password", PASSWORD),
            self.secret("passphrase", PASSPHRASE),
        ];
        let out = self.path("recovery").display().to_string();
        let url = self.url();
        let typed = [
            &["setup", "--server", &url, "--fingerprint", self.fingerprint(), "--identifier", IDENTIFIER][..],
            &["--password-file", &files[0], "--new-password-file", &files[1], "--passphrase-file", &files[2]],
            &["--recovery-key-out", &out],
            more,
        ]
        .concat();
        let ended = machine.dobaas(&typed).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        std::fs::read_to_string(out).unwrap().trim().to_owned()
    }

    /// A machine of the customer.
    pub fn machine(&self, name: &str) -> Machine {
        Machine { state: self.path(name) }
    }

    /// The server's whole folder as it is, copied aside.
    pub fn copy_server(&self) -> PathBuf {
        let copy = self.path("server-before");
        let copied = Command::new("cp").arg("-a").args([self.path("server"), copy.clone()]).status().unwrap();
        assert!(copied.success());
        copy
    }

    /// A server of the same provider on another folder; its address.
    pub fn serve(&self, home: &Path) -> String {
        let config = Config::load(home).unwrap();
        let running = self.runtime.block_on(start(home, &config, &self.environment)).unwrap();
        format!("https://{}", running.address())
    }

    /// Ends the server as an operator would.
    pub fn stop(self) {
        self.runtime.block_on(self.running.stop()).unwrap();
    }
}

/// A machine with its own state folder.
pub struct Machine {
    state: PathBuf,
}

impl Machine {
    /// Its state folder.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The program on this machine.
    pub fn dobaas(&self, typed: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dobaas"));
        command
            .env_clear()
            .env("LANG", "C.UTF-8")
            .env("DOBAAS_STATE", &self.state)
            .env("DOBAAS_CONFIG", self.state.with_extension("toml"))
            .args(typed)
            .stdin(Stdio::null());
        command
    }
}
