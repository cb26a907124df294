//! The command lines' common frame: language, help in that language, errors of usage in that language.
//!
//! Invariant: no text of the argument parser itself reaches a person untranslated.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, Error};
use common::text::{Lang, Texts};

use super::exit::Exit;
use super::output::Output;

/// The language of a run: `--lang`, then `DOBAAS_LANG`, then the locale, then French.
#[expect(clippy::disallowed_methods, reason = "I8: cli reads the environment")]
pub fn language(arguments: &[OsString]) -> Lang {
    let arguments = || arguments.iter().filter_map(|argument| argument.to_str());
    let joined = arguments().find_map(|argument| argument.strip_prefix("--lang="));
    let separate = arguments().zip(arguments().skip(1)).find(|(name, _)| *name == "--lang").map(|(_, value)| value);
    let variables = ["DOBAAS_LANG", "LC_ALL", "LC_MESSAGES", "LANG"];
    let set = || variables.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
    joined.or(separate).map(str::to_owned).or_else(set).and_then(|name| Lang::named(&name)).unwrap_or(Lang::French)
}

/// A program with the options that every command has.
pub fn program(name: &'static str, texts: Texts) -> Command {
    let about = texts.say(&format!("help-{name}"));
    let lang = Arg::new("lang").long("lang").value_name("fr|en").global(true).help(texts.say("help-arg-lang"));
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).global(true).help(texts.say("help-arg-json"));
    command(Command::new(name), about, texts)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
        .arg(lang)
        .arg(json)
        .arg(Arg::new("version").long("version").action(ArgAction::Version).help(texts.say("help-arg-version")))
        .subcommand_required(true)
        .disable_help_subcommand(true)
}

/// A command of a program; `path` names its text, `help-PATH`.
pub fn subcommand(name: &'static str, path: &str, texts: Texts) -> Command {
    command(Command::new(name), texts.say(&format!("help-{path}")), texts)
}

fn command(command: Command, about: String, texts: Texts) -> Command {
    let template = format!("{{about}}\n\n{} {{usage}}\n\n{{all-args}}", texts.say("help-usage"));
    let help = Arg::new("help").short('h').long("help").action(ArgAction::Help).help(texts.say("help-arg-help"));
    command
        .about(about)
        .help_template(template)
        .subcommand_help_heading(texts.say("help-commands"))
        .subcommand_value_name(texts.say("help-command"))
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .arg(help)
}

/// An option that takes a value; its text is `help-option-NAME`.
pub fn option(name: &'static str, value: &'static str, texts: Texts) -> Arg {
    Arg::new(name).long(name).value_name(value).help(texts.say(&format!("help-option-{name}")))
}

/// An option without a value; its text is `help-option-NAME`.
pub fn flag(name: &'static str, texts: Texts) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(texts.say(&format!("help-option-{name}")))
}

/// A required argument; its text is `help-argument-NAME`.
pub fn argument(name: &'static str, value: &'static str, texts: Texts) -> Arg {
    Arg::new(name).value_name(value).required(true).help(texts.say(&format!("help-argument-{name}")))
}

/// Reads the command line, or prints help or what is wrong with it.
///
/// # Errors
/// How the program ends.
pub fn parse(command: Command, arguments: &[OsString], output: Output) -> Result<ArgMatches, Exit> {
    command.try_get_matches_from(arguments).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed output ends the program all the same.
            let _ = output.line(error.render().to_string().trim_end());
            Exit::Done
        }
        _ => {
            output.complain(&complaint(&error, output.texts));
            Exit::Usage
        }
    })
}

fn complaint(error: &Error, texts: Texts) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let option = context(ContextKind::InvalidArg);
    let say = |key: &str, name: &str, what: String| texts.say_with(key, &[(name, what.into())]);
    let sentence = match error.kind() {
        ErrorKind::MissingRequiredArgument => say("usage-missing-option", "option", option),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            texts.say("usage-missing-command")
        }
        ErrorKind::InvalidSubcommand => {
            say("usage-unknown-command", "command", context(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument => say("usage-unknown-option", "option", option),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let value = context(ContextKind::InvalidValue);
            texts.say_with("usage-invalid-value", &[("option", option.into()), ("value", value.into())])
        }
        ErrorKind::ArgumentConflict => {
            let other = context(ContextKind::PriorArg);
            texts.say_with("usage-conflict", &[("option", option.into()), ("other", other.into())])
        }
        _ => say("usage-other", "option", option),
    };
    let nearest = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand].map(context).concat();
    if nearest.is_empty() { sentence } else { format!("{sentence} {}", say("usage-hint", "hint", nearest)) }
}

/// The text of an option or argument that was given.
pub fn text<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}
