//! `dobaas-admin audit`: the trail, its proof, and extracts as JSON lines or CSV.
//!
//! Invariant: an extract is whole or the command fails: pages are followed until one is not full. Each leaves a row, so that none
//! would ever be empty.

use clap::{ArgMatches, Command, value_parser};
use common::limits::AUDIT_ROWS_MAX;
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::audit_client::AuditClient;
use serde::Serialize;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::table::{self, figures, words};
use super::{csv, day};
use crate::cli::arguments::{option, subcommand, text};

#[derive(Serialize)]
struct Shown {
    number: i64,
    at: String,
    who: String,
    address: String,
    action: String,
    subscription: Option<String>,
    object: String,
    result: String,
}

#[derive(Serialize)]
struct Verified {
    intact: bool,
    records: u64,
    checkpoints: u64,
    unsigned_records: u64,
    copied_checkpoints: u64,
    problem: Option<String>,
    record: Option<u64>,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let period =
        |command: Command| command.arg(option("from", "2026-11-01", texts)).arg(option("to", "2026-11-30", texts));
    let list = period(subcommand("list", "admin-audit-list", texts))
        .arg(option("subscription", "REFERENCE", texts))
        .arg(option("limit", "100", texts).value_parser(value_parser!(u32).range(1..=i64::from(AUDIT_ROWS_MAX))));
    let extract = period(subcommand("extract", "admin-audit-extract", texts))
        .arg(option("subscription", "REFERENCE", texts).required(true))
        .arg(option("format", "FORMAT", texts).value_parser(["jsonl", "csv"]));
    group("audit", "admin-audit", texts)
        .subcommand(list)
        .subcommand(subcommand("verify", "admin-audit-verify", texts))
        .subcommand(extract)
}

/// Runs one of them.
///
/// # Errors
/// A trail that was changed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "verify" => verify(context).await,
        "extract" => extract(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let limit = matches.get_one::<u32>("limit").copied().unwrap_or(100);
    let request = v1::ListAuditRequest { limit, newest_first: true, ..request(matches)? };
    let records = page(&context.remote().await?, request).await?;
    let texts = context.output.texts;
    let row = |record: &v1::AuditRecord| {
        vec![
            record.number.to_string(),
            texts.date_precise(moment(record.at_ns)),
            record.who.clone(),
            record.address.clone(),
            record.action.clone(),
            record.subscription.clone(),
            record.object.clone(),
            record.result.clone(),
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    context.output.document(&records.into_iter().map(shown).collect::<Vec<_>>())?;
    let columns = [
        figures("number"),
        words("at"),
        words("who"),
        words("address"),
        words("action"),
        words("reference"),
        words("object"),
        words("result"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

async fn verify(context: &Context) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = remote.request(v1::VerifyAuditRequest {});
    let reply = answer(AuditClient::new(remote.channel()).verify(request)).await?;
    let intact = reply.problem.is_empty();
    context.output.document(&Verified {
        intact,
        records: reply.records,
        checkpoints: reply.checkpoints,
        unsigned_records: reply.unsigned_records,
        copied_checkpoints: reply.copied_checkpoints,
        problem: (!intact).then(|| reply.problem.clone()),
        record: (!intact).then_some(reply.problem_number),
    })?;
    if !intact {
        return Err(AdminError::Tampered { problem: reply.problem, record: reply.problem_number });
    }
    let counts = [
        ("records", reply.records.into()),
        ("checkpoints", reply.checkpoints.into()),
        ("unsigned", reply.unsigned_records.into()),
        ("copied", reply.copied_checkpoints.into()),
    ];
    Ok(context.output.say("audit-intact", &counts)?)
}

async fn extract(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let as_csv = text(matches, "format") == Some("csv") && !context.output.json;
    if as_csv {
        let head = ["number", "at", "who", "address", "action", "reference", "object", "result"];
        let texts = context.output.texts;
        let head = head.map(|key| texts.say(&format!("admin-head-{key}")));
        context.output.line(&format!("{}{}", csv::BOM, csv::line(&head)))?;
    }
    let mut request = v1::ListAuditRequest { limit: AUDIT_ROWS_MAX, ..request(matches)? };
    loop {
        let records = page(&remote, request.clone()).await?;
        let is_full = records.len() >= AUDIT_ROWS_MAX as usize;
        request.after_number = records.last().map_or(request.after_number, |last| last.number);
        for record in records {
            let line = if as_csv { csv_line(context.output.texts, &record) } else { json_line(record)? };
            context.output.line(&line)?;
        }
        if !is_full {
            return Ok(());
        }
    }
}

fn json_line(record: v1::AuditRecord) -> Result<String, AdminError> {
    Ok(serde_json::to_string(&shown(record)).map_err(std::io::Error::from)?)
}

fn csv_line(texts: Texts, record: &v1::AuditRecord) -> String {
    csv::line(&[
        record.number.to_string(),
        texts.date_precise(moment(record.at_ns)),
        record.who.clone(),
        record.address.clone(),
        record.action.clone(),
        record.subscription.clone(),
        record.object.clone(),
        record.result.clone(),
    ])
}

fn request(matches: &ArgMatches) -> Result<v1::ListAuditRequest, AdminError> {
    Ok(v1::ListAuditRequest {
        subscription: text(matches, "subscription").unwrap_or_default().to_owned(),
        from_ns: text(matches, "from").map_or(Ok(0), |given| day::moment_ns("from", given))?,
        until_ns: text(matches, "to").map_or(Ok(0), |given| day::end_ns("to", given))?,
        ..v1::ListAuditRequest::default()
    })
}

async fn page(remote: &Remote, request: v1::ListAuditRequest) -> Result<Vec<v1::AuditRecord>, AdminError> {
    Ok(answer(AuditClient::new(remote.channel()).list(remote.request(request))).await?.records)
}

fn shown(record: v1::AuditRecord) -> Shown {
    Shown {
        number: record.number,
        at: moment(record.at_ns).to_string(),
        who: record.who,
        address: record.address,
        action: record.action,
        subscription: Some(record.subscription).filter(|reference| !reference.is_empty()),
        object: record.object,
        result: record.result,
    }
}
