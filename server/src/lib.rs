//! The storage server: sessions, packs, catalog, contract rules, upkeep jobs.
//!
//! No plaintext, no file name and no reading key (I4).

pub mod admin;
pub mod app;
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
pub mod session;
pub mod setup;
pub mod store;
pub mod subscriptions;
pub mod tls;
pub mod upkeep;
