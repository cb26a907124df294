//! `dobaas dates`: the snapshots that there are, newest first, with the names by which other commands take them.

use common::stored::SnapshotState;
use common::text::Arg;
use common::text::date::moment;
use serde::Serialize;

use super::access::Access;
use super::args::reading::DatesArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::output::Table;
use crate::browse::history::{Point, ReceiptState};
use crate::remote::restore::SourceInfo;

/// What `--json` prints.
#[derive(Serialize)]
struct DatesDocument {
    sources: Vec<SourceDocument>,
}

#[derive(Serialize)]
struct SourceDocument {
    source: String,
    name: String,
    host: String,
    snapshots: Vec<SnapshotDocument>,
}

#[derive(Serialize)]
struct SnapshotDocument {
    point: String,
    snapshot: String,
    sequence: u64,
    received_at: String,
    complete: bool,
    receipt: String,
    /// False: its receipt is not the provider's, or breaks the chain.
    authentic: bool,
    files: u64,
    plain_bytes: u64,
    changed_bytes: u64,
    sent_bytes: u64,
    verified_at: Option<String>,
    /// A sudden change that the provider has not looked at yet.
    suspect: bool,
    /// Its day changed more than the contract allows: the provider's guarantee does not cover it.
    outside_guarantee: bool,
}

/// Runs `dates`.
pub fn run(args: &DatesArgs, context: &Context) -> Result<Exit, CliError> {
    let access = Access::to_names(&args.read, context)?;
    let sources = match &args.source {
        Some(name) => vec![access.source(Some(name), context)?],
        None => context.wait(access.remote.sources())?,
    };
    let mut listed = Vec::new();
    for source in sources {
        let points = access.history(&source, None, context)?.points;
        listed.push((source, points));
    }
    let document = DatesDocument { sources: listed.iter().map(|(source, list)| document(source, list)).collect() };
    context.output.answer(&document, || listed.iter().map(|(source, list)| text(source, list, context)).collect())?;
    Ok(Exit::Done)
}

fn document(source: &SourceInfo, list: &[Point]) -> SourceDocument {
    let snapshot = |(at, point): (usize, &Point)| SnapshotDocument {
        point: format!("@{at}"),
        snapshot: point.listed.stored.head.session.to_string(),
        sequence: point.listed.stored.head.sequence,
        received_at: moment(point.listed.stored.server.received_at_ns).to_string(),
        complete: point.listed.stored.head.state == SnapshotState::Complete,
        receipt: point.receipt_short(),
        authentic: point.receipt == ReceiptState::Good,
        files: point.listed.stored.head.counts.files,
        plain_bytes: point.listed.stored.head.claimed_plain_bytes,
        changed_bytes: point.listed.stored.server.changed_bytes,
        sent_bytes: point.listed.stored.server.sent_bytes,
        verified_at: point.listed.verified_at_ns.map(|ns| moment(ns).to_string()),
        suspect: point.listed.suspect,
        outside_guarantee: point.listed.outside_guarantee,
    };
    SourceDocument {
        source: source.source.to_string(),
        name: source.name.clone(),
        host: source.host.clone(),
        snapshots: list.iter().enumerate().map(snapshot).collect(),
    }
}

fn text(source: &SourceInfo, list: &[Point], context: &Context) -> String {
    let (texts, now) = (context.output.texts, context.now());
    let head = texts.say_with("dates-head", &[("source", Arg::from(&source.name)), ("host", Arg::from(&source.host))]);
    if list.is_empty() {
        return format!("{head}\n{}\n", texts.say("status-no-source"));
    }
    let headings =
        ["dates-point", "dates-id", "dates-date", "status-state", "dates-files", "status-size", "dates-changed"];
    let mut table = Table::new(headings.iter().map(|key| texts.say(key)).collect(), &[4, 5, 6]);
    for (at, point) in list.iter().enumerate() {
        let (one, head) = (&point.listed, &point.listed.stored.head);
        let state = match (point.receipt, head.state) {
            (ReceiptState::Good, SnapshotState::Complete) => "state-complete",
            (ReceiptState::Good, _) => "state-partial",
            _ => "state-untrusted",
        };
        table.row(vec![
            format!("@{at}"),
            head.session.short(),
            texts.date_and_relative(moment(one.stored.server.received_at_ns), now),
            [
                Some(texts.say(state)),
                one.suspect.then(|| texts.say("state-suspect")),
                one.outside_guarantee.then(|| texts.say("state-outside-guarantee")),
            ]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", "),
            texts.integer(head.counts.files),
            texts.size(head.claimed_plain_bytes),
            texts.size(one.stored.server.changed_bytes),
        ]);
    }
    let suspect = list.iter().any(|point| point.listed.suspect);
    let warning = if suspect { format!("{}\n", texts.say("dates-suspect")) } else { String::new() };
    format!("{head}\n{}{warning}", table.text())
}
