//! The server put together: clock, randomness, stores, services, listener.
//!
//! Invariant: I8 — with `main` and `cli`, the only place where the system's clock and randomness are read.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::KeyPair;
use common::limits::{
    ALARM_DELIVERY_EVERY_MS, BALLAST_CHECK_MS, LOOK_MS, RENEWAL_CHECK_MS, SESSION_CHECK_MS, SMALL_MESSAGE_BYTES_MAX,
    STREAM_MESSAGE_BYTES_MAX, UNARY_MESSAGE_BYTES_MAX, UPKEEP_CHECK_MS, UPKEEP_JOBS_MAX,
};
use proto::v1::account_server::AccountServer;
use proto::v1::admin_server::AdminServer;
use proto::v1::approvals_server::ApprovalsServer;
use proto::v1::audit_server::AuditServer;
use proto::v1::backup_server::BackupServer;
use proto::v1::closures_server::ClosuresServer;
use proto::v1::history_server::HistoryServer;
use proto::v1::monitor_server::MonitorServer;
use proto::v1::orders_server::OrdersServer;
use proto::v1::places_server::PlacesServer;
use proto::v1::quotas_server::QuotasServer;
use proto::v1::restore_server::RestoreServer;
use proto::v1::server_server::ServerServer;
use proto::v1::sets_server::SetsServer;
use proto::v1::upkeep_server::UpkeepServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::auth::layer::Authenticator;
use crate::auth::logins::Logins;
use crate::auth::older_records;
use crate::auth::password::Passwords;
use crate::ballast;
use crate::clock::{Clock, Random};
use crate::config::Config;
use crate::control::{Control, ControlError};
use crate::folder_lock::FolderLock;
use crate::grpc::account::AccountService;
use crate::grpc::admin::AdminService;
use crate::grpc::approvals::ApprovalsService;
use crate::grpc::audit::AuditService;
use crate::grpc::backup::BackupService;
use crate::grpc::closures::ClosuresService;
use crate::grpc::history::HistoryService;
use crate::grpc::monitor::MonitorService;
use crate::grpc::orders::OrdersService;
use crate::grpc::places::PlacesService;
use crate::grpc::quotas::QuotasService;
use crate::grpc::restore::RestoreService;
use crate::grpc::router::{Router, RouterBuilder};
use crate::grpc::serve::serve;
use crate::grpc::server::ServerService;
use crate::grpc::sets::SetsService;
use crate::grpc::upkeep::UpkeepService;
use crate::identity::Identity;
use crate::listen::{self, Stop};
use crate::lookups;
use crate::monitor;
use crate::monitor::deliver::Channels;
use crate::monitor::traffic::Traffic;
use crate::monitor::watch::Monitor;
use crate::store::objects::Objects;
use crate::subscriptions::{Settings, Subscriptions};
use crate::tls::Certificates;
use crate::upkeep::guard::Guards;
use crate::upkeep::history::history_jobs;
use crate::upkeep::jobs::{JobError, Jobs, Lane, Spec};
use crate::upkeep::{control_copy, judge, records, recount, scrub_round};

/// Name of the control store in the server's folder.
pub const CONTROL_FILE: &str = "control.db";
/// Name of the identity's folder in the server's folder.
pub const IDENTITY_FOLDER: &str = "identity";

/// Name of the catalogs' folder in the server's folder.
pub const CATALOGS_FOLDER: &str = "catalogs";
/// Name of the staging folder in the object store's.
const STAGING_FOLDER: &str = "staging";

/// The clock and the randomness that the server works with; tests bring their own.
#[derive(Clone)]
pub struct Environment {
    /// Tells the time.
    pub clock: Clock,
    /// Fills buffers.
    pub random: Random,
}

impl Environment {
    /// The system's clock and randomness.
    #[expect(clippy::disallowed_methods, reason = "I8: this is where the clock is read")]
    pub fn system() -> Self {
        let source = SystemRandom::new();
        let fill = move |bytes: &mut [u8]| source.fill(bytes).expect("the system's randomness never fails once seeded");
        Self { clock: Clock::new(jiff::Timestamp::now), random: Random::new(fill) }
    }
}

/// A server that serves.
pub struct Running {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    fingerprint: String,
    control: Arc<Control>,
    monitor: Arc<Monitor>,
    guards: Guards,
    stop: watch::Sender<Stop>,
    serving: JoinHandle<Result<(), tonic::transport::Error>>,
    workers: Workers,
    _folder: FolderLock,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it shows its metrics, if it does.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// What watches over it.
    pub fn monitor(&self) -> &Arc<Monitor> {
        &self.monitor
    }

