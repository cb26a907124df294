//! Integration tests of the server's parts, driven without a network where possible.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

mod budget;
mod engine;
mod hostile;
mod recovery;

mod sessions;
