//! The command line of `dobaas-server`: it reads arguments and the environment, calls, and tells people how it went.

pub mod arguments;
pub mod check_config;
pub mod control_copy;
pub mod exit;
pub mod explain;
pub mod init;
pub mod maintenance;
pub mod mark_store;
pub mod output;
pub mod owner;
pub mod rebuild;
pub mod reset_operator;
pub mod runtime;
pub mod scrub;
pub mod serve;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use common::text::Texts;

use arguments::{argument, option, parse, program, subcommand};
use exit::Exit;
use output::Output;

/// Runs `dobaas-server` with its arguments, the program's name first.
pub fn run(arguments: &[OsString]) -> Exit {
    let lang = arguments::language(arguments);
    let quiet = Output::new(lang, false);
    let matches = match parse(command(quiet.texts), arguments, quiet) {
        Ok(matches) => matches,
        Err(exit) => return exit,
    };
    let Some((name, matches)) = matches.subcommand() else { return Exit::Usage };
    let output = Output::new(lang, matches.get_flag("json"));
    let makes_nothing_there = matches!(name, "init" | "check-config");
    let permitted = if makes_nothing_there { Ok(()) } else { owner::check(&folder(matches)) };
    let result = permitted.map_err(anyhow::Error::from).and_then(|()| match name {
        "init" => init::run(matches, output),
        "serve" => serve::run(matches, output),
        "backup-control" => control_copy::backup(matches, output),
        "restore-control" => control_copy::restore(matches, output),
        "reset-operator" => reset_operator::run(matches, output),
        "mark-store" => mark_store::run(matches, output),
        "rebuild" => rebuild::run(matches, output),
        "scrub" => scrub::run(matches, output),
        _ => check_config::run(matches, output),
    });
    result.unwrap_or_else(|error| {
        output.complain(&explain::explain(&error, output.texts));
        explain::exit(&error)
    })
}

fn command(texts: Texts) -> Command {
    let folder = || argument("folder", "DIR", texts).value_parser(clap::value_parser!(PathBuf));
    let init = subcommand("init", "server-init", texts)
        .arg(folder())
        .arg(option("listen", "ADDR", texts).default_value("[::]:7443").hide_default_value(true))
        .arg(option("site", "NAME", texts).required(true))
        .arg(option("country", "FR", texts).default_value("FR").hide_default_value(true))
        .arg(option("owner", "NAME", texts).default_value("provider").hide_default_value(true))
        .arg(option("name", "HOST", texts).action(clap::ArgAction::Append))
        .arg(option("operator", "ID", texts).default_value("admin").hide_default_value(true));
    let serve = subcommand("serve", "server-serve", texts)
        .arg(folder())
        .arg(option("ready-fd", "N", texts).value_parser(clap::value_parser!(u32)));
    let check = subcommand("check-config", "server-check-config", texts).arg(folder());
    let one = || Arg::new("subscription").value_name("SUBSCRIPTION").help(texts.say("help-argument-subscription"));
    let rebuild = subcommand("rebuild", "server-rebuild", texts).arg(folder()).arg(one());
    let mark = subcommand("mark-store", "server-mark-store", texts)
        .arg(folder())
        .arg(option("confirm", "PATH", texts).help(texts.say("mark-store-confirm")));
    let scrub = subcommand("scrub", "server-scrub", texts).arg(folder()).arg(one());
    let backup = subcommand("backup-control", "server-backup-control", texts).arg(folder());
    let restore =
        subcommand("restore-control", "server-restore-control", texts).arg(folder()).arg(option("copy", "FILE", texts));
    let reset = subcommand("reset-operator", "server-reset-operator", texts)
        .arg(folder())
        .arg(option("operator", "ID", texts).required(true).help(texts.say("help-option-operator-reset")));
    let commands = [init, serve, check, mark, rebuild, scrub, backup, restore, reset];
    program("dobaas-server", texts).subcommands(commands)
}

/// The server's folder that a command was given.
fn folder(matches: &ArgMatches) -> PathBuf {
    matches.get_one::<PathBuf>("folder").cloned().unwrap_or_default()
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
