//! `dobaas-admin retention preview`: for each snapshot whether it is kept, why, and when it goes. No file names: there are none.

use clap::{ArgMatches, Command, value_parser};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::history_client::HistoryClient;
use serde_json::{Value, json};

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, words};
use super::upkeep::{short, stop_reason, time};
use crate::cli::arguments::{argument, option, subcommand, text};

/// The command.
pub fn command(texts: Texts) -> Command {
    let preview = subcommand("preview", "admin-retention-preview", texts)
        .visible_alias("apercu")
        .arg(argument("reference", "REFERENCE", texts))
        .arg(
            option("history", "DAYS", texts)
                .value_parser(value_parser!(u32).range(1..))
                .help(texts.say("help-option-compared-history")),
        );
    group("retention", "admin-retention", texts).visible_alias("conservation").subcommand(preview)
}

/// Shows what is kept and what goes.
///
/// # Errors
/// What the server refused.
pub async fn preview(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let history_days = matches.get_one::<u32>("history").copied();
    let request = v1::RetentionPreviewRequest {
        subscription: text(matches, "reference").unwrap_or_default().to_owned(),
        history_days,
    };
    let remote = context.remote().await?;
    let reply = answer(HistoryClient::new(remote.channel()).retention_preview(remote.request(request))).await?;
    let (output, texts) = (context.output, context.output.texts);
    if !reply.stopped.is_empty() {
        output.say("retention-stopped", &[("reason", stop_reason(&reply.stopped, texts).into())])?;
    }
    print(context, &reply.snapshots, history_days)?;
    let count =
        |wanted: fn(&v1::SnapshotOutlook) -> bool| reply.snapshots.iter().filter(|one| wanted(one)).count() as u64;
    let args = [
        ("days", u64::from(reply.history_days).into()),
        ("kept", count(|one| !one.reason.is_empty()).into()),
        ("going", count(|one| one.reason.is_empty()).into()),
    ];
    output.say("retention-summary", &args)?;
    if let Some(days) = history_days {
        let more = count(|one| one.goes_if_shorter && !one.reason.is_empty());
        output.say("retention-compared", &[("days", u64::from(days).into()), ("count", more.into())])?;
    }
    let document = json!({
        "history_days": reply.history_days,
        "compared_history_days": history_days,
        "stopped_by": Some(&reply.stopped).filter(|word| !word.is_empty()),
        "snapshots": reply.snapshots.iter().map(document).collect::<Vec<_>>(),
    });
    Ok(output.document(&document)?)
}

/// A table of snapshots; with what another history would change, if it was asked for.
///
/// # Errors
/// If standard output is closed.
pub fn print(context: &Context, snapshots: &[v1::SnapshotOutlook], compared: Option<u32>) -> std::io::Result<()> {
    let texts = context.output.texts;
    let row = |one: &v1::SnapshotOutlook| {
        let goes =
            if one.goes_at_ns == 0 { texts.say("retention-not-in-sight") } else { texts.day(day_of(one.goes_at_ns)) };
        let reason = match one.reason.as_str() {
            "" => texts.say("retention-goes"),
            word => texts.say(&format!("retention-reason-{}", word.replace('_', "-"))),
        };
        let state = if one.complete { "retention-complete" } else { "retention-partial" };
        let received = texts.date(moment(one.received_at_ns));
        let mut row = vec![short(&one.snapshot), one.source.clone(), received, texts.say(state), reason, goes];
        if compared.is_some() {
            row.push(if one.goes_if_shorter { texts.say("retention-goes") } else { texts.say("retention-stays") });
        }
        row
    };
    let rows: Vec<_> = snapshots.iter().map(row).collect();
    let mut columns =
        vec![words("snapshot"), words("source"), words("received"), words("state"), words("why"), words("goes")];
    columns.extend(compared.map(|_| words("shorter")));
    table::print(context, &columns, &rows)
}

fn day_of(at_ns: i64) -> jiff::civil::Date {
    crate::contract::calendar::day_of(moment(at_ns))
}

/// One snapshot in a document.
pub fn document(one: &v1::SnapshotOutlook) -> Value {
    json!({
        "snapshot": one.snapshot,
        "source": one.source,
        "received_at": time(one.received_at_ns),
        "complete": one.complete,
        "kept": !one.reason.is_empty(),
        "reason": Some(&one.reason).filter(|word| !word.is_empty()),
        "goes_at": time(one.goes_at_ns),
        "goes_if_shorter": one.goes_if_shorter,
    })
}
