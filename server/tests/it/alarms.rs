//! Alarms from the fault to the mailbox: a real mail server, a real HTTP endpoint, a real program; the clock is the test's.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use common::id::{AgentId, ScopeId, SourceId, SubscriptionId};
use parking_lot::Mutex;
use proto::v1;
use proto::v1::monitor_client::MonitorClient;
use serde_json::Value;
use server::monitor::deliver::Channel;
use server::monitor::deliver::webhook::{SIGNATURE, signature};

use crate::harness::{Client, GOOD_PASSWORD, TestServer};
use crate::honest::{Agent, Stored};
use crate::line;
use crate::mailbox::{MailServer, certificate, free_port};

const HOUR_S: i64 = 3_600;
/// In the subject of every mail about a late source; a clock that jumps is also told of, and is another test's business.
const LATE: &str = "sauvegarde en retard";
/// A file name of the customer: it leaves through no channel and no metric.
const MARKER: &str = "zqx-dossier-medical";
const SECRET: &str = "partage";

/// A server with one subscription whose sources each have a set.
pub struct Scene {
    pub server: TestServer,
    pub operator: Client,
    pub agents: Vec<Agent>,
}

impl Scene {
    pub async fn new(sources: &[&str], extra: impl FnOnce(&Path) -> String) -> Self {
        let server = TestServer::start_with(extra).await;
        let operator = server.operator().await;
        let agents = subscribe(&server, &operator, sources).await;
        Self { server, operator, agents }
    }

