//! `dobaas-admin suspend`, `resume`, `suspensions` and `maintenance`.

use clap::{ArgMatches, Command, value_parser};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::closures_client::ClosuresClient;
use serde::Serialize;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, figures, words};
use super::{confirm, day};
use crate::cli::arguments::{argument, flag, option, subcommand, text};
use crate::contract::service::SuspensionReason;

#[derive(Serialize)]
struct Shown {
    number: i64,
    subscription: Option<String>,
    reason: Option<String>,
    detail: String,
    from: String,
    until: Option<String>,
    told_at: Option<String>,
    untold_because: Option<String>,
    recorded_at: String,
    recorded_by: String,
}

/// The command that suspends.
pub fn suspend_command(texts: Texts) -> Command {
    subcommand("suspend", "admin-suspend", texts)
        .visible_alias("suspendre")
        .arg(argument("reference", "REFERENCE", texts))
        .arg(
            option("reason", "REASON", texts)
                .value_parser(SuspensionReason::ALL.map(SuspensionReason::name))
                .required(true),
        )
        .arg(option("detail", "TEXT", texts).required(true))
        .arg(option("from", "\"2026-11-22 18:00\"", texts))
        .arg(option("until", "\"2026-11-30 08:00\"", texts).help(texts.say("help-option-until-moment")))
        .arg(option("told", "2026-11-15", texts))
        .arg(option("untold-because", "TEXT", texts).conflicts_with("told").required_unless_present("told"))
        .arg(confirm::argument(texts))
}

/// The command that ends a suspension.
pub fn resume_command(texts: Texts) -> Command {
    subcommand("resume", "admin-resume", texts)
        .visible_alias("reprendre")
        .arg(argument("number", "NUMBER", texts).value_parser(value_parser!(i64)))
}

/// The command that lists suspensions.
pub fn suspensions_command(texts: Texts) -> Command {
    subcommand("suspensions", "admin-suspensions", texts).arg(option("subscription", "REFERENCE", texts))
}

/// The commands of maintenance.
pub fn maintenance_command(texts: Texts) -> Command {
    let announce = subcommand("announce", "admin-maintenance-announce", texts)
        .arg(option("subscription", "REFERENCE", texts))
        .arg(option("from", "\"2026-11-22 18:00\"", texts))
        .arg(option("until", "\"2026-11-22 20:00\"", texts).help(texts.say("help-option-until-moment")).required(true))
        .arg(option("detail", "TEXT", texts).required(true));
    let end = subcommand("end", "admin-maintenance-end", texts)
        .arg(argument("number", "NUMBER", texts).value_parser(value_parser!(i64)));
    group("maintenance", "admin-maintenance", texts)
        .subcommand(announce)
        .subcommand(end)
        .subcommand(subcommand("list", "admin-maintenance-list", texts).arg(flag("all", texts)))
}

/// Suspends a subscription.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn suspend(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request = v1::SuspendRequest {
        subscription: part("reference"),
        reason: part("reason"),
        detail: part("detail"),
        from_ns: moment_of(matches, "from")?,
        until_ns: moment_of(matches, "until")?,
        told_at_ns: moment_of(matches, "told")?,
        untold_because: part("untold-because"),
    };
    confirm::confirm_grave(context, matches, &request.subscription)?;
    let remote = context.remote().await?;
    let reply = answer(ClosuresClient::new(remote.channel()).suspend(remote.request(request))).await?;
    let suspension = reply.suspension.unwrap_or_default();
    let args = [
        ("number", suspension.number.to_string().into()),
        ("reference", suspension.subscription.clone().into()),
        ("from", context.output.texts.date(moment(suspension.from_ns)).into()),
        ("restores", suspension.reason.clone().into()),
    ];
    context.output.say("closure-suspended", &args)?;
    Ok(context.output.document(&shown(suspension))?)
}

/// Ends a suspension.
///
/// # Errors
/// What the server refused.
pub async fn resume(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let remote = context.remote().await?;
    let request = remote.request(v1::ResumeRequest { number });
    answer(ClosuresClient::new(remote.channel()).resume(request)).await?;
    context.output.document(&serde_json::json!({ "number": number, "resumed": true }))?;
    Ok(context.output.say("closure-resumed", &[("number", number.to_string().into())])?)
}

