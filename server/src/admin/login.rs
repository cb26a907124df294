//! `dobaas-admin login`, `logout` and `password`: a default password is changed in the same step, one's own when asked for.

use clap::ArgMatches;
use proto::v1;
use proto::v1::account_client::AccountClient;
use serde::Serialize;
use zeroize::Zeroizing;

use super::command::Context;
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::secret::{self, NEW_PASSWORD, PASSWORD, Secret};
use super::state::State;
use crate::cli::arguments::text;

#[derive(Serialize)]
struct LoggedIn<'a> {
    server: &'a str,
    identifier: &'a str,
    password_changed: bool,
}

/// Opens a login and keeps it.
///
/// # Errors
/// What the server refused.
pub async fn login(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    open(context, matches, false).await
}

/// Changes one's own password; every other login of it ends, and a new one is kept.
///
/// # Errors
/// What the server refused.
pub async fn change_password(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    open(context, matches, true).await?;
    Ok(context.output.say("password-changed", &[])?)
}

async fn open(context: &Context, matches: &ArgMatches, is_change_wanted: bool) -> Result<(), AdminError> {
    // A second login of the same person on the same server needs neither address nor fingerprint.
    let known = State::load(&context.state).ok();
    let part = |name: &'static str, known: Option<&String>| {
        text(matches, name).map(str::to_owned).or_else(|| known.cloned()).ok_or(AdminError::Missing(name))
    };
    let server = part("server", known.as_ref().map(|state| &state.server))?;
    let fingerprint = part("fingerprint", known.as_ref().map(|state| &state.fingerprint))?;
    let identifier = part("identifier", known.as_ref().map(|state| &state.identifier))?;
    let texts = context.output.texts;
    let remote = Remote::connect(&server, &fingerprint).await?;
    let password = match secret::given(matches, PASSWORD)? {
        Some(password) => password,
        None => secret::ask(texts, "prompt-password")?,
    };
    let request = v1::LoginRequest { identifier: identifier.clone(), password: password.to_string() };
    let mut account = AccountClient::new(remote.channel());
    let reply = answer(account.login(remote.request(request))).await?;
    let password_changed = reply.must_change_password || is_change_wanted;
    let token = match password_changed {
        false => Zeroizing::new(reply.token),
        true => {
            let new = match secret::given(matches, NEW_PASSWORD)? {
                Some(new) => new,
                None => {
                    if reply.must_change_password {
                        context.output.complain(&texts.error("must-change-password", &[]));
                    }
                    secret::choose(texts)?
                }
            };
            change(&remote.with_token(&reply.token)?, &password, &new).await?
        }
    };
    let state = State { server, fingerprint, identifier, token: token.to_string() };
    state.store(&context.state)?;
    context.output.document(&LoggedIn { server: &state.server, identifier: &state.identifier, password_changed })?;
    context
        .output
        .say("admin-logged-in", &[("identifier", (&state.identifier).into()), ("server", (&state.server).into())])?;
    Ok(())
}

/// Ends the login, on the server and here.
///
/// # Errors
/// If it cannot be forgotten; a login that the server has ended already is no error.
pub async fn logout(context: &Context) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let mut account = AccountClient::new(remote.channel());
    let ended = answer(account.logout(remote.request(v1::LogoutRequest {}))).await;
    State::load(&context.state)?.forget(&context.state)?;
    match ended.map_err(AdminError::from) {
        Ok(_) => {}
        Err(AdminError::Refused(failure)) if failure.code == proto::code::ErrorCode::Unauthenticated => {}
        Err(error) => return Err(error),
    }
    context.output.document(&serde_json::json!({ "logged_out": true }))?;
    Ok(context.output.say("admin-logged-out", &[])?)
}

async fn change(remote: &Remote, old: &Secret, new: &Secret) -> Result<Secret, AdminError> {
    let request = v1::ChangePasswordRequest { old_password: old.to_string(), new_password: new.to_string() };
    let mut account = AccountClient::new(remote.channel());
    let reply = answer(account.change_password(remote.request(request))).await?;
    Ok(Zeroizing::new(reply.token))
}
