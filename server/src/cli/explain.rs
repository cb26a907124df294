//! Errors as people read them: in their language, naming the object, saying what to do next.
//!
//! Invariant: a refusal of the contract is said whole in French and in English; the cause of a technical failure is
//! appended as the system gives it.

use common::text::Texts;

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
    let is_busy = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref::<SessionError>(), Some(SessionError::InUse))
    };
    let is_served =
        |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(FolderLockError::Busy(_)));
    if error.chain().any(|cause| is_busy(cause) || is_served(cause)) {
        Exit::Busy
    } else if error.chain().any(|cause| cause.is::<UsageError>()) {
        Exit::Usage
    } else {
        Exit::Failed
    }
}

fn sentence(cause: &(dyn std::error::Error + 'static), texts: Texts) -> Option<String> {
    let location = cause.downcast_ref::<LocationRefused>().map(|refused| location(refused, texts));
    let alarms = || cause.downcast_ref::<AlarmsRefused>().map(|refused| alarms(refused, texts));
    let config = || cause.downcast_ref::<ConfigError>().and_then(|error| config(error, texts));
    let setup = || {
        let exists = matches!(cause.downcast_ref::<SetupError>(), Some(SetupError::Exists));
        exists.then(|| texts.say("server-folder-exists"))
    };
    let identity = || match cause.downcast_ref::<IdentityError>() {
        Some(IdentityError::Invalid { path, .. } | IdentityError::Read { path, .. }) => {
            Some(texts.say_with("server-identity-unusable", &[("path", path.display().to_string().into())]))
        }
        _ => None,
    };
    let session = || match cause.downcast_ref::<SessionError>()? {
        SessionError::InUse => Some(texts.say("server-subscription-busy")),
        SessionError::NeedsRebuild(_) => Some(texts.say("server-needs-rebuild")),
        SessionError::StoreEmptied(_) => Some(texts.say("server-store-emptied")),
        _ => None,
    };
    let store = || match cause.downcast_ref::<StoreError>()? {
        StoreError::NoStore(folder) => Some(texts.say_with("server-no-store", &[("folder", folder.into())])),
        _ => None,
    };
    let lock = || match cause.downcast_ref()? {
        FolderLockError::Busy(folder) => {
            Some(texts.say_with("server-folder-busy", &[("folder", folder.display().to_string().into())]))
        }
        FolderLockError::Failed { .. } => None,
    };
    let owner = || {
        let OtherOwner { folder, owner } = cause.downcast_ref()?;
        let args = [("folder", folder.display().to_string().into()), ("owner", owner.into())];
        Some(texts.say_with("server-other-owner", &args))
    };
    let of_copy = || match cause.downcast_ref() {
        Some(CopyError::Control(error)) => Some(error),
        _ => None,
    };
    let control = || match cause.downcast_ref::<ControlError>().or_else(of_copy)? {
        ControlError::Missing { path } => {
            Some(texts.say_with("control-missing", &[("path", path.display().to_string().into())]))
        }
        ControlError::UnknownVersion { version, newest } => {
            let args = [("version", version.to_string().into()), ("newest", newest.to_string().into())];
            Some(texts.say_with("control-newer", &args))
        }
        _ => None,
    };
    let runtime = || match cause.downcast_ref::<RuntimeError>()? {
        RuntimeError::NoThread(_) => Some(texts.say("no-thread")),
        RuntimeError::Events(_) => None,
    };
    let copy = || match cause.downcast_ref::<CopyError>()? {
        CopyError::None => Some(texts.say("control-none")),
        CopyError::Exists(path) => {
            Some(texts.say_with("control-exists", &[("path", path.display().to_string().into())]))
        }
        CopyError::Store(StoreError::Damaged(file)) => {
            Some(texts.say_with("control-copy-damaged", &[("file", file.into())]))
        }
        _ => None,
    };
    let usage = || {
        let error = cause.downcast_ref::<UsageError>()?;
        Some(texts.say_with("usage-invalid-value", &[("option", error.name.into()), ("value", (&error.value).into())]))
    };
    location
        .or_else(alarms)
        .or_else(config)
        .or_else(setup)
        .or_else(identity)
        .or_else(session)
        .or_else(store)
        .or_else(lock)
        .or_else(owner)
        .or_else(control)
        .or_else(runtime)
        .or_else(copy)
        .or_else(usage)
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
        ConfigError::Read { path, .. } => {
            Some(texts.say_with("server-config-unreadable", &[("path", path.display().to_string().into())]))
        }
        ConfigError::UnknownKey { key, nearest } => {
            Some(texts.say_with("server-config-key", &[("key", key.into()), ("nearest", (*nearest).into())]))
        }
        ConfigError::Invalid { message } => {
            Some(texts.say_with("server-config-invalid", &[("message", message.into())]))
        }
        ConfigError::Location(_) | ConfigError::Alarms(_) => None,
    }
}
