//! Amendments and ends of order forms over the wire: now, later, shortened, withdrawn, taken back.

use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::approvals_client::ApprovalsClient;
use proto::v1::orders_client::OrdersClient;
use server::contract::calendar::day_of;
use server::upkeep::jobs::JobKind;

use crate::harness::{Client, GOOD_PASSWORD, TestServer, outcome, refusal};

const DAY_S: i64 = 86_400;

struct Orders {
    server: TestServer,
}

impl Orders {
    async fn start() -> Self {
        let server = TestServer::start().await;
        let operator = server.operator().await;
        server.subscribe(&operator, "BC-1").await;
        let request = v1::CreateAccountRequest {
            identifier: "bruno".into(),
            role: v1::Role::Admin.into(),
            operator: true,
            ..v1::CreateAccountRequest::default()
        };
        let made = outcome(operator.admin().create_account(operator.0.request(request)).await).unwrap();
        let client = server.connect().await;
        let login = client.login("bruno", &made.default_password).await.unwrap();
        client.with(&login.token).change_password(&made.default_password, GOOD_PASSWORD).await.unwrap();
        Self { server }
    }

    /// An operator, logged in anew: time passes in these tests.
    async fn operator(&self, identifier: &str) -> Client {
        let client = self.server.connect().await;
        client.with(&client.login(identifier, GOOD_PASSWORD).await.unwrap().token)
    }

    fn day(&self, days: i64) -> String {
        day_of(common::text::date::moment(self.server.now_ns() + days * DAY_S * 1_000_000_000)).to_string()
    }

    async fn amend(&self, change: v1::FormChange, applies_on: &str) -> Result<v1::Amendment, Failure> {
        let by = self.operator("admin").await;
        let request = v1::AmendRequest {
            subscription: "BC-1".into(),
            change: Some(change),
            document: "Avenant".into(),
            signed_on: self.day(0),
            applies_on: applies_on.into(),
        };
        let reply = OrdersClient::new(by.0.channel()).amend(by.0.request(request)).await;
        outcome(reply).map(|reply| reply.amendment.unwrap())
    }

    async fn amendments(&self) -> Vec<v1::Amendment> {
        let by = self.operator("admin").await;
        let request = by.0.request(v1::ListAmendmentsRequest { subscription: "BC-1".into() });
        outcome(OrdersClient::new(by.0.channel()).list_amendments(request).await).unwrap().amendments
    }

    async fn subscription(&self) -> v1::Subscription {
        let by = self.operator("admin").await;
        let request = by.0.request(v1::GetSubscriptionRequest { reference: "BC-1".into() });
        outcome(by.admin().get_subscription(request).await).unwrap().subscription.unwrap()
    }

    async fn form(&self) -> v1::OrderForm {
        self.subscription().await.order_form.unwrap()
    }

    async fn end(&self, request: v1::EndRequest) -> Result<v1::EndReply, Failure> {
        let by = self.operator("admin").await;
        outcome(OrdersClient::new(by.0.channel()).end(by.0.request(request)).await)
    }
}

fn volume(bytes: u64) -> v1::FormChange {
    v1::FormChange { contracted_bytes: Some(bytes), ..v1::FormChange::default() }
}

#[tokio::test]
async fn an_amendment_applies_at_once_or_on_its_day_and_keeps_before_and_after() {
    let orders = Orders::start().await;
    let policy = v1::FormChange { policy: v1::ChangePolicy::Refuse.into(), ..v1::FormChange::default() };
    let now = orders.amend(policy, "").await.unwrap();
    assert!(now.applied_at_ns > 0 && now.price_from.is_empty(), "{now:?}");
    assert_eq!(orders.form().await.policy(), v1::ChangePolicy::Refuse);
    let later = orders.amend(volume(600_000_000_000), &orders.day(3)).await.unwrap();
    assert_eq!((later.applied_at_ns, later.approval), (0, 0));
    assert!(!later.price_from.is_empty(), "the scope grows");
    let fields: Vec<(&str, &str, &str)> = later
        .fields
        .iter()
        .map(|change| (change.field.as_str(), change.before.as_str(), change.after.as_str()))
        .collect();
    assert_eq!(
        fields,
        [("contracted_bytes", "500000000000", "600000000000"), ("hard_volume_bytes", "550000000000", "660000000000"),]
    );
    assert_eq!(
        refusal(orders.amend(volume(700_000_000_000), "").await),
        ErrorCode::AlreadyExists,
        "one waits for this field"
    );
    orders.server.pass(2 * DAY_S);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.contracted_bytes, 500_000_000_000, "not before its day");
    orders.server.pass(DAY_S);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.contracted_bytes, 600_000_000_000);
    assert!(orders.amendments().await.iter().all(|amendment| amendment.applied_at_ns > 0));
    let by = orders.operator("admin").await;
    let withdraw = by.0.request(v1::WithdrawAmendmentRequest { number: later.number });
    let refused = outcome(OrdersClient::new(by.0.channel()).withdraw_amendment(withdraw).await);
    assert!(refused.is_err(), "what applies is not withdrawn");
}

