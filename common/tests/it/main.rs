//! Properties of the stored formats and their golden files, and the rules that hold for the whole tree.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::disallowed_methods, missing_docs)]
#![allow(clippy::cast_possible_truncation, reason = "numbers of a test fit")]

mod digest;
mod extents;
mod forest;
mod golden;
mod tidy;
mod tree;
