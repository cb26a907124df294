//! Why a command ended otherwise than well: an exit code, a sentence in the user's language, what to do next.
//!
//! Invariant: one exit code per thing that a script treats differently; no message holds a secret.

use std::io;

use common::keyring::KeyringError;
use common::recovery::RecoveryKeyError;
use common::text::{Arg, Texts};
use proto::code::{ErrorCode, Failure};

use crate::config::ConfigError;
use crate::durable::DurableError;
use crate::remote::RemoteError;
use crate::state::identity::IdentityError;

/// Exit codes, as interfaces.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// What was typed, or a setting, makes no sense.
    Usage = 2,
    /// Done, but some items were left out and listed.
    Incomplete = 3,
    /// This machine was never set up.
    NotSetUp = 10,
    /// Another run holds the source.
    Busy = 11,
    /// Wrong credentials, or a password that must be changed first.
    Credentials = 12,
    /// The contract allows no more.
    Quota = 13,
    /// The subscription is suspended, or the server is under maintenance.
    Suspended = 14,
    /// Somebody pressed Ctrl-C.
    Interrupted = 130,
}

/// The end of a command that did not succeed.
#[derive(Debug)]
pub struct CliError {
    /// What the shell sees.
    pub exit: Exit,
    message: Message,
    /// The technical cause, in English, shown after the sentence.
    cause: Option<String>,
}

#[derive(Debug)]
enum Message {
    /// A message of the agent, with its arguments.
    Own(&'static str, Vec<(&'static str, String)>),
    /// What the server said.
    Refusal(Failure),
    /// The reader of the output went away: nothing to say.
    Silent,
}

impl CliError {
    /// A message of the agent.
    pub fn new(exit: Exit, key: &'static str) -> Self {
        Self { exit, message: Message::Own(key, Vec::new()), cause: None }
    }

    /// Adds an argument of the message.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Message::Own(_, args) = &mut self.message {
            args.push((name, value.to_string()));
        }
        self
    }

    /// Adds the technical cause with the causes below it.
    pub fn because(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = cause.to_string();
        let mut link = cause.source();
        while let Some(below) = link {
            text.push_str(": ");
            text.push_str(&below.to_string());
            link = below.source();
        }
        self.cause = Some(text);
        self
    }

    /// The sentence; `None` if there is nobody to read it.
    pub fn say(&self, texts: Texts) -> Option<String> {
        let sentence = match &self.message {
            Message::Own(key, args) => {
                let args: Vec<(&str, Arg<'_>)> = args.iter().map(|(name, value)| (*name, Arg::from(value))).collect();
                texts.say_with(key, &args)
            }
            Message::Refusal(failure) => failure.text(texts),
            Message::Silent => return None,
        };
        Some(match &self.cause {
            Some(cause) => format!("{sentence} ({cause})"),
            None => sentence,
        })
    }

    /// What the server refused, if that is what failed.
    pub const fn refusal(&self) -> Option<&Failure> {
        match &self.message {
            Message::Refusal(failure) => Some(failure),
            Message::Own(..) | Message::Silent => None,
        }
    }

    /// A stable English word for scripts: the error code of the server, or the message's key.
    pub fn word(&self) -> String {
        match &self.message {
            Message::Own(key, _) => (*key).to_owned(),
            Message::Refusal(failure) => failure.code.as_str_name().to_ascii_lowercase(),
            Message::Silent => "broken_pipe".to_owned(),
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let exit = match failure.code {
            ErrorCode::WrongCredentials
            | ErrorCode::Unauthenticated
            | ErrorCode::TooManyAttempts
            | ErrorCode::MustChangePassword
            | ErrorCode::DefaultPasswordExpired => Exit::Credentials,
            ErrorCode::QuotaExceeded => Exit::Quota,
            ErrorCode::Suspended | ErrorCode::Maintenance => Exit::Suspended,
            ErrorCode::SessionSuperseded => Exit::Busy,
            _ => Exit::Failed,
        };
        Self { exit, message: Message::Refusal(failure), cause: None }
    }
}

impl From<RemoteError> for CliError {
    fn from(error: RemoteError) -> Self {
        match error {
            RemoteError::Refused(failure) => failure.into(),
            RemoteError::Unreachable(cause) => {
                Self { cause: Some(cause), ..Self::new(Exit::Failed, "cli-unreachable") }
            }
            RemoteError::Tls(cause) => Self { cause: Some(cause), ..Self::new(Exit::Failed, "cli-untrusted") },
            RemoteError::OutOfDate(cause) => Self { cause: Some(cause), ..Self::new(Exit::Failed, "cli-out-of-date") },
            RemoteError::Protocol(cause) => Self { cause: Some(cause), ..Self::new(Exit::Failed, "cli-protocol") },
            RemoteError::InvalidAddress(url) => Self::new(Exit::Usage, "cli-invalid-address").with("url", url),
        }
    }
}

impl From<IdentityError> for CliError {
    fn from(error: IdentityError) -> Self {
        match error {
            IdentityError::Absent(path) => Self::new(Exit::NotSetUp, "cli-not-set-up").with("path", path.display()),
            IdentityError::Exposed(path) => {
                Self::new(Exit::Failed, "cli-identity-exposed").with("path", path.display())
            }
            IdentityError::Damaged { ref path, .. } => {
                Self::new(Exit::Failed, "cli-identity-damaged").with("path", path.display()).because(&error)
            }
            IdentityError::Disk(error) => error.into(),
        }
    }
}

impl From<DurableError> for CliError {
    fn from(error: DurableError) -> Self {
        Self::new(Exit::Failed, "cli-file").with("path", error.path.display()).because(&error)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::UnknownKey { path, key, nearest } => Self::new(Exit::Usage, "cli-config-unknown-key")
                .with("path", path.display())
                .with("key", key)
                .with("nearest", nearest),
            ConfigError::Syntax { ref path, .. } | ConfigError::Value { ref path, .. } => {
                Self::new(Exit::Usage, "cli-config-invalid").with("path", path.display()).because(&error)
            }
            ConfigError::Disk(error) => error.into(),
        }
    }
}

