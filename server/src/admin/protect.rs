//! `dobaas-admin protect`, `protections` and `unprotect`: snapshots that are kept until a date whatever the history says.

use clap::{ArgMatches, Command};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::history_client::HistoryClient;
use serde_json::{Value, json};

use super::command::Context;
use super::failure::AdminError;
use super::hold::lifted;
use super::remote::answer;
use super::table::{self, words};
use super::upkeep::{short, time};
use super::{confirm, day};
use crate::cli::arguments::{argument, flag, option, subcommand, text};

/// The command that protects.
pub fn protect_command(texts: Texts) -> Command {
    subcommand("protect", "admin-protect", texts)
        .visible_alias("proteger")
        .arg(argument("reference", "REFERENCE", texts))
        .arg(argument("snapshot", "SNAPSHOT", texts))
        .arg(option("until", "2031-12-31", texts).required(true).help(texts.say("help-option-protected-until")))
        .arg(option("reason", "TEXT", texts).required(true).help(texts.say("help-option-protected-reason")))
}

/// The command that lists protections.
pub fn list_command(texts: Texts) -> Command {
    subcommand("protections", "admin-protections", texts)
        .arg(argument("reference", "REFERENCE", texts))
        .arg(flag("all", texts).help(texts.say("help-option-lifted")))
}

/// The command that ends a protection before its date.
pub fn unprotect_command(texts: Texts) -> Command {
    subcommand("unprotect", "admin-unprotect", texts)
        .visible_alias("deproteger")
        .arg(argument("reference", "REFERENCE", texts))
        .arg(argument("protection", "PROTECTION", texts))
        .arg(option("reason", "TEXT", texts).required(true).help(texts.say("help-option-protected-reason")))
        .arg(confirm::argument(texts))
}

/// Protects a snapshot.
///
/// # Errors
/// A value that cannot be used, or what the server refused.
pub async fn protect(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request = v1::ProtectRequest {
        subscription: part("reference"),
        snapshot: part("snapshot"),
        until_ns: day::end_ns("until", &part("until"))?,
        reason: part("reason"),
    };
    let remote = context.remote().await?;
    let reply = answer(HistoryClient::new(remote.channel()).protect(remote.request(request))).await?;
    let protection = reply.protection.unwrap_or_default();
    context.output.document(&document(&protection))?;
    let until = context.output.texts.date(moment(protection.until_ns));
    Ok(context
        .output
        .say("protect-done", &[("snapshot", short(&protection.snapshot).into()), ("until", until.into())])?)
}

/// Lists the protections of a subscription.
///
/// # Errors
/// What the server refused.
pub async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let request = v1::ListProtectionsRequest {
        subscription: text(matches, "reference").unwrap_or_default().to_owned(),
        all: matches.get_flag("all"),
    };
    let remote = context.remote().await?;
    let reply = answer(HistoryClient::new(remote.channel()).list_protections(remote.request(request))).await?;
    let texts = context.output.texts;
    let row = |one: &v1::Protection| {
        let ended = one.lifted.as_ref().map_or_else(String::new, |lifted| texts.date(moment(lifted.at_ns)));
        vec![
            short(&one.protection),
            short(&one.snapshot),
            one.source.clone(),
            texts.date(moment(one.until_ns)),
            one.reason.clone(),
            one.set_by.trim_start_matches("operator:").to_owned(),
            texts.date(moment(one.set_at_ns)),
            ended,
        ]
    };
    if reply.protections.is_empty() {
        context.output.say("protect-none", &[])?;
    } else {
        let columns = [
            words("protection"),
            words("snapshot"),
            words("source"),
            words("until"),
            words("reason"),
            words("recorded-by"),
            words("at"),
            words("ended-early"),
        ];
        table::print(context, &columns, &reply.protections.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(context.output.document(&reply.protections.iter().map(document).collect::<Vec<_>>())?)
}

/// Asks for the end of a protection, or carries it out.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn unprotect(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request = v1::UnprotectRequest {
        subscription: part("reference"),
        protection: part("protection"),
        reason: part("reason"),
    };
    confirm::confirm(context, matches, &request.subscription)?;
    let remote = context.remote().await?;
    let reply = answer(HistoryClient::new(remote.channel()).unprotect(remote.request(request))).await?;
    let due = time(reply.due_at_ns);
    context.output.document(&json!({ "approval": reply.approval, "due_at": due, "ended": reply.ended }))?;
    let key = match (reply.ended, reply.due_at_ns) {
        (true, _) => "protect-ended",
        (false, 0) => "protect-asked",
        (false, _) => "protect-waits",
    };
    let due = context.output.texts.date(moment(reply.due_at_ns));
    Ok(context.output.say(key, &[("number", reply.approval.to_string().into()), ("due", due.into())])?)
}

fn document(one: &v1::Protection) -> Value {
    json!({
        "protection": one.protection,
        "snapshot": one.snapshot,
        "source": one.source,
        "until": time(one.until_ns),
        "reason": one.reason,
        "set_by": one.set_by,
        "set_at": time(one.set_at_ns),
        "lifted": one.lifted.as_ref().map(lifted),
    })
}
