//! `dobaas-admin order-form`: an order form, its amendments, its printed annex.
//!
//! Invariant: an amendment is shown before and after before it is recorded; one that shortens the history needs the reference typed.

use std::path::PathBuf;

use clap::{Arg as Argument, ArgMatches, Command, value_parser};
use common::text::date::moment;
use common::text::{Arg, Texts};
use proto::v1;
use proto::v1::orders_client::OrdersClient;
use proto::v1::server_client::ServerClient;
use serde::Serialize;
use serde_json::Value;

use super::command::{Context, group};
use super::failure::AdminError;
use super::remote::{Remote, answer};
use super::table::{self, figures, words};
use super::{amended, annex, confirm, day, order_options, retention, subscription};
use crate::cli::arguments::{argument, flag, option, subcommand, text};

#[derive(Serialize)]
struct Shown {
    number: i64,
    document: String,
    signed_on: String,
    state: &'static str,
    applies_from: String,
    recorded_at: String,
    recorded_by: String,
    approval: Option<i64>,
    price_from: Option<String>,
    shortens_history: bool,
    fields: Vec<ShownField>,
}

#[derive(Serialize)]
struct ShownField {
    field: String,
    before: Value,
    after: Value,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let reference = || argument("reference", "REFERENCE", texts);
    let amend = order_options::options(subcommand("amend", "admin-order-amend", texts), texts)
        .arg(reference())
        .arg(option("document", "TEXT", texts).required(true))
        .arg(option("document-signed", "2026-11-22", texts).required(true))
        .arg(option("applies", "2026-12-01", texts))
        .arg(flag("without-thinning", texts))
        .arg(confirm::argument(texts));
    let print = subcommand("print", "admin-order-print", texts)
        .arg(reference())
        .arg(flag("text", texts))
        .arg(output_argument(texts));
    let withdraw = subcommand("withdraw", "admin-order-withdraw", texts)
        .arg(argument("number", "NUMBER", texts).value_parser(value_parser!(i64)));
    group("order-form", "admin-order", texts)
        .visible_alias("bon-de-commande")
        .subcommand(create_command(texts))
        .subcommand(subcommand("show", "admin-subscription-show", texts).arg(reference()))
        .subcommand(amend)
        .subcommand(subcommand("history", "admin-order-history", texts).arg(reference()))
        .subcommand(withdraw)
        .subcommand(print)
}

/// The command that makes an order form and its subscription.
pub fn create_command(texts: Texts) -> Command {
    order_options::options(subcommand("create", "admin-subscription-create", texts), texts)
        .mut_arg("volume", |volume| volume.required(true))
        .mut_arg("history", |history| history.required(true))
        .mut_arg("source", |source| source.required(true))
        .arg(argument("reference", "REFERENCE", texts))
        .arg(option("customer", "REFERENCE", texts).required(true))
        .arg(option("key-mode", "MODE", texts).value_parser(["customer_held", "provider_held"]))
}

fn output_argument(texts: Texts) -> Argument {
    option("output", "FILE", texts).value_parser(value_parser!(PathBuf))
}

/// Runs one of them.
///
/// # Errors
/// A value that cannot be used, what was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "create" => subscription::create(context, matches).await,
        "show" => subscription::show(context, matches).await,
        "amend" => amend(context, matches).await,
        "history" => history(context, matches).await,
        "withdraw" => withdraw(context, matches).await,
        _ => print(context, matches).await,
    }
}

async fn amend(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let civil = |name| match text(matches, name) {
        Some(given) => day::parse(name, given).map(|day| day.to_string()),
        None => Ok(String::new()),
    };
    let reference = part("reference");
    let request = v1::AmendRequest {
        subscription: reference.clone(),
        change: Some(order_options::form_change(matches)?),
        document: part("document"),
        signed_on: civil("document-signed")?,
        applies_on: civil("applies")?,
    };
    let remote = context.remote().await?;
    let mut orders = OrdersClient::new(remote.channel());
    let v1::AmendReply { amendment: preview, going } =
        answer(orders.preview_amendment(remote.request(request.clone()))).await?;
    let preview = preview.unwrap_or_default();
    print_fields(context, &preview)?;
    if preview.shortens_history {
        if !going.is_empty() {
            retention::print(context, &going, None)?;
        }
        if !context.output.json {
            context.output.complain(&context.output.texts.say("order-shortens"));
        }
        confirm::confirm(context, matches, &reference)?;
    }
    let amendment = answer(orders.amend(remote.request(request))).await?.amendment.unwrap_or_default();
    let (number, approval) = (amendment.number, amendment.approval);
    let (state, texts) = (state(&amendment), context.output.texts);
    let from = texts.date(moment(amendment.applies_from_ns));
    if let Ok(day) = amendment.price_from.parse() {
        context.output.say("order-price-from", &[("day", texts.day(day).into())])?;
    }
    context.output.document(&shown(amendment))?;
    let args =
        [("number", number.to_string().into()), ("from", from.into()), ("approval", approval.to_string().into())];
    let key = match (state, approval) {
        ("applied", _) => "order-amended",
        (_, 0) => "order-amended-later",
        _ => "order-amended-after-approval",
    };
    Ok(context.output.say(key, &args)?)
}

