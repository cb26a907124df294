//! Taking back: plan, fetch, write, metadata.
//!
//! The files in order are the way of the bytes: `unlock` opens frames, `fetch` brings many of them.

pub mod fetch;
pub mod unlock;
