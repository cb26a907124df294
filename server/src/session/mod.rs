//! A backup in progress, from the first frame to the receipt.
//!
//! In the order in which the bytes pass: [`open`] → [`check`] → [`intake`] ([`budget`]) → [`durable`] (on the [`writer`]'s
//! thread) → [`closure`] → [`commit`] → [`record`]. [`recover`] takes up what a crash left; [`subscription`] holds it all together.
//!
//! Everything here blocks; the gRPC layer calls it from threads that may.
//!
//! Invariant: I2 — frames durable in staging → catalog rows → acknowledgement → packs published → snapshot object durable → commit
//! row and day ledger in one transaction → receipt.

pub mod budget;
pub mod check;
pub mod closure;
pub mod commit;
pub mod durable;
pub mod error;
pub mod fetch;
pub mod intake;
pub mod live;
pub mod memory;
pub mod open;
pub mod record;
pub mod recover;
pub mod subscription;
pub mod suspicion;
pub mod verified;
pub mod writer;
