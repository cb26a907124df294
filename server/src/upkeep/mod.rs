//! Background work on what is stored: no key is needed, and no backup waits for it.
//!
//! Nothing here removes a stored object.

pub mod quarantine;
pub mod rebuild;
pub mod recount;
pub mod scrub;