impl From<KeyringError> for CliError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::WrongSecret => Self::new(Exit::Credentials, "cli-wrong-passphrase"),
            KeyringError::ShortPassphrase { min } => Self::new(Exit::Usage, "cli-short-passphrase").with("min", min),
            KeyringError::NotPinned | KeyringError::Broken { .. } => {
                Self::new(Exit::Failed, "cli-keyring-untrusted").because(&error)
            }
            error => Self::new(Exit::Failed, "cli-keyring-damaged").because(&error),
        }
    }
}

impl From<RecoveryKeyError> for CliError {
    fn from(error: RecoveryKeyError) -> Self {
        match error {
            RecoveryKeyError::Length { wanted, found } => {
                Self::new(Exit::Credentials, "cli-recovery-length").with("wanted", wanted).with("found", found)
            }
            RecoveryKeyError::Character { position } => {
                Self::new(Exit::Credentials, "cli-recovery-character").with("position", position)
            }
            RecoveryKeyError::Checksum => Self::new(Exit::Credentials, "cli-recovery-checksum"),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { exit: Exit::Done, message: Message::Silent, cause: None };
        }
        Self::new(Exit::Failed, "cli-output").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_a_script_treats_differently_has_its_exit_code() {
        let refused = |code| CliError::from(RemoteError::Refused(Failure::new(code))).exit;
        for (exit, expected) in [
            (refused(ErrorCode::WrongCredentials), Exit::Credentials),
            (refused(ErrorCode::MustChangePassword), Exit::Credentials),
            (refused(ErrorCode::QuotaExceeded), Exit::Quota),
            (refused(ErrorCode::Suspended), Exit::Suspended),
            (refused(ErrorCode::Maintenance), Exit::Suspended),
            (refused(ErrorCode::SessionSuperseded), Exit::Busy),
            (refused(ErrorCode::NotFound), Exit::Failed),
            (CliError::from(IdentityError::Absent("x".into())).exit, Exit::NotSetUp),
            (CliError::from(KeyringError::WrongSecret).exit, Exit::Credentials),
            (CliError::from(RemoteError::Unreachable(String::new())).exit, Exit::Failed),
            (CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit, Exit::Done),
        ] {
            assert_eq!(exit, expected);
        }
    }

    #[test]
    fn a_failure_says_what_happened_on_what_and_what_to_do_next() {
        let errors: [CliError; 10] = [
            RemoteError::Unreachable("no connection to a.fr:443".into()).into(),
            RemoteError::Tls("no trusted connection to a.fr:443".into()).into(),
            RemoteError::OutOfDate("no trusted connection to a.fr:443".into()).into(),
            IdentityError::Absent("/var/lib/dobaas/identity.toml".into()).into(),
            IdentityError::Exposed("/var/lib/dobaas/identity.toml".into()).into(),
            KeyringError::WrongSecret.into(),
            KeyringError::NotPinned.into(),
            RecoveryKeyError::Checksum.into(),
            ConfigError::UnknownKey { path: "/etc/dobaas/agent.toml".into(), key: "serveur".into(), nearest: "server" }
                .into(),
            Failure::new(ErrorCode::NotFound).with("what", "2026-11-21").into(),
        ];
        let lines: Vec<String> = [Texts::FRENCH.plain(), Texts::ENGLISH]
            .into_iter()
            .flat_map(|texts| errors.iter().filter_map(move |error| error.say(texts)))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
