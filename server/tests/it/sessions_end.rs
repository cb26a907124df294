//! A changed or reset password ends every other login of the account, and a default password opens nothing but its change.

use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::account_client::AccountClient;
use proto::v1::admin_client::AdminClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::line::with_token;
use crate::station::Station;

const FIRST: &str = "première phrase, longue";
const SECOND: &str = "deuxième phrase, longue";

#[tokio::test]
async fn a_changed_password_ends_every_login() {
    let station = Station::start().await;
    station.customer("un").await;
    let mut account = AccountClient::new(station.channel().await);
    let default = station.account("anna", "un").await;

    let first = login(&mut account, "anna", &default).await.unwrap();
    assert!(first.must_change_password);
    assert_eq!(code(whoami(&mut account, &first.token).await), ErrorCode::MustChangePassword);
    let changed = change(&mut account, &first.token, &default, FIRST).await.unwrap();
    assert_eq!(code(whoami(&mut account, &first.token).await), ErrorCode::Unauthenticated);
    whoami(&mut account, &changed).await.unwrap();

    let other = login(&mut account, "anna", FIRST).await.unwrap().token;
    whoami(&mut account, &other).await.unwrap();
    let last = change(&mut account, &other, FIRST, SECOND).await.unwrap();
    for ended in [&first.token, &changed, &other] {
        assert_eq!(code(whoami(&mut account, ended).await), ErrorCode::Unauthenticated);
    }
    whoami(&mut account, &last).await.unwrap();
    for old in [default.as_str(), FIRST] {
        assert_eq!(code(login(&mut account, "anna", old).await), ErrorCode::WrongCredentials);
    }

    let reset = v1::ResetPasswordRequest {
        identifier: "anna".into(),
        check_method: "téléphone".into(),
        check_reference: "appel du 22/11".into(),
    };
    let mut admin = AdminClient::new(station.channel().await);
    let again = admin.reset_password(with_token(&station.operator, reset)).await.unwrap().into_inner().default_password;
    assert_eq!(code(whoami(&mut account, &last).await), ErrorCode::Unauthenticated);
    assert_eq!(code(login(&mut account, "anna", SECOND).await), ErrorCode::WrongCredentials);
    assert!(login(&mut account, "anna", &again).await.unwrap().must_change_password);
    station.stop();
}

#[tokio::test]
async fn a_logout_ends_that_login_and_no_agent() {
    let station = Station::start().await;
    let customer = station.customer("un").await;
    let mut account = AccountClient::new(station.channel().await);
    account.logout(with_token(&customer.person, v1::LogoutRequest {})).await.unwrap();
    assert_eq!(code(whoami(&mut account, &customer.person).await), ErrorCode::Unauthenticated);
    whoami(&mut account, &customer.agent.token).await.unwrap();
    station.stop();
}

fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> ErrorCode {
    let status = answer.unwrap_err();
    Failure::from_status(&status).unwrap_or_else(|| panic!("no error code: {status:?}")).code
}

async fn login(
    account: &mut AccountClient<Channel>,
    identifier: &str,
    password: &str,
) -> Result<v1::LoginReply, Status> {
    let request = v1::LoginRequest { identifier: identifier.into(), password: password.into() };
    account.login(request).await.map(tonic::Response::into_inner)
}

async fn change(account: &mut AccountClient<Channel>, token: &str, old: &str, new: &str) -> Result<String, Status> {
    let request = v1::ChangePasswordRequest { old_password: old.into(), new_password: new.into() };
    account.change_password(with_token(token, request)).await.map(|reply| reply.into_inner().token)
}

async fn whoami(account: &mut AccountClient<Channel>, token: &str) -> Result<v1::WhoamiReply, Status> {
    account.whoami(with_token(token, v1::WhoamiRequest {})).await.map(tonic::Response::into_inner)
}
