//! Somebody left: their account ends at once or after a day, and may be opened again.

use proto::code::{ErrorCode, Failure};
use proto::{AT_ONCE, v1};

use crate::harness::{Client, GOOD_PASSWORD, TestServer, outcome, refusal};
use crate::networks::second;

const NEVER: i64 = 0;

async fn set(by: &Client, identifier: &str, ends_at_ns: i64, reason: &str) -> Result<(), Failure> {
    let request = v1::SetAccountEndRequest { identifier: identifier.into(), ends_at_ns, reason: reason.into() };
    outcome(by.admin().set_account_end(by.0.request(request)).await).map(|_| ())
}

#[tokio::test]
async fn an_account_that_ended_has_no_login_and_is_as_it_was_when_it_is_open_again() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let subscription = server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let bruno = server.member(&operator, "bruno", "BC-1", v1::Role::Admin).await;
    set(&operator, " Anna", AT_ONCE, "a quitté la société").await.unwrap();
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated, "her login ends with it");
    bruno.whoami().await.unwrap();
    let ended = anna.login("anna", GOOD_PASSWORD).await.unwrap_err();
    assert_eq!(ended, anna.login("nobody", GOOD_PASSWORD).await.unwrap_err(), "as if there were no such account");
    server.pass(1);
    set(&operator, "anna", AT_ONCE, "encore une fois").await.unwrap();
    set(&operator, "anna", NEVER, "erreur").await.unwrap();
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated, "a login that ended stays so");
    let login = anna.login("anna", GOOD_PASSWORD).await.unwrap();
    assert!(!login.must_change_password);
    let control = server.running.control();
    let id = common::id::SubscriptionId::new(subscription.subscription.as_ref().try_into().unwrap());
    let told = control.notices(&id, 10).unwrap();
    let mut kinds: Vec<_> = told.iter().map(|notice| (notice.kind.as_str(), notice.detail.as_str())).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [("account_ended", "anna"), ("account_ended", "anna"), ("account_reopened", "anna")]);
    let rows = control.audit(10).unwrap();
    let row = rows.iter().rfind(|row| row.action == "end_account").unwrap();
    assert_eq!((row.object.as_str(), row.subscription), ("anna (a quitté la société)", Some(id)));
}

#[tokio::test]
async fn an_account_works_until_its_last_day_is_over() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    set(&operator, "anna", server.now_ns() + 600 * 1_000_000_000, "fin de mission").await.unwrap();
    anna.whoami().await.unwrap();
    server.pass(601);
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated);
    assert_eq!(refusal(anna.login("anna", GOOD_PASSWORD).await), ErrorCode::WrongCredentials);
}

#[tokio::test]
async fn nobody_ends_their_own_account_and_each_end_has_a_reason() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    assert_eq!(refusal(set(&operator, "ADMIN", AT_ONCE, "départ").await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(set(&operator, "nobody", AT_ONCE, "départ").await), ErrorCode::NotFound);
    assert_eq!(refusal(set(&operator, "nobody", AT_ONCE, " ").await), ErrorCode::InvalidArgument);
    assert_eq!(refusal(set(&operator, "nobody", server.now_ns() - 1, "départ").await), ErrorCode::InvalidArgument);
    let bruno = second(&server, &operator).await;
    set(&operator, "bruno", AT_ONCE, "départ").await.unwrap();
    assert_eq!(refusal(set(&bruno, "admin", AT_ONCE, "vengeance").await), ErrorCode::Unauthenticated);
}
