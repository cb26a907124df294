//! Errors as people read them: in their language, naming the object, saying what to do next.
//!
//! Invariant: a refusal of the contract is said whole in French and in English; the cause of a technical failure is
//! appended as the system gives it.

use std::error::Error;
use std::path::Path;

use common::text::{Arg, Texts};

use super::exit::Exit;
use super::owner::OtherOwner;
use super::runtime::RuntimeError;
use crate::config::ConfigError;
use crate::contract::location::LocationRefused;
use crate::control::ControlError;
use crate::folder_lock::FolderLockError;
use crate::identity::IdentityError;
use crate::monitor::settings::AlarmsRefused;
use crate::session::error::SessionError;
use crate::setup::SetupError;
use crate::store::error::StoreError;
use crate::upkeep::control_copy::CopyError;

/// A value that was given and cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{name} cannot be {value}")]
pub struct UsageError {
    name: &'static str,
    value: String,
}

impl UsageError {
    /// The option or key, and its value.
    pub fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self { name, value: value.into() }
    }
}

/// What to tell a person.
pub fn explain(error: &anyhow::Error, texts: Texts) -> String {
    let known = error.chain().find_map(|cause| sentence(cause, texts));
    known.unwrap_or_else(|| texts.say_with("server-failed", &[("cause", format!("{error:#}").into())]))
}

/// How the program ends.
pub fn exit(error: &anyhow::Error) -> Exit {
    let is_busy = |cause: &(dyn Error + 'static)| {
        matches!(cause.downcast_ref(), Some(SessionError::InUse))
            || matches!(cause.downcast_ref(), Some(FolderLockError::Busy(_)))
    };
    if error.chain().any(is_busy) {
        Exit::Busy
    } else if error.chain().any(|cause| cause.is::<UsageError>()) {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

/// What is said of a cause, if it is of the kind that this is for and says more than its own text.
type Sentence = fn(&(dyn Error + 'static), Texts) -> Option<String>;

/// One for each kind of error.
const SENTENCES: [Sentence; 13] = [
    |cause, texts| cause.downcast_ref().map(|refused| location(refused, texts)),
    |cause, texts| cause.downcast_ref().map(|refused| alarms(refused, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| config(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| setup(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| identity(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| session(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| store(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| folder(error, texts)),
    |cause, texts| cause.downcast_ref().map(|other| owner(other, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| control(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| copy(error, texts)),
    |cause, texts| cause.downcast_ref().and_then(|error| runtime(error, texts)),
    |cause, texts| cause.downcast_ref().map(|error| usage(error, texts)),
];

fn sentence(cause: &(dyn Error + 'static), texts: Texts) -> Option<String> {
    SENTENCES.iter().find_map(|say| say(cause, texts))
}

fn location(refused: &LocationRefused, texts: Texts) -> String {
    match refused {
        LocationRefused::Missing { field } => texts.say_with("location-missing", &[("field", (*field).into())]),
        LocationRefused::Country { country } => texts.say_with("location-country", &[("country", country.into())]),
        LocationRefused::ThirdParty => texts.say("location-third-party"),
    }
}

fn alarms(refused: &AlarmsRefused, texts: Texts) -> String {
    let AlarmsRefused { reason, field, value, cause } = refused;
    let args = [("field", (*field).into()), ("value", value.into()), ("cause", cause.into())];
    texts.say_with(&format!("alarm-config-{reason}"), &args)
}

fn config(error: &ConfigError, texts: Texts) -> Option<String> {
    match error {
        ConfigError::Read { path, .. } => Some(texts.say_with("server-config-unreadable", &[("path", shown(path))])),
        ConfigError::UnknownKey { key, nearest } => {
            Some(texts.say_with("server-config-key", &[("key", key.into()), ("nearest", (*nearest).into())]))
        }
        ConfigError::Invalid { message } => {
            Some(texts.say_with("server-config-invalid", &[("message", message.into())]))
        }
        ConfigError::Location(_) | ConfigError::Alarms(_) => None,
    }
}

fn setup(error: &SetupError, texts: Texts) -> Option<String> {
    matches!(error, SetupError::Exists).then(|| texts.say("server-folder-exists"))
}

fn identity(error: &IdentityError, texts: Texts) -> Option<String> {
    match error {
        IdentityError::Invalid { path, .. } | IdentityError::Read { path, .. } => {
            Some(texts.say_with("server-identity-unusable", &[("path", shown(path))]))
        }
        _ => None,
    }
}

fn session(error: &SessionError, texts: Texts) -> Option<String> {
    match error {
        SessionError::InUse => Some(texts.say("server-subscription-busy")),
        SessionError::NeedsRebuild(_) => Some(texts.say("server-needs-rebuild")),
        SessionError::StoreEmptied(_) => Some(texts.say("server-store-emptied")),
        _ => None,
    }
}

fn store(error: &StoreError, texts: Texts) -> Option<String> {
    match error {
        StoreError::NoStore(folder) => Some(texts.say_with("server-no-store", &[("folder", folder.into())])),
        _ => None,
    }
}

fn folder(error: &FolderLockError, texts: Texts) -> Option<String> {
    match error {
        FolderLockError::Busy(folder) => Some(texts.say_with("server-folder-busy", &[("folder", shown(folder))])),
        FolderLockError::Failed { .. } => None,
    }
}

fn owner(other: &OtherOwner, texts: Texts) -> String {
    let args = [("folder", shown(&other.folder)), ("owner", (&other.owner).into())];
    texts.say_with("server-other-owner", &args)
}

fn control(error: &ControlError, texts: Texts) -> Option<String> {
    match error {
        ControlError::Missing { path } => Some(texts.say_with("control-missing", &[("path", shown(path))])),
        ControlError::UnknownVersion { version, newest } => {
            let args = [("version", version.to_string().into()), ("newest", newest.to_string().into())];
            Some(texts.say_with("control-newer", &args))
        }
        error if error.is_damaged() => Some(texts.say("control-damaged")),
        _ => None,
    }
}

fn copy(error: &CopyError, texts: Texts) -> Option<String> {
    match error {
        CopyError::None => Some(texts.say("control-none")),
        CopyError::Exists(path) => Some(texts.say_with("control-exists", &[("path", shown(path))])),
        CopyError::Store(StoreError::Damaged(file)) => {
            Some(texts.say_with("control-copy-damaged", &[("file", file.into())]))
        }
        CopyError::Control(error) => control(error, texts),
        CopyError::Store(error) => store(error, texts),
    }
}

fn runtime(error: &RuntimeError, texts: Texts) -> Option<String> {
    matches!(error, RuntimeError::NoThread(_)).then(|| texts.say("no-thread"))
}

fn usage(error: &UsageError, texts: Texts) -> String {
    texts.say_with("usage-invalid-value", &[("option", error.name.into()), ("value", (&error.value).into())])
}

fn shown(path: &Path) -> Arg<'static> {
    path.display().to_string().into()
}
