//! The wire: generated types of `dobaas.v1`, their conversion to domain types, and error codes on statuses.
//!
//! No logic. Generated types stop in `convert`; everybody else uses domain types.
//!
//! Invariant: I7 — with `agent::remote` and the server's `grpc`, `auth` and `admin`, the only home of `tonic`.

pub mod code;
pub mod convert;

/// Generated from `proto/dobaas/v1/*.proto`, whose comments are the documentation.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    tonic::include_proto!("dobaas.v1");
}

/// Version of the protocol that this program speaks.
pub const PROTOCOL: u32 = 1;

/// `SetAccountEndRequest.ends_at_ns` of an account that ends at once, by the server's clock.
pub const AT_ONCE: i64 = 1;
