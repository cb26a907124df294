//! Secrets and answers from people: prompts without echo, files, commands, descriptors.
//!
//! Only the first line counts, so that a file may hold comments below it. Without a terminal, answers come line by line from
//! standard input.
//!
//! Invariant: no secret comes from an argument or an environment variable, none is ever printed, each is wiped when dropped.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::limits::SECRET_BYTES_MAX;
use common::text::Texts;
use zeroize::Zeroizing;

use super::args::{KeyArgs, PersonArgs, TokenArgs};
use super::failure::{CliError, Exit};
use super::output::note;

/// A secret text; wiped when dropped.
pub type Secret = Zeroizing<String>;

/// Where a secret comes from when it is not typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// First line of a file.
    File(PathBuf),
    /// First line that a shell command prints.
    Command(String),
    /// First line of an inherited descriptor.
    Descriptor(u32),
}

impl SecretSource {
    /// The one that was given, if any; the command line refuses two.
    pub fn of(file: Option<&PathBuf>, command: Option<&String>, descriptor: Option<u32>) -> Option<Self> {
        let file = file.cloned().map(Self::File);
        file.or_else(|| command.cloned().map(Self::Command)).or_else(|| descriptor.map(Self::Descriptor))
    }

    /// Reads it.
    ///
    /// # Errors
    /// If it cannot be read, is empty, or the command fails; the message names the source, never its content.
    pub fn read(&self) -> Result<Secret, CliError> {
        let failed =
            |error: &io::Error| CliError::new(Exit::Failed, "cli-secret").with("source", self.name()).because(error);
        let secret = match self {
            Self::File(path) => File::open(path).and_then(first_line),
            // Opening by name gives a descriptor of our own without trusting the number.
            Self::Descriptor(number) => File::open(format!("/dev/fd/{number}")).and_then(first_line),
            Self::Command(command) => run(command),
        };
        match secret {
            Ok(secret) if secret.is_empty() => {
                Err(failed(&io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty")))
            }
            Ok(secret) => Ok(secret),
            Err(error) => Err(failed(&error)),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Command(command) => command.clone(),
            Self::Descriptor(number) => format!("fd {number}"),
        }
    }
}

impl PersonArgs {
    /// Where the password comes from.
    pub fn password(&self) -> Option<SecretSource> {
        SecretSource::of(self.password_file.as_ref(), self.password_command.as_ref(), self.password_fd)
    }
}

impl TokenArgs {
    /// Where the enrolment token comes from.
    pub fn token(&self) -> Option<SecretSource> {
        SecretSource::of(self.token_file.as_ref(), self.token_command.as_ref(), self.token_fd)
    }
}

impl KeyArgs {
    /// Where the passphrase comes from.
    pub fn passphrase(&self) -> Option<SecretSource> {
        SecretSource::of(self.passphrase_file.as_ref(), self.passphrase_command.as_ref(), self.passphrase_fd)
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

fn run(command: &str) -> io::Result<Secret> {
    let mut child =
        Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let line = child.stdout.take().map_or_else(|| Ok(Secret::default()), first_line);
    let status = child.wait()?;
    if status.success() { line } else { Err(io::Error::other(format!("the command ended with {status}"))) }
}

/// Asks people questions.
#[derive(Debug, Clone, Copy)]
pub struct Prompt {
    texts: Texts,
    terminal: bool,
}

impl Prompt {
    /// Questions go to standard error, answers come from standard input.
    pub fn new(texts: Texts) -> Self {
        Self { texts, terminal: io::stdin().is_terminal() }
    }

    /// An answer; without the spaces around it.
    ///
    /// # Errors
    /// If there is nobody to answer.
    pub fn ask(&self, key: &str) -> Result<String, CliError> {
        self.question(&self.texts.say(key));
        Ok(self.line()?.trim().to_owned())
    }

    /// A secret, without echo.
    ///
    /// # Errors
    /// If there is nobody to answer.
    pub fn secret(&self, key: &str) -> Result<Secret, CliError> {
        let question = self.texts.say(key);
        if self.terminal {
            return rpassword::prompt_password(format!("{question} ")).map(Zeroizing::new).map_err(|_| silent());
        }
        self.question(&question);
        self.line()
    }

    /// A secret that is chosen: asked for twice, again until both are the same.
    ///
    /// # Errors
    /// If there is nobody to answer.
    pub fn chosen(&self, first: &str, again: &str) -> Result<Secret, CliError> {
        loop {
            let secret = self.secret(first)?;
            if *self.secret(again)? == *secret {
                return Ok(secret);
            }
            note(&self.texts.say("prompt-different"));
        }
    }

    fn question(&self, text: &str) {
        use std::io::Write;
        let mut err = io::stderr().lock();
        let _ = write!(err, "{text} ").and_then(|()| err.flush());
    }

    /// One line, read byte by byte through the shared buffer so that the next question finds its own.
    fn line(&self) -> Result<Secret, CliError> {
        let mut line = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX));
        let read = io::stdin().lock().take(SECRET_BYTES_MAX as u64).read_line(&mut line);
        if !matches!(read, Ok(1..)) {
            return Err(silent());
        }
        if !self.terminal {
            note("");
        }
        Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

fn silent() -> CliError {
    CliError::new(Exit::Usage, "cli-no-answer")
}

/// Writes a secret for its owner: a file of mode 0600 that must not exist yet.
///
/// # Errors
/// If it exists, or cannot be made durable.
pub fn write_secret(path: &Path, text: &str) -> Result<(), CliError> {
    if path.symlink_metadata().is_ok() {
        return Err(CliError::new(Exit::Usage, "cli-file-exists").with("path", path.display()));
    }
    let line = Zeroizing::new(format!("{text}\n"));
    Ok(crate::durable::replace(path, line.as_bytes(), 0o600)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_file_or_command_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (content, expected) in [("mot de passe\ncommentaire\n", "mot de passe"), ("x\r\ny", "x"), ("seul", "seul")]
        {
            crate::durable::replace(&path, content.as_bytes(), 0o600).unwrap();
            assert_eq!(SecretSource::File(path.clone()).read().unwrap().as_str(), expected);
        }
        let command = SecretSource::Command("printf 'a\\nb'".into());
        assert_eq!(command.read().unwrap().as_str(), "a");
    }

    #[test]
    fn empty_failing_and_missing_sources_are_errors_that_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        crate::durable::replace(&empty, b"\ntresor", 0o600).unwrap();
        for source in [
            SecretSource::File(empty),
            SecretSource::File(folder.path().join("absent")),
            SecretSource::Command("printf 'tre''sor'; exit 3".into()),
            SecretSource::Descriptor(999),
        ] {
            let message = source.read().err().unwrap().say(Texts::FRENCH).unwrap();
            assert!(message.contains(&source.name()) && !message.contains("tresor"), "{message}");
        }
    }

    #[test]
    fn a_written_secret_is_private_and_never_replaces_a_file() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_secret(&path, "ABCD").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(write_secret(&path, "EFGH").is_err());
        assert_eq!(SecretSource::File(path).read().unwrap().as_str(), "ABCD");
    }
}
