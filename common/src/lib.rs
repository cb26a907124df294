//! The formats and rules that agent and server share: ids, limits, keys, frames, packs, the snapshot tree, records, texts.
//!
//! No file, no network, no clock, no thread: values in, values out, so that it can one day run in a browser.

pub mod bandwidth;
pub mod envelope;
pub mod frame;
pub mod id;
pub mod keyring;
pub mod keys;
pub mod limits;
pub mod pack;
pub mod receipt;
pub mod recovery;
pub mod report;
pub mod schedule;
pub mod snapshot;
pub mod source_kind;
pub mod stored;
pub mod text;
pub mod tree;
pub mod zone;
