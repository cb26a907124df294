//! What operators do, and what nobody else does.

use proto::code::ErrorCode;
use proto::v1;

use crate::harness::{GOOD_PASSWORD, TestServer, outcome, refusal};

#[tokio::test]
async fn only_operators_reach_the_operators_side() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let list = v1::ListAccountsRequest { subscription: "BC-1".into() };
    let refused = outcome(anna.admin().list_accounts(anna.0.request(list.clone())).await);
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
    let nobody = server.connect().await;
    let refused = outcome(nobody.admin().list_accounts(nobody.0.request(list.clone())).await);
    assert_eq!(refusal(refused), ErrorCode::Unauthenticated);
    let people = outcome(operator.admin().list_accounts(operator.0.request(list)).await).unwrap().people;
    assert_eq!(people.iter().map(|person| person.identifier.as_str()).collect::<Vec<_>>(), ["anna"]);
    assert_eq!(refusal(operator.whoami().await), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn a_reading_operator_changes_nothing() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let request = v1::CreateAccountRequest {
        identifier: "lecture".into(),
        role: v1::Role::ReadOnly.into(),
        operator: true,
        ..v1::CreateAccountRequest::default()
    };
    let default = outcome(operator.admin().create_account(operator.0.request(request)).await).unwrap().default_password;
    let client = server.connect().await;
    let login = client.login("lecture", &default).await.unwrap();
    let reader = client.with(&login.token).change_password(&default, GOOD_PASSWORD).await.unwrap();
    outcome(reader.admin().list_customers(reader.0.request(v1::ListCustomersRequest {})).await).unwrap();
    let request = v1::CreateCustomerRequest { reference: "x".into(), name: "x".into() };
    let refused = outcome(reader.admin().create_customer(reader.0.request(request)).await);
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
}

#[tokio::test]
async fn taken_references_absent_customers_and_wrong_forms_are_refused() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let made = server.subscribe(&operator, "BC-1").await;
    let form = made.order_form.unwrap();
    assert_eq!((form.per_mille, form.hard_volume_bytes), (2, 550_000_000_000));
    let create = |form: v1::OrderForm| {
        let operator = operator.clone();
        async move {
            let request = v1::CreateSubscriptionRequest { order_form: Some(form) };
            refusal(outcome(operator.admin().create_subscription(operator.0.request(request)).await))
        }
    };
    assert_eq!(create(form.clone()).await, ErrorCode::AlreadyExists);
    let absent = v1::OrderForm { customer: "nobody".into(), reference: "BC-2".into(), ..form.clone() };
    assert_eq!(create(absent).await, ErrorCode::NotFound);
    let mut unknown = v1::OrderForm { reference: "BC-3".into(), ..form };
    unknown.sources[0].kind = 99;
    assert_eq!(create(unknown).await, ErrorCode::InvalidArgument);
    let taken = v1::CreateCustomerRequest { reference: "client BC-1".into(), name: "Acme".into() };
    let refused = outcome(operator.admin().create_customer(operator.0.request(taken)).await);
    assert_eq!(refusal(refused), ErrorCode::AlreadyExists);
}

#[tokio::test]
async fn the_trail_tells_who_did_what_and_holds_no_secret() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let default = server.person(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let client = server.connect().await;
    client.login("anna", "not the password").await.unwrap_err();
    let rows = server.running.control().audit(100).unwrap();
    let told: Vec<_> = rows.iter().rev().map(|row| (row.action.as_str(), row.result.as_str())).collect();
    assert_eq!(
        told,
        [
            ("create_account", "done"),
            ("login", "done"),
            ("change_password", "done"),
            ("login", "done"),
            ("create_customer", "done"),
            ("create_subscription", "done"),
            ("create_account", "done"),
            ("login", "wrong_credentials"),
        ]
    );
    assert_eq!(rows[1].trace.who, "operator:admin");
    assert_eq!(rows[1].trace.address, "127.0.0.1");
    let text = format!("{rows:?}");
    for secret in [default.as_str(), &server.operator_password, GOOD_PASSWORD, "not the password", "dbl_"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn looking_at_subscriptions_opens_none() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let list = operator.0.request(v1::ListSubscriptionsRequest::default());
    let shown = outcome(operator.admin().list_subscriptions(list).await).unwrap().subscriptions.remove(0);
    let today = shown.today.expect("nothing stored is nothing used");
    assert_eq!((today.state(), today.hard_volume_bytes), (v1::DayState::NotStarted, 550_000_000_000));
    assert_eq!(anna.whoami().await.unwrap().today, Some(today));
    let catalogs = std::fs::read_dir(server.folder.path().join("server/catalogs")).unwrap();
    assert_eq!(catalogs.count(), 0, "an open subscription has a catalog");
}
