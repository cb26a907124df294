//! `dobaas-admin reevaluation`: files that days over, refusals, volumes and growths opened, and what they led to.

use clap::{ArgMatches, Command, value_parser};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::quotas_client::QuotasClient;
use serde::Serialize;

use super::command::{Context, group};
use super::confirm;
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::table::{self, figures, words};
use crate::cli::arguments::{argument, flag, option, subcommand, text};
use crate::control::reevaluations::Outcome;

#[derive(Serialize)]
struct Shown {
    number: i64,
    subscription: String,
    opened_at: String,
    price_from: String,
    suggested_volume_bytes: u64,
    days: Vec<ShownDay>,
    closed_at: Option<String>,
    closed_by: Option<String>,
    outcome: Option<String>,
    document: Option<String>,
}

#[derive(Serialize)]
struct ShownDay {
    day: String,
    cause: String,
    measured_bytes: u64,
    allowed_bytes: u64,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let number = || argument("number", "NUMBER", texts).value_parser(value_parser!(i64));
    let list = subcommand("list", "admin-reevaluation-list", texts)
        .arg(option("subscription", "REFERENCE", texts))
        .arg(flag("all", texts));
    let close = subcommand("close", "admin-reevaluation-close", texts)
        .arg(number())
        .arg(option("outcome", "OUTCOME", texts).value_parser(Outcome::ALL.map(Outcome::name)).required(true))
        .arg(option("document", "TEXT", texts))
        .arg(confirm::argument(texts));
    group("reevaluation", "admin-reevaluation", texts)
        .subcommand(list)
        .subcommand(subcommand("show", "admin-reevaluation-show", texts).arg(number()))
        .subcommand(close)
}

/// Runs one of them.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "show" => show(context, matches).await,
        "close" => close(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let subscription = text(matches, "subscription").unwrap_or_default().to_owned();
    let found = files(&remote, subscription, matches.get_flag("all")).await?;
    let texts = context.output.texts;
    let row = |file: &Shown| {
        vec![
            file.number.to_string(),
            file.subscription.clone(),
            file.opened_at.parse().map_or_else(|_| String::new(), |at| texts.date(at)),
            file.days.len().to_string(),
            suggested(file, texts),
            day_text(&file.price_from, texts),
            file.outcome.as_ref().map_or_else(String::new, |outcome| outcome_text(outcome, texts)),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    context.output.document(&found)?;
    let columns = [
        figures("number"),
        words("reference"),
        words("opened"),
        figures("days"),
        figures("suggested"),
        words("price-from"),
        words("outcome"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

async fn show(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let file = one(&remote, matches).await?;
    let texts = context.output.texts;
    let pairs = [
        ("number", file.number.to_string()),
        ("reference", file.subscription.clone()),
        ("opened", file.opened_at.parse().map_or_else(|_| String::new(), |at| texts.date(at))),
        ("suggested", suggested(&file, texts)),
        ("price-from", day_text(&file.price_from, texts)),
        ("outcome", file.outcome.as_ref().map_or_else(String::new, |outcome| outcome_text(outcome, texts))),
    ];
    context.output.pairs(&pairs.map(|(key, value)| (texts.say(&format!("admin-head-{key}")), value)))?;
    let row = |day: &ShownDay| {
        vec![
            day_text(&day.day, texts),
            texts.say(&format!("quota-cause-{}", day.cause.replace('_', "-"))),
            texts.size(day.measured_bytes),
            texts.size(day.allowed_bytes),
        ]
    };
    let rows: Vec<_> = file.days.iter().map(row).collect();
    context.output.document(&file)?;
    let columns = [words("day"), words("cause"), figures("measured"), figures("allowed")];
    Ok(table::print(context, &columns, &rows)?)
}

async fn close(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let file = one(&remote, matches).await?;
    confirm::confirm(context, matches, &file.subscription)?;
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let request =
        v1::CloseReevaluationRequest { number: file.number, outcome: part("outcome"), document: part("document") };
    let reply = answer(QuotasClient::new(remote.channel()).close_reevaluation(remote.request(request))).await?;
    let closed = shown(reply.reevaluation.unwrap_or_default());
    context.output.document(&closed)?;
    Ok(context.output.say("quota-reevaluation-closed", &[("number", closed.number.to_string().into())])?)
}

async fn files(remote: &Remote, subscription: String, closed: bool) -> Result<Vec<Shown>, AdminError> {
    let request = v1::ListReevaluationsRequest { subscription, closed };
    let reply = answer(QuotasClient::new(remote.channel()).list_reevaluations(remote.request(request))).await?;
    Ok(reply.reevaluations.into_iter().map(shown).collect())
}

async fn one(remote: &Remote, matches: &ArgMatches) -> Result<Shown, AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let found = files(remote, String::new(), true).await?.into_iter().find(|file| file.number == number);
    found.ok_or_else(|| AdminError::Refused(crate::grpc::status::not_found("reevaluation")))
}

fn suggested(file: &Shown, texts: Texts) -> String {
    if file.suggested_volume_bytes == 0 { String::new() } else { texts.size(file.suggested_volume_bytes) }
}

fn outcome_text(outcome: &str, texts: Texts) -> String {
    texts.say(&format!("quota-outcome-{outcome}"))
}

fn day_text(day: &str, texts: Texts) -> String {
    day.parse().map_or_else(|_| day.to_owned(), |day| texts.day(day))
}

fn shown(file: v1::Reevaluation) -> Shown {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let day = |over: v1::ReevaluationDay| ShownDay {
        day: over.day,
        cause: over.cause,
        measured_bytes: over.measured_bytes,
        allowed_bytes: over.allowed_bytes,
    };
    Shown {
        number: file.number,
        subscription: file.subscription,
        opened_at: moment(file.opened_at_ns).to_string(),
        price_from: file.price_from,
        suggested_volume_bytes: file.suggested_volume_bytes,
        days: file.days.into_iter().map(day).collect(),
        closed_at: (file.closed_at_ns != 0).then(|| moment(file.closed_at_ns).to_string()),
        closed_by: given(file.closed_by),
        outcome: given(file.outcome),
        document: given(file.document),
    }
}
