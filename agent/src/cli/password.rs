//! `dobaas password`: a person changes their own password.

use super::args::PasswordArgs;
use super::context::Context;
use super::failure::{CliError, Exit};
use super::login::{address, change_password};

/// Runs the command.
///
/// # Errors
/// Exit code 12 for wrong credentials; what the server says of the new password.
pub fn run(args: &PasswordArgs, context: &Context) -> Result<Exit, CliError> {
    let remote = change_password(&address(&args.server, context)?, &args.person, context)?;
    context.wait(remote.logout())?;
    let text = || format!("{}\n", context.output.texts.say("password-changed"));
    context.output.answer(&serde_json::json!({ "changed": true }), text)?;
    Ok(Exit::Done)
}
