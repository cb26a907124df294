//! Background work on what is stored: no key is needed, and no backup waits for it.
//!
//! Stored objects are removed in [`remove`] and nowhere else.

pub mod compact;
pub mod control_copy;
pub mod expire;
pub mod facts;
pub mod guard;
pub mod history;
pub mod jobs;
pub mod judge;
pub mod lifts;
pub mod mark;
pub mod purge;
pub mod quarantine;
pub mod read_pack;
pub mod rebuild;
pub mod records;
pub mod recount;
pub mod remove;
pub mod repair;
pub mod scrub;
pub mod scrub_round;
pub mod token;
pub mod tombstone;
