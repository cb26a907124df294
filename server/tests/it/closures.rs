//! Suspension and maintenance, as sessions, restores and lists feel them.

use bytes::Bytes;
use common::id::SessionId;
use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::backup_client::BackupClient;
use proto::v1::closures_client::ClosuresClient;
use proto::v1::restore_client::RestoreClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::alarms::Scene;
use crate::harness::{Client, GOOD_PASSWORD, outcome, refusal};
use crate::honest::{Stored, flush_request};
use crate::line::with_token;

async fn suspend(scene: &Scene, reason: &str) -> i64 {
    let request = v1::SuspendRequest {
        subscription: "BC-1".into(),
        reason: reason.into(),
        detail: "dossier 3".into(),
        untold_because: "urgence".into(),
        ..Default::default()
    };
    let by = operator(scene).await;
    let reply = ClosuresClient::new(by.0.channel()).suspend(by.0.request(request)).await.unwrap();
    reply.into_inner().suspension.unwrap().number
}

async fn resume(scene: &Scene, number: i64) {
    let by = operator(scene).await;
    ClosuresClient::new(by.0.channel()).resume(by.0.request(v1::ResumeRequest { number })).await.unwrap();
}

/// The operator, logged in again: time passes in these tests.
async fn operator(scene: &Scene) -> Client {
    let client = scene.server.connect().await;
    client.with(&client.login("admin", GOOD_PASSWORD).await.unwrap().token)
}

/// The failure that a status carries.
fn failure(status: &tonic::Status) -> Failure {
    Failure::from_status(status).unwrap_or_else(|| panic!("{status:?}"))
}

/// Takes the content of a snapshot back as a person.
async fn fetch(scene: &Scene, stored: &Stored) -> Result<usize, Failure> {
    let client = scene.server.connect().await;
    let anna = client.with(&client.login("anna", GOOD_PASSWORD).await.unwrap().token);
    let ids = [stored.root.as_bytes().as_slice(), stored.data.as_bytes()].concat();
    let request = v1::FetchRequest { scope: Bytes::copy_from_slice(scene.agents[0].scope.as_bytes()), ids: ids.into() };
    let mut replies = RestoreClient::new(anna.0.channel()).fetch(anna.0.request(request)).await.unwrap().into_inner();
    let mut frames = 0;
    while let Some(reply) = replies.message().await.map_err(|status| failure(&status))? {
        assert_eq!(reply.unavailable, []);
        frames += reply.frames.len();
    }
    Ok(frames)
}

#[tokio::test]
async fn a_suspension_ends_a_stream_that_runs_and_opens_no_other_within_a_minute() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    let (agent, channel) = (&scene.agents[0], scene.channel().await);
    let session = SessionId::new([7; 16]);
    let mut client = BackupClient::new(channel.clone());
    client.open(with_token(&agent.token, agent.open_request(session))).await.unwrap();
    let (sender, receiver) = mpsc::channel(4);
    sender.send(agent.put(session, 1, b"before")).await.unwrap();
    sender.send(flush_request(session)).await.unwrap();
    let stream = with_token(&agent.token, ReceiverStream::new(receiver));
    let mut replies = client.transfer(stream).await.unwrap().into_inner();
    let durable = replies.message().await.unwrap().unwrap();
    assert!(matches!(durable.body, Some(v1::transfer_reply::Body::Durable(_))), "{durable:?}");
    let number = suspend(&scene, "unpaid").await;
    scene.server.pass(60);
    sender.send(agent.put(session, 2, b"after")).await.unwrap();
    sender.send(flush_request(session)).await.unwrap();
    let ended = loop {
        match replies.message().await {
            Ok(Some(reply)) => {
                assert!(!matches!(reply.body, Some(v1::transfer_reply::Body::Durable(up_to)) if up_to.number > 1))
            }
            Ok(None) => panic!("the stream ended without saying why"),
            Err(status) => break failure(&status),
        }
    };
    assert_eq!((ended.code, ended.param("reason")), (ErrorCode::Suspended, Some("unpaid")));
    let again = agent.back_up(&channel, 8, b"another").await.unwrap_err();
    assert_eq!(failure(&again).code, ErrorCode::Suspended);
    let whoami = v1::account_client::AccountClient::new(channel.clone())
        .whoami(with_token(&agent.token, v1::WhoamiRequest {}))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(whoami.state(), v1::SubscriptionState::Suspended, "the agent's status says so");
    resume(&scene, number).await;
    agent.back_up(&channel, 9, b"afterwards").await.unwrap();
}