    /// Looks, then delivers through every channel; how many deliveries failed.
    pub async fn look(&self) -> u64 {
        let monitor = self.server.running.monitor().clone();
        let work = move || {
            monitor.look().unwrap();
            Channel::ALL.into_iter().map(|channel| monitor.deliver(channel).unwrap()).sum()
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    /// One snapshot of a source.
    pub async fn back_up(&self, source: usize, number: u8) -> Stored {
        self.back_up_content(source, number, b"content").await
    }

    /// One snapshot of a source with a file of this content.
    pub async fn back_up_content(&self, source: usize, number: u8, content: &[u8]) -> Stored {
        self.agents[source].back_up(&self.channel().await, number, content).await.unwrap()
    }

    /// A connection for agents.
    pub async fn channel(&self) -> tonic::transport::Channel {
        let root = fs::read_to_string(self.server.folder.path().join("server/identity/root.pem")).unwrap();
        line::connect(self.server.running.address().port(), &root).await
    }

    /// An operator, logged in again: time has passed.
    pub async fn login(&self, identifier: &str) -> Client {
        let client = self.server.connect().await;
        let login = client.login(identifier, GOOD_PASSWORD).await.unwrap();
        client.with(&login.token)
    }

    /// A further operator.
    pub async fn colleague(&self, identifier: &str) -> Client {
        let request = v1::CreateAccountRequest {
            identifier: identifier.into(),
            role: v1::Role::Admin.into(),
            operator: true,
            ..v1::CreateAccountRequest::default()
        };
        let made = self.operator.admin().create_account(self.operator.0.request(request)).await.unwrap();
        let default = made.into_inner().default_password;
        let client = self.server.connect().await;
        let login = client.login(identifier, &default).await.unwrap();
        client.with(&login.token).change_password(&default, GOOD_PASSWORD).await.unwrap()
    }

    /// Looks twice, far enough apart for an alarm to end.
    async fn settle(&self) {
        self.look().await;
        self.server.pass(11 * 60);
        self.look().await;
    }

    /// The alarms of a kind, and the channels, as an operator sees them: logged in again, for time has passed.
    pub async fn alarms(&self, kind: &str) -> v1::ListAlarmsReply {
        let operator = self.login("admin").await;
        let request = operator.0.request(v1::ListAlarmsRequest {});
        let mut listed = MonitorClient::new(operator.0.channel()).list_alarms(request).await.unwrap().into_inner();
        listed.alarms.retain(|alarm| alarm.kind == kind);
        listed
    }

    async fn restart(self) -> Self {
        let Self { server, operator, agents } = self;
        Self { server: server.restart().await, operator, agents }
    }
}

async fn subscribe(server: &TestServer, operator: &Client, sources: &[&str]) -> Vec<Agent> {
    let customer = v1::CreateCustomerRequest { reference: "C-1".into(), name: "Acme".into() };
    operator.admin().create_customer(operator.0.request(customer)).await.unwrap();
    let ordered = |name: &&str| v1::OrderedSource {
        name: (*name).into(),
        kind: v1::SourceKind::Files.into(),
        ..v1::OrderedSource::default()
    };
    let form = v1::OrderForm {
        reference: "BC-1".into(),
        customer: "C-1".into(),
        contracted_bytes: 500_000_000_000,
        history_days: 30,
        sources: sources.iter().map(ordered).collect(),
        contact: "Mme Petit, 01 23 45 67 89, petit@client.example".into(),
        ..v1::OrderForm::default()
    };
    let request = operator.0.request(v1::CreateSubscriptionRequest { order_form: Some(form) });
    let made = operator.admin().create_subscription(request).await.unwrap().into_inner().subscription.unwrap();
    let person = server.member(operator, "anna", "BC-1", v1::Role::Admin).await;
    let enroll = v1::EnrollRequest { host: "machine".into(), version: "0".into(), ..Default::default() };
    let enrolled = person.enroll(enroll).await.unwrap();
    let mut agents = Vec::new();
    for source in made.order_form.unwrap().sources {
        let set = v1::Set {
            source: source.source.clone(),
            name: source.name,
            kind: v1::SourceKind::Files.into(),
            agent: enrolled.agent.clone(),
            paths: vec![format!("/srv/{MARKER}")],
            ..v1::Set::default()
        };
        agents.push(Agent {
            token: enrolled.token.clone(),
            agent: AgentId::try_from(&enrolled.agent[..]).unwrap(),
            scope: ScopeId::try_from(&enrolled.scope[..]).unwrap(),
            subscription: SubscriptionId::try_from(&enrolled.subscription[..]).unwrap(),
            source: SourceId::try_from(&source.source[..]).unwrap(),
            set_version: person.put_set(set).await.unwrap(),
        });
    }
    agents
}

/// Writes a file that only its owner can read.
fn secret(path: &Path, text: &str) {
    let mut file = fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn plain_mail(port: u16) -> String {
    format!(
        "[alarms.mail]\nserver = '127.0.0.1'\nport = {port}\nencryption = 'none'\n\
         from = 'Sauvegarde <sauvegarde@example.fr>'\noperators = ['astreinte@example.fr']\n"
    )
}

type Received = Arc<Mutex<Vec<(String, Bytes)>>>;

/// An endpoint that keeps what it gets.
async fn endpoint() -> (String, Received) {
    let received = Received::default();
    let take = |State(received): State<Received>, headers: HeaderMap, body: Bytes| async move {
        received.lock().push((headers[SIGNATURE].to_str().unwrap().to_owned(), body));
    };
    let pages = axum::Router::new().route("/hook", post(take)).with_state(received.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    (format!("http://{address}/hook"), received)
}

/// The notices of every document that the program got.
fn handed_over(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    documents.flat_map(|document| document.unwrap()["notices"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn a_late_source_is_said_once_reminded_after_a_day_and_ended_by_every_channel() {
    let port = free_port();
    let mails = MailServer::start(port);
    let (url, received) = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let handed = folder.path().join("handed");
    let scene = Scene::new(&["bureautique"], |server| {
        secret(&server.join("webhook"), SECRET);
        format!(
            "{}[alarms.webhook]\nurl = '{url}'\nsecret_file = 'webhook'\n\
             [alarms.command]\nprogram = ['/bin/sh', '-c', 'cat >> {}']\n",
            plain_mail(port),
            handed.display()
        )
    })
    .await;
    scene.server.pass(26 * HOUR_S);
    assert_eq!(scene.look().await, 0);
    assert!(!mails.has(LATE), "exactly period and tolerance is not late");
    scene.server.pass(60);
    let mut told = Vec::new();
    for _ in 0..3 {
        // Repeated looks within a day say nothing further.
        scene.look().await;
        scene.server.pass(HOUR_S);
    }
    for _ in 0..2 {
        told.push(mails.next(LATE));
    }
    told.sort_by(|one, other| one.to.cmp(&other.to));
    assert!(!mails.has(LATE), "one mail for the operator and one for the customer");
    assert_eq!(told[0].to, ["astreinte@example.fr"]);
    assert_eq!(told[1].to, ["petit@client.example"]);
    assert_eq!(told[0].subject, "[Do'BaaS] Alarme\u{a0}: sauvegarde en retard (BC-1, bureautique)");
    assert_eq!((told[0].from.as_str(), told[0].automatic.as_str()), ("sauvegarde@example.fr", "auto-generated"));
    assert!(told[0].body.contains("dobaas-admin") && !told[1].body.contains("dobaas-admin"), "{told:?}");
    let listed = scene.alarms("late").await;
    assert_eq!(listed.alarms.len(), 1);
    assert_eq!((listed.alarms[0].kind.as_str(), listed.alarms[0].subject.as_str()), ("late", "bureautique"));
    assert_eq!(listed.channels.iter().map(|channel| channel.queued).sum::<u64>(), 0);
    scene.server.pass(22 * HOUR_S);
    scene.look().await;
    let reminder = mails.next(LATE);
    assert!(reminder.body.contains("Rappel"), "{reminder:?}");
    assert_ne!(reminder.id, told[0].id);
    mails.next(LATE);
    scene.back_up(0, 1).await;
    scene.settle().await;
    let ended = [mails.next(LATE), mails.next(LATE)];
    assert!(ended.iter().all(|mail| mail.subject.starts_with("[Do'BaaS] Fin d'alarme")), "{ended:?}");
    assert!(ended.iter().all(|mail| mail.thread == told[0].thread), "one thread from beginning to end");
    scene.settle().await;
    assert!(!mails.has(LATE));
    assert_eq!(scene.alarms("late").await.alarms, []);
    let events = |notices: &[Value]| -> Vec<String> {
        let late = notices.iter().filter(|notice| notice["kind"] == "late");
        late.map(|notice| format!("{} {}", notice["event"], notice["kind"]).replace('"', "")).collect()
    };
    let expected = ["raised late", "reminder late", "ended late"];
    assert_eq!(events(&handed_over(&handed)), expected);
    assert!(told.iter().chain(&ended).all(|mail| !format!("{mail:?}").contains(MARKER)));
    assert!(!fs::read_to_string(&handed).unwrap().contains(MARKER));
    assert!(!scene.server.running.monitor().metrics().unwrap().contains(MARKER));
    let received = received.lock();
    let mut notices = Vec::new();
    for (header, body) in received.iter() {
        let at_s: i64 = header.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(*header, signature(SECRET, at_s, body));
        assert!(!String::from_utf8_lossy(body).contains(MARKER));
        let document: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(document["version"], 1);
        notices.extend(document["notices"].as_array().unwrap().clone());
    }
    assert_eq!(events(&notices), expected);
    assert!(notices.iter().any(|notice| notice["subscription"] == "BC-1"));
}

#[tokio::test]
async fn a_dead_mail_server_loses_no_alarm_not_even_across_a_restart() {
    let port = free_port();
    let scene = Scene::new(&["bureautique"], |_| plain_mail(port)).await;
    scene.server.pass(27 * HOUR_S);
    assert!(scene.look().await > 0, "nobody listens");
    let failing = scene.alarms("late").await.channels.remove(0);
    assert!(failing.channel == "mail" && failing.queued >= 2, "{failing:?}");
    assert!(failing.failing_since_ns > 0 && !failing.error.is_empty(), "{failing:?}");
    let scene = scene.restart().await;
    let mails = MailServer::start(port);
    scene.server.pass(HOUR_S);
    scene.look().await;
    mails.next(LATE);
    mails.next(LATE);
    scene.look().await;
    assert!(!mails.has(LATE), "said once");
    let state = server::control::Control::channel_states(scene.server.running.control()).unwrap();
    assert_eq!((state[0].failing_since_ns, state[0].queued), (None, 0));
    assert!(state[0].failures > 0);
}

#[tokio::test]
async fn many_alarms_at_once_are_one_mail() {
    let port = free_port();
    let mails = MailServer::start(port);
    let names = ["un", "deux", "trois", "quatre", "cinq", "six"];
    let scene = Scene::new(&names, |_| format!("{}customers = false\n", plain_mail(port))).await;
    scene.server.pass(27 * HOUR_S);
    scene.look().await;
    let mail = mails.next("messages d'alarme");
    assert!(names.iter().all(|name| mail.body.contains(&format!("({})", ["BC-1, ", name].concat()))), "{}", mail.body);
    assert!(!mails.has(LATE));
}

#[tokio::test]
async fn the_test_button_tells_what_each_channel_answered() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let (authority, key) = certificate(folder.path());
    let mails = MailServer::start_closed(port, &authority, &key, ("sauvegarde", "bon mot"));
    let mail = format!(
        "[alarms.mail]\nserver = 'localhost'\nport = {port}\nlogin = 'sauvegarde'\npassword_file = 'smtp'\n\
         authority = '{}'\nfrom = 'sauvegarde@example.fr'\noperators = ['astreinte@example.fr']\n",
        authority.display()
    );
    let scene = Scene::new(&["bureautique"], |server| {
        secret(&server.join("smtp"), "mauvais mot");
        secret(&server.join("webhook"), SECRET);
        let nobody = free_port();
        format!(
            "{mail}[alarms.webhook]\nurl = 'http://127.0.0.1:{nobody}/'\nsecret_file = 'webhook'\n\
             [alarms.command]\nprogram = ['/bin/cat']\n"
        )
    })
    .await;
    let results = test(&scene).await;
    assert_eq!(
        results.iter().map(|result| result.channel.as_str()).collect::<Vec<_>>(),
        ["mail", "webhook", "command"]
    );
    assert!(results[0].error.contains("535"), "a wrong password: {results:?}");
    assert!(!results[1].error.is_empty() && results[2].error.is_empty(), "{results:?}");
    assert!(!mails.has("Essai"));
    // The secret is read at each delivery.
    secret(&scene.server.folder.path().join("server/smtp"), "bon mot\n");
    let results = test(&scene).await;
    assert_eq!(results[0].error, "");
    let mail = mails.next("Essai");
    assert!(mail.tls, "the mail went over TLS");
    assert_eq!(mail.subject, "[Do'BaaS] Essai des alarmes");
    let row = scene.server.running.control().audit(1).unwrap().remove(0);
    assert_eq!((row.action.as_str(), row.trace.who.as_str()), ("test_alarms", "operator:admin"));
}

async fn test(scene: &Scene) -> Vec<v1::TestedAlarmChannel> {
    let request = scene.operator.0.request(v1::TestAlarmsRequest {});
    MonitorClient::new(scene.operator.0.channel()).test_alarms(request).await.unwrap().into_inner().results
}
