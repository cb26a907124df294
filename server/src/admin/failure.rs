//! Why a command of `dobaas-admin` failed, what is said about it, and how the program ends.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use common::source_kind::SourceKind;
use common::text::{Arg, Texts};
use proto::code::{ErrorCode, Failure};
use tonic::Status;

use super::remote::RemoteError;
use crate::cli::exit::Exit;
use crate::cli::runtime::RuntimeError;
use crate::durable::DurableError;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The server refused.
    #[error("the server refused: {0:?}")]
    Refused(Failure),
    /// The server failed without saying how, or something between did.
    #[error("the call failed")]
    Call(#[source] Status),
    /// No connection.
    #[error("connect")]
    Remote(#[from] RemoteError),
    /// Nobody is logged in.
    #[error("nobody is logged in")]
    NotLoggedIn,
    /// A value that cannot be used.
    #[error("{option} cannot be {value}")]
    Value {
        /// The option or argument.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// An option that is needed and was not given.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A source of a kind that the contract does not know.
    #[error("there is no source kind {name}")]
    Kind {
        /// What was given.
        name: String,
    },
    /// What cannot be undone was not confirmed.
    #[error("{reference} was not confirmed")]
    NotConfirmed {
        /// What had to be typed.
        reference: String,
    },
    /// The audit trail was changed behind the server's back.
    #[error("the audit trail is not intact: {problem} {record}")]
    Tampered {
        /// In which way.
        problem: String,
        /// At which record.
        record: u64,
    },
    /// There is nobody to ask.
    #[error("nobody answers")]
    Silent,
    /// A secret cannot be read.
    #[error("read a secret from {place}")]
    Secret {
        /// Where from.
        place: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The state cannot be read or written.
    #[error("keep the login")]
    State(#[from] DurableError),
    /// The state's file cannot be used.
    #[error("use {path}")]
    Damaged {
        /// Which file.
        path: PathBuf,
    },
    /// An alarm channel failed; which one was said.
    #[error("a channel failed")]
    NotDelivered,
    /// The system gives this process too little.
    #[error("start")]
    Runtime(#[from] RuntimeError),
    /// Standard output is closed.
    #[error("print")]
    Io(#[from] io::Error),
}

impl From<Status> for AdminError {
    fn from(status: Status) -> Self {
        Failure::from_status(&status).map_or_else(|| Self::Call(status), Self::Refused)
    }
}

impl AdminError {
    /// A value that cannot be used.
    pub fn value(option: &'static str, value: impl Into<String>) -> Self {
        Self::Value { option, value: value.into() }
    }

    /// What to tell a person.
    pub fn explain(&self, texts: Texts) -> String {
        match self {
            Self::Refused(failure) if failure.code == ErrorCode::NotFound => {
                let what = Arg::from(failure.param("what").unwrap_or("none"));
                let object = texts.say_with("admin-object", &[("what", what.clone())]);
                texts.say_with("admin-not-found", &[("what", what), ("object", object.into())])
            }
            Self::Refused(failure) => {
                let code = failure.code.as_str_name().trim_start_matches("ERROR_CODE_");
                texts.error(&code.to_lowercase().replace('_', "-"), &failure.params)
            }
            Self::NotLoggedIn => texts.say("admin-not-logged-in"),
            Self::Value { option, value } => {
                texts.say_with("usage-invalid-value", &[("option", (*option).into()), ("value", value.into())])
            }
            Self::Missing(name) => texts.say_with("usage-missing-option", &[("option", format!("--{name}").into())]),
            Self::Kind { name } => {
                texts.say_with("admin-unknown-kind", &[("name", name.into()), ("list", kinds(texts).into())])
            }
            Self::NotConfirmed { reference } => {
                texts.say_with("admin-not-confirmed", &[("reference", reference.into())])
            }
            Self::Tampered { problem, record } => {
                texts.say_with("audit-tampered", &[("problem", problem.into()), ("record", record.to_string().into())])
            }
            Self::Silent => texts.say("cli-no-answer"),
            Self::NotDelivered => texts.say("alarm-not-delivered"),
            Self::Secret { place, .. } => texts.say_with("cli-secret", &[("source", place.into())]),
            Self::Damaged { path } => {
                texts.say_with("admin-state-damaged", &[("path", path.display().to_string().into())])
            }
            Self::Remote(error) => texts.say_with("admin-no-connection", &[("cause", cause(error).into())]),
            Self::Call(status) => texts.say_with("admin-call-failed", &[("cause", status.message().into())]),
            Self::Runtime(RuntimeError::NoThread(_)) => texts.say("no-thread"),
            Self::State(_) | Self::Runtime(_) | Self::Io(_) => {
                texts.say_with("server-failed", &[("cause", cause(self).into())])
            }
        }
    }

    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Refused(failure) => match failure.code {
                ErrorCode::Unauthenticated
                | ErrorCode::WrongCredentials
                | ErrorCode::TooManyAttempts
                | ErrorCode::MustChangePassword
                | ErrorCode::DefaultPasswordExpired => Exit::WrongCredentials,
                _ => Exit::Failed,
            },
            Self::NotLoggedIn => Exit::NotSetUp,
            Self::NotDelivered => Exit::Incomplete,
            Self::Value { .. } | Self::Missing(_) | Self::Kind { .. } | Self::NotConfirmed { .. } | Self::Silent => {
                Exit::Usage
            }
            Self::Call(_)
            | Self::Tampered { .. }
            | Self::Remote(_)
            | Self::Secret { .. }
            | Self::State(_)
            | Self::Damaged { .. }
            | Self::Runtime(_)
            | Self::Io(_) => Exit::Failed,
        }
    }
}

/// An error and what caused it, as the system says it.
fn cause(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (**error).source()).map(ToString::to_string);
    let mut causes: Vec<_> = causes.collect();
    // Some say what the one below says.
    causes.dedup();
    causes.join(" : ")
}

/// The closed list, one kind a line, with what people call it.
fn kinds(texts: Texts) -> String {
    let line = |kind: SourceKind| {
        let called = texts.say(&format!("source-kind-{}", kind.name().replace('_', "-")));
        format!("\n  {kind} — {called}")
    };
    SourceKind::ALL.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_refused_by_name_with_the_closed_list() {
        let text = AdminError::Kind { name: "bandes".into() }.explain(Texts::FRENCH);
        assert!(text.contains("bandes"), "{text}");
        for kind in SourceKind::ALL {
            assert!(text.contains(kind.name()), "{text}");
        }
    }
}
