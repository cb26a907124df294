//! A running server with an operator logged in, and customers on it.

use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, spawn};

use bytes::Bytes;
use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::admin_client::AdminClient;
use proto::v1::closures_client::ClosuresClient;
use proto::v1::sets_client::SetsClient;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;

use crate::honest::Agent;
use crate::line::{connect, connect_raw, with_token};

const OPERATOR: &str = "exploitant";
const PASSWORD: &str = "une longue phrase de passe";

/// The server. Killed when dropped.
pub struct Station {
    child: Child,
    log: Option<JoinHandle<String>>,
    port: u16,
    root_pem: String,
    /// An operator's login.
    pub operator: String,
    _folder: TempDir,
}

/// Somebody with a subscription of one or two sources.
pub struct Customer {
    /// Reference of the order form.
    pub order_form: String,
    /// A login with role `admin`.
    pub person: String,
    /// An agent with a set.
    pub agent: Agent,
    sources: Vec<SourceId>,
}

impl Customer {
    /// Ids that exist, for hostile messages.
    pub fn known(&self) -> Vec<Vec<u8>> {
        let agent = &self.agent;
        vec![
            agent.agent.as_bytes().to_vec(),
            agent.scope.as_bytes().to_vec(),
            agent.source.as_bytes().to_vec(),
            agent.subscription.as_bytes().to_vec(),
        ]
    }
}

impl Station {
    /// Makes a server in a scratch folder and starts it.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join("server");
        let program = || Command::new(env!("CARGO_BIN_EXE_dobaas-server"));
        let init = program()
            .args([
                "--json",
                "init",
                "--site",
                "Essai",
                "--owner",
                "provider",
                "--listen",
                "127.0.0.1:0",
                "--operator",
                OPERATOR,
            ])
            .arg(&server)
            .output()
            .unwrap();
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let made: Value = serde_json::from_slice(&init.stdout).unwrap();
        // As its unit starts it.
        let mut serve = program();
        serve.env("MALLOC_ARENA_MAX", "2").args(["--json", "serve"]).arg(&server);
        let serve = serve.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = serve.unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let listening: Value = serde_json::from_str(&line).expect("the server says where it listens");
        let port = listening["address"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        let root_pem = std::fs::read_to_string(server.join("identity/root.pem")).unwrap();
        let mut station = Self { child, log: Some(log), port, root_pem, operator: String::new(), _folder: folder };
        station.operator = station.first_login(OPERATOR, made["default_password"].as_str().unwrap()).await;
        station
    }

    /// A connection of its own.
    pub async fn channel(&self) -> Channel {
        connect(self.port, &self.root_pem).await
    }

    /// A connection of its own without a protocol above TLS.
    pub async fn raw(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.raw_from(Ipv4Addr::LOCALHOST).await
    }

    /// The same from another address of loopback.
    pub async fn raw_from(&self, from: Ipv4Addr) -> std::io::Result<TlsStream<TcpStream>> {
        connect_raw(from, self.port, &self.root_pem).await
    }

    /// A connection of its own without TLS.
    pub async fn silent(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(("127.0.0.1", self.port)).await
    }

    /// Logs in with a default password and changes it; the token.
    async fn first_login(&self, identifier: &str, default: &str) -> String {
        let mut account = AccountClient::new(self.channel().await);
        let login = v1::LoginRequest { identifier: identifier.into(), password: default.into() };
        let token = account.login(login).await.unwrap().into_inner().token;
        let change = v1::ChangePasswordRequest { old_password: default.into(), new_password: PASSWORD.into() };
        account.change_password(with_token(&token, change)).await.unwrap().into_inner().token
    }

    /// One more login of the operator.
    pub async fn operator_login(&self) -> String {
        let login = v1::LoginRequest { identifier: OPERATOR.into(), password: PASSWORD.into() };
        AccountClient::new(self.channel().await).login(login).await.unwrap().into_inner().token
    }

