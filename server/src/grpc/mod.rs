//! The gRPC services: they turn messages into domain types, call what decides, and turn results into messages.
//!
//! Invariant: I7 — with `auth` and `admin`, the only home of `tonic` in this crate.
//! Invariant: I11 — what does not exist and what is somebody else's get the same answer from the same path.

pub mod account;
pub mod admin;
pub mod approvals;
pub mod audit;
pub mod backup;
pub mod blocking;
pub mod caller;
pub mod closures;
pub mod convert;
pub mod failure;
mod fetch;
pub mod form;
pub mod history;
pub mod measure;
pub mod monitor;
pub mod orders;
pub mod outlook;
pub mod places;
pub mod quotas;
pub mod records;
pub mod restore;
pub mod router;
pub mod serve;
pub mod server;
pub mod sets;
pub mod status;
pub mod transfer;
pub mod upkeep;
pub mod usage;
