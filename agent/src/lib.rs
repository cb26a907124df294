//! The agent's parts, for its program, its tests and its benches: what walks, splits, seals and sends, and what brings it back.
//!
//! It reads no clock, environment or random source itself: `main.rs` and `cli` hand them in (I8).

pub mod durable;
pub mod remote;
