//! `dobaas-admin`: the operators' command line, an RPC client and nothing else.
//!
//! It trusts the provider's root by its fingerprint only, and keeps one login token in a private file.

pub mod account;
pub mod agent;
pub mod alarm;
pub mod amended;
pub mod annex;
pub mod approval;
pub mod audit;
pub mod closure;
pub mod command;
pub mod completions;
pub mod confirm;
pub mod csv;
pub mod customer;
pub mod day;
pub mod failure;
pub mod hold;
pub mod login;
pub mod order_form;
pub mod order_options;
pub mod protect;
pub mod quota;
pub mod reevaluation;
pub mod relocation;
pub mod remote;
pub mod report;
pub mod retention;
pub mod secret;
pub mod shown;
pub mod state;
pub mod subscription;
pub mod table;
pub mod upkeep;
pub mod volume;
