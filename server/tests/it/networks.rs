//! Operators who may come from some networks only: their logins, and their tokens that are alive already.

use proto::code::ErrorCode;
use proto::v1;

use crate::harness::{Client, GOOD_PASSWORD, TestServer, outcome, refusal};

async fn set(by: &Client, identifier: &str, networks: &[&str]) -> Result<(), proto::code::Failure> {
    let request = v1::SetOperatorNetworksRequest {
        identifier: identifier.into(),
        networks: networks.iter().map(|network| (*network).to_owned()).collect(),
    };
    outcome(by.admin().set_operator_networks(by.0.request(request)).await).map(|_| ())
}

async fn look(by: &Client) -> Result<v1::ListCustomersReply, proto::code::Failure> {
    outcome(by.admin().list_customers(by.0.request(v1::ListCustomersRequest {})).await)
}

/// A second operator, `bruno`, logged in.
pub async fn second(server: &TestServer, first: &Client) -> Client {
    let request = v1::CreateAccountRequest {
        identifier: "bruno".into(),
        role: v1::Role::Admin.into(),
        operator: true,
        ..v1::CreateAccountRequest::default()
    };
    let made = outcome(first.admin().create_account(first.0.request(request)).await).unwrap();
    let client = server.connect().await;
    let login = client.login("bruno", &made.default_password).await.unwrap();
    client.with(&login.token).change_password(&made.default_password, GOOD_PASSWORD).await.unwrap()
}

#[tokio::test]
async fn from_outside_neither_a_login_nor_a_live_token_helps_and_its_use_does_not_keep_it_alive() {
    let server = TestServer::start().await;
    let admin = server.operator().await;
    let bruno = second(&server, &admin).await;
    look(&bruno).await.unwrap();
    set(&admin, "bruno", &["192.0.2.0/24"]).await.unwrap();
    assert_eq!(refusal(look(&bruno).await), ErrorCode::NetworkRefused, "a token that was alive");
    assert_eq!(refusal(bruno.login("bruno", GOOD_PASSWORD).await), ErrorCode::NetworkRefused, "the right password");
    assert_eq!(
        refusal(bruno.login("bruno", "not this one").await),
        ErrorCode::WrongCredentials,
        "a wrong one tells nothing"
    );
    server.pass(10 * 60);
    assert_eq!(refusal(look(&bruno).await), ErrorCode::NetworkRefused);
    // The row is written after the answer; that it is there means that the call has left nothing more to write.
    let refused = || {
        let rows = server.running.control().audit(100).unwrap();
        rows.iter().filter(|row| row.result == "network_refused").count()
    };
    while refused() < 3 {
        tokio::task::yield_now().await;
    }
    server.pass(6 * 60);
    let admin = admin.with(&admin.login("admin", GOOD_PASSWORD).await.unwrap().token);
    set(&admin, "bruno", &[]).await.unwrap();
    assert_eq!(refusal(look(&bruno).await), ErrorCode::Unauthenticated, "16 minutes without a use that was let in");
    bruno.login("bruno", GOOD_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn nobody_locks_themselves_out_and_lists_show_the_networks() {
    let server = TestServer::start().await;
    let admin = server.operator().await;
    assert_eq!(refusal(set(&admin, "admin", &["192.0.2.0/24"]).await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(set(&admin, "admin", &["nowhere"]).await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(set(&admin, "nobody", &["192.0.2.0/24"]).await), ErrorCode::NotFound);
    set(&admin, "admin", &["127.0.0.9/8", "192.0.2.0/24"]).await.unwrap();
    let request = admin.0.request(v1::ListAccountsRequest::default());
    let people = outcome(admin.admin().list_accounts(request).await).unwrap().people;
    assert_eq!(people[0].networks, ["127.0.0.0/8", "192.0.2.0/24"]);
    admin.login("admin", GOOD_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn what_operators_list_of_all_customers_leaves_a_row() {
    let server = TestServer::start().await;
    let admin = server.operator().await;
    server.subscribe(&admin, "BC-1").await;
    look(&admin).await.unwrap();
    let alarms = admin.0.request(v1::ListAlarmsRequest {});
    v1::monitor_client::MonitorClient::new(admin.0.channel()).list_alarms(alarms).await.unwrap();
    let maintenance = admin.0.request(v1::ListMaintenanceRequest { all: true });
    v1::closures_client::ClosuresClient::new(admin.0.channel()).list_maintenance(maintenance).await.unwrap();
    let rows = server.running.control().audit(3).unwrap();
    let told: Vec<_> = rows.iter().rev().map(|row| (row.action.as_str(), row.object.as_str())).collect();
    assert_eq!(told, [("list", "customers"), ("list", "alarms"), ("list", "maintenance")]);
}
