//! `dobaas-admin hold`: suspect snapshots with the figures that they were judged by, and the end of their hold.

use clap::{ArgMatches, Command};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::history_client::HistoryClient;
use serde_json::{Value, json};

use super::command::{Context, group};
use super::confirm;
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, figures, words};
use super::upkeep::{short, time};
use crate::cli::arguments::{argument, flag, subcommand, text};

/// The commands.
pub fn command(texts: Texts) -> Command {
    let reference = || argument("reference", "REFERENCE", texts);
    let list = subcommand("list", "admin-hold-list", texts)
        .arg(reference().required(false))
        .arg(flag("all", texts).help(texts.say("help-option-lifted")));
    let lift = subcommand("lift", "admin-hold-lift", texts)
        .visible_alias("lever")
        .arg(reference())
        .arg(confirm::argument(texts));
    group("hold", "admin-hold", texts).visible_alias("retenue").subcommand(list).subcommand(lift)
}

/// Runs one of them.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "lift" => lift(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let request = v1::ListHoldsRequest {
        subscription: text(matches, "reference").unwrap_or_default().to_owned(),
        all: matches.get_flag("all"),
    };
    let remote = context.remote().await?;
    let reply = answer(HistoryClient::new(remote.channel()).list_holds(remote.request(request))).await?;
    if reply.holds.is_empty() {
        context.output.say("hold-none", &[])?;
    } else {
        print(context, &reply.holds)?;
    }
    Ok(context.output.document(&reply.holds.iter().map(document).collect::<Vec<_>>())?)
}

async fn lift(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let subscription = text(matches, "reference").unwrap_or_default().to_owned();
    confirm::confirm(context, matches, &subscription)?;
    let remote = context.remote().await?;
    let request = remote.request(v1::LiftHoldRequest { subscription: subscription.clone() });
    let reply = answer(HistoryClient::new(remote.channel()).lift_hold(request)).await?;
    let lifted = reply.lifted.iter().map(|hold| hold.hold.clone()).collect::<Vec<_>>();
    let count = lifted.len() as u64;
    context.output.document(&json!({ "subscription": subscription, "lifted": lifted, "standing": reply.standing }))?;
    context.output.say("hold-lifted", &[("reference", subscription.into()), ("count", count.into())])?;
    if reply.standing == 0 {
        Ok(())
    } else {
        Ok(context.output.say("hold-later", &[("count", reply.standing.into())])?)
    }
}

fn print(context: &Context, holds: &[v1::SubscriptionHold]) -> std::io::Result<()> {
    let texts = context.output.texts;
    let row = |of: &v1::SubscriptionHold| {
        let hold = of.hold.clone().unwrap_or_default();
        let seen = hold.figures.unwrap_or_default();
        let signals = hold.signals.iter().map(|word| texts.say(&format!("hold-signal-{word}")));
        let state = match &hold.lifted {
            None => texts.say("hold-stands"),
            Some(lifted) => texts.say_with("hold-was-lifted", &[("at", texts.date(moment(lifted.at_ns)).into())]),
        };
        let changed =
            [("part", texts.size(seen.changed_bytes).into()), ("whole", texts.size(seen.allowed_bytes).into())];
        let gone =
            [("part", texts.count(seen.gone_entries).into()), ("whole", texts.count(seen.previous_entries).into())];
        vec![
            of.subscription.clone(),
            hold.source.clone(),
            texts.date(moment(hold.at_ns)),
            short(&hold.snapshot),
            short(&hold.clean_snapshot),
            signals.collect::<Vec<_>>().join(", "),
            texts.say_with("hold-part", &changed),
            texts.percent(seen.changed_stored_bytes, seen.changed_bytes),
            texts.say_with("hold-part", &gone),
            texts.size(seen.gone_bytes),
            state,
        ]
    };
    let columns = [
        words("reference"),
        words("source"),
        words("received"),
        words("suspect"),
        words("clean"),
        words("signals"),
        figures("changed-allowed"),
        figures("compressed"),
        figures("gone-entries"),
        figures("gone-bytes"),
        words("state"),
    ];
    table::print(context, &columns, &holds.iter().map(row).collect::<Vec<_>>())
}

fn document(of: &v1::SubscriptionHold) -> Value {
    let hold = of.hold.clone().unwrap_or_default();
    let seen = hold.figures.unwrap_or_default();
    json!({
        "subscription": of.subscription,
        "hold": hold.hold,
        "source": hold.source,
        "snapshot": hold.snapshot,
        "clean_snapshot": Some(&hold.clean_snapshot).filter(|id| !id.is_empty()),
        "at": time(hold.at_ns),
        "signals": hold.signals,
        "figures": {
            "changed_bytes": seen.changed_bytes,
            "changed_stored_bytes": seen.changed_stored_bytes,
            "allowed_bytes": seen.allowed_bytes,
            "plain_bytes": seen.plain_bytes,
            "previous_plain_bytes": seen.previous_plain_bytes,
            "previous_entries": seen.previous_entries,
            "gone_entries": seen.gone_entries,
            "gone_bytes": seen.gone_bytes,
        },
        "lifted": hold.lifted.as_ref().map(lifted),
    })
}

/// The end of a hold or protection in a document.
pub fn lifted(lifted: &v1::Lifted) -> Value {
    json!({
        "at": time(lifted.at_ns),
        "reason": lifted.reason,
        "asked_by": lifted.asked_by,
        "approved_by": lifted.approved_by,
    })
}
