//! A check, and nothing else: every command that a text of this project names exists, with its options.

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory};
use common::text::Texts;

use super::args::Cli;

/// Every text that may name a command: the locales and the guide.
fn texts() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = Vec::new();
    for folder in ["common/locales/fr", "common/locales/en", "deploy/guide"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap) {
            let path = entry.path();
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(found.len() > 10);
    found
}

/// What stands between `quotes`, or fills a line of code, and begins with `program`.
fn named(program: &str, text: &str, quotes: &[char]) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in text.lines() {
        let quoted = line.split(quotes).skip(1).step_by(2).map(str::trim);
        let whole = line.trim().trim_start_matches("$ ").trim_start_matches("sudo ");
        for part in quoted.chain([whole]) {
            if part.strip_prefix(program).is_some_and(|rest| rest.starts_with(' ')) {
                found.push(part.to_owned());
            }
        }
    }
    found
}

/// The words of a line as a shell reads them, without what follows a comment, a pipe or a redirection; `None` for a line that
/// leaves words out.
fn typed(line: &str) -> Option<Vec<String>> {
    let line = line.split(['#', '|', '>']).next().unwrap_or_default();
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' | '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let whole = !quoted && words.iter().all(|word| word != "…" && !word.contains(['{', '«', '»', '`']));
    whole.then_some(words)
}

/// Why a line with options cannot be typed as it stands. One without names a command, whose arguments are another text's business.
fn refused(command: &Command, line: &str) -> Option<String> {
    let words = typed(line)?;
    if !words.iter().any(|word| word.starts_with("--")) {
        return None;
    }
    let error = command.clone().try_get_matches_from(words).err()?;
    let as_meant = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion, ErrorKind::ValueValidation];
    (!as_meant.contains(&error.kind())).then(|| error.to_string())
}

/// Follows the words of a line down the command line; what it does not know.
fn unknown(mut command: &Command, line: &str) -> Option<String> {
    let globals: Vec<&str> =
        command.get_arguments().filter(|arg| arg.is_global_set()).filter_map(Arg::get_long).collect();
    let line = line.split('#').next().unwrap_or_default();
    for word in line.split_whitespace().skip(1) {
        let word = word.trim_end_matches(['.', ',', ':', ';']);
        if let Some(option) = word.strip_prefix("--") {
            let option = option.split('=').next().unwrap_or_default();
            if option == "help" {
                return None;
            }
            let known = command.get_arguments().any(|arg| arg.get_long() == Some(option)) || globals.contains(&option);
            if !known {
                return Some(format!("--{option}"));
            }
        } else if command.has_subcommands() {
            // COMMAND stands for any.
            if word.chars().all(|letter| letter.is_uppercase() || letter == '…') || word.starts_with('{') {
                return None;
            }
            match command.find_subcommand(word) {
                Some(found) => command = found,
                None => return Some(word.to_owned()),
            }
        }
    }
    // A command that only holds others does nothing by itself.
    command.is_subcommand_required_set().then(|| format!("{} alone", command.get_name()))
}

/// Fails with each line of a text that `command` does not know.
fn check(program: &str, command: &Command, least: usize) {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (path, text) in texts() {
        let guide = path.ends_with(".md");
        let quotes: &[char] = if guide { &['`'] } else { &['«', '»', '“', '”', '"'] };
        for line in named(program, &text, quotes) {
            count += 1;
            let what = unknown(command, &line).or_else(|| guide.then(|| refused(command, &line)).flatten());
            if let Some(what) = what {
                wrong.push(format!("{path}: {line} ({what})"));
            }
        }
    }
    assert!(count >= least, "{count}");
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_command_that_a_text_names_exists_with_its_options() {
    check("dobaas", &Cli::command(), 20);
    check("dobaas-admin", &server::admin::command::command(Texts::ENGLISH), 20);
}
