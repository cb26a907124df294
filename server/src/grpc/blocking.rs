//! From an asynchronous call to the storage engine, which blocks, and back.

use common::id::SubscriptionId;
use proto::code::{ErrorCode, Failure};
use tonic::{Request, Status};

use crate::auth::principal::Principal;
use crate::grpc::failure::of_session;
use crate::grpc::status::of_failure;
use crate::session::error::SessionError;
use crate::session::open::AgentPrincipal;

/// Runs a call of the engine on a thread that may block.
///
/// # Errors
/// The status of its error, or of a panic in it.
pub async fn run<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, SessionError> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(|error| of_session(&error)),
        Err(_) => Err(of_failure(Failure::new(ErrorCode::Internal))),
    }
}

/// Who calls.
///
/// # Errors
/// Unauthenticated if the authentication layer put nobody in, or somebody who must change the password first.
pub fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let principal = request.extensions().get::<Principal>();
    match principal {
        None => Err(of_failure(Failure::new(ErrorCode::Unauthenticated))),
        Some(Principal::Person { must_change_password: true, .. }) => {
            Err(of_failure(Failure::new(ErrorCode::MustChangePassword)))
        }
        Some(principal) => Ok(principal.clone()),
    }
}

/// The agent that calls, and whose it is.
///
/// # Errors
/// As [`principal`]; permission denied for anybody else.
pub fn agent<T>(request: &Request<T>) -> Result<(SubscriptionId, AgentPrincipal), Status> {
    match principal(request)? {
        Principal::Agent { agent, subscription, scope, .. } => Ok((subscription, AgentPrincipal { agent, scope })),
        Principal::Person { .. } | Principal::Operator { .. } | Principal::Enrolment { .. } => {
            Err(of_failure(Failure::new(ErrorCode::PermissionDenied).with("role", "agent")))
        }
    }
}

/// An id of a request.
///
/// # Errors
/// Invalid argument, naming the field.
pub fn id<'a, T: TryFrom<&'a [u8]>>(field: &'static str, bytes: &'a [u8]) -> Result<T, SessionError> {
    T::try_from(bytes).map_err(|_| SessionError::invalid(field, "has the wrong length"))
}

/// An id of a request that may be empty.
///
/// # Errors
/// As [`id`].
pub fn optional_id<'a, T: TryFrom<&'a [u8]>>(field: &'static str, bytes: &'a [u8]) -> Result<Option<T>, SessionError> {
    if bytes.is_empty() { Ok(None) } else { id(field, bytes).map(Some) }
}
