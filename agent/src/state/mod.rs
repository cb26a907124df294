//! What the agent keeps on disk: its identity, and one folder per source.
//!
//! ```text
//! STATE/identity.toml        who this machine is; mode 0600
//! STATE/sources/<source id>/ memory of the last tree, page hashes of its large files, receipts, the session in
//!                            progress, how its runs went, what was mounted
//! ```
//! Every file but page hashes is written through `durable`. Losing the folders of the sources costs one slower run; losing the identity, a new setup.

use std::path::{Path, PathBuf};

use common::id::SourceId;

pub mod by_id;
pub mod identity;
pub mod journal;
pub mod memory;
pub mod mounted;
pub mod pages;
pub mod receipts;
pub mod recorder;
pub mod runs;

/// Where the identity is kept.
pub fn identity_path(state: &Path) -> PathBuf {
    state.join("identity.toml")
}

/// The folder of one source.
pub fn source_folder(state: &Path, source: &SourceId) -> PathBuf {
    state.join("sources").join(source.to_string())
}
