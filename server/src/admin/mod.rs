//! `dobaas-admin`: the operators' command line, an RPC client and nothing else.
//!
//! It trusts the provider's root by its fingerprint only, and keeps one login token in a private file.

pub mod remote;
