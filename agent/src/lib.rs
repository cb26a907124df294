//! The agent: backup pipeline, sources, restore and local state. `main.rs` is a thin shell around it.

pub mod backup;
pub mod browse;
pub mod cli;
pub mod config;
pub mod durable;
pub mod remote;
pub mod restore;
pub mod schedule;
pub mod service;
pub mod source;
pub mod state;
