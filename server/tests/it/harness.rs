//! A server in process, with a clock that tests move.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::Timestamp;
use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::admin_client::AdminClient;
use proto::v1::server_client::ServerClient;
use proto::v1::sets_client::SetsClient;
use server::admin::remote::Remote;
use server::app::{Environment, Running, start};
use server::clock::Clock;
use server::config::{Config, Settings};
use server::contract::location::Location;
use server::setup::initialize;
use server::upkeep::jobs::JobKind;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Response, Status};

pub const GOOD_PASSWORD: &str = "trombone lilas virage 42";
pub const OTHER_PASSWORD: &str = "marée d'équinoxe au matin";

/// A server, its folder and its clock.
pub struct TestServer {
    pub folder: TempDir,
    pub running: Running,
    pub operator_password: String,
    now_ns: Arc<AtomicI64>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| String::new()).await
    }

    /// With a further part of the configuration, made for the server's folder.
    pub async fn start_with(extra: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now_ns = Arc::new(AtomicI64::new(i64::try_from(Timestamp::now().as_nanosecond()).unwrap()));
        let (root, shared) = (folder.path().join("server"), now_ns.clone());
        let environment = environment(shared);
        let settings = Settings {
            listen: "127.0.0.1:0".parse().unwrap(),
            names: vec!["localhost".into(), "127.0.0.1".into()],
            location: Location { site: "Lyon".into(), country: "FR".into(), owner: "provider".into() },
        };
        let made = initialize(&root, &settings, "admin", &environment).unwrap();
        let mut config = OpenOptions::new().append(true).open(root.join("server.toml")).unwrap();
        config.write_all(extra(&root).as_bytes()).unwrap();
        let running = start(&root, &Config::load(&root).unwrap(), &environment).await.unwrap();
        Self { folder, running, operator_password: made.default_password.to_string(), now_ns }
    }

    /// Stops it and starts it again on the same folder.
    pub async fn restart(self) -> Self {
        let Self { folder, running, operator_password, now_ns } = self;
        running.stop().await.unwrap();
        let root = folder.path().join("server");
        let config = Config::load(&root).unwrap();
        let running = start(&root, &config, &environment(now_ns.clone())).await.unwrap();
        Self { folder, running, operator_password, now_ns }
    }

    /// Has a job of the server's own run, and waits for its end.
    pub async fn upkeep(&self, kind: JobKind) {
        let known = || {
            let jobs = self.running.control().jobs().unwrap();
            jobs.into_iter().find(|job| job.subscription.is_none() && job.job == kind.name())
        };
        // Ends are told apart by the server's clock.
        self.pass(1);
        let before = self.now_ns();
        self.running.jobs().request(None, kind).unwrap();
        while known().is_none_or(|job| job.started_at_ns < before) {
            tokio::task::yield_now().await;
        }
    }

    /// Moves the server's clock.
    pub fn pass(&self, seconds: i64) {
        self.now_ns.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
    }

    /// The time of the server's clock.
    pub fn now_ns(&self) -> i64 {
        self.now_ns.load(Ordering::SeqCst)
    }

    pub async fn connect(&self) -> Client {
        let server = format!("https://{}", self.running.address());
        Client(Remote::connect(&server, self.running.fingerprint()).await.unwrap())
    }

    /// An operator whose password is changed.
    pub async fn operator(&self) -> Client {
        let client = self.connect().await;
        let login = client.login("admin", &self.operator_password).await.unwrap();
        assert!(login.must_change_password);
        client.with(&login.token).change_password(&self.operator_password, GOOD_PASSWORD).await.unwrap()
    }

    /// A customer with a subscription of reference `reference` and one source, `bureautique`.
    pub async fn subscribe(&self, operator: &Client, reference: &str) -> v1::Subscription {
        let customer = format!("client {reference}");
        let request = v1::CreateCustomerRequest { reference: customer.clone(), name: "Acme".into() };
        operator.admin().create_customer(operator.0.request(request)).await.unwrap();
        let source = v1::OrderedSource {
            name: "bureautique".into(),
            kind: v1::SourceKind::Files.into(),
            ..v1::OrderedSource::default()
        };
        let form = v1::OrderForm {
            reference: reference.into(),
            customer,
            contracted_bytes: 500_000_000_000,
            history_days: 30,
            sources: vec![source],
            ..v1::OrderForm::default()
        };
        let request = v1::CreateSubscriptionRequest { order_form: Some(form) };
        let reply = operator.admin().create_subscription(operator.0.request(request)).await.unwrap();
        reply.into_inner().subscription.unwrap()
    }

    /// Makes a person; their default password.
    pub async fn person(&self, operator: &Client, identifier: &str, reference: &str, role: v1::Role) -> String {
        let request = v1::CreateAccountRequest {
            identifier: identifier.into(),
            subscription: reference.into(),
            role: role.into(),
            ..v1::CreateAccountRequest::default()
        };
        operator.admin().create_account(operator.0.request(request)).await.unwrap().into_inner().default_password
    }

    /// A person whose password is changed.
    pub async fn member(&self, operator: &Client, identifier: &str, reference: &str, role: v1::Role) -> Client {
        let default = self.person(operator, identifier, reference, role).await;
        let client = self.connect().await;
        let login = client.login(identifier, &default).await.unwrap();
        client.with(&login.token).change_password(&default, GOOD_PASSWORD).await.unwrap()
    }
}

