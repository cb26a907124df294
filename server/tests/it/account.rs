//! Logins, passwords, enrolment, roles.

use proto::code::ErrorCode;
use proto::v1;
use server::auth::token;

use crate::harness::{Client, GOOD_PASSWORD, OTHER_PASSWORD, TestServer, outcome, refusal};

fn host(name: &str) -> v1::EnrollRequest {
    v1::EnrollRequest { host: name.into(), version: "0".into(), ..v1::EnrollRequest::default() }
}

async fn enrolment_token(operator: &Client, reference: &str, source: &str, valid_s: u32) -> String {
    let request = v1::CreateEnrolmentTokenRequest { subscription: reference.into(), valid_s, source: source.into() };
    operator.admin().create_enrolment_token(operator.0.request(request)).await.unwrap().into_inner().token
}

#[tokio::test]
async fn a_default_password_only_changes_itself() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let default = server.person(&operator, "anna@acme.fr", "BC-1", v1::Role::Admin).await;
    let client = server.connect().await;
    let login = client.login(" Anna@ACME.fr ", &default).await.unwrap();
    assert!(login.must_change_password);
    let anna = client.with(&login.token);
    assert_eq!(refusal(anna.whoami().await), ErrorCode::MustChangePassword);
    assert_eq!(refusal(anna.enroll(host("pc")).await), ErrorCode::MustChangePassword);
    for weak in ["court", "Password2026!!", "anna@acme.fr12", default.as_str()] {
        assert_eq!(refusal(anna.change_password(&default, weak).await), ErrorCode::WeakPassword, "{weak}");
    }
    let changed = anna.change_password(&default, GOOD_PASSWORD).await.unwrap();
    assert_eq!(changed.whoami().await.unwrap().identifier, "anna@acme.fr");
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated);
    assert_eq!(refusal(client.login("anna@acme.fr", &default).await), ErrorCode::WrongCredentials);
    // The provider's default may not come back later either.
    assert_eq!(refusal(changed.change_password(GOOD_PASSWORD, &default).await), ErrorCode::WeakPassword);
}

#[tokio::test]
async fn unknown_identifiers_wrong_passwords_and_ended_roles_get_one_answer() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let now_ns = i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap();
    let request = v1::CreateAccountRequest {
        identifier: "bruno".into(),
        subscription: "BC-1".into(),
        role: v1::Role::Admin.into(),
        ends_at_ns: now_ns + 3_600 * 1_000_000_000,
        operator: false,
    };
    let default = outcome(operator.admin().create_account(operator.0.request(request)).await).unwrap().default_password;
    let client = server.connect().await;
    let bruno = client.login("bruno", &default).await.unwrap();
    let unknown = client.login("nobody", GOOD_PASSWORD).await.unwrap_err();
    let wrong = client.login("bruno", GOOD_PASSWORD).await.unwrap_err();
    assert_eq!(unknown, wrong);
    server.pass(7_200);
    assert_eq!(client.login("bruno", &default).await.unwrap_err(), unknown);
    assert_eq!(refusal(client.with(&bruno.token).whoami().await), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn failures_are_delayed_and_a_right_password_after_the_delay_is_accepted() {
    let server = TestServer::start().await;
    let client = server.connect().await;
    for _ in 0..5 {
        assert_eq!(refusal(client.login("admin", "wrong password").await), ErrorCode::WrongCredentials);
    }
    let delayed = client.login("admin", &server.operator_password).await.unwrap_err();
    assert_eq!(delayed.code, ErrorCode::TooManyAttempts);
    assert_eq!(delayed.param("retry_s"), Some("1"));
    // Another account from the same place is not held up.
    assert_eq!(refusal(client.login("other", "wrong password").await), ErrorCode::WrongCredentials);
    server.pass(1);
    client.login("admin", &server.operator_password).await.unwrap();
}

#[tokio::test]
async fn a_default_password_expires_and_only_a_reset_helps() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let default = server.person(&operator, "anna", "BC-1", v1::Role::Admin).await;
    server.pass(31 * 86_400);
    let client = server.connect().await;
    assert_eq!(refusal(client.login("anna", &default).await), ErrorCode::DefaultPasswordExpired);
    let operator = client.with(&client.login("admin", GOOD_PASSWORD).await.unwrap().token);
    let request = v1::ResetPasswordRequest {
        identifier: "anna".into(),
        check_method: "rappel téléphonique".into(),
        check_reference: "T-12".into(),
    };
    let reset = outcome(operator.admin().reset_password(operator.0.request(request)).await).unwrap();
    assert_eq!(refusal(client.login("anna", &default).await), ErrorCode::WrongCredentials);
    assert!(client.login("anna", &reset.default_password).await.unwrap().must_change_password);
}

