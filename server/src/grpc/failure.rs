//! What a refused or failed step of the storage engine means to a client.
//!
//! Invariant: every [`SessionError`] passes here; no path and no text of the system reaches the client, and what a person of the
//! provider must look at is logged here, once.

use proto::code::{ErrorCode, Failure};
use tonic::Status;

use crate::catalog::error::CatalogError;
use crate::grpc::status::{internal, of_control, of_failure};
use crate::session::error::SessionError;
use crate::store::error::StoreError;
use crate::upkeep::jobs::JobError;

/// The status of a session's error.
pub fn of_session(error: &SessionError) -> Status {
    of_failure(session_failure(error))
}

/// What a failure of upkeep means to an operator.
pub fn job_failure(error: &JobError) -> Failure {
    match error {
        JobError::Session(error) => session_failure(error),
        JobError::Control(error) => of_control(error),
        JobError::Stopped(_) | JobError::Refused(_) | JobError::Failed(_) => internal(error),
    }
}

/// What a session's error means to a client.
pub fn session_failure(error: &SessionError) -> Failure {
    match error {
        SessionError::Invalid { field, reason } => {
            Failure::new(ErrorCode::InvalidArgument).with("field", field).with("reason", reason)
        }
        SessionError::NotContracted(source) => Failure::new(ErrorCode::SourceNotContracted).with("source", source),
        SessionError::Suspended { reason, until } => {
            let failure = Failure::new(ErrorCode::Suspended).with("reason", reason);
            until.iter().fold(failure, |failure, until| failure.with("until", until))
        }
        SessionError::Maintenance { until, retry_s } => {
            Failure::new(ErrorCode::Maintenance).with("until", until).with("retry_s", retry_s)
        }
        SessionError::Quota { exceeded, contact } => Failure::new(ErrorCode::QuotaExceeded)
            .with("limit", exceeded.limit.name())
            .with("used_bytes", exceeded.used)
            .with("allowed_bytes", exceeded.allowed)
            .with("since", exceeded.since)
            .with("contact", contact),
        SessionError::Unknown => Failure::new(ErrorCode::SessionUnknown),
        SessionError::Superseded => Failure::new(ErrorCode::SessionSuperseded),
        SessionError::IdTaken => Failure::new(ErrorCode::AlreadyExists).with("what", "session"),
        SessionError::Protocol(_) => {
            Failure::new(ErrorCode::ProtocolVersion).with("min", proto::PROTOCOL).with("max", proto::PROTOCOL)
        }
        SessionError::Limit { limit, max } => {
            Failure::new(ErrorCode::LimitExceeded).with("limit", limit).with("max", max)
        }
        SessionError::NoSubscription => Failure::new(ErrorCode::NotFound).with("what", "subscription"),
        SessionError::Damaged(object) => {
            tracing::error!(object, "a stored object is damaged");
            Failure::new(ErrorCode::Damaged).with("object", object)
        }
        SessionError::Closing => Failure::new(ErrorCode::Overloaded).with("retry_s", 1),
        SessionError::Store(StoreError::Full) | SessionError::Catalog(CatalogError::Full) => {
            Failure::new(ErrorCode::StoreFull)
        }
        SessionError::Store(StoreError::Suspect(_)) => Failure::new(ErrorCode::StoreSuspect),
        SessionError::Store(
            StoreError::NotFound(object) | StoreError::TooLong(object) | StoreError::Damaged(object),
        ) => {
            tracing::error!(object, "a stored object is missing or damaged");
            Failure::new(ErrorCode::Damaged).with("object", object)
        }
        SessionError::NeedsRebuild(_)
        | SessionError::StoreEmptied(_)
        | SessionError::InUse
        | SessionError::Contract(_)
        | SessionError::Store(_)
        | SessionError::Catalog(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a call failed");
            Failure::new(ErrorCode::Internal)
        }
    }
}