/// Lists suspensions.
///
/// # Errors
/// What the server refused.
pub async fn suspensions(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let subscription = text(matches, "subscription").unwrap_or_default().to_owned();
    let request = remote.request(v1::ListSuspensionsRequest { subscription });
    let reply = answer(ClosuresClient::new(remote.channel()).list_suspensions(request)).await?;
    let texts = context.output.texts;
    let date = |ns: i64| if ns == 0 { String::new() } else { texts.date(moment(ns)) };
    let row = |suspension: &v1::Suspension| {
        let told = match suspension.told_at_ns {
            0 => suspension.untold_because.clone(),
            told => date(told),
        };
        vec![
            suspension.number.to_string(),
            suspension.subscription.clone(),
            texts.say(&format!("suspension-reason-{}", suspension.reason.replace('_', "-"))),
            date(suspension.from_ns),
            date(suspension.until_ns),
            told,
            suspension.detail.clone(),
        ]
    };
    let rows: Vec<_> = reply.suspensions.iter().map(row).collect();
    context.output.document(&reply.suspensions.into_iter().map(shown).collect::<Vec<_>>())?;
    let columns = [
        figures("number"),
        words("reference"),
        words("reason"),
        words("from"),
        words("until"),
        words("told"),
        words("detail"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

/// Runs a command of maintenance.
///
/// # Errors
/// What the server refused.
pub async fn maintenance(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "announce" => announce(context, matches).await,
        "end" => end(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn announce(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request = v1::AnnounceMaintenanceRequest {
        subscription: part("subscription"),
        from_ns: moment_of(matches, "from")?,
        until_ns: moment_of(matches, "until")?,
        detail: part("detail"),
    };
    let remote = context.remote().await?;
    let reply = answer(ClosuresClient::new(remote.channel()).announce_maintenance(remote.request(request))).await?;
    let window = reply.maintenance.unwrap_or_default();
    let texts = context.output.texts;
    let args = [
        ("number", window.number.to_string().into()),
        ("from", texts.date(moment(window.from_ns)).into()),
        ("until", texts.date(moment(window.until_ns)).into()),
    ];
    context.output.say("closure-announced", &args)?;
    Ok(context.output.document(&shown_window(window))?)
}

async fn end(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let remote = context.remote().await?;
    let request = remote.request(v1::EndMaintenanceRequest { number });
    answer(ClosuresClient::new(remote.channel()).end_maintenance(request)).await?;
    context.output.document(&serde_json::json!({ "number": number, "ended": true }))?;
    Ok(context.output.say("closure-maintenance-over", &[("number", number.to_string().into())])?)
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::ListMaintenanceRequest { all: matches.get_flag("all") });
    let reply = answer(ClosuresClient::new(remote.channel()).list_maintenance(request)).await?;
    let texts = context.output.texts;
    let row = |window: &v1::Maintenance| {
        vec![
            window.number.to_string(),
            if window.subscription.is_empty() { texts.say("closure-server") } else { window.subscription.clone() },
            texts.date(moment(window.from_ns)),
            texts.date(moment(window.until_ns)),
            window.detail.clone(),
        ]
    };
    let rows: Vec<_> = reply.maintenance.iter().map(row).collect();
    context.output.document(&reply.maintenance.into_iter().map(shown_window).collect::<Vec<_>>())?;
    let columns = [figures("number"), words("reference"), words("from"), words("until"), words("detail")];
    Ok(table::print(context, &columns, &rows)?)
}

fn moment_of(matches: &ArgMatches, name: &'static str) -> Result<i64, AdminError> {
    text(matches, name).map_or(Ok(0), |given| day::moment_ns(name, given))
}

fn shown(suspension: v1::Suspension) -> Shown {
    let at = |ns: i64| (ns != 0).then(|| moment(ns).to_string());
    Shown {
        number: suspension.number,
        subscription: Some(suspension.subscription),
        reason: Some(suspension.reason),
        detail: suspension.detail,
        from: moment(suspension.from_ns).to_string(),
        until: at(suspension.until_ns),
        told_at: at(suspension.told_at_ns),
        untold_because: Some(suspension.untold_because).filter(|text| !text.is_empty()),
        recorded_at: moment(suspension.recorded_at_ns).to_string(),
        recorded_by: suspension.recorded_by,
    }
}

fn shown_window(window: v1::Maintenance) -> Shown {
    Shown {
        number: window.number,
        subscription: Some(window.subscription).filter(|reference| !reference.is_empty()),
        reason: None,
        detail: window.detail,
        from: moment(window.from_ns).to_string(),
        until: Some(moment(window.until_ns).to_string()),
        told_at: Some(moment(window.recorded_at_ns).to_string()),
        untold_because: None,
        recorded_at: moment(window.recorded_at_ns).to_string(),
        recorded_by: window.recorded_by,
    }
}