#[tokio::test]
async fn a_login_lasts_fifteen_minutes_from_its_last_use() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let client = server.member(&operator, "anna", "BC-1", v1::Role::ReadOnly).await;
    let token = client.login("anna", GOOD_PASSWORD).await.unwrap().token;
    let (anna, digest) = (client.with(&token), token::parse(&token).unwrap().digest);
    for _ in 0..4 {
        server.pass(600);
        anna.whoami().await.unwrap();
        // The use is written behind the answer.
        let is_stale = || server.running.control().login(&digest, server.now_ns()).unwrap().unwrap().is_stale;
        while is_stale() {
            tokio::task::yield_now().await;
        }
    }
    server.pass(901);
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn a_changed_or_reset_password_ends_every_other_login() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let second = anna.with(&anna.login("anna", GOOD_PASSWORD).await.unwrap().token);
    second.whoami().await.unwrap();
    let third = anna.change_password(GOOD_PASSWORD, OTHER_PASSWORD).await.unwrap();
    assert_eq!(refusal(anna.whoami().await), ErrorCode::Unauthenticated);
    assert_eq!(refusal(second.whoami().await), ErrorCode::Unauthenticated);
    third.whoami().await.unwrap();
    outcome(third.account().logout(third.0.request(v1::LogoutRequest {})).await).unwrap();
    assert_eq!(refusal(third.whoami().await), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn an_enrolment_token_makes_one_agent_and_nothing_else() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let subscription = server.subscribe(&operator, "BC-1").await;
    let client = server.connect().await;
    let token = enrolment_token(&operator, "BC-1", "", 3_600).await;
    let installer = client.with(&token);
    assert_eq!(refusal(installer.whoami().await), ErrorCode::PermissionDenied);
    let taken = v1::EnrollRequest { replace: vec![1; 16].into(), ..host("pc") };
    assert_eq!(refusal(installer.enroll(taken).await), ErrorCode::PermissionDenied);
    let made = installer.enroll(host("pc")).await.unwrap();
    assert_eq!(made.subscription, subscription.subscription);
    assert_eq!(refusal(installer.enroll(host("pc2")).await), ErrorCode::Unauthenticated);
    let agent = client.with(&made.token);
    let who = agent.whoami().await.unwrap();
    assert_eq!((who.agent, who.scope, who.can_restore), (made.agent, made.scope, false));
    assert_eq!(refusal(agent.enroll(host("pc3")).await), ErrorCode::PermissionDenied);
    let late = enrolment_token(&operator, "BC-1", "", 60).await;
    server.pass(61);
    assert_eq!(refusal(client.with(&late).enroll(host("pc")).await), ErrorCode::Unauthenticated);
    let request =
        v1::CreateEnrolmentTokenRequest { subscription: "BC-1".into(), valid_s: 86_401, source: String::new() };
    let operator = client.with(&client.login("admin", GOOD_PASSWORD).await.unwrap().token);
    let refused = outcome(operator.admin().create_enrolment_token(operator.0.request(request)).await);
    assert_eq!(refusal(refused), ErrorCode::InvalidArgument);
}

