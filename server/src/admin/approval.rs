//! `dobaas-admin approval`: requests that need two operators.

use clap::{ArgAction, ArgMatches, Command, value_parser};
use common::text::Texts;
use common::text::date::moment;
use proto::v1;
use proto::v1::approvals_client::ApprovalsClient;
use serde::Serialize;

use super::command::{Context, group};
use super::confirm;
use super::failure::AdminError;
use super::remote::answer;
use super::table::{self, figures, words};
use crate::cli::arguments::{argument, flag, option, subcommand, text};
use crate::control::approvals::ApprovalKind;

#[derive(Serialize)]
struct Shown {
    number: i64,
    kind: String,
    subscription: String,
    detail: String,
    state: String,
    asked_by: String,
    asked_at: String,
    customer_told_at: String,
    approved_by: Option<String>,
    approved_at: Option<String>,
    due_at: Option<String>,
}

/// The commands.
pub fn command(texts: Texts) -> Command {
    let number = || argument("number", "NUMBER", texts).value_parser(value_parser!(i64));
    let kinds: Vec<&str> =
        ApprovalKind::ALL.iter().filter(|kind| kind.can_be_proposed()).map(|kind| kind.name()).collect();
    let propose = subcommand("propose", "admin-approval-propose", texts)
        .arg(argument("kind", "KIND", texts).value_parser(kinds))
        .arg(argument("reference", "REFERENCE", texts))
        .arg(option("detail", "TEXT", texts).required(true).action(ArgAction::Set))
        .arg(confirm::argument(texts));
    let list = subcommand("list", "admin-approval-list", texts)
        .arg(option("subscription", "REFERENCE", texts))
        .arg(flag("all", texts));
    group("approval", "admin-approval", texts)
        .subcommand(list)
        .subcommand(propose)
        .subcommand(subcommand("approve", "admin-approval-approve", texts).arg(number()).arg(confirm::argument(texts)))
        .subcommand(subcommand("withdraw", "admin-approval-withdraw", texts).arg(number()))
}

/// Runs one of them.
///
/// # Errors
/// What was not confirmed, or what the server refused.
pub async fn run(context: &Context, name: &str, matches: &ArgMatches) -> Result<(), AdminError> {
    match name {
        "propose" => propose(context, matches).await,
        "approve" => approve(context, matches).await,
        "withdraw" => withdraw(context, matches).await,
        _ => list(context, matches).await,
    }
}

async fn propose(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let part = |name| text(matches, name).unwrap_or_default().to_owned();
    let reference = part("reference");
    confirm::confirm(context, matches, &reference)?;
    let remote = context.remote().await?;
    let request = v1::ProposeRequest { kind: part("kind"), subscription: reference, detail: part("detail") };
    let reply = answer(ApprovalsClient::new(remote.channel()).propose(remote.request(request))).await?;
    let shown = shown(reply.approval.unwrap_or_default());
    context.output.document(&shown)?;
    Ok(context.output.say("approval-proposed", &[("number", shown.number.to_string().into())])?)
}

async fn list(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let remote = context.remote().await?;
    let request = v1::ListApprovalsRequest {
        subscription: text(matches, "subscription").unwrap_or_default().to_owned(),
        all: matches.get_flag("all"),
    };
    let reply = answer(ApprovalsClient::new(remote.channel()).list_approvals(remote.request(request))).await?;
    let texts = context.output.texts;
    let date = |ns: i64| if ns == 0 { String::new() } else { texts.date(moment(ns)) };
    let row = |approval: &v1::Approval| {
        vec![
            approval.number.to_string(),
            texts.say(&format!("approval-kind-{}", approval.kind.replace('_', "-"))),
            approval.subscription.clone(),
            approval.asked_by.trim_start_matches("operator:").to_owned(),
            date(approval.asked_at_ns),
            approval.approved_by.trim_start_matches("operator:").to_owned(),
            date(approval.due_at_ns),
            texts.say(&format!("approval-state-{}", approval.state.replace('_', "-"))),
            approval.detail.clone(),
        ]
    };
    let rows: Vec<_> = reply.approvals.iter().map(row).collect();
    context.output.document(&reply.approvals.into_iter().map(shown).collect::<Vec<_>>())?;
    let columns = [
        figures("number"),
        words("kind"),
        words("reference"),
        words("asked-by"),
        words("asked"),
        words("approved-by"),
        words("due"),
        words("state"),
        words("detail"),
    ];
    Ok(table::print(context, &columns, &rows)?)
}

async fn approve(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let remote = context.remote().await?;
    let mut approvals = ApprovalsClient::new(remote.channel());
    let all = answer(approvals.list_approvals(remote.request(v1::ListApprovalsRequest::default()))).await?.approvals;
    let found = all.into_iter().find(|approval| approval.number == number);
    let found = found.ok_or_else(|| AdminError::Refused(crate::grpc::status::not_found("approval")))?;
    confirm::confirm(context, matches, &found.subscription)?;
    let reply = answer(approvals.approve(remote.request(v1::ApproveRequest { number }))).await?;
    let approval = reply.approval.unwrap_or_default();
    let due = context.output.texts.date(moment(approval.due_at_ns));
    context.output.document(&shown(approval))?;
    Ok(context.output.say("approval-approved", &[("number", number.to_string().into()), ("due", due.into())])?)
}

async fn withdraw(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let number = matches.get_one::<i64>("number").copied().unwrap_or_default();
    let remote = context.remote().await?;
    let request = remote.request(v1::WithdrawRequest { number });
    answer(ApprovalsClient::new(remote.channel()).withdraw(request)).await?;
    context.output.document(&serde_json::json!({ "number": number, "withdrawn": true }))?;
    Ok(context.output.say("approval-withdrawn", &[("number", number.to_string().into())])?)
}

fn shown(approval: v1::Approval) -> Shown {
    let at = |ns: i64| (ns != 0).then(|| moment(ns).to_string());
    Shown {
        number: approval.number,
        kind: approval.kind,
        subscription: approval.subscription,
        detail: approval.detail,
        state: approval.state,
        asked_by: approval.asked_by,
        asked_at: at(approval.asked_at_ns).unwrap_or_default(),
        customer_told_at: at(approval.customer_told_at_ns).unwrap_or_default(),
        approved_by: Some(approval.approved_by).filter(|by| !by.is_empty()),
        approved_at: at(approval.approved_at_ns),
        due_at: at(approval.due_at_ns),
    }
}