fn environment(now_ns: Arc<AtomicI64>) -> Environment {
    let now = move || Timestamp::from_nanosecond(i128::from(now_ns.load(Ordering::SeqCst))).unwrap();
    Environment { clock: Clock::new(now), ..Environment::system() }
}

/// A connection with a credential.
#[derive(Clone)]
pub struct Client(pub Remote);

impl Client {
    pub fn with(&self, token: &str) -> Self {
        Self(self.0.with_token(token).unwrap())
    }

    pub fn account(&self) -> AccountClient<Channel> {
        AccountClient::new(self.0.channel())
    }

    pub fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.0.channel())
    }

    pub fn sets(&self) -> SetsClient<Channel> {
        SetsClient::new(self.0.channel())
    }

    pub fn server(&self) -> ServerClient<Channel> {
        ServerClient::new(self.0.channel())
    }

    pub async fn login(&self, identifier: &str, password: &str) -> Result<v1::LoginReply, Failure> {
        let request = v1::LoginRequest { identifier: identifier.into(), password: password.into() };
        outcome(self.account().login(self.0.request(request)).await)
    }

    pub async fn change_password(&self, old: &str, new: &str) -> Result<Self, Failure> {
        let request = v1::ChangePasswordRequest { old_password: old.into(), new_password: new.into() };
        let reply = outcome(self.account().change_password(self.0.request(request)).await)?;
        Ok(self.with(&reply.token))
    }

    pub async fn whoami(&self) -> Result<v1::WhoamiReply, Failure> {
        outcome(self.account().whoami(self.0.request(v1::WhoamiRequest {})).await)
    }

    pub async fn enroll(&self, request: v1::EnrollRequest) -> Result<v1::EnrollReply, Failure> {
        outcome(self.account().enroll(self.0.request(request)).await)
    }

    pub async fn put_set(&self, set: v1::Set) -> Result<u64, Failure> {
        let request = v1::PutSetRequest { set: Some(set) };
        outcome(self.sets().put(self.0.request(request)).await).map(|reply| reply.version)
    }
}

/// The message, or the failure that the status carries.
pub fn outcome<T>(result: Result<Response<T>, Status>) -> Result<T, Failure> {
    result
        .map(Response::into_inner)
        .map_err(|status| Failure::from_status(&status).unwrap_or_else(|| panic!("{status:?}")))
}

/// The code of a refusal.
pub fn refusal<T>(result: Result<T, Failure>) -> ErrorCode {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(failure) => failure.code,
    }
}
