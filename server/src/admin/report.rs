//! `dobaas-admin report`: what a provider hands to a customer about the last 30 days of a subscription.
//!
//! For people, for spreadsheets (`--csv`) or as one document. It shows what `quota` and `reevaluation` know, and decides nothing.

use clap::{ArgMatches, Command};
use common::text::date::moment;
use common::text::{Arg, Texts};
use proto::v1;
use proto::v1::quotas_client::QuotasClient;
use serde::Serialize;

use super::command::Context;
use super::csv;
use super::failure::AdminError;
use super::quota::{self, ShownOne};
use super::remote::answer;
use super::subscription;
use crate::cli::arguments::{argument, flag, subcommand};

/// Digits of a receipt that people compare.
const SHORT_DIGITS: usize = 8;

#[derive(Serialize)]
struct Report {
    reference: String,
    customer: String,
    contracted_bytes: u64,
    used_bytes: u64,
    snapshots: u64,
    /// Of the newest snapshot, RFC 3339; none if there is none.
    newest: Option<String>,
    /// Of the newest snapshot of each source: what the customer's own "status" must show too.
    receipts: Vec<Receipt>,
    /// Number of the re-evaluation file that is open.
    reevaluation: Option<i64>,
    #[serde(flatten)]
    change: ShownOne,
}

#[derive(Serialize)]
struct Receipt {
    source: String,
    /// 64 hexadecimal digits; people compare the first eight.
    receipt: String,
    received_at: String,
}

/// The command.
pub fn command(texts: Texts) -> Command {
    subcommand("report", "admin-report", texts)
        .visible_alias("releve")
        .arg(argument("reference", "REFERENCE", texts))
        .arg(flag("csv", texts))
}

/// Runs it.
///
/// # Errors
/// What the server refused.
pub async fn run(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let (known, customer) = subscription::get(&remote, matches).await?;
    let form = known.order_form.unwrap_or_default();
    let change = quota::get(&remote, &form.reference).await?;
    let request = v1::ListReevaluationsRequest { subscription: form.reference.clone(), closed: false };
    let files = answer(QuotasClient::new(remote.channel()).list_reevaluations(remote.request(request))).await?;
    let report = Report {
        reference: form.reference,
        customer: customer.name,
        contracted_bytes: form.contracted_bytes,
        used_bytes: known.today.map_or(0, |today| today.used_bytes),
        snapshots: known.snapshots,
        newest: (known.newest_at_ns > 0).then(|| moment(known.newest_at_ns).to_string()),
        receipts: known.receipts.into_iter().map(receipt).collect(),
        reevaluation: files.reevaluations.first().map(|file| file.number),
        change,
    };
    context.output.document(&report)?;
    if matches.get_flag("csv") && !context.output.json {
        return print_csv(context, &report);
    }
    print(context, &report)
}

fn print(context: &Context, report: &Report) -> Result<(), AdminError> {
    let texts = context.output.texts;
    let newest = report.newest.as_ref().and_then(|at| at.parse().ok());
    let pairs = [
        ("reference", report.reference.clone()),
        ("customer", report.customer.clone()),
        ("volume", texts.size(report.contracted_bytes)),
        ("used", texts.size(report.used_bytes)),
        ("snapshots", texts.integer(report.snapshots)),
        ("newest", newest.map_or_else(|| texts.say("report-no-snapshot"), |at| texts.date(at))),
        ("reevaluation", report.reevaluation.map_or_else(|| texts.say("report-no-file"), |number| number.to_string())),
    ];
    let pairs = pairs.map(|(key, value)| (texts.say(&format!("admin-head-{key}")), value));
    let receipts = report.receipts.iter().map(|receipt| {
        let short = &receipt.receipt[..SHORT_DIGITS.min(receipt.receipt.len())];
        let args = [("source", Arg::from(&receipt.source)), ("receipt", short.into())];
        texts.say_with("report-receipt", &args)
    });
    let receipts = (texts.say("admin-head-receipts"), receipts.collect::<Vec<_>>().join(", "));
    context.output.pairs(&pairs.into_iter().chain([receipts]).collect::<Vec<_>>())?;
    quota::print_one(context, &report.change)
}

fn receipt(newest: v1::NewestReceipt) -> Receipt {
    Receipt {
        source: newest.source,
        receipt: newest.receipt.iter().map(|byte| format!("{byte:02x}")).collect(),
        received_at: moment(newest.received_at_ns).to_string(),
    }
}

fn print_csv(context: &Context, report: &Report) -> Result<(), AdminError> {
    let texts = context.output.texts;
    let columns = ["reference", "day", "state", "day-changed", "allowed", "sent", "stored", "complete", "partial"];
    let head = columns.map(|column| texts.say(&format!("admin-head-{column}")));
    context.output.line(&format!("{}{}", csv::BOM, csv::line(&head)))?;
    for day in &report.change.days {
        context.output.line(&csv::line(&[
            report.reference.clone(),
            day.day.clone(),
            texts.say(&format!("quota-state-{}", day.state)),
            day.counted_bytes.to_string(),
            day.allowed_bytes.to_string(),
            day.sent_bytes.to_string(),
            day.stored_bytes.to_string(),
            day.complete.to_string(),
            day.partial.to_string(),
        ]))?;
    }
    Ok(())
}
