//! `dobaas-admin account`: people of customers, and operators.

use clap::ArgMatches;
use common::text::date::moment;
use proto::v1;
use proto::v1::admin_client::AdminClient;
use serde::Serialize;

use super::command::Context;
use super::failure::AdminError;
use super::remote::answer;
use super::{day, table};
use crate::cli::arguments::text;

#[derive(Serialize)]
struct Made {
    identifier: String,
    default_password: String,
}

#[derive(Serialize)]
struct Line {
    identifier: String,
    subscription: Option<String>,
    role: &'static str,
    ends_at: Option<String>,
    must_change_password: bool,
    created_at: String,
    last_login_at: Option<String>,
    networks: Vec<String>,
}

/// Makes an account and shows its default password once.
///
/// # Errors
/// What the server refused.
pub async fn create(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let operator = matches.get_flag("operator");
    let role = match (text(matches, "role").unwrap_or_default(), operator) {
        ("admin", false) | ("operator", true) => v1::Role::Admin,
        ("restore", false) => v1::Role::Restore,
        ("read_only", _) => v1::Role::ReadOnly,
        (other, _) => return Err(AdminError::value("role", other)),
    };
    let ends_at_ns = text(matches, "until").map_or(Ok(0), |given| day::end_ns("until", given))?;
    let identifier = text(matches, "identifier").unwrap_or_default().to_owned();
    let request = v1::CreateAccountRequest {
        identifier: identifier.clone(),
        subscription: text(matches, "subscription").unwrap_or_default().to_owned(),
        role: role.into(),
        ends_at_ns,
        operator,
    };
    let remote = context.remote().await?;
    let reply = answer(AdminClient::new(remote.channel()).create_account(remote.request(request))).await?;
    show_once(context, Made { identifier, default_password: reply.default_password })
}

/// Makes a further default password after a recorded identity check, and shows it once.
///
/// # Errors
/// What the server refused.
pub async fn reset_password(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let identifier = part("identifier");
    let request = v1::ResetPasswordRequest {
        identifier: identifier.clone(),
        check_method: part("check-method"),
        check_reference: part("check-reference"),
    };
    let remote = context.remote().await?;
    let reply = answer(AdminClient::new(remote.channel()).reset_password(remote.request(request))).await?;
    show_once(context, Made { identifier, default_password: reply.default_password })
}

/// Lists the accounts, or those of one subscription.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let subscription = text(matches, "subscription").unwrap_or_default().to_owned();
    let request = remote.request(v1::ListAccountsRequest { subscription });
    let reply = answer(AdminClient::new(remote.channel()).list_accounts(request)).await?;
    let texts = context.output.texts;
    let date = |ns: i64| if ns == 0 { String::new() } else { texts.date(moment(ns)) };
    let row = |person: &v1::Person| {
        let state = if person.must_change_password { "admin-default-password" } else { "admin-own-password" };
        vec![
            person.identifier.clone(),
            person.subscription.clone(),
            texts.say(&format!("role-{}", role_name(person).replace('_', "-"))),
            date(person.ends_at_ns),
            date(person.last_login_at_ns),
            texts.say(state),
            person.networks.join(" "),
        ]
    };
    let rows: Vec<_> = reply.people.iter().map(row).collect();
    context.output.document(&reply.people.into_iter().map(line).collect::<Vec<_>>())?;
    let columns = ["identifier", "reference", "role", "ends", "last-login", "password", "networks"].map(table::words);
    Ok(table::print(context, &columns, &rows)?)
}

/// Replaces the networks that an operator may come from.
///
/// # Errors
/// What the server refused.
pub async fn networks(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let identifier = text(matches, "identifier").unwrap_or_default().to_owned();
    let networks: Vec<String> = matches.get_many::<String>("network").unwrap_or_default().cloned().collect();
    let request = v1::SetOperatorNetworksRequest { identifier: identifier.clone(), networks: networks.clone() };
    let remote = context.remote().await?;
    answer(AdminClient::new(remote.channel()).set_operator_networks(remote.request(request))).await?;
    context.output.document(&serde_json::json!({ "identifier": &identifier, "networks": &networks }))?;
    let key = if networks.is_empty() { "admin-networks-anywhere" } else { "admin-networks-set" };
    let args = [("identifier", identifier.into()), ("networks", networks.join(", ").into())];
    Ok(context.output.say(key, &args)?)
}

/// Ends an account, at once or after a day.
///
/// # Errors
/// What the server refused.
pub async fn end(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let ends_at_ns = text(matches, "after").map_or(Ok(proto::AT_ONCE), |given| day::end_ns("after", given))?;
    set_end(context, matches, ends_at_ns).await
}

/// Takes the end of an account back, or sets a later one.
///
/// # Errors
/// What the server refused.
pub async fn reopen(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let ends_at_ns = text(matches, "until").map_or(Ok(0), |given| day::end_ns("until", given))?;
    set_end(context, matches, ends_at_ns).await
}

async fn set_end(context: &Context, matches: &ArgMatches, ends_at_ns: i64) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let identifier = part("identifier");
    let request = v1::SetAccountEndRequest { identifier: identifier.clone(), ends_at_ns, reason: part("reason") };
    let remote = context.remote().await?;
    answer(AdminClient::new(remote.channel()).set_account_end(remote.request(request))).await?;
    let texts = context.output.texts;
    let (key, ends_at) = match ends_at_ns {
        0 => ("admin-account-open", None),
        proto::AT_ONCE => ("admin-account-ended", None),
        later => ("admin-account-ends", Some(moment(later))),
    };
    let shown = ends_at.map(|at| at.to_string());
    context.output.document(
        &serde_json::json!({ "identifier": &identifier, "ended": ends_at_ns == proto::AT_ONCE, "ends_at": shown }),
    )?;
    let date = ends_at.map(|at| texts.date(at)).unwrap_or_default();
    Ok(context.output.say(key, &[("identifier", identifier.into()), ("date", date.into())])?)
}

fn show_once(context: &Context, made: Made) -> Result<(), AdminError> {
    context.output.document(&made)?;
    let args = [("identifier", made.identifier.into()), ("password", made.default_password.into())];
    Ok(context.output.say("admin-password-once", &args)?)
}

fn line(person: v1::Person) -> Line {
    let at = |ns: i64| (ns != 0).then(|| moment(ns).to_string());
    Line {
        role: role_name(&person),
        ends_at: at(person.ends_at_ns),
        must_change_password: person.must_change_password,
        created_at: moment(person.created_at_ns).to_string(),
        last_login_at: at(person.last_login_at_ns),
        networks: person.networks,
        identifier: person.identifier,
        subscription: Some(person.subscription).filter(|reference| !reference.is_empty()),
    }
}

fn role_name(person: &v1::Person) -> &'static str {
    match (person.role(), person.operator) {
        (v1::Role::Admin, true) => "operator",
        (v1::Role::Admin, false) => "admin",
        (v1::Role::Restore, _) => "restore",
        (v1::Role::ReadOnly | v1::Role::Unspecified, _) => "read_only",
    }
}
