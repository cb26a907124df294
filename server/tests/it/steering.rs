//! Upkeep and history in the hands of operators, through a running server.

use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::approvals_client::ApprovalsClient;
use proto::v1::history_client::HistoryClient;
use proto::v1::orders_client::OrdersClient;
use proto::v1::upkeep_client::UpkeepClient;
use tonic::transport::Channel;

use crate::alarms::Scene;
use crate::harness::{Client, outcome, refusal};

const DAY_S: i64 = 24 * 3_600;

fn upkeep(client: &Client) -> UpkeepClient<Channel> {
    UpkeepClient::new(client.0.channel())
}

fn history(client: &Client) -> HistoryClient<Channel> {
    HistoryClient::new(client.0.channel())
}

async fn scene() -> Scene {
    Scene::new(&["bureautique"], |_| String::new()).await
}

async fn status(operator: &Client, subscription: &str) -> v1::UpkeepStatusReply {
    let request = v1::UpkeepStatusRequest { subscription: subscription.into() };
    outcome(upkeep(operator).status(operator.0.request(request)).await).unwrap()
}

async fn run(operator: &Client, job: &str, subscription: &str) -> Result<v1::RunUpkeepReply, Failure> {
    let request = v1::RunUpkeepRequest { job: job.into(), subscription: subscription.into() };
    outcome(upkeep(operator).run(operator.0.request(request)).await)
}