#[tokio::test]
async fn restores_stay_open_but_for_security_and_authorities() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    let stored = scene.back_up(0, 1).await;
    assert_eq!(fetch(&scene, &stored).await, Ok(2));
    for (reason, open) in [("unpaid", true), ("security", false), ("authority_request", false), ("other", true)] {
        let number = suspend(&scene, reason).await;
        scene.server.pass(1);
        match fetch(&scene, &stored).await {
            Ok(frames) => assert!(open && frames == 2, "{reason}"),
            Err(failure) => {
                assert_eq!((open, failure.code), (false, ErrorCode::Suspended), "{reason}");
                assert_eq!(failure.param("reason"), Some(reason));
            }
        }
        let refused = scene.agents[0].back_up(&scene.channel().await, 2, b"new").await.unwrap_err();
        assert_eq!(failure(&refused).code, ErrorCode::Suspended, "{reason}");
        resume(&scene, number).await;
        scene.server.pass(1);
        assert_eq!(fetch(&scene, &stored).await, Ok(2), "after {reason}");
    }
}

#[tokio::test]
async fn announced_maintenance_says_when_to_come_again_and_stops_the_clock_of_lateness() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    scene.back_up(0, 1).await;
    scene.server.pass(25 * 3_600);
    let (from_ns, hours) = (scene.server.now_ns() + 60_000_000_000, 5);
    let request = v1::AnnounceMaintenanceRequest {
        from_ns,
        until_ns: from_ns + hours * 3_600_000_000_000,
        detail: "disques".into(),
        ..Default::default()
    };
    let by = operator(&scene).await;
    ClosuresClient::new(by.0.channel()).announce_maintenance(by.0.request(request)).await.unwrap();
    let late = || async {
        scene.look().await;
        scene.server.running.monitor().active().iter().any(|(key, _)| key.kind.word() == "late")
    };
    scene.server.pass(120);
    let refused = scene.agents[0].back_up(&scene.channel().await, 2, b"new").await.unwrap_err();
    let refused = failure(&refused);
    assert_eq!(refused.code, ErrorCode::Maintenance);
    let retry_s: i64 = refused.param("retry_s").unwrap().parse().unwrap();
    assert!((4 * 3_600..=5 * 3_600).contains(&retry_s), "{retry_s}");
    assert!(refused.is_transient(), "agents come again by themselves");
    scene.server.pass(hours * 3_600);
    assert!(!late().await, "more than 26 hours, but 5 of them do not count");
    scene.server.pass(3_600);
    assert!(late().await, "the rest does");
    scene.back_up(0, 3).await;
}

#[tokio::test]
async fn a_suspension_or_maintenance_that_makes_no_sense_is_refused() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    let by = &scene.operator;
    let good = v1::SuspendRequest {
        subscription: "BC-1".into(),
        reason: "unpaid".into(),
        detail: "dossier".into(),
        untold_because: "urgence".into(),
        ..Default::default()
    };
    for (request, code) in [
        (v1::SuspendRequest { reason: "humeur".into(), ..good.clone() }, ErrorCode::InvalidArgument),
        (v1::SuspendRequest { detail: String::new(), ..good.clone() }, ErrorCode::InvalidArgument),
        (v1::SuspendRequest { untold_because: String::new(), ..good.clone() }, ErrorCode::InvalidArgument),
        (v1::SuspendRequest { told_at_ns: 1, ..good.clone() }, ErrorCode::InvalidArgument),
        (v1::SuspendRequest { until_ns: 1, ..good.clone() }, ErrorCode::InvalidArgument),
        (v1::SuspendRequest { subscription: "BC-9".into(), ..good }, ErrorCode::NotFound),
    ] {
        let refused = outcome(ClosuresClient::new(by.0.channel()).suspend(by.0.request(request.clone())).await);
        assert_eq!(refusal(refused), code, "{request:?}");
    }
    let resume = by.0.request(v1::ResumeRequest { number: 1 });
    assert_eq!(refusal(outcome(ClosuresClient::new(by.0.channel()).resume(resume).await)), ErrorCode::NotFound);
    let (now_ns, day_ns) = (scene.server.now_ns(), 86_400_000_000_000);
    let announced = |from_ns, until_ns| v1::AnnounceMaintenanceRequest {
        detail: "disques".into(),
        from_ns,
        until_ns,
        ..Default::default()
    };
    for (request, reason) in [
        (announced(0, 0), "missing"),
        (announced(0, now_ns - 1), "past"),
        (announced(now_ns, now_ns + 32 * day_ns), "too_long"),
        (announced(now_ns + 400 * day_ns, now_ns + 401 * day_ns), "too_far"),
    ] {
        let refused =
            ClosuresClient::new(by.0.channel()).announce_maintenance(by.0.request(request)).await.unwrap_err();
        let refused = failure(&refused);
        assert_eq!((refused.code, refused.param("reason")), (ErrorCode::InvalidArgument, Some(reason)));
    }
}
