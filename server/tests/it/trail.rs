//! The audit trail of a running server: what tampering shows, extracts, checkpoints, and that a customer sees every access.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use prost::Message;
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::audit_client::AuditClient;
use protox::prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use server::control::audit::{Action, Event, Trace};
use server::upkeep::jobs::JobKind;

use crate::alarms::Scene;
use crate::harness::{Client, GOOD_PASSWORD, outcome};
use crate::line;

/// A scene with an operator's command line that is logged in.
struct Desk {
    scene: Scene,
    folder: PathBuf,
}

impl Desk {
    async fn new() -> Self {
        let scene = Scene::new(&["bureautique"], |_| String::new()).await;
        let folder = scene.server.folder.path().join("desk");
        std::fs::create_dir(&folder).unwrap();
        let password = folder.join("password");
        std::fs::File::create(&password)
            .and_then(|mut file| std::io::Write::write_all(&mut file, GOOD_PASSWORD.as_bytes()))
            .unwrap();
        let desk = Self { scene, folder };
        let running = &desk.scene.server.running;
        let (server, fingerprint) = (format!("https://{}", running.address()), running.fingerprint().to_owned());
        let file = password.display().to_string();
        let login = ["login", "--server", &server, "--fingerprint", &fingerprint, "--identifier", "admin"];
        let done = desk.admin(&[&login[..], &["--password-file", &file]].concat()).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        desk
    }