    /// Ends every maintenance that somebody announced; `operator` is the token of a login.
    pub async fn end_maintenance(&self, operator: &str) {
        let mut closures = ClosuresClient::new(self.channel().await);
        let list = with_token(operator, v1::ListMaintenanceRequest { all: false });
        for window in closures.list_maintenance(list).await.unwrap().into_inner().maintenance {
            let end = with_token(operator, v1::EndMaintenanceRequest { number: window.number });
            closures.end_maintenance(end).await.unwrap();
        }
    }

    /// A customer with a subscription, a person and an enrolled agent.
    pub async fn customer(&self, name: &str) -> Customer {
        let mut admin = AdminClient::new(self.channel().await);
        let customer = v1::CreateCustomerRequest { reference: name.into(), name: format!("Société {name}") };
        admin.create_customer(with_token(&self.operator, customer)).await.unwrap();
        let source = |name: &str| v1::OrderedSource {
            source: Bytes::new(),
            name: name.into(),
            kind: v1::SourceKind::Files.into(),
        };
        let form = v1::OrderForm {
            reference: name.into(),
            customer: name.into(),
            contracted_bytes: 10_000_000_000,
            history_days: 30,
            key_mode: v1::KeyMode::CustomerHeld.into(),
            sources: vec![source("premier"), source("second")],
            contact: "01 23 45 67 89".into(),
            ..Default::default()
        };
        let request = v1::CreateSubscriptionRequest { order_form: Some(form) };
        let made = admin.create_subscription(with_token(&self.operator, request)).await.unwrap().into_inner();
        let sources: Vec<SourceId> =
            made.subscription.unwrap().order_form.unwrap().sources.iter().map(|source| id(&source.source)).collect();
        let identifier = format!("{name}-admin");
        let default = self.account(&identifier, name).await;
        let person = self.first_login(&identifier, &default).await;
        let agent = self.agent(&person, sources[0], "premier").await;
        Customer { order_form: name.into(), person, agent, sources }
    }

    /// The same subscription's person with another agent, hence another scope.
    pub async fn sibling(&self, of: &Customer) -> Customer {
        let agent = self.agent(&of.person, of.sources[1], "second").await;
        assert_ne!(agent.scope, of.agent.scope);
        Customer { order_form: of.order_form.clone(), person: of.person.clone(), agent, sources: of.sources.clone() }
    }

    /// Makes a person of a subscription; the default password.
    pub async fn account(&self, identifier: &str, subscription: &str) -> String {
        let request = v1::CreateAccountRequest {
            identifier: identifier.into(),
            subscription: subscription.into(),
            role: v1::Role::Admin.into(),
            ..Default::default()
        };
        let mut admin = AdminClient::new(self.channel().await);
        admin.create_account(with_token(&self.operator, request)).await.unwrap().into_inner().default_password
    }

    async fn agent(&self, person: &str, source: SourceId, name: &str) -> Agent {
        let mut account = AccountClient::new(self.channel().await);
        let request = v1::EnrollRequest { host: format!("machine-{name}"), version: "0".into(), ..Default::default() };
        let made = account.enroll(with_token(person, request)).await.unwrap().into_inner();
        let set = v1::Set {
            source: Bytes::copy_from_slice(source.as_bytes()),
            name: name.into(),
            kind: v1::SourceKind::Files.into(),
            agent: made.agent.clone(),
            paths: vec!["/srv".into()],
            ..Default::default()
        };
        let mut sets = SetsClient::new(self.channel().await);
        let put = v1::PutSetRequest { set: Some(set) };
        let set_version = sets.put(with_token(person, put)).await.unwrap().into_inner().version;
        Agent {
            token: made.token,
            agent: AgentId::try_from(&made.agent[..]).unwrap(),
            scope: ScopeId::try_from(&made.scope[..]).unwrap(),
            subscription: SubscriptionId::try_from(&made.subscription[..]).unwrap(),
            source,
            set_version,
        }
    }

    /// Memory of the server's process, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server is alive");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a living process has memory");
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Stops the server, which must be alive and must never have panicked.
    pub fn stop(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the server has ended");
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        let log = self.log.take().unwrap().join().unwrap();
        assert!(!log.contains("panicked at"), "{log}");
        assert!(status.success(), "{status}\n{log}");
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id(bytes: &[u8]) -> SourceId {
    SourceId::try_from(bytes).unwrap()
}
