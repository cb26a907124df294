//! The storage server: sessions, packs, catalog, contract rules, upkeep jobs.
//!
//! Invariant: I4 — no plaintext, no file name and no reading key is ever here; what is sealed is stored and sent as it came.
//! Invariant: I5 — nothing that a committed snapshot or an open session can reach is removed. No upkeep job removes a published object;
//! staging files go only once they are published or hold nothing acknowledged (`session::recover`).

pub mod admin;
pub mod app;
pub mod audit;
pub mod auth;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection;
pub mod contract;
pub mod control;
pub mod durable;
pub mod grpc;
pub mod identity;
pub mod keyrings;
pub mod listen;
pub mod lookups;
pub mod monitor;
pub mod session;
pub mod setup;
pub mod store;
pub mod subscriptions;
pub mod tls;
pub mod upkeep;
pub mod usage;