    async fn admin(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dobaas-admin"));
        command.arg("--state").arg(&self.folder).args(["--lang", "en", "--json"]).args(arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// The document of `audit verify`, and how the program ended.
    async fn verify(&self) -> (serde_json::Value, i32) {
        let output = self.admin(&["audit", "verify"]).await;
        (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
    }

    /// Runs a job of the server now.
    async fn run(&self, kind: JobKind) {
        let jobs = self.scene.server.running.jobs().clone();
        // One that began by itself a moment ago is another one.
        self.scene.server.pass(1);
        let began_ns = self.scene.server.now_ns();
        jobs.request(None, kind).unwrap();
        loop {
            let status = jobs.status().unwrap();
            let job = status.iter().find(|job| job.kind == kind).unwrap();
            if job.last.as_ref().is_some_and(|last| last.outcome == "done" && last.started_at_ns >= began_ns) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Changes the control store behind the server's back, as an intruder on its machine could.
    fn intrude(&self, statements: &str) {
        let file = self.scene.server.folder.path().join("server/control.db");
        let script = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1], timeout=30) as db:\n    \
                      [db.execute(f'DROP TRIGGER {name}') for (name,) in db.execute(\"SELECT name FROM sqlite_master \
                      WHERE type = 'trigger' AND tbl_name LIKE 'audit%'\").fetchall()]\n    \
                      [db.execute(one) for one in sys.argv[2].split(';')]\n";
        let output = Command::new("/usr/bin/python3").args(["-c", script]).arg(&file).arg(statements).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_finds_a_changed_row_and_names_it() {
    let desk = Desk::new().await;
    let (document, code) = desk.verify().await;
    assert_eq!((document["intact"].as_bool(), code), (Some(true), 0), "{document}");
    desk.intrude("UPDATE audit SET who = 'operator:nobody' WHERE number = 3");
    let (document, code) = desk.verify().await;
    assert_eq!((document["intact"].as_bool(), code), (Some(false), 1), "{document}");
    assert_eq!((document["problem"].as_str(), document["record"].as_u64()), (Some("record"), Some(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trail_cut_with_its_own_checkpoints_differs_from_the_copies() {
    let desk = Desk::new().await;
    // Less than the life of the command line's login.
    desk.scene.server.pass(600);
    desk.run(JobKind::Checkpoint).await;
    desk.run(JobKind::ControlCopy).await;
    let (document, code) = desk.verify().await;
    assert_eq!((document["intact"].as_bool(), code), (Some(true), 0), "{document}");
    assert!(document["copied_checkpoints"].as_u64() > Some(0), "{document}");
    desk.intrude("DELETE FROM audit WHERE number > 4;DELETE FROM audit_checkpoint");
    let (document, code) = desk.verify().await;
    assert_eq!((document["intact"].as_bool(), code), (Some(false), 1), "{document}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_signed_every_hour_and_cover_all_rows() {
    let desk = Desk::new().await;
    let verify = async |operator: Client| {
        let request = operator.0.request(v1::VerifyAuditRequest {});
        outcome(AuditClient::new(operator.0.channel()).verify(request).await).unwrap()
    };
    let mut checkpoints = 0;
    for _ in 0..3 {
        desk.scene.server.pass(3_601);
        let operator = desk.scene.login("admin").await;
        let rows = desk.scene.server.running.control().audit(1).unwrap()[0].number;
        desk.run(JobKind::Checkpoint).await;
        let verified = verify(operator).await;
        assert!(verified.problem.is_empty() && verified.checkpoints > checkpoints, "{verified:?}");
        let newest = u64::try_from(rows).unwrap();
        assert!(verified.records - verified.unsigned_records >= newest, "{verified:?} covers {newest}");
        checkpoints = verified.checkpoints;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extract_holds_every_row_of_the_customer_across_pages_and_no_other() {
    const ROWS: i64 = 2_100;
    let desk = Desk::new().await;
    let control = desk.scene.server.running.control();
    let subscription = desk.scene.agents[0].subscription;
    let trace = |at_ns| Trace { who: "person:anna".into(), address: "local".into(), at_ns };
    for number in 0..ROWS {
        let own = (number % 2 == 0).then_some(subscription);
        let event = Event { action: Action::Read, subscription: own, object: "essai", result: "done" };
        control.record(&trace(desk.scene.server.now_ns()), &event).unwrap();
    }
    let output = desk.admin(&["audit", "extract", "--subscription", "BC-1", "--format", "jsonl"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.iter().all(|row| row["subscription"] == "BC-1"));
    assert_eq!(rows.iter().filter(|row| row["object"] == "essai").count(), 1_050, "more than one page");
    let numbers: Vec<i64> = rows.iter().map(|row| row["number"].as_i64().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[0] < two[1]));
    let looks = control.audit(5).unwrap();
    let looks = looks.iter().filter(|row| row.action == "read" && row.object == "audit").count();
    assert_eq!(looks, 2, "each page that was read is a row that the customer sees");
}

/// The services that people and agents of customers call.
const CUSTOMERS: [&str; 5] = ["Account", "Backup", "Restore", "Server", "Sets"];
/// The fields that name a subscription.
const NAMES: [&str; 2] = ["subscription", "reference"];

/// Every operators' call whose request names a subscription.
fn calls() -> Vec<MethodDescriptor> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto");
    let files = std::fs::read_dir(folder.join("dobaas/v1")).unwrap().map(|file| file.unwrap().file_name());
    let files = files.map(|name| Path::new("dobaas/v1").join(name));
    let mut compiler = protox::Compiler::new([&folder]).unwrap();
    compiler.include_imports(true).open_files(files).unwrap();
    let services =
        compiler.descriptor_pool().services().filter(|of| !CUSTOMERS.contains(&of.name())).collect::<Vec<_>>();
    let names = |call: &MethodDescriptor| NAMES.iter().any(|name| call.input().get_field_by_name(name).is_some());
    let calls = services.into_iter().flat_map(|service| service.methods().collect::<Vec<_>>());
    calls.filter(|call| names(call) && call.name() != "CreateCustomer").collect()
}

/// The same for calls whose requests hold messages.
fn nested(call: &str, now_ns: i64) -> Option<Vec<u8>> {
    let day = |at_ns: i64| jiff::Timestamp::from_nanosecond(at_ns.into()).unwrap().to_string()[..10].to_owned();
    let (subscription, document) = ("BC-1".to_owned(), "LR-2".to_owned());
    Some(match call {
        "Amend" => {
            let change = Some(v1::FormChange { tolerance_h: Some(3), ..v1::FormChange::default() });
            v1::AmendRequest { subscription, change, document, signed_on: day(now_ns), ..v1::AmendRequest::default() }
                .encode_to_vec()
        }
        "RecordConsent" => {
            let (kind, country, received_on) = ("letter".to_owned(), "BE".to_owned(), day(now_ns));
            let consent = v1::Consent { kind, received_on, document, country, ..v1::Consent::default() };
            v1::RecordConsentRequest { subscription, consent: Some(consent) }.encode_to_vec()
        }
        "Relocate" => {
            let to = v1::Location { site: "Lille".into(), country: "FR".into(), owner: "provider".into() };
            let moves_on = day(now_ns + 40 * 24 * 3_600_000_000_000);
            v1::RelocateRequest { subscription, to: Some(to), scope: String::new(), moves_on }.encode_to_vec()
        }
        _ => return None,
    })
}

/// What a call needs beside the subscription to do what it is for.
fn filled(call: &MethodDescriptor, agent: &[u8], now_ns: i64) -> DynamicMessage {
    let mut request = DynamicMessage::new(call.input());
    let text = |text: &str| Value::String(text.to_owned());
    for name in NAMES.iter().filter(|name| call.input().get_field_by_name(name).is_some()) {
        request.set_field_by_name(name, text("BC-1"));
    }
    let day = jiff::Timestamp::from_nanosecond(now_ns.into()).unwrap().to_string()[..10].to_owned();
    let hour_ns = 3_600_000_000_000;
    let values: Vec<(&str, Value)> = match call.name() {
        "CreateAccount" => vec![("identifier", text("zoe")), ("role", Value::EnumNumber(1))],
        "CreateEnrolmentToken" => vec![("valid_s", Value::U32(600))],
        "RevokeSubscriptionAgent" | "SetAgentRestore" => vec![("agent", Value::Bytes(Bytes::copy_from_slice(agent)))],
        "Propose" => vec![("kind", text("lift_hold")), ("detail", text("essai"))],
        "Suspend" => vec![("reason", text("other")), ("detail", text("essai")), ("untold_because", text("essai"))],
        "AnnounceMaintenance" => vec![("until_ns", Value::I64(now_ns + hour_ns)), ("detail", text("essai"))],
        "End" => vec![("received_on", text(&day)), ("document", text("LR-1"))],
        "Run" => vec![("job", text("mark"))],
        "AllowPruning" => vec![("reason", text("essai"))],
        "Protect" => vec![
            ("snapshot", text("01010101")),
            ("until_ns", Value::I64(now_ns + 24 * hour_ns)),
            ("reason", text("essai")),
        ],
        _ => Vec::new(),
    };
    for (name, value) in values {
        // A field of another width is a number all the same.
        let set = request.try_set_field_by_name(name, value.clone());
        if set.is_err() {
            let Value::U32(number) = value else { panic!("{}.{name}", call.name()) };
            request.set_field_by_name(name, Value::U64(number.into()));
        }
    }
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_customer_sees_a_row_of_every_call_by_which_an_operator_names_the_subscription() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    scene.back_up(0, 1).await;
    let anna = scene.login("anna").await;
    let seen = async || {
        let request = anna.0.request(v1::OperatorAccessesRequest { from_ns: 0, limit: 1_000 });
        let mut account = AccountClient::new(anna.0.channel());
        outcome(account.operator_accesses(request).await).unwrap().accesses.len()
    };
    let root = std::fs::read_to_string(scene.server.folder.path().join("server/identity/root.pem")).unwrap();
    let channel = line::connect(scene.server.running.address().port(), &root).await;
    let token = scene.server.connect().await.login("admin", GOOD_PASSWORD).await.unwrap().token;
    // What they end (a hold, a protection) is not there; they have their own tests.
    let refused = ["LiftHold", "Unprotect"];
    let mut unseen = Vec::new();
    let calls = calls();
    assert!(calls.len() > 30, "{}", calls.len());
    for call in calls {
        if refused.contains(&call.name()) {
            continue;
        }
        let before = seen().await;
        let now_ns = scene.server.now_ns();
        let request = nested(call.name(), now_ns)
            .unwrap_or_else(|| filled(&call, scene.agents[0].agent.as_bytes(), now_ns).encode_to_vec());
        let path = format!("/{}/{}", call.parent_service().full_name(), call.name());
        let answer = line::call(channel.clone(), &path, &token, vec![request.into()]).await;
        match answer {
            Err(status) => unseen.push(format!("{path}: {status:?}")),
            Ok(_) if seen().await == before => unseen.push(path),
            Ok(_) => {}
        }
    }
    assert!(unseen.is_empty(), "{unseen:#?}");
}
