//! The storage server: sessions, packs, catalog, contract rules, upkeep jobs.
//!
//! No plaintext, no file name and no reading key (I4).

pub mod auth;
pub mod clock;
pub mod contract;
pub mod store;