#[tokio::test]
async fn two_uses_of_one_enrolment_token_at_once_make_one_agent() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let installer = server.connect().await.with(&enrolment_token(&operator, "BC-1", "", 3_600).await);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let installer = installer.clone();
            tokio::spawn(async move { installer.enroll(host("pc")).await.is_ok() })
        })
        .collect();
    let mut made = 0;
    for call in calls {
        made += usize::from(call.await.unwrap());
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_replaced_agent_leaves_its_scope_and_sets_to_its_heir() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let subscription = server.subscribe(&operator, "BC-1").await;
    let source = subscription.order_form.unwrap().sources[0].source.clone();
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let old = anna.enroll(host("pc")).await.unwrap();
    let set = v1::Set { source: source.clone(), paths: vec!["/srv".into()], ..v1::Set::default() };
    assert_eq!(anna.with(&old.token).put_set(set.clone()).await, Ok(1));
    let replace = v1::EnrollRequest { replace: old.agent.clone(), ..host("pc neuf") };
    let new = anna.enroll(replace.clone()).await.unwrap();
    assert_eq!(new.scope, old.scope);
    assert_ne!(new.agent, old.agent);
    assert_eq!(refusal(anna.with(&old.token).whoami().await), ErrorCode::Unauthenticated);
    let heir = anna.with(&new.token);
    let sets = outcome(heir.sets().list(heir.0.request(v1::ListSetsRequest {})).await).unwrap().sets;
    assert_eq!((sets.len(), sets[0].version, sets[0].agent.clone()), (1, 2, new.agent.clone()));
    assert_eq!(sets[0].paths, ["/srv"]);
    // A second heir of the same agent, and one of nobody's, are not found.
    assert_eq!(refusal(anna.enroll(replace).await), ErrorCode::NotFound);
    let nobody = v1::EnrollRequest { replace: vec![7; 16].into(), ..host("pc") };
    assert_eq!(refusal(anna.enroll(nobody).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn what_is_another_subscriptions_is_not_found() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let first = server.subscribe(&operator, "BC-1").await;
    server.subscribe(&operator, "BC-2").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let bruno = server.member(&operator, "bruno", "BC-2", v1::Role::Admin).await;
    let pc = anna.enroll(host("pc")).await.unwrap();
    let source = first.order_form.unwrap().sources[0].source.clone();
    let revoke = |agent: bytes::Bytes| v1::RevokeAgentRequest { agent };
    let foreign = outcome(bruno.account().revoke_agent(bruno.0.request(revoke(pc.agent.clone()))).await);
    let absent = outcome(bruno.account().revoke_agent(bruno.0.request(revoke(vec![9; 16].into()))).await);
    assert_eq!(foreign.unwrap_err(), absent.unwrap_err());
    let join = v1::EnrollRequest { scope: pc.scope.clone(), ..host("pc") };
    assert_eq!(refusal(bruno.enroll(join.clone()).await), ErrorCode::NotFound);
    assert_eq!(anna.enroll(join).await.unwrap().scope, pc.scope);
    let replace = v1::EnrollRequest { replace: pc.agent.clone(), ..host("pc") };
    assert_eq!(refusal(bruno.enroll(replace).await), ErrorCode::NotFound);
    let get = v1::GetSetRequest { source: source.clone(), version: 0 };
    assert_eq!(refusal(outcome(bruno.sets().get(bruno.0.request(get)).await)), ErrorCode::NotFound);
    let set = v1::Set { source, agent: pc.agent, paths: vec!["/srv".into()], ..v1::Set::default() };
    assert_eq!(refusal(bruno.put_set(set).await), ErrorCode::NotFound);
    anna.with(&pc.token).whoami().await.unwrap();
}

#[tokio::test]
async fn sets_have_versions_and_agents_only_make_the_first() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    let subscription = server.subscribe(&operator, "BC-1").await;
    let source = subscription.order_form.unwrap().sources[0].source.clone();
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let reader = server.member(&operator, "rene", "BC-1", v1::Role::Restore).await;
    let token = enrolment_token(&operator, "BC-1", "bureautique", 60).await;
    let pc = anna.with(&token).enroll(host("pc")).await.unwrap();
    let agent = anna.with(&pc.token);
    let set = |version, path: &str| v1::Set {
        source: source.clone(),
        version,
        agent: pc.agent.clone(),
        paths: vec![path.into()],
        ..v1::Set::default()
    };
    assert_eq!(refusal(reader.put_set(set(0, "/srv")).await), ErrorCode::PermissionDenied);
    assert_eq!(refusal(agent.put_set(set(0, "srv")).await), ErrorCode::InvalidArgument);
    assert_eq!(agent.put_set(set(0, "/srv")).await, Ok(1));
    assert_eq!(refusal(agent.put_set(set(1, "/home")).await), ErrorCode::PermissionDenied);
    let conflict = anna.put_set(set(0, "/home")).await.unwrap_err();
    assert_eq!((conflict.code, conflict.param("version")), (ErrorCode::SetConflict, Some("1")));
    assert_eq!(anna.put_set(set(1, "/home")).await, Ok(2));
    for (version, path) in [(0, "/home"), (1, "/srv"), (2, "/home")] {
        let get = v1::GetSetRequest { source: source.clone(), version };
        let got = outcome(agent.sets().get(agent.0.request(get)).await).unwrap().set.unwrap();
        assert_eq!((got.paths, got.name.as_str()), (vec![path.to_owned()], "bureautique"));
    }
    let get = v1::GetSetRequest { source: source.clone(), version: 3 };
    assert_eq!(refusal(outcome(agent.sets().get(agent.0.request(get)).await)), ErrorCode::NotFound);
}

#[tokio::test]
async fn a_revoked_agent_is_nobody() {
    let server = TestServer::start().await;
    let operator = server.operator().await;
    server.subscribe(&operator, "BC-1").await;
    let anna = server.member(&operator, "anna", "BC-1", v1::Role::Admin).await;
    let reader = server.member(&operator, "rene", "BC-1", v1::Role::ReadOnly).await;
    let pc = anna.enroll(host("pc")).await.unwrap();
    let request = || v1::RevokeAgentRequest { agent: pc.agent.clone() };
    let refused = outcome(reader.account().revoke_agent(reader.0.request(request())).await);
    assert_eq!(refusal(refused), ErrorCode::PermissionDenied);
    outcome(anna.account().revoke_agent(anna.0.request(request())).await).unwrap();
    assert_eq!(refusal(anna.with(&pc.token).whoami().await), ErrorCode::Unauthenticated);
    let agents =
        outcome(reader.account().list_agents(reader.0.request(v1::ListAgentsRequest {})).await).unwrap().agents;
    assert_eq!(agents.iter().map(|agent| agent.revoked).collect::<Vec<_>>(), [true]);
}