/// The last result of a job, once it has one that began at `since_ns` or later.
async fn result(operator: &Client, job: &str, since_ns: i64) -> v1::UpkeepJob {
    loop {
        let jobs = status(operator, "BC-1").await.jobs;
        let found = jobs.into_iter().find(|one| one.job == job).unwrap();
        if found.started_at_ns >= since_ns && !found.running {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

/// What the customer sees of the operators' acts, newest first.
async fn accesses(person: &Client) -> Vec<(String, String)> {
    let request = person.0.request(v1::OperatorAccessesRequest::default());
    let reply = outcome(AccountClient::new(person.0.channel()).operator_accesses(request).await).unwrap();
    reply.accesses.into_iter().map(|access| (access.action, access.object)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_runs_pauses_and_stops_jobs_and_the_customer_sees_it() {
    let scene = scene().await;
    let operator = &scene.operator;
    scene.back_up(0, 1).await;
    run(operator, "mark", "BC-1").await.unwrap();
    let marked = result(operator, "mark", scene.server.now_ns()).await;
    assert_eq!((marked.outcome.as_str(), marked.subscription.as_str()), ("done", "BC-1"));
    assert!(marked.counts.iter().any(|count| count.name == "reached" && count.count == 2), "{marked:?}");
    assert_eq!(marked.due_at_ns, marked.started_at_ns + DAY_S * 1_000_000_000);
    for (job, subscription) in [("nothing", "BC-1"), ("control-copy", "BC-1"), ("mark", "")] {
        assert_eq!(refusal(run(operator, job, subscription).await), ErrorCode::InvalidArgument, "{job}");
    }
    assert_eq!(refusal(run(operator, "mark", "BC-9").await), ErrorCode::NotFound);
    let place = || "BC-1".to_owned();
    let pause = v1::PauseUpkeepRequest { subscription: place() };
    outcome(upkeep(operator).pause(operator.0.request(pause)).await).unwrap();
    assert!(status(operator, "BC-1").await.jobs.iter().all(|job| job.paused));
    assert!(status(operator, "").await.jobs.iter().any(|job| job.subscription.is_empty() && !job.paused));
    let resume = v1::ResumeUpkeepRequest { subscription: place() };
    outcome(upkeep(operator).resume(operator.0.request(resume)).await).unwrap();
    assert!(status(operator, "BC-1").await.jobs.iter().all(|job| !job.paused));
    let stop = v1::StopUpkeepRequest { subscription: place() };
    outcome(upkeep(operator).stop(operator.0.request(stop)).await).unwrap();
    let anna = scene.login("anna").await;
    let seen = accesses(&anna).await;
    let seen: Vec<_> = seen.iter().map(|(action, object)| (action.as_str(), object.as_str())).collect();
    for act in [
        ("stop_upkeep", "upkeep"),
        ("resume_upkeep", "upkeep"),
        ("pause_upkeep", "upkeep"),
        ("run_upkeep", "mark"),
        ("read", "upkeep"),
        ("list", "upkeep"),
    ] {
        assert!(seen.contains(&act), "{act:?} in {seen:?}");
    }
    let refused = outcome(upkeep(&anna).status(anna.0.request(v1::UpkeepStatusRequest::default())).await);
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumped_is_one_alarm_and_pruning_goes_on_when_an_operator_allows_it() {
    let scene = scene().await;
    scene.back_up(0, 1).await;
    let guards = scene.server.running.guards().clone();
    let now = || common::text::date::moment(scene.server.now_ns());
    let _ = guards.tick(now());
    scene.server.pass(26 * 3_600);
    assert!(guards.tick(now()).is_err());
    scene.look().await;
    let alarms = scene.alarms("pruning_stopped").await.alarms;
    assert_eq!(alarms.len(), 1, "{alarms:?}");
    assert_eq!((alarms[0].subscription.as_str(), alarms[0].subject.as_str()), ("", "clock_forward"));
    let operator = scene.login("admin").await;
    let stops = status(&operator, "BC-1").await.stops;
    assert_eq!((stops[0].reason.as_str(), stops[0].can_be_allowed), ("clock_forward", true));
    let allow = |reason: &str| {
        let request = v1::AllowPruningRequest { subscription: String::new(), reason: reason.into() };
        let operator = operator.clone();
        async move { outcome(upkeep(&operator).allow_pruning(operator.0.request(request)).await) }
    };
    assert_eq!(refusal(allow("").await), ErrorCode::InvalidArgument, "a reason is needed");
    assert_eq!(allow("heure vérifiée").await.unwrap().stopped, "clock_forward");
    assert!(guards.tick(now()).is_ok());
    assert!(status(&operator, "BC-1").await.stops.is_empty());
    let rows = scene.server.running.control().audit(10).unwrap();
    let row = rows.iter().find(|row| row.action == "allow_pruning").unwrap();
    assert_eq!((row.object.as_str(), row.trace.who.as_str()), ("clock_forward: heure vérifiée", "operator:admin"));
    assert_eq!(allow("encore").await.unwrap().stopped, "");
}

async fn holds(operator: &Client) -> Vec<v1::Hold> {
    let request = v1::ListHoldsRequest { subscription: "BC-1".into(), all: false };
    let reply = outcome(history(operator).list_holds(operator.0.request(request)).await).unwrap();
    reply.holds.into_iter().filter_map(|of| of.hold).collect()
}

async fn lift(operator: &Client) -> Result<v1::LiftHoldReply, Failure> {
    let request = v1::LiftHoldRequest { subscription: "BC-1".into() };
    outcome(history(operator).lift_hold(operator.0.request(request)).await)
}

async fn propose(operator: &Client, kind: &str) -> Result<v1::ProposeReply, Failure> {
    let request =
        v1::ProposeRequest { kind: kind.into(), subscription: "BC-1".into(), detail: "client appelé".into() };
    outcome(ApprovalsClient::new(operator.0.channel()).propose(operator.0.request(request)).await)
}

async fn approve(operator: &Client, number: i64) {
    let request = operator.0.request(v1::ApproveRequest { number });
    outcome(ApprovalsClient::new(operator.0.channel()).approve(request).await).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_lifted_by_two_operators_after_seven_days_and_a_later_one_stands() {
    let scene = scene().await;
    let operator = &scene.operator;
    let colleague = scene.colleague("bruno").await;
    scene.back_up_content(0, 1, &[1; 40_000]).await;
    scene.back_up_content(0, 2, &[2; 40_000]).await;
    let held = holds(operator).await;
    let [hold] = &held[..] else { panic!("{held:?}") };
    assert_eq!((hold.source.as_str(), hold.signals.contains(&"gone".to_owned())), ("bureautique", true));
    assert_eq!(hold.clean_snapshot, "01".repeat(16));
    assert_eq!(hold.figures.unwrap().gone_bytes, 40_000);
    assert!(status(operator, "BC-1").await.stops.iter().any(|stop| stop.reason == "hold" && !stop.can_be_allowed));
    assert_eq!(lift(operator).await.unwrap_err().param("what"), Some("approval"));
    for kind in ["destroy", "delete_subscription", "expunge", "unprotect", "shorten_history"] {
        assert_eq!(refusal(propose(operator, kind).await), ErrorCode::InvalidArgument, "{kind}");
    }
    scene.server.pass(60);
    let asked = propose(operator, "lift_hold").await.unwrap().approval.unwrap();
    assert_eq!(lift(operator).await.unwrap_err().param("reason"), Some("not_approved"));
    approve(&colleague, asked.number).await;
    let early = lift(operator).await.unwrap_err();
    assert_eq!((early.param("reason"), early.param("until").is_some()), (Some("not_due"), true));
    scene.server.pass(60);
    scene.back_up_content(0, 3, &[3; 90_000]).await;
    scene.server.pass(7 * DAY_S);
    let operator = &scene.login("admin").await;
    let reply = lift(operator).await.unwrap();
    assert_eq!((reply.lifted.len(), reply.standing), (1, 1), "the third backup was held after the request");
    let standing = holds(operator).await;
    assert_eq!(standing.iter().map(|hold| hold.snapshot.clone()).collect::<Vec<_>>(), ["03".repeat(16)]);
    assert_eq!(lift(operator).await.unwrap_err().param("what"), Some("approval"), "it serves once");
    let request = v1::ListHoldsRequest { subscription: String::new(), all: true };
    let all = outcome(history(operator).list_holds(operator.0.request(request)).await).unwrap().holds;
    let lifted = all[0].hold.clone().unwrap().lifted.unwrap();
    assert_eq!((lifted.asked_by.as_str(), lifted.approved_by.as_str()), ("operator:admin", "operator:bruno"));
    assert_eq!(lifted.reason, "client appelé");
    let anna = scene.login("anna").await;
    assert!(accesses(&anna).await.iter().any(|(action, _)| action == "lift_hold"));
}

async fn preview(operator: &Client, history_days: Option<u32>) -> v1::RetentionPreviewReply {
    let request = v1::RetentionPreviewRequest { subscription: "BC-1".into(), history_days };
    outcome(history(operator).retention_preview(operator.0.request(request)).await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_preview_tells_what_goes_and_a_protection_keeps_it_until_two_operators_end_it() {
    let scene = scene().await;
    let colleague = scene.colleague("bruno").await;
    for number in 1..=4 {
        scene.back_up(0, number).await;
        scene.server.pass(10 * DAY_S);
    }
    let operator = &scene.login("admin").await;
    let seen = preview(operator, Some(15)).await;
    let rows: Vec<_> =
        seen.snapshots.iter().map(|one| (one.reason.as_str(), one.goes_at_ns != 0, one.goes_if_shorter)).collect();
    assert_eq!(
        rows,
        [
            ("window_edge", true, true),
            ("in_window", true, true),
            ("in_window", true, false),
            ("last_complete", false, false),
        ]
    );
    assert_eq!((seen.history_days, seen.snapshots[0].source.as_str()), (30, "bureautique"));
    assert!(seen.snapshots[0].goes_at_ns > scene.server.now_ns());
    let change = v1::FormChange { history_days: Some(15), ..v1::FormChange::default() };
    let amend = v1::AmendRequest { subscription: "BC-1".into(), change: Some(change), ..v1::AmendRequest::default() };
    let mut orders = OrdersClient::new(operator.0.channel());
    let amended = outcome(orders.preview_amendment(operator.0.request(amend)).await).unwrap();
    let going: Vec<_> = amended.going.iter().map(|one| one.snapshot.clone()).collect();
    assert_eq!(going, ["01".repeat(16), "02".repeat(16)]);
    let protect = |snapshot: &str, days: i64| {
        let until_ns = scene.server.now_ns() + days * DAY_S * 1_000_000_000;
        let (subscription, snapshot, reason) = ("BC-1".into(), snapshot.to_owned(), "litige".into());
        let request = v1::ProtectRequest { subscription, snapshot, until_ns, reason };
        async move { outcome(history(operator).protect(operator.0.request(request)).await) }
    };
    assert_eq!(refusal(protect("0101", 90).await), ErrorCode::InvalidArgument, "too short to name one");
    assert_eq!(refusal(protect("01010101", -1).await), ErrorCode::InvalidArgument, "over already");
    assert_eq!(refusal(protect("09090909", 90).await), ErrorCode::NotFound);
    let protection = protect("01010101", 90).await.unwrap().protection.unwrap();
    assert_eq!((protection.set_by.as_str(), protection.source.as_str()), ("operator:admin", "bureautique"));
    let seen = preview(operator, Some(15)).await;
    assert_eq!((seen.snapshots[0].reason.as_str(), seen.snapshots[0].goes_if_shorter), ("protected", false));
    let unprotect = |operator: Client| {
        let (subscription, reason) = ("BC-1".into(), "litige clos".into());
        let request = v1::UnprotectRequest { subscription, protection: protection.protection.clone(), reason };
        async move { outcome(history(&operator).unprotect(operator.0.request(request)).await).unwrap() }
    };
    let asked = unprotect(operator.clone()).await;
    assert_eq!((asked.ended, asked.due_at_ns), (false, 0));
    let bruno = scene.login("bruno").await;
    drop(colleague);
    approve(&bruno, asked.approval).await;
    let waiting = unprotect(operator.clone()).await;
    assert!(!waiting.ended && waiting.due_at_ns > scene.server.now_ns() && waiting.approval == asked.approval);
    scene.server.pass(7 * DAY_S + 1);
    let operator = scene.login("admin").await;
    assert!(unprotect(operator.clone()).await.ended);
    assert_ne!(preview(&operator, None).await.snapshots[0].reason, "protected");
    let request = v1::ListProtectionsRequest { subscription: "BC-1".into(), all: true };
    let all = outcome(history(&operator).list_protections(operator.0.request(request)).await).unwrap().protections;
    assert_eq!(all[0].lifted.clone().unwrap().reason, "litige clos");
}
