//! Looking into snapshots without taking anything back: which there are, what is in them, how they differ.
//!
//! `address` turns what a person types into a snapshot, `history` says which snapshots can be trusted, `contents` lists, finds and
//! compares. It prints nothing.

pub mod address;
pub mod contents;
pub mod history;
