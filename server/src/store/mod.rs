//! Where bytes live: packs and small objects under `subscriptions/<id>/`, and the staging files that packs begin as.
//!
//! It knows names, files and orders of writes; it knows no chunk, no snapshot and no rule of the contract.

pub mod activity;
pub mod control_copies;
pub mod durable;
pub mod error;
pub mod fact;
pub mod health;
pub mod name;
pub mod objects;
pub mod packer;
pub mod reader;
