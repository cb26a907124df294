//! `dobaas completions`: a script that completes commands and options in a shell.

use clap_complete::aot::{Bash, Fish, Generator, Zsh};

use super::args::{CompletionsArgs, Shell};
use super::context::Context;
use super::failure::{CliError, Exit};
use super::help::command;

/// Prints the script.
pub fn run(args: &CompletionsArgs, context: &Context) -> Result<Exit, CliError> {
    let script = match args.shell {
        Shell::Bash => script(Bash, context),
        Shell::Zsh => script(Zsh, context),
        Shell::Fish => script(Fish, context),
    };
    context.output.answer(&serde_json::json!({ "script": &script }), || script.clone())?;
    Ok(Exit::Done)
}

fn script(shell: impl Generator, context: &Context) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(context.output.texts), "dobaas", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
