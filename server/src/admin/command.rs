//! The command line of `dobaas-admin`, and what runs each command.
//!
//! Invariant: no option takes a secret; only a file, a command or a descriptor that gives it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use common::text::Texts;

use super::failure::AdminError;
use super::remote::Remote;
use super::secret::{NEW_PASSWORD, PASSWORD, SecretOptions};
use super::state::{self, State};
use super::{
    account, agent, alarm, approval, audit, closure, completions, confirm, customer, hold, login, order_form, protect,
    quota, reevaluation, relocation, report, retention, subscription, upkeep,
};
use crate::cli::arguments::{argument, flag, language, option, parse, program, subcommand};
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::runtime;

/// What every command works with.
pub struct Context {
    /// Where and how to print.
    pub output: Output,
    /// Folder of the login.
    pub state: PathBuf,
}

impl Context {
    /// The server, with the login that is kept.
    ///
    /// # Errors
    /// [`AdminError::NotLoggedIn`], or no connection.
    pub async fn remote(&self) -> Result<Remote, AdminError> {
        let state = State::load(&self.state)?;
        if state.token.is_empty() {
            return Err(AdminError::NotLoggedIn);
        }
        Ok(Remote::connect(&state.server, &state.fingerprint).await?.with_token(&state.token)?)
    }
}

/// Runs `dobaas-admin` with its arguments, the program's name first.
pub fn run(arguments: &[OsString]) -> Exit {
    let lang = language(arguments);
    let quiet = Output::new(lang, false);
    let matches = match parse(command(quiet.texts), arguments, quiet) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    let output = Output::new(lang, matches.get_flag("json"));
    let context = Context { output, state: state::folder(matches.get_one::<PathBuf>("state")) };
    // A thread for the connection, which answers the server's keep-alives while a person types.
    let result =
        runtime::start(1).map_err(AdminError::from).and_then(|runtime| runtime.block_on(dispatch(&context, &matches)));
    match result {
        Ok(()) => Exit::Done,
        Err(error) => {
            output.complain(&error.explain(output.texts));
            error.exit()
        }
    }
}

async fn dispatch(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let Some((group, matches)) = matches.subcommand() else { return Ok(()) };
    match (group, matches.subcommand()) {
        ("approval", Some((name, matches))) => approval::run(context, name, matches).await,
        ("audit", Some((name, matches))) => audit::run(context, name, matches).await,
        ("completions", _) => completions::run(context, matches),
        ("login", _) => login::login(context, matches).await,
        ("password", _) => login::change_password(context, matches).await,
        ("logout", _) => login::logout(context).await,
        ("customer", Some(("create", matches))) => customer::create(context, matches).await,
        ("customer", _) => customer::list(context).await,
        ("subscription", Some((name, matches))) => subscription::run(context, name, matches).await,
        ("order-form", Some((name, matches))) => order_form::run(context, name, matches).await,
        ("quota", Some((name, matches))) => quota::run(context, name, matches).await,
        ("report", _) => report::run(context, matches).await,
        ("reevaluation", Some((name, matches))) => reevaluation::run(context, name, matches).await,
        ("relocation", Some((name, matches))) => relocation::run(context, name, matches).await,
        ("suspend", _) => closure::suspend(context, matches).await,
        ("resume", _) => closure::resume(context, matches).await,
        ("suspensions", _) => closure::suspensions(context, matches).await,
        ("maintenance", Some((name, matches))) => closure::maintenance(context, name, matches).await,
        ("account", Some(("networks", matches))) => account::networks(context, matches).await,
        ("account", Some(("create", matches))) => account::create(context, matches).await,
        ("account", Some(("reset-password", matches))) => account::reset_password(context, matches).await,
        ("account", Some(("end", matches))) => account::end(context, matches).await,
        ("account", Some(("reopen", matches))) => account::reopen(context, matches).await,
        ("account", Some((_, matches))) => account::list(context, matches).await,
        ("agent", Some(("revoke", matches))) => agent::revoke(context, matches).await,
        ("agent", Some(("token", matches))) => agent::token(context, matches).await,
        ("agent", Some(("allow-restore", matches))) => agent::set_restore(context, matches, true).await,
        ("agent", Some(("forbid-restore", matches))) => agent::set_restore(context, matches, false).await,
        ("alarm", Some(("test", matches))) => alarm::test(context, matches).await,
        ("alarm", Some((_, matches))) => alarm::list(context, matches).await,
        ("hold", Some((name, matches))) => hold::run(context, name, matches).await,
        ("protect", _) => protect::protect(context, matches).await,
        ("protections", _) => protect::list(context, matches).await,
        ("retention", Some((_, matches))) => retention::preview(context, matches).await,
        ("unprotect", _) => protect::unprotect(context, matches).await,
        ("upkeep", Some((name, matches))) => upkeep::run(context, name, matches).await,
        (_, Some((_, matches))) => agent::list(context, matches).await,
        (_, None) => Ok(()),
    }
}

