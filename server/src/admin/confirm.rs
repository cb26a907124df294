//! Confirmation of what cannot be undone: the operator types the reference, or a script gives it.
//!
//! Invariant: nothing else confirms; a wrong or empty answer ends the command before anything is asked of the server.

use std::io::{self, BufRead, Read, Write};

use clap::{Arg, ArgMatches};
use common::text::Texts;

use super::command::Context;
use super::failure::AdminError;
use crate::cli::arguments::{option, text};

/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1_024;

/// The option that a script confirms with.
pub fn argument(texts: Texts) -> Arg {
    option("confirm", "REFERENCE", texts)
}

/// Goes on only if `--confirm` or the next line of standard input is exactly `reference`: nothing undoes what follows.
///
/// # Errors
/// [`AdminError::NotConfirmed`].
pub fn confirm(context: &Context, matches: &ArgMatches, reference: &str) -> Result<(), AdminError> {
    check(context, matches, ("admin-confirm", reference))
}

/// As [`confirm`], for what another command ends but a customer feels at once.
///
/// # Errors
/// [`AdminError::NotConfirmed`].
pub fn confirm_grave(context: &Context, matches: &ArgMatches, reference: &str) -> Result<(), AdminError> {
    check(context, matches, ("admin-confirm-grave", reference))
}

fn check(context: &Context, matches: &ArgMatches, (key, reference): (&str, &str)) -> Result<(), AdminError> {
    let given = match text(matches, "confirm") {
        Some(given) => given.to_owned(),
        None => ask(context.output.texts, key, reference)?,
    };
    if given == reference { Ok(()) } else { Err(AdminError::NotConfirmed { reference: reference.to_owned() }) }
}

fn ask(texts: Texts, key: &str, reference: &str) -> Result<String, AdminError> {
    let mut err = io::stderr().lock();
    write!(err, "{} ", texts.say_with(key, &[("reference", reference.into())]))?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
