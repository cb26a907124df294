//! What customers are told by mail of what the provider does, from the call to a real mail server.

use proto::code::ErrorCode;
use proto::v1;
use proto::v1::closures_client::ClosuresClient;
use proto::v1::orders_client::OrdersClient;
use proto::v1::places_client::PlacesClient;
use server::contract::calendar::day_of;

use crate::alarms::{Scene, plain_mail};
use crate::harness::{Client, outcome, refusal};
use crate::mailbox::{MailServer, free_port};

async fn reset(
    by: &Client,
    identifier: &str,
    (method, reference): (&str, &str),
) -> Result<String, proto::code::Failure> {
    let request = v1::ResetPasswordRequest {
        identifier: identifier.into(),
        check_method: method.into(),
        check_reference: reference.into(),
    };
    outcome(by.admin().reset_password(by.0.request(request)).await).map(|reply| reply.default_password)
}

#[tokio::test]
async fn a_password_is_not_reset_without_an_identity_check_and_the_customer_is_told() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    for check in [("", "rappel 12"), ("rappel au numéro du dossier", ""), (" ", " ")] {
        assert_eq!(refusal(reset(&scene.operator, "anna", check).await), ErrorCode::InvalidArgument, "{check:?}");
    }
    let control = scene.server.running.control().clone();
    assert!(control.audit(100).unwrap().iter().all(|row| row.action != "reset_password"), "nothing was done");
    let subscription = scene.agents[0].subscription;
    assert_eq!(control.notices(&subscription, 10).unwrap(), []);
    let client = scene.server.connect().await;
    let anna = client.with(&client.login("anna", crate::harness::GOOD_PASSWORD).await.unwrap().token);
    let default = reset(&scene.operator, "anna", ("rappel au numéro du dossier", "rappel 12")).await.unwrap();
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated, "her sessions have ended");
    assert_eq!(refusal(client.login("anna", crate::harness::GOOD_PASSWORD).await), ErrorCode::WrongCredentials);
    assert!(client.login("anna", &default).await.unwrap().must_change_password);
    let told = control.notices(&subscription, 10).unwrap();
    assert_eq!(
        told.iter().map(|notice| (notice.kind.as_str(), notice.detail.as_str())).collect::<Vec<_>>(),
        [("password_reset", "anna")]
    );
    let row = control.audit(10).unwrap().into_iter().find(|row| row.action == "reset_password").unwrap();
    assert_eq!(row.object, "anna (rappel au numéro du dossier: rappel 12)");
}

/// Does one thing of each kind that customers are told of.
async fn act(scene: &Scene) {
    let by = &scene.operator;
    reset(by, "anna", ("rappel", "12")).await.unwrap();
    let mut closures = ClosuresClient::new(by.0.channel());
    let suspend = v1::SuspendRequest {
        subscription: "BC-1".into(),
        reason: "unpaid".into(),
        detail: "facture 7".into(),
        untold_because: "courrier revenu".into(),
        ..Default::default()
    };
    let number = closures.suspend(by.0.request(suspend)).await.unwrap().into_inner().suspension.unwrap().number;
    closures.resume(by.0.request(v1::ResumeRequest { number })).await.unwrap();
    let announce = v1::AnnounceMaintenanceRequest {
        from_ns: scene.server.now_ns() + 3_600_000_000_000,
        until_ns: scene.server.now_ns() + 7_200_000_000_000,
        detail: "changement de disque".into(),
        ..Default::default()
    };
    closures.announce_maintenance(by.0.request(announce)).await.unwrap();
    let today = day_of(common::text::date::moment(scene.server.now_ns()));
    let amend = v1::AmendRequest {
        subscription: "BC-1".into(),
        change: Some(v1::FormChange { contracted_bytes: Some(600_000_000_000), ..Default::default() }),
        document: "Avenant 1".into(),
        signed_on: today.to_string(),
        ..Default::default()
    };
    OrdersClient::new(by.0.channel()).amend(by.0.request(amend)).await.unwrap();
    let to = v1::Location { site: "Lille".into(), country: "FR".into(), owner: "provider".into() };
    let relocate = v1::RelocateRequest {
        subscription: "BC-1".into(),
        to: Some(to),
        moves_on: today.tomorrow().unwrap().to_string(),
        ..Default::default()
    };
    PlacesClient::new(by.0.channel()).relocate(by.0.request(relocate)).await.unwrap();
}

const TITLES: [&str; 6] = [
    "mot de passe réinitialisé",
    "suspension de l'abonnement",
    "fin de la suspension",
    "maintenance annoncée",
    "avenant enregistré",
    "lieu de vos données",
];

#[tokio::test]
async fn each_thing_done_to_a_subscription_is_mailed_to_its_customer_once() {
    let port = free_port();
    let mails = MailServer::start(port);
    let scene = Scene::new(&["bureautique"], |_| plain_mail(port)).await;
    act(&scene).await;
    scene.look().await;
    let digest = mails.next("messages");
    assert_eq!(digest.to, ["petit@client.example"], "operators did it themselves");
    for title in TITLES {
        assert!(digest.body.contains(title), "{title}: {}", digest.body);
    }
    assert!(digest.body.contains("changement de disque") && digest.body.contains("facture 7"), "{}", digest.body);
    assert!(!digest.body.contains("contracted_bytes"), "{}", digest.body);
    scene.server.pass(3_600);
    scene.look().await;
    let scene = Scene { server: scene.server.restart().await, ..scene };
    scene.look().await;
    assert!(!mails.has("BC-1"), "said once, also across a restart");
    let announce = v1::AnnounceMaintenanceRequest {
        subscription: "BC-1".into(),
        until_ns: scene.server.now_ns() + 7_200_000_000_000,
        detail: "essai".into(),
        ..Default::default()
    };
    let client = scene.server.connect().await;
    let operator = client.with(&client.login("admin", crate::harness::GOOD_PASSWORD).await.unwrap().token);
    ClosuresClient::new(operator.0.channel()).announce_maintenance(operator.0.request(announce)).await.unwrap();
    scene.look().await;
    let mail = mails.next("maintenance annoncée");
    assert_eq!(mail.subject, "[Do'BaaS] maintenance annoncée (BC-1)");
    assert!(mail.body.contains("les agents reportent") && mail.body.contains("essai"), "{}", mail.body);
    assert_eq!((mail.automatic.as_str(), mail.to.len()), ("auto-generated", 1));
}

#[tokio::test]
async fn what_was_told_before_mails_were_configured_is_not_mailed_afterwards() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    act(&scene).await;
    scene.look().await;
    assert_eq!(scene.server.running.control().uncarried(10).unwrap(), []);
    // And the re-evaluation file that the growth opened.
    let notices = scene.server.running.control().notices(&scene.agents[0].subscription, 10).unwrap();
    assert_eq!(notices.len(), TITLES.len() + 1);
    let states = scene.server.running.control().channel_states().unwrap();
    assert!(states.iter().all(|state| state.queued == 0), "{states:?}");
}
