//! `dobaas-server reset-operator`: a way in again for an operator, when nobody is left who could open it with `dobaas-admin`.
//!
//! Whoever may write the server's folder may do it, while the server runs or not. It leaves a record in the trail.

use anyhow::Context;
use clap::ArgMatches;
use serde::Serialize;
use zeroize::Zeroizing;

use super::arguments::text;
use super::exit::Exit;
use super::folder;
use super::output::Output;
use crate::app::{CONTROL_FILE, Environment};
use crate::auth::logins::{default_password, normal_identifier};
use crate::auth::password;
use crate::config::Config;
use crate::control::Control;
use crate::control::accounts::{Account, Standing};
use crate::control::audit::{Action, Event, Trace};

/// Who says so in the trail.
const HERE: &str = "local";

#[derive(Serialize)]
struct Reset<'a> {
    operator: &'a str,
    default_password: &'a str,
}

/// Runs the command.
///
/// # Errors
/// If there is no such operator, or the control store cannot be read or written.
pub fn run(matches: &ArgMatches, output: Output) -> anyhow::Result<Exit> {
    let folder = folder(matches);
    Config::load(&folder).with_context(|| folder.display().to_string())?;
    let operator = normal_identifier(text(matches, "operator").unwrap_or_default());
    let control = Control::open(&folder.join(CONTROL_FILE))?;
    let accounts = control.accounts(None)?;
    let is_operator = |account: &&Account| matches!(account.standing, Standing::Operator { .. });
    let known: Vec<&str> = accounts.iter().filter(is_operator).map(|account| account.identifier.as_str()).collect();
    if !known.contains(&operator.as_str()) {
        let args = [("operator", operator.into()), ("list", known.join(", ").into())];
        output.complain(&output.texts.say_with("server-no-such-operator", &args));
        return Ok(Exit::Usage);
    }
    let password = let_in(&control, &operator, &Environment::system())?;
    output.document(&Reset { operator: &operator, default_password: &password })?;
    let args = [("operator", (&operator).into()), ("password", password.as_str().into())];
    output.say("server-operator-reset", &args)?;
    Ok(Exit::Done)
}

/// Gives a default password, which is returned, and takes away what else may keep the operator out: networks and an end of the account.
fn let_in(control: &Control, operator: &str, environment: &Environment) -> anyhow::Result<Zeroizing<String>> {
    let Environment { clock, random } = environment;
    let trace = Trace { who: HERE.to_owned(), address: HERE.to_owned(), at_ns: clock.now_ns() };
    let default = password::make_default(random);
    let stored = default_password(&default, password::hash(default.as_bytes(), &random.bytes())?, trace.at_ns);
    let object = format!("{operator} ({HERE})");
    let event = Event { action: Action::ResetPassword, subscription: None, object: &object, result: "done" };
    // First: a crash in between opens nothing to whoever knows the old one.
    control.set_password(operator, &stored, &trace, &event)?;
    if !control.networks(operator)?.is_empty() {
        control.set_networks(operator, &[], &trace)?;
    }
    if control.account(operator)?.is_some_and(|account| account.ends_at_ns.is_some()) {
        control.set_account_end(operator, None, HERE, &trace)?;
    }
    Ok(default)
}