    /// SHA-256 of the provider's root certificate.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Its control store.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Its upkeep jobs.
    pub fn jobs(&self) -> &Arc<Jobs> {
        &self.workers.jobs
    }

    /// Who may remove what at this moment.
    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// Accepts nothing more, lets open calls end, and returns.
    ///
    /// # Errors
    /// If serving had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.send_if_modified(|stop| {
            let serving = *stop == Stop::No;
            *stop = (*stop).max(Stop::Accepting);
            serving
        });
        let served = self.serving.await?;
        self.workers.join().await?;
        Ok(served?)
    }
}

/// Starts the server of `folder`, within the current tokio runtime.
///
/// # Errors
/// If a part of it cannot be opened or the address cannot be listened on.
pub async fn start(folder: &Path, config: &Config, environment: &Environment) -> anyhow::Result<Running> {
    let Environment { clock, random } = environment;
    ballast::trim(folder);
    let held = FolderLock::take(folder)?;
    let identity = Identity::load(&folder.join(IDENTITY_FOLDER))?;
    let leaf = identity.leaf(&config.names, random, clock.now())?;
    let certificates = Arc::new(Certificates::new(leaf, config.public_certificate.as_ref())?);
    let control = Arc::new(Control::open(&folder.join(CONTROL_FILE))?);
    let subscriptions = Arc::new(subscriptions(folder, config, &identity, &control, environment)?);
    older_records::reconcile(subscriptions.objects(), &control, random, clock.now_ns())?;
    let traffic = Traffic::default();
    let monitor = Arc::new(Monitor::new(monitor::watch::Parts {
        control: control.clone(),
        subscriptions: subscriptions.clone(),
        channels: Channels::new(&config.alarms, &config.location().site),
        certificates: certificates.clone(),
        traffic: traffic.clone(),
        clock: clock.clone(),
    })?);
    let guards = Guards::new(control.clone(), subscriptions.clone());
    guards.start(clock.now())?;
    let mut specs = jobs(folder, &control, &subscriptions, &identity, config);
    specs.extend(history_jobs(&guards, &subscriptions, config.upkeep.memory_bytes_max));
    let jobs = Arc::new(Jobs::new(control.clone(), subscriptions.clone(), specs)?);
    let parts = Parts {
        config,
        identity: &identity,
        control: &control,
        subscriptions: &subscriptions,
        random,
        monitor: &monitor,
        jobs: &jobs,
        guards: &guards,
    };
    let router = parts.router()?;
    let authenticator = Authenticator::new(control.clone(), clock.clone());
    let listener = TcpListener::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(Stop::No);
    let acceptor = TlsAcceptor::from(certificates.server_config()?);
    let connections = listen::start(listener, acceptor, stopped.clone(), traffic.clone());
    let metrics = match &config.metrics {
        Some(metrics) => Some(monitor::listen::start(metrics.listen, monitor.clone(), stopped.clone()).await?),
        None => None,
    };
    monitor_loops(&monitor, &stopped);
    let fingerprint = identity.fingerprint();
    let renewal = Renewal { identity, certificates, names: config.names.clone(), environment: environment.clone() };
    tokio::spawn(renewal.run(stopped.clone()));
    let workers = Workers::start(jobs)?;
    tokio::spawn(ballast(folder.to_owned(), stopped.clone()));
    tokio::spawn(upkeep(subscriptions, guards.clone(), stopped));
    let ended = stop.clone();
    let serving = tokio::spawn(async move { serve(router, &authenticator, connections, ended, &traffic).await });
    Ok(Running { address, metrics, fingerprint, control, monitor, guards, stop, serving, workers, _folder: held })
}

/// The storage engine of `folder`; nothing is opened yet. Staging lies beside the objects: a rename makes a pack of it.
///
/// # Errors
/// If its folders cannot be made.
pub fn subscriptions(
    folder: &Path,
    config: &Config,
    identity: &Identity,
    control: &Arc<Control>,
    environment: &Environment,
) -> anyhow::Result<Subscriptions> {
    let objects = Objects::find(&config.store, config.reserve.min_bytes)?;
    let settings = Settings {
        catalogs: folder.join(CATALOGS_FOLDER),
        staging: config.store.join(STAGING_FOLDER),
        location: config.location(),
        key: identity.receipt_key(),
        terms: lookups::terms(control),
        sources: lookups::sources(control),
        refusals: lookups::refusals(control),
        hold: config.hold,
        clock: environment.clock.clone(),
        random: environment.random.clone(),
    };
    Ok(Subscriptions::new(settings, objects)?)
}

