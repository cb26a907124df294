//! `dobaas-admin subscription`: create, list, show, and the end.

use clap::{ArgMatches, Command};
use common::text::Texts;
use proto::v1;
use proto::v1::admin_client::AdminClient;
use proto::v1::orders_client::OrdersClient;

use super::command::{Context, group};
use super::failure::AdminError;
use super::order_form::create_command;
use super::remote::{Remote, answer};
use super::shown::{shown, state_name};
use super::table::{self, figures, words};
use super::{annex, confirm, day, order_options};
use crate::cli::arguments::{argument, flag, option, subcommand, text};

/// The commands.
pub fn command(texts: Texts) -> Command {
    let reference = || argument("reference", "REFERENCE", texts);
    let list = subcommand("list", "admin-subscription-list", texts).arg(option("customer", "REFERENCE", texts));
    let end = subcommand("end", "admin-subscription-end", texts)
        .arg(reference())
        .arg(option("document", "TEXT", texts).required(true))
        .arg(option("received", "2026-11-22", texts).required_unless_present("cancel"))
        .arg(flag("early", texts))
        .arg(flag("cancel", texts).conflicts_with_all(["received", "early"]))
        .arg(confirm::argument(texts));
    group("subscription", "admin-subscription", texts)
        .subcommand(create_command(texts))
        .subcommand(list)
        .subcommand(subcommand("show", "admin-subscription-show", texts).arg(reference()))
        .subcommand(end)
}

/// Runs one of them.
///
/// # Errors
/// A value that cannot be used, what was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "create" => create(context, matches).await,
        "show" => show(context, matches).await,
        "end" => end(context, matches).await,
        _ => list(context, matches).await,
    }
}

/// Records an order form and makes its subscription.
///
/// # Errors
/// A value that cannot be used, or what the server refused.
pub async fn create(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let form = order_options::order_form(matches)?;
    let remote = context.remote().await?;
    let request = v1::CreateSubscriptionRequest { order_form: Some(form) };
    let reply = answer(AdminClient::new(remote.channel()).create_subscription(remote.request(request))).await?;
    let shown = shown(&reply.subscription.unwrap_or_default());
    context.output.document(&shown)?;
    Ok(context.output.say("admin-subscription-created", &[("reference", shown.reference.into())])?)
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = v1::ListSubscriptionsRequest { customer: text(matches, "customer").unwrap_or_default().to_owned() };
    let reply = answer(AdminClient::new(remote.channel()).list_subscriptions(remote.request(request))).await?;
    context.output.document(&reply.subscriptions.iter().map(shown).collect::<Vec<_>>())?;
    let texts = context.output.texts;
    let known = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| texts.size(bytes));
    let row = |subscription: &v1::Subscription| {
        let form = subscription.order_form.clone().unwrap_or_default();
        let today = subscription.today.as_ref();
        vec![
            form.reference,
            form.customer,
            texts.size(form.contracted_bytes),
            known(today.map(|today| today.used_bytes)),
            known(today.map(|today| today.changed_bytes)),
            texts.integer(subscription.snapshots),
            texts.say(&format!("subscription-state-{}", state_name(subscription.state()))),
        ]
    };
    let columns = [
        words("reference"),
        words("customer"),
        figures("volume"),
        figures("used"),
        figures("changed"),
        figures("snapshots"),
        words("state"),
    ];
    Ok(table::print(context, &columns, &reply.subscriptions.iter().map(row).collect::<Vec<_>>())?)
}

/// Shows one subscription whole.
///
/// # Errors
/// What the server refused.
pub async fn show(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let subscription = get(&remote, matches).await?.0;
    context.output.document(&shown(&subscription))?;
    let texts = context.output.texts;
    let today = subscription.today.as_ref();
    let known = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| texts.size(bytes));
    let mut pairs = annex::parameters(texts, &subscription);
    for (name, value) in [
        ("used", known(today.map(|today| today.used_bytes))),
        ("changed", known(today.map(|today| today.changed_bytes))),
        ("snapshots", texts.integer(subscription.snapshots)),
    ] {
        pairs.push((texts.say(&format!("admin-head-{name}")), value));
    }
    Ok(context.output.pairs(&pairs)?)
}

/// The subscription of the command's reference, and its customer.
///
/// # Errors
/// What the server refused.
pub async fn get(remote: &Remote, matches: &ArgMatches) -> Result<(v1::Subscription, v1::Customer), AdminError> {
    let request = v1::GetSubscriptionRequest { reference: text(matches, "reference").unwrap_or_default().to_owned() };
    let reply = answer(AdminClient::new(remote.channel()).get_subscription(remote.request(request))).await?;
    Ok((reply.subscription.unwrap_or_default(), reply.customer.unwrap_or_default()))
}

async fn end(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let reference = part("reference");
    let received_on = match text(matches, "received") {
        Some(given) => day::parse("received", given)?.to_string(),
        None => String::new(),
    };
    confirm::confirm(context, matches, &reference)?;
    let request = v1::EndRequest {
        subscription: reference.clone(),
        received_on,
        document: part("document"),
        early: matches.get_flag("early"),
        cancel: matches.get_flag("cancel"),
    };
    let remote = context.remote().await?;
    let reply = answer(OrdersClient::new(remote.channel()).end(remote.request(request))).await?;
    let texts = context.output.texts;
    context.output.document(&serde_json::json!({
        "reference": &reference,
        "last_day": Some(&reply.last_day).filter(|day| !day.is_empty()),
    }))?;
    match reply.last_day.parse() {
        Ok(day) => {
            let args = [("reference", reference.into()), ("day", texts.day(day).into())];
            Ok(context.output.say("order-ends", &args)?)
        }
        Err(_) => Ok(context.output.say("order-goes-on", &[("reference", reference.into())])?),
    }
}
