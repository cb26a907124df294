//! The command line in the user's language: descriptions, headings, and what is wrong with what was typed.
//!
//! Descriptions are the messages `help-<commands joined by ->` and `help-arg-<option>`, or `help-<commands>-<option>` where one
//! command needs its own.
//!
//! Invariant: every command and option has its description in both languages (test below).

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory};
use common::text::{Arg as Value, Texts};

use super::args::Cli;

/// The command line with its descriptions.
pub fn command(texts: Texts) -> Command {
    let template = format!(
        "{{about-with-newline}}\n{} {{usage}}\n\n{{all-args}}\n\n{}\n",
        texts.say("help-usage"),
        texts.say("help-footer")
    );
    localized(Cli::command(), "help", &template, texts)
}

fn localized(command: Command, path: &str, template: &str, texts: Texts) -> Command {
    let path = if command.get_name() == "dobaas" { path.to_owned() } else { format!("{path}-{}", command.get_name()) };
    let about = if path == "help" { "help-about".to_owned() } else { path.clone() };
    command
        .about(texts.say(&about))
        .help_template(template.to_owned())
        .subcommand_help_heading(texts.say("help-commands"))
        .subcommand_value_name(texts.say("help-command"))
        .mut_args(|arg| {
            let text = description(&arg, &path, texts);
            let takes_values = arg.get_action().takes_values();
            arg.help(text).hide_possible_values(takes_values)
        })
        .mut_subcommands(|subcommand| localized(subcommand, &path, template, texts))
}

fn description(arg: &Arg, path: &str, texts: Texts) -> String {
    let name = arg.get_id().as_str().replace('_', "-");
    let own = format!("{path}-{name}");
    if texts.has(&own) { texts.say(&own) } else { texts.say(&format!("help-arg-{name}")) }
}

/// What is wrong with what was typed; help and version are not errors and come out as they are.
pub fn explain(error: &clap::Error, texts: Texts) -> String {
    let shown = |kind| error.get(kind).map(context).unwrap_or_default();
    let arg = shown(ContextKind::InvalidArg);
    let what = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            return error.render().to_string();
        }
        ErrorKind::UnknownArgument => texts.say_with("usage-unknown-option", &[("option", Value::from(&arg))]),
        ErrorKind::InvalidSubcommand => {
            texts.say_with("usage-unknown-command", &[("command", shown(ContextKind::InvalidSubcommand).into())])
        }
        ErrorKind::MissingSubcommand => texts.say("usage-missing-command"),
        ErrorKind::MissingRequiredArgument => texts.say_with("usage-missing-option", &[("option", Value::from(&arg))]),
        ErrorKind::ArgumentConflict => texts.say_with(
            "usage-conflict",
            &[("option", Value::from(&arg)), ("other", shown(ContextKind::PriorArg).into())],
        ),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => texts.say_with(
            "usage-invalid-value",
            &[("option", Value::from(&arg)), ("value", shown(ContextKind::InvalidValue).into())],
        ),
        _ => texts.say_with("usage-other", &[("option", Value::from(&arg))]),
    };
    let hint = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::ValidValue]
        .into_iter()
        .map(shown)
        .find(|hint| !hint.is_empty())
        .map(|hint| format!(" {}", texts.say_with("usage-hint", &[("hint", hint.into())])))
        .unwrap_or_default();
    format!("{what}{hint}\n{}\n", texts.say("help-footer"))
}

fn context(value: &ContextValue) -> String {
    match value {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        ContextValue::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_described(command: &Command, path: &str) {
        let path = if path.is_empty() { "help".to_owned() } else { format!("{path}-{}", command.get_name()) };
        for texts in [Texts::FRENCH, Texts::ENGLISH] {
            let about = if path == "help" { "help-about" } else { &path };
            assert!(texts.has(about), "{about}");
            for arg in command.get_arguments() {
                let name = arg.get_id().as_str().replace('_', "-");
                assert!(
                    texts.has(&format!("{path}-{name}")) || texts.has(&format!("help-arg-{name}")),
                    "{path}: {name}"
                );
            }
        }
        for subcommand in command.get_subcommands() {
            check_described(subcommand, &path);
        }
    }

    fn keys(command: &Command, path: &str, found: &mut Vec<String>) {
        let path = if path.is_empty() { "help".to_owned() } else { format!("{path}-{}", command.get_name()) };
        found.push(path.clone());
        for arg in command.get_arguments() {
            let name = arg.get_id().as_str().replace('_', "-");
            found.extend([format!("{path}-{name}"), format!("help-arg-{name}")]);
        }
        for subcommand in command.get_subcommands() {
            keys(subcommand, &path, found);
        }
    }

    #[test]
    fn every_command_and_option_has_its_description_in_both_languages() {
        check_described(&Cli::command(), "");
    }

    #[test]
    fn no_description_is_left_over() {
        let mut known: Vec<String> =
            ["usage", "footer", "commands", "command", "about"].iter().map(|name| format!("help-{name}")).collect();
        keys(&Cli::command(), "", &mut known);
        let source = include_str!("../../../common/locales/fr/help.ftl");
        for key in source.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key)) {
            assert!(!key.starts_with("help-") || known.iter().any(|known| known == key), "{key}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command(Texts::FRENCH).debug_assert();
        command(Texts::ENGLISH).debug_assert();
    }

    #[test]
    fn help_reads_in_french_and_in_english() {
        insta::assert_snapshot!("help_fr", command(Texts::FRENCH.plain()).render_help().to_string());
        insta::assert_snapshot!("help_en", command(Texts::ENGLISH).render_help().to_string());
        let mut built = command(Texts::FRENCH.plain());
        built.build();
        let setup = built.find_subcommand_mut("setup").unwrap();
        insta::assert_snapshot!("help_setup_fr", setup.render_help().to_string());
    }

    #[test]
    fn what_was_mistyped_is_explained_in_the_users_language() {
        let explained = |texts: Texts, typed: &[&str]| {
            let error = command(texts).try_get_matches_from(typed).unwrap_err();
            explain(&error, texts)
        };
        let typed: [&[&str]; 6] = [
            &["dobaas", "etet"],
            &["dobaas", "status", "--jsn"],
            &["dobaas", "completions"],
            &["dobaas", "completions", "tcsh"],
            &["dobaas", "setup", "--password-file", "a", "--password-fd", "3"],
            &["dobaas", "key"],
        ];
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| typed.map(|typed| explained(texts, typed)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
