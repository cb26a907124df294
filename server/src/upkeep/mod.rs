//! Background work on what is stored: no key is needed, and no backup waits for it.
//!
//! Nothing here removes a stored object.

pub mod control_copy;
pub mod facts;
pub mod jobs;
pub mod quarantine;
pub mod rebuild;
pub mod records;
pub mod recount;
pub mod scrub;
pub mod scrub_round;
pub mod token;
