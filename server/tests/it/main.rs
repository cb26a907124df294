//! Integration tests of the server: its parts driven directly, its calls over real TLS on loopback.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

mod account;
mod admin;
mod budget;
mod connection;
mod engine;
mod harness;
mod hostile;
mod recovery;
mod sessions;
mod streams;
mod upkeep;
