//! What the proofs of several crates share; each takes this folder in by its path.
#![allow(dead_code, reason = "no crate uses all of it")]

pub mod campaign;
pub mod corpus;
pub mod loop_disk;
