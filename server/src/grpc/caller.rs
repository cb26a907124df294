//! What handlers need of a request beside its message: who calls, the trail, and a thread to block on.

use std::sync::Arc;

use common::id::{AgentId, InvalidId, ScopeId, SourceId, SubscriptionId};
use proto::code::{ErrorCode, Failure};
use tonic::{Request, Status};

use super::status;
use crate::auth::principal::Principal;
use crate::control::audit::Trace;
use crate::control::{Control, ControlError};

/// The principal that the layer put into a request.
///
/// # Errors
/// `Unauthenticated` if there is none.
pub fn principal<T>(request: &Request<T>) -> Result<Principal, Status> {
    let principal = request.extensions().get::<Principal>().cloned();
    principal.ok_or_else(|| status::of_failure(Failure::new(ErrorCode::Unauthenticated)))
}

/// The subscription of a person or an agent.
///
/// # Errors
/// `PermissionDenied` for anybody else.
pub fn subscription(principal: &Principal) -> Result<SubscriptionId, Failure> {
    match principal {
        Principal::Person { subscription, .. }
        | Principal::Agent { subscription, .. }
        | Principal::Enrolment { subscription, .. } => Ok(*subscription),
        Principal::Operator { .. } => Err(Failure::new(ErrorCode::PermissionDenied).with("role", "person")),
    }
}

/// Who calls, from where and when, for the trail.
pub fn trace<T>(request: &Request<T>) -> Trace {
    let trace = request.extensions().get::<Trace>().cloned();
    trace.unwrap_or_else(|| Trace { who: "unknown".into(), address: "unknown".into(), at_ns: 0 })
}

/// Runs `work` on the control store, off the async workers.
///
/// # Errors
/// What `work` failed with.
pub async fn with_control<T: Send + 'static>(
    control: &Arc<Control>,
    work: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Failure> {
    let control = control.clone();
    blocking(move || work(&control).map_err(|error| status::of_control(&error))).await
}

/// Runs `work` off the async workers.
///
/// # Errors
/// What `work` failed with.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(status::internal(&error)))
}

/// Reads an id of a request.
///
/// # Errors
/// `InvalidArgument` naming the field.
pub fn id<'a, Id: TryFrom<&'a [u8], Error = InvalidId>>(field: &str, bytes: &'a [u8]) -> Result<Id, Failure> {
    Id::try_from(bytes).map_err(|_| status::invalid(field, "length"))
}

/// Reads an id of a request that may be left out.
///
/// # Errors
/// `InvalidArgument` naming the field.
pub fn optional_id<'a, Id: TryFrom<&'a [u8], Error = InvalidId>>(
    field: &str,
    bytes: &'a [u8],
) -> Result<Option<Id>, Failure> {
    if bytes.is_empty() { Ok(None) } else { id(field, bytes).map(Some) }
}

macro_rules! wire_id {
    ($($id:ty),*) => {$(
        impl WireId for $id {
            fn wire(&self) -> bytes::Bytes {
                bytes::Bytes::copy_from_slice(self.as_bytes())
            }
        }
    )*};
}

/// An id as the wire carries it.
pub trait WireId {
    /// Its bytes.
    fn wire(&self) -> bytes::Bytes;
}

wire_id!(AgentId, ScopeId, SourceId, SubscriptionId);