#[tokio::test]
async fn a_shorter_history_waits_for_another_operator_and_seven_days() {
    let orders = Orders::start().await;
    let shorter = v1::FormChange { history_days: Some(10), ..v1::FormChange::default() };
    let amendment = orders.amend(shorter, "").await.unwrap();
    assert!(amendment.approval > 0 && amendment.shortens_history && amendment.applied_at_ns == 0, "{amendment:?}");
    let approve = |identifier: &'static str| {
        let (orders, number) = (&orders, amendment.approval);
        async move {
            let by = orders.operator(identifier).await;
            outcome(ApprovalsClient::new(by.0.channel()).approve(by.0.request(v1::ApproveRequest { number })).await)
        }
    };
    assert!(approve("admin").await.is_err(), "nobody approves their own request");
    orders.server.pass(8 * DAY_S);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.history_days, 30, "nobody approved");
    approve("bruno").await.unwrap();
    orders.server.pass(6 * DAY_S);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.history_days, 30, "six days after the approval");
    orders.server.pass(DAY_S + 60);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.history_days, 10);
}

#[tokio::test]
async fn a_withdrawn_amendment_never_applies() {
    let orders = Orders::start().await;
    let later = orders.amend(volume(600_000_000_000), &orders.day(1)).await.unwrap();
    let by = orders.operator("admin").await;
    let withdraw = by.0.request(v1::WithdrawAmendmentRequest { number: later.number });
    outcome(OrdersClient::new(by.0.channel()).withdraw_amendment(withdraw).await).unwrap();
    orders.server.pass(2 * DAY_S);
    orders.server.upkeep(JobKind::Amend).await;
    assert_eq!(orders.form().await.contracted_bytes, 500_000_000_000);
    assert!(orders.amendments().await[0].withdrawn_at_ns > 0);
    orders.amend(volume(600_000_000_000), "").await.unwrap();
    assert_eq!(orders.form().await.contracted_bytes, 600_000_000_000, "the field is free again");
}

#[tokio::test]
async fn a_notice_ends_the_subscription_and_can_be_taken_back_until_it_did() {
    let orders = Orders::start().await;
    let notice = v1::EndRequest {
        subscription: "BC-1".into(),
        document: "Lettre".into(),
        received_on: orders.day(0),
        ..Default::default()
    };
    let future = v1::EndRequest { received_on: orders.day(1), ..notice.clone() };
    assert_eq!(refusal(orders.end(future).await), ErrorCode::InvalidArgument);
    let ended = orders.end(notice.clone()).await.unwrap();
    assert_eq!(ended.last_day, orders.day(0), "without commissioning nothing binds");
    let cancel = v1::EndRequest { cancel: true, received_on: String::new(), ..notice.clone() };
    assert_eq!(orders.end(cancel.clone()).await.unwrap(), v1::EndReply::default());
    assert_eq!(orders.subscription().await.ended_at_ns, 0);
    // Commissioned today: a notice leads to the end of the commitment of 36 months, an early one to an earlier day.
    let control = orders.server.running.control();
    let id = control.subscription_by_reference("BC-1").unwrap().unwrap().subscription;
    control.note_commissioned(&id, orders.server.now_ns()).unwrap();
    let term = control.subscription(&id).unwrap().unwrap().term();
    let today = orders.day(0).parse().unwrap();
    let end = orders.end(notice.clone()).await.unwrap();
    assert_eq!(end.last_day, term.end_by_notice(today).unwrap().yesterday().unwrap().to_string());
    let early = orders.end(v1::EndRequest { early: true, ..notice.clone() }).await.unwrap();
    assert_eq!(early.last_day, term.early_end(today).to_string());
    assert!(early.last_day < end.last_day);
    let days = (early.ended_at_ns - orders.server.now_ns()) / 1_000_000_000 + 1;
    orders.server.pass(days);
    assert_eq!(orders.subscription().await.state(), v1::SubscriptionState::Ended);
    assert_eq!(refusal(orders.end(cancel).await), ErrorCode::InvalidArgument, "it has ended");
}
