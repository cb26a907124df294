//! The one map from what fails inside to what a client is told.
//!
//! Invariant: every internal error of a handler passes here; nothing of its text reaches the client, and what a person of the
//! provider must look at is logged here, once.

use common::text::Texts;
use proto::code::{ErrorCode, Failure};
use tonic::Status;

use crate::auth::password::PasswordError;
use crate::auth::policy::Weakness;
use crate::contract::backup_set::InvalidSet;
use crate::contract::order_form::InvalidOrderForm;
use crate::control::ControlError;
use crate::store::error::StoreError;

/// The status of a failure, with its French text.
pub fn of_failure(failure: Failure) -> Status {
    let code = failure.code.as_str_name().trim_start_matches("ERROR_CODE_").to_lowercase().replace('_', "-");
    let text = Texts::FRENCH.error(&code, &failure.params);
    failure.into_status(text)
}

/// What a failure of the control store means to a client.
pub fn of_control(error: &ControlError) -> Failure {
    match error {
        ControlError::Exists { what } => Failure::new(ErrorCode::AlreadyExists).with("what", what),
        ControlError::NotFound { what } => Failure::new(ErrorCode::NotFound).with("what", what),
        ControlError::SetConflict { newest } => Failure::new(ErrorCode::SetConflict).with("version", newest),
        ControlError::Form(error) => of_order_form(error),
        ControlError::Place(error) => {
            Failure::new(ErrorCode::LocationRefused).with("location", error.object()).with("reason", error.name())
        }
        ControlError::SamePerson => Failure::new(ErrorCode::PermissionDenied).with("role", "second_operator"),
        ControlError::TokenSpent => Failure::new(ErrorCode::Unauthenticated),
        // Until the ballast is given up, which takes a moment.
        ControlError::Sql(_) if error.is_full() => {
            tracing::error!(error = error as &dyn std::error::Error, "no room for the control store");
            Failure::new(ErrorCode::StoreFull)
        }
        ControlError::Open { .. }
        | ControlError::Missing { .. }
        | ControlError::Create { .. }
        | ControlError::UnknownVersion { .. }
        | ControlError::Sql(_)
        | ControlError::Damaged { .. } => internal(error),
    }
}

/// What a failure of the store means to a client.
pub fn of_store(error: &StoreError) -> Failure {
    match error {
        StoreError::NotFound(object)
        | StoreError::TooLong(object)
        | StoreError::Foreign(object)
        | StoreError::Damaged(object) => {
            tracing::error!(error = error as &dyn std::error::Error, "a stored object is damaged");
            Failure::new(ErrorCode::Damaged).with("object", object)
        }
        StoreError::Full => Failure::new(ErrorCode::StoreFull),
        StoreError::Suspect(_) => Failure::new(ErrorCode::StoreSuspect),
        StoreError::AlreadyExists(_) | StoreError::NoStore(_) | StoreError::Failed { .. } => internal(error),
    }
}

/// What a failure around passwords means to a client.
pub fn of_password(error: &PasswordError) -> Failure {
    match error {
        PasswordError::Overloaded => Failure::new(ErrorCode::Overloaded).with("retry_s", 5),
        PasswordError::TooLong => of_weakness(Weakness::Short),
        PasswordError::Hash => internal(error),
    }
}

/// A password that may not be chosen.
pub fn of_weakness(weakness: Weakness) -> Failure {
    Failure::new(ErrorCode::WeakPassword).with("reason", weakness.name())
}

/// An order form that the contract does not allow.
pub fn of_order_form(error: &InvalidOrderForm) -> Failure {
    invalid(error.field, error.reason)
}

/// A set that cannot be followed.
pub fn of_set(error: &InvalidSet) -> Failure {
    invalid(error.field, error.reason)
}

/// A field of a request that is wrong; `reason` is a stable English word.
pub fn invalid(field: &str, reason: &str) -> Failure {
    Failure::new(ErrorCode::InvalidArgument).with("field", field).with("reason", reason)
}

/// Absent, or somebody else's.
pub fn not_found(what: &str) -> Failure {
    Failure::new(ErrorCode::NotFound).with("what", what)
}

/// Something that a person of the provider must look at.
pub fn internal(error: &(dyn std::error::Error + 'static)) -> Failure {
    tracing::error!(error, "a call failed inside");
    Failure::new(ErrorCode::Internal)
}