async fn history(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = v1::ListAmendmentsRequest { subscription: text(matches, "reference").unwrap_or_default().to_owned() };
    let reply = answer(OrdersClient::new(remote.channel()).list_amendments(remote.request(request))).await?;
    let texts = context.output.texts;
    let row = |amendment: &v1::Amendment| {
        let changes = amendment.fields.iter().map(|change| {
            let value = |json: &str| Arg::from(amended::value(texts, &change.field, json));
            let name = amended::name(texts, &change.field).into();
            let args = [("name", name), ("before", value(&change.before)), ("after", value(&change.after))];
            texts.say_with("amended-change", &args)
        });
        vec![
            amendment.number.to_string(),
            amendment.document.clone(),
            amendment.signed_on.parse().map_or_else(|_| String::new(), |day| texts.day(day)),
            texts.date(moment(amendment.applies_from_ns)),
            texts.say(&format!("order-state-{}", state(amendment))),
            amendment.recorded_by.trim_start_matches("operator:").to_owned(),
            changes.collect::<Vec<_>>().join(" ; "),
        ]
    };
    let rows: Vec<_> = reply.amendments.iter().map(row).collect();
    context.output.document(&reply.amendments.into_iter().map(shown).collect::<Vec<_>>())?;
    let columns = [
        figures("number"),
        words("document"),
        words("signed"),
        words("applies"),
        words("state"),
        words("recorded-by"),
        words("changes"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

async fn withdraw(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let remote = context.remote().await?;
    let request = remote.request(v1::WithdrawAmendmentRequest { number });
    answer(OrdersClient::new(remote.channel()).withdraw_amendment(request)).await?;
    context.output.document(&serde_json::json!({ "number": number, "withdrawn": true }))?;
    Ok(context.output.say("order-withdrawn", &[("number", number.to_string().into())])?)
}

async fn print(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let (subscription, customer) = subscription::get(&remote, matches).await?;
    let location = location(&remote).await?;
    let annex = annex::Annex { subscription: &subscription, customer: &customer, location: &location };
    let as_text = matches.get_flag("text");
    let document = if as_text { annex.text(context.output.texts) } else { annex.html() };
    context.output.document(&serde_json::json!({ "document": &document }))?;
    match matches.get_one::<PathBuf>("output") {
        Some(path) => {
            crate::durable::replace(path, document.as_bytes(), 0o644)?;
            Ok(context.output.say("order-printed", &[("path", path.display().to_string().into())])?)
        }
        None if context.output.json => Ok(()),
        None => Ok(context.output.line(document.trim_end())?),
    }
}

async fn location(remote: &Remote) -> Result<v1::Location, AdminError> {
    let request = remote.request(v1::DescribeRequest {});
    Ok(answer(ServerClient::new(remote.channel()).describe(request)).await?.location.unwrap_or_default())
}

fn print_fields(context: &Context, amendment: &v1::Amendment) -> Result<(), AdminError> {
    let texts = context.output.texts;
    let row = |change: &v1::FieldChange| {
        let value = |json: &str| amended::value(texts, &change.field, json);
        vec![amended::name(texts, &change.field), value(&change.before), value(&change.after)]
    };
    let rows: Vec<_> = amendment.fields.iter().map(row).collect();
    Ok(table::print(context, &[words("field"), words("before"), words("after")], &rows)?)
}

const fn state(amendment: &v1::Amendment) -> &'static str {
    if amendment.withdrawn_at_ns != 0 {
        "withdrawn"
    } else if amendment.applied_at_ns != 0 {
        "applied"
    } else {
        "waiting"
    }
}

fn shown(amendment: v1::Amendment) -> Shown {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_default();
    let field = |change: &v1::FieldChange| ShownField {
        field: change.field.clone(),
        before: json(&change.before),
        after: json(&change.after),
    };
    Shown {
        number: amendment.number,
        state: state(&amendment),
        applies_from: moment(amendment.applies_from_ns).to_string(),
        recorded_at: moment(amendment.recorded_at_ns).to_string(),
        approval: Some(amendment.approval).filter(|number| *number != 0),
        price_from: Some(amendment.price_from.clone()).filter(|day| !day.is_empty()),
        shortens_history: amendment.shortens_history,
        fields: amendment.fields.iter().map(field).collect(),
        document: amendment.document,
        signed_on: amendment.signed_on,
        recorded_by: amendment.recorded_by,
    }
}
