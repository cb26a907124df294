//! What operators see of the daily change over the wire, and how they close a re-evaluation.

use jiff::civil::date;
use proto::code::ErrorCode;
use proto::v1;
use proto::v1::quotas_client::QuotasClient;
use server::contract::reevaluation::{Cause, OverDay};
use server::control::audit::Trace;

use crate::alarms::Scene;
use crate::harness::{Client, GOOD_PASSWORD, outcome, refusal};

const DAY_S: i64 = 86_400;

async fn operator(scene: &Scene) -> Client {
    let client = scene.server.connect().await;
    let login = client.login("admin", GOOD_PASSWORD).await.unwrap();
    client.with(&login.token)
}

async fn list(by: &Client, over: bool, above_percent: u32) -> Vec<v1::Quota> {
    let request = by.0.request(v1::ListQuotasRequest { over, above_percent });
    QuotasClient::new(by.0.channel()).list_quotas(request).await.unwrap().into_inner().quotas
}

#[tokio::test]
async fn a_list_tells_who_is_over_since_when_and_which_source_is_responsible() {
    let scene = Scene::new(&["bureautique", "bases"], |_| String::new()).await;
    let by = operator(&scene).await;
    let idle = list(&by, false, 0).await;
    assert_eq!((idle.len(), idle[0].today.as_ref().unwrap().state()), (1, v1::DayState::NotStarted));
    scene.back_up_content(0, 1, &[7; 1_000]).await;
    scene.server.pass(DAY_S);
    scene.back_up_content(0, 2, b"abc").await;
    let by = operator(&scene).await;
    let all = list(&by, false, 0).await;
    assert_eq!(list(&by, true, 0).await, all);
    assert_eq!(list(&by, true, 150).await, all, "3 of 2 bytes are 150 %");
    assert_eq!(list(&by, false, 151).await, []);
    let (quota, today) = (&all[0], all[0].today.as_ref().unwrap());
    assert_eq!((quota.subscription.as_str(), quota.readable, today.state()), ("BC-1", true, v1::DayState::Over));
    assert_eq!((today.counted_bytes, today.allowed_bytes, quota.days_over), (3, 2, 1));
    assert_eq!(
        (today.since.as_str(), quota.peak.as_ref().unwrap().day.as_str()),
        (today.day.as_str(), today.day.as_str())
    );
    let sources: Vec<_> = quota.sources.iter().map(|source| (source.name.as_str(), source.changed_bytes)).collect();
    assert_eq!(sources, [("bureautique", 3)]);
    let request = by.0.request(v1::GetQuotaRequest { subscription: "BC-1".into() });
    let one = QuotasClient::new(by.0.channel()).get_quota(request).await.unwrap().into_inner();
    assert_eq!((one.quota.as_ref(), one.days.len()), (Some(quota), 2));
    assert_eq!((one.days[0].counted_bytes, one.days[0].complete), (3, 1));
    let seen = scene.server.running.control().audit(1).unwrap().remove(0);
    assert_eq!((seen.action.as_str(), seen.object.as_str()), ("read", "quota"), "its customer can read that row");
    let request = by.0.request(v1::GetQuotaRequest { subscription: "BC-2".into() });
    let refused = outcome(QuotasClient::new(by.0.channel()).get_quota(request).await);
    assert_eq!(refusal(refused), ErrorCode::NotFound);
}

#[tokio::test]
async fn an_operator_closes_a_re_evaluation_once_with_an_outcome() {
    let scene = Scene::new(&["bureautique"], |_| String::new()).await;
    let by = operator(&scene).await;
    let control = scene.server.running.control();
    let known = control.subscription_by_reference("BC-1").unwrap().unwrap();
    let over = OverDay {
        day: date(2020, 1, 2),
        cause: Cause::DailyChange,
        measured_bytes: 3_000_000_000,
        allowed_bytes: 2_000_000_000,
        baseline_bytes: 1_000_000_000_000,
    };
    let trace = Trace { who: "server".into(), address: "local".into(), at_ns: 1 };
    control.judge(&known.subscription, &[over], over.day, &trace).unwrap();
    let files = |closed| {
        let request = by.0.request(v1::ListReevaluationsRequest { subscription: "BC-1".into(), closed });
        let mut client = QuotasClient::new(by.0.channel());
        async move { client.list_reevaluations(request).await.unwrap().into_inner().reevaluations }
    };
    let open = files(false).await.remove(0);
    assert_eq!((open.suggested_volume_bytes, open.price_from.as_str()), (1_500_000_000_000, "2020-04-01"));
    assert_eq!((open.days[0].day.as_str(), open.days[0].cause.as_str()), ("2020-01-02", "daily_change"));
    let close = |outcome: &str| {
        let (outcome, document) = (outcome.to_owned(), "AV-7".to_owned());
        let request = by.0.request(v1::CloseReevaluationRequest { number: open.number, outcome, document });
        let mut client = QuotasClient::new(by.0.channel());
        async move { client.close_reevaluation(request).await }
    };
    assert_eq!(refusal(outcome(close("forgotten").await)), ErrorCode::InvalidArgument);
    let closed = close("amended").await.unwrap().into_inner().reevaluation.unwrap();
    assert_eq!((closed.outcome.as_str(), closed.document.as_str()), ("amended", "AV-7"));
    assert_eq!(closed.closed_by, "operator:admin");
    assert_eq!(refusal(outcome(close("amended").await)), ErrorCode::NotFound);
    assert_eq!((files(false).await.len(), files(true).await), (0, vec![closed]));
}