/// The whole command line.
pub fn command(texts: Texts) -> Command {
    let state = option("state", "DIR", texts).global(true).value_parser(value_parser!(PathBuf));
    program("dobaas-admin", texts)
        .arg(state)
        .subcommand(login_command("login", "admin-login", texts))
        .subcommand(login_command("password", "admin-password", texts).visible_alias("mot-de-passe"))
        .subcommand(subcommand("logout", "admin-logout", texts))
        .subcommand(customer_command(texts))
        .subcommand(subscription::command(texts))
        .subcommand(order_form::command(texts))
        .subcommand(quota::command(texts))
        .subcommand(report::command(texts))
        .subcommand(reevaluation::command(texts))
        .subcommand(closure::suspend_command(texts))
        .subcommand(closure::resume_command(texts))
        .subcommand(closure::suspensions_command(texts))
        .subcommand(closure::maintenance_command(texts))
        .subcommand(account_command(texts))
        .subcommand(agent_command(texts))
        .subcommand(alarm::command(texts))
        .subcommand(approval::command(texts))
        .subcommand(audit::command(texts))
        .subcommand(hold::command(texts))
        .subcommand(protect::protect_command(texts))
        .subcommand(protect::list_command(texts))
        .subcommand(protect::unprotect_command(texts))
        .subcommand(retention::command(texts))
        .subcommand(upkeep::command(texts))
        .subcommand(relocation::command(texts))
        .subcommand(completions_command(texts))
}

/// A command that only holds others.
pub fn group(name: &'static str, path: &str, texts: Texts) -> Command {
    subcommand(name, path, texts).subcommand_required(true)
}

fn login_command(name: &'static str, path: &str, texts: Texts) -> Command {
    let command = subcommand(name, path, texts)
        .arg(option("server", "URL", texts))
        .arg(option("fingerprint", "SHA-256", texts))
        .arg(option("identifier", "ID", texts));
    [(PASSWORD, "password"), (NEW_PASSWORD, "new-password")].into_iter().fold(command, |command, (options, group)| {
        let SecretOptions { file, command: program, descriptor } = options;
        command
            .arg(option(file, "FILE", texts).value_parser(value_parser!(PathBuf)).group(group))
            .arg(option(program, "COMMAND", texts).group(group))
            .arg(option(descriptor, "FD", texts).value_parser(value_parser!(u32)).group(group))
    })
}

fn customer_command(texts: Texts) -> Command {
    let create = subcommand("create", "admin-customer-create", texts)
        .arg(argument("reference", "REFERENCE", texts))
        .arg(argument("customer-name", "NAME", texts));
    let list = subcommand("list", "admin-customer-list", texts);
    group("customer", "admin-customer", texts).subcommand(create).subcommand(list)
}

fn account_command(texts: Texts) -> Command {
    let create = subcommand("create", "admin-account-create", texts)
        .arg(argument("identifier", "ID", texts))
        .arg(option("subscription", "REFERENCE", texts).required_unless_present("operator"))
        .arg(option("role", "ROLE", texts).value_parser(["admin", "restore", "read_only", "operator"]).required(true))
        .arg(option("until", "2027-12-31", texts))
        .arg(flag("operator", texts).help(texts.say("help-option-operator-account")).conflicts_with("subscription"));
    let list = subcommand("list", "admin-account-list", texts).arg(option("subscription", "REFERENCE", texts));
    let reset = subcommand("reset-password", "admin-account-reset", texts)
        .arg(argument("identifier", "ID", texts))
        .arg(option("check-method", "TEXT", texts).required(true))
        .arg(option("check-reference", "TEXT", texts).required(true));
    let networks = subcommand("networks", "admin-account-networks", texts)
        .visible_alias("reseaux")
        .arg(argument("identifier", "ID", texts))
        .arg(argument("network", "NETWORK", texts).num_args(1..).required(false).required_unless_present("anywhere"))
        .arg(flag("anywhere", texts).conflicts_with("network"));
    let with_reason = |name, path| {
        let reason = option("reason", "TEXT", texts).help(texts.say("help-option-reason-account")).required(true);
        subcommand(name, path, texts).arg(argument("identifier", "ID", texts)).arg(reason)
    };
    let end = with_reason("end", "admin-account-end").arg(option("after", "2027-01-31", texts));
    let reopen = with_reason("reopen", "admin-account-reopen").arg(option("until", "2027-12-31", texts));
    let commands = [create, list, networks, reset, end, reopen];
    group("account", "admin-account", texts).subcommands(commands)
}

fn agent_command(texts: Texts) -> Command {
    let reference = || argument("reference", "REFERENCE", texts);
    let one = |name, path| subcommand(name, path, texts).arg(reference()).arg(agent_argument(texts));
    let token = subcommand("token", "admin-agent-token", texts)
        .arg(reference())
        .arg(option("only-source", "NAME", texts))
        .arg(option("hours", "24", texts).value_parser(value_parser!(u32).range(1..=24)));
    group("agent", "admin-agent", texts)
        .subcommand(subcommand("list", "admin-agent-list", texts).arg(reference()))
        .subcommand(one("revoke", "admin-agent-revoke").arg(confirm::argument(texts)))
        .subcommand(token)
        .subcommand(one("allow-restore", "admin-agent-allow"))
        .subcommand(one("forbid-restore", "admin-agent-forbid"))
}

fn completions_command(texts: Texts) -> Command {
    subcommand("completions", "completions", texts)
        .arg(argument("shell", "SHELL", texts).value_parser(completions::SHELLS))
}

fn agent_argument(texts: Texts) -> Arg {
    argument("agent", "AGENT", texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_described_in_both_languages() {
        for texts in [Texts::FRENCH, Texts::ENGLISH] {
            // A text that is missing ends a debug build.
            command(texts).debug_assert();
        }
    }
}
