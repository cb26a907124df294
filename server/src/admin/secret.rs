//! Secrets of operators: asked for without echo, or the first line of a file, a command or a descriptor.
//!
//! Invariant: no secret comes from an argument or an environment variable; each is wiped when dropped.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::ArgMatches;
use common::limits::SECRET_BYTES_MAX;
use common::text::Texts;
use zeroize::Zeroizing;

use super::failure::AdminError;

/// A secret text; wiped when dropped.
pub type Secret = Zeroizing<String>;

/// The options that say where a secret comes from.
#[derive(Debug, Clone, Copy)]
pub struct SecretOptions {
    /// First line of a file.
    pub file: &'static str,
    /// First line that a shell command prints.
    pub command: &'static str,
    /// First line of an inherited descriptor.
    pub descriptor: &'static str,
}

/// Where a password comes from.
pub const PASSWORD: SecretOptions =
    SecretOptions { file: "password-file", command: "password-command", descriptor: "password-fd" };
/// Where a password that replaces a default one comes from.
pub const NEW_PASSWORD: SecretOptions =
    SecretOptions { file: "new-password-file", command: "new-password-command", descriptor: "new-password-fd" };

/// The secret that an option leads to; `None` if none was given.
///
/// # Errors
/// [`AdminError::Secret`], naming the place and not the content.
pub fn given(matches: &ArgMatches, options: SecretOptions) -> Result<Option<Secret>, AdminError> {
    let (place, read) = if let Some(path) = matches.get_one::<PathBuf>(options.file) {
        (path.display().to_string(), File::open(path).and_then(first_line))
    } else if let Some(command) = matches.get_one::<String>(options.command) {
        (command.clone(), printed(command))
    } else if let Some(number) = matches.get_one::<u32>(options.descriptor) {
        // Opening by name gives a descriptor of our own without trusting the number.
        (format!("fd {number}"), File::open(format!("/dev/fd/{number}")).and_then(first_line))
    } else {
        return Ok(None);
    };
    let empty = || io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty");
    let read = read.and_then(|secret| if secret.is_empty() { Err(empty()) } else { Ok(secret) });
    read.map(Some).map_err(|source| AdminError::Secret { place, source })
}

/// Asks for a secret: without echo on a terminal, else a line of standard input.
///
/// # Errors
/// [`AdminError::Silent`] if nobody answers.
pub fn ask(texts: Texts, key: &str) -> Result<Secret, AdminError> {
    let question = format!("{} ", texts.say(key));
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(question).map(Zeroizing::new).map_err(|_| AdminError::Silent);
    }
    let mut err = io::stderr().lock();
    writeln!(err, "{question}")?;
    let mut line = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX));
    match io::stdin().lock().take(SECRET_BYTES_MAX as u64).read_line(&mut line) {
        Ok(1..) => Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())),
        _ => Err(AdminError::Silent),
    }
}

/// Asks for a secret that is chosen: twice, until both are the same.
///
/// # Errors
/// [`AdminError::Silent`] if nobody answers.
pub fn choose(texts: Texts) -> Result<Secret, AdminError> {
    loop {
        let secret = ask(texts, "prompt-new-password")?;
        if *ask(texts, "prompt-new-password-again")? == *secret {
            return Ok(secret);
        }
        writeln!(io::stderr().lock(), "{}", texts.say("prompt-different"))?;
    }
}

fn first_line(source: impl Read) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX));
    source.take(SECRET_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn printed(command: &str) -> io::Result<Secret> {
    let mut child =
        Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let line = child.stdout.take().map_or_else(|| Ok(Secret::default()), first_line);
    let status = child.wait()?;
    if status.success() { line } else { Err(io::Error::other(format!("the command ended with {status}"))) }
}
