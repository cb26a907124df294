//! `dobaas accesses`: what the provider's operators did to this subscription, reads included, and what the provider told.
//!
//! The server's audit trail says it; nothing is left out here.

use common::text::Arg;
use common::text::date::moment;
use jiff::ToSpan;
use serde::Serialize;

use super::args::AccessesArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::{address, person};
use super::output::Table;
use crate::remote::Remote;
use crate::remote::account::{Notice, OperatorAccess};

/// What `--json` prints; times RFC 3339.
#[derive(Serialize)]
struct AccessesDocument<'a> {
    accesses: Vec<Dated<&'a OperatorAccess>>,
    notices: Vec<Dated<&'a Notice>>,
}

#[derive(Serialize)]
struct Dated<T> {
    at: String,
    #[serde(flatten)]
    what: T,
}

/// Runs `accesses`.
pub fn run(args: &AccessesArgs, context: &Context) -> Result<Exit, CliError> {
    let remote = reader(args, context)?;
    let days = i64::from(args.days);
    let from = context.now().checked_sub((days * 24).hours()).map_or(0, |from| from.as_nanosecond());
    let found = context.wait(remote.operator_accesses(i64::try_from(from).unwrap_or(0)))?;
    let (accesses, notices) = &found;
    let document = AccessesDocument {
        accesses: accesses.iter().map(|what| Dated { at: moment(what.at_ns).to_string(), what }).collect(),
        notices: notices.iter().map(|what| Dated { at: moment(what.at_ns).to_string(), what }).collect(),
    };
    context.output.answer(&document, || text(accesses, notices, args.days, context))?;
    Ok(Exit::Done)
}

/// This machine, or a person.
fn reader(args: &AccessesArgs, context: &Context) -> Result<Remote, CliError> {
    if args.server.server.is_none() && args.person.identifier.is_none() {
        let identity = context.identity()?;
        return Ok(context.connect(&identity.address, Some(identity.token))?);
    }
    person(&address(&args.server, context)?, &args.person, context)
}

fn text(accesses: &[OperatorAccess], notices: &[Notice], days: u16, context: &Context) -> String {
    let texts = context.output.texts;
    let count = [("count", Arg::Count(accesses.len() as u64)), ("days", u64::from(days).into())];
    let mut out = format!("{}\n", texts.say_with("accesses-head", &count));
    if !accesses.is_empty() {
        let headings = ["accesses-date", "accesses-operator", "accesses-action", "accesses-object", "accesses-result"];
        let mut table = Table::new(headings.iter().map(|key| texts.say(key)).collect(), &[]);
        for access in accesses {
            table.row(vec![
                texts.date_precise(moment(access.at_ns)),
                access.operator.clone(),
                access.action.clone(),
                access.object.clone(),
                access.result.clone(),
            ]);
        }
        out.push_str(&table.text());
    }
    if !notices.is_empty() {
        let mut table =
            Table::new(["accesses-date", "accesses-notice", "accesses-detail"].map(|key| texts.say(key)).to_vec(), &[]);
        for notice in notices {
            let title = texts.say_with("notice-title", &[("topic", Arg::from(&notice.kind))]);
            table.row(vec![texts.date_precise(moment(notice.at_ns)), title, texts.dates_in(&notice.detail)]);
        }
        out.push('\n');
        out.push_str(&table.text());
    }
    out
}
