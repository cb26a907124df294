//! `dobaas-admin completions`: a script that completes commands and options in a shell.

use clap::ArgMatches;
use clap_complete::aot::{Bash, Fish, Generator, Zsh};
use common::text::Texts;

use super::command::{Context, command};
use super::failure::AdminError;
use crate::cli::arguments::text;

/// The shells that a script can be made for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// Prints the script.
///
/// # Errors
/// If standard output is closed.
pub fn run(context: &Context, matches: &ArgMatches) -> Result<(), AdminError> {
    let texts = context.output.texts;
    let script = match text(matches, "shell") {
        Some("zsh") => script(Zsh, texts),
        Some("fish") => script(Fish, texts),
        _ => script(Bash, texts),
    };
    context.output.document(&serde_json::json!({ "script": &script }))?;
    if context.output.json { Ok(()) } else { Ok(context.output.line(script.trim_end())?) }
}

fn script(shell: impl Generator, texts: Texts) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(texts), "dobaas-admin", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_knows_the_commands() {
        for script in [script(Bash, Texts::FRENCH), script(Zsh, Texts::FRENCH), script(Fish, Texts::FRENCH)] {
            assert!(script.contains("dobaas-admin") && script.contains("reset-password"), "{script}");
        }
    }
}