struct Parts<'a> {
    config: &'a Config,
    identity: &'a Identity,
    control: &'a Arc<Control>,
    subscriptions: &'a Arc<Subscriptions>,
    random: &'a Random,
    monitor: &'a Arc<Monitor>,
    jobs: &'a Arc<Jobs>,
    guards: &'a Guards,
}

impl Parts<'_> {
    fn router(&self) -> anyhow::Result<Router> {
        let (control, random) = (self.control.clone(), self.random.clone());
        let location = self.config.location();
        let logins = Logins::new(
            control.clone(),
            Passwords::new(random.clone())?,
            random.clone(),
            self.subscriptions.objects().clone(),
        );
        let receipt_key = self.identity.receipt_key();
        let server =
            ServerService::new(&location, receipt_key.public_key().as_ref(), self.identity.receipt_certificate());
        let account = AccountService {
            control: control.clone(),
            subscriptions: self.subscriptions.clone(),
            logins: logins.clone(),
            random: random.clone(),
            location,
        };
        let backup = BackupService::new(self.subscriptions.clone());
        let restore = RestoreService::new(self.subscriptions.clone());
        let sets = SetsService { control: control.clone() };
        let places = PlacesService { control: control.clone(), declared: self.config.location() };
        let quotas = QuotasService { control: control.clone(), subscriptions: self.subscriptions.clone() };
        let closures = ClosuresService { control: control.clone() };
        let orders = OrdersService {
            control: control.clone(),
            subscriptions: self.subscriptions.clone(),
            random: random.clone(),
        };
        let approvals = ApprovalsService { control: control.clone() };
        let audit = AuditService {
            control: control.clone(),
            key: receipt_key,
            copies: self.subscriptions.objects().control_copies(),
        };
        let monitor = MonitorService { control: control.clone(), monitor: self.monitor.clone() };
        let history = HistoryService {
            control: control.clone(),
            subscriptions: self.subscriptions.clone(),
            guards: self.guards.clone(),
        };
        let upkeep = UpkeepService {
            control: control.clone(),
            subscriptions: self.subscriptions.clone(),
            jobs: self.jobs.clone(),
            guards: self.guards.clone(),
        };
        let admin = AdminService { control, subscriptions: self.subscriptions.clone(), logins, random };
        let (_, health) = tonic_health::server::health_reporter();
        Ok(RouterBuilder::default()
            .with(AccountServer::new(account).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX))
            .with(BackupServer::new(backup).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX))
            .with(RestoreServer::new(restore).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX))
            .with(SetsServer::new(sets).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX))
            .with(PlacesServer::new(places).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(QuotasServer::new(quotas).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(ClosuresServer::new(closures).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(HistoryServer::new(history).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(OrdersServer::new(orders).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX))
            .with(ApprovalsServer::new(approvals).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(AuditServer::new(audit).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(AdminServer::new(admin).max_decoding_message_size(UNARY_MESSAGE_BYTES_MAX))
            .with(MonitorServer::new(monitor).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(UpkeepServer::new(upkeep).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(ServerServer::new(server).max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .with(health.max_decoding_message_size(SMALL_MESSAGE_BYTES_MAX))
            .finish())
    }
}

/// The upkeep jobs of this server.
fn jobs(
    folder: &Path,
    control: &Arc<Control>,
    subscriptions: &Arc<Subscriptions>,
    identity: &Identity,
    config: &Config,
) -> Vec<Spec> {
    vec![
        control_copy::spec(folder.join(CONTROL_FILE), subscriptions.objects().control_copies()),
        records::checkpoint(control.clone(), identity.receipt_key()),
        scrub_round::spec(subscriptions.clone(), config.scrub),
        recount::spec(subscriptions.clone()),
        records::amend(control.clone(), subscriptions.clone()),
        judge::spec(control.clone(), subscriptions.clone()),
    ]
}

/// The threads that run upkeep jobs; they end when this is dropped.
struct Workers {
    jobs: Arc<Jobs>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Workers {
    fn start(jobs: Arc<Jobs>) -> std::io::Result<Self> {
        let start = |lane| {
            let jobs = jobs.clone();
            let work = move || jobs.work(lane, Duration::from_millis(UPKEEP_CHECK_MS));
            std::thread::Builder::new().name("upkeep".into()).spawn(work)
        };
        let lanes = std::iter::once(Lane::Server).chain([Lane::Subscriptions; UPKEEP_JOBS_MAX]);
        let threads = lanes.map(start).collect::<Result<_, _>>()?;
        Ok(Self { jobs, threads })
    }

    async fn join(mut self) -> anyhow::Result<()> {
        self.jobs.close();
        let threads = std::mem::take(&mut self.threads);
        // A job that panicked was reported by its runner.
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        Ok(tokio::task::spawn_blocking(join).await?)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.jobs.close();
    }
}

/// Looks every minute, and delivers through each channel for itself.
fn monitor_loops(monitor: &Arc<Monitor>, stopped: &watch::Receiver<Stop>) {
    let look = |monitor: &Monitor| monitor.look().map(|_| ());
    tokio::spawn(monitor_loop(monitor.clone(), LOOK_MS, stopped.clone(), look));
    for channel in monitor.channels() {
        let deliver = move |monitor: &Monitor| monitor.deliver(channel).map(|_| ());
        tokio::spawn(monitor_loop(monitor.clone(), ALARM_DELIVERY_EVERY_MS, stopped.clone(), deliver));
    }
}

async fn monitor_loop(
    monitor: Arc<Monitor>,
    every_ms: u64,
    mut stop: watch::Receiver<Stop>,
    work: impl Fn(&Monitor) -> Result<(), ControlError> + Clone + Send + 'static,
) {
    loop {
        let (monitor, work) = (monitor.clone(), work.clone());
        // Nothing is lost if it panics: the next round does it again.
        let done = tokio::task::spawn_blocking(move || work(&monitor)).await;
        if let Ok(Err(error)) = done {
            tracing::error!(error = &error as &dyn std::error::Error, "the monitor could not use the control store");
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop > Stop::No) => return,
            () = tokio::time::sleep(Duration::from_millis(every_ms)) => {}
        }
    }
}

/// Looks after the ballast.
async fn ballast(folder: PathBuf, mut stop: watch::Receiver<Stop>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop > Stop::No) => return,
            () = tokio::time::sleep(Duration::from_millis(BALLAST_CHECK_MS)) => {}
        }
        let folder = folder.clone();
        let _ = tokio::task::spawn_blocking(move || ballast::trim(&folder)).await;
    }
}

/// Ends sessions that were left alone, closes subscriptions that nobody uses, lets the clock of pruning go on.
async fn upkeep(subscriptions: Arc<Subscriptions>, guards: Guards, mut stop: watch::Receiver<Stop>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop > Stop::No) => return,
            () = tokio::time::sleep(Duration::from_millis(SESSION_CHECK_MS)) => {}
        }
        let (subscriptions, guards) = (subscriptions.clone(), guards.clone());
        let look = move || {
            subscriptions.end_left_alone(subscriptions.settings().clock.now_ns());
            subscriptions.close_idle();
            tick(&guards, subscriptions.settings().clock.now());
        };
        // Nothing is lost if it panics: the next round looks again.
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

fn tick(guards: &Guards, now: jiff::Timestamp) {
    match guards.tick(now) {
        // A clock that stands still was reported when it stopped, and is an alarm since.
        Ok(_) | Err(JobError::Refused(_)) => {}
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the clock of pruning could not be stored");
        }
    }
}

/// Replaces the leaf certificate when two thirds of its life are over.
struct Renewal {
    identity: Identity,
    certificates: Arc<Certificates>,
    names: Vec<String>,
    environment: Environment,
}

impl Renewal {
    async fn run(self, mut stop: watch::Receiver<Stop>) {
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => return,
                () = tokio::time::sleep(Duration::from_millis(RENEWAL_CHECK_MS)) => self.check(),
            }
        }
    }

    fn check(&self) {
        let Environment { clock, random } = &self.environment;
        let renewed = self.identity.leaf(&self.names, random, clock.now()).map_err(anyhow::Error::from);
        if let Err(error) = renewed.and_then(|leaf| Ok(self.certificates.renew(leaf)?)) {
            tracing::error!(%error, "the server's certificate could not be renewed");
        }
    }
}
