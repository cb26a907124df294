//! From when a source without a complete snapshot is late, and from when the commitment runs: every source counts.

use proto::v1;
use proto::v1::restore_client::RestoreClient;
use server::upkeep::jobs::JobKind;

use crate::alarms::Scene;
use crate::harness::{Client, GOOD_PASSWORD, TestServer};
use crate::line::with_token;

const HOUR_S: i64 = 3_600;

/// The sources that a look finds late.
async fn late(server: &TestServer) -> Vec<String> {
    let monitor = server.running.monitor().clone();
    tokio::task::spawn_blocking(move || {
        monitor.look().unwrap();
        let active = monitor.active();
        let late = active.into_iter().filter(|(key, _)| key.kind.word() == "late");
        late.map(|(key, _)| format!("{} {}", key.subscription, key.subject)).collect()
    })
    .await
    .unwrap()
}

async fn again(server: &TestServer, identifier: &str) -> Client {
    let client = server.connect().await;
    client.with(&client.login(identifier, GOOD_PASSWORD).await.unwrap().token)
}

#[tokio::test]
async fn editing_a_set_does_not_put_off_the_lateness_of_a_source_that_never_completed() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    let agent = &scene.agents[0];
    for _ in 0..2 {
        scene.server.pass(20 * HOUR_S);
        let anna = again(&scene.server, "anna").await;
        let source = agent.source.as_bytes().to_vec().into();
        let request = anna.0.request(v1::GetSetRequest { source, version: 0 });
        let set = anna.sets().get(request).await.unwrap().into_inner().set.unwrap();
        let edited = v1::Set { paths: [set.paths.clone(), vec![format!("/srv{}", set.version)]].concat(), ..set };
        anna.put_set(edited).await.unwrap();
    }
    assert_eq!(late(&scene.server).await, ["BC-1 bureautique"], "40 hours, and the set was changed 0 hours ago");
    let sources = RestoreClient::new(scene.channel().await);
    let sources =
        { sources }.sources(with_token(&agent.token, v1::SourcesRequest {})).await.unwrap().into_inner().sources;
    assert!(sources[0].late_since_ns > 0, "the agent's status says so, too");
}

#[tokio::test]
async fn a_source_that_nobody_set_up_is_late_once_the_subscription_is_effective() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    server.pass(48 * HOUR_S);
    assert_eq!(late(&server).await, Vec::<String>::new(), "neither signed nor used");
    let operator = again(&server, "admin").await;
    server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    assert_eq!(late(&server).await, Vec::<String>::new(), "used today");
    server.pass(50 * HOUR_S);
    assert_eq!(late(&server).await, ["BC-1 bureautique"]);
}
#[tokio::test]
async fn the_commitment_runs_once_every_source_has_its_first_complete_snapshot() {
    let scene = Scene::new(&["bureautique", "compta"], |_| String::new()).await;
    let commissioned = || async {
        scene.server.upkeep(JobKind::Amend).await;
        let operator = again(&scene.server, "admin").await;
        let request = operator.0.request(v1::GetSubscriptionRequest { reference: "BC-1".into() });
        operator.admin().get_subscription(request).await.unwrap().into_inner().subscription.unwrap().commissioned_on
    };
    let day = |server: &TestServer| {
        server::contract::calendar::day_of(common::text::date::moment(server.now_ns())).to_string()
    };
    scene.back_up(0, 1).await;
    scene.server.pass(24 * HOUR_S);
    assert_eq!(commissioned().await, "", "one of two");
    scene.back_up(1, 2).await;
    let second = day(&scene.server);
    scene.server.pass(48 * HOUR_S);
    assert_eq!(commissioned().await, second, "on the day of the last first one, whenever it is noted");
}
