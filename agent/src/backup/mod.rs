//! A backup, in the order in which data flows: `walk` → `compare` (with `previous`, the last tree) → `read`, or `large` with
//! `increment` → `split` → known? (`content`, then the server; `lay`) → `seal` → `upload` → `assemble` → `commit`. `work` and
//! `desk` put threads to it, `run` holds it together.
//!
//! ```text
//! walk ──batches──► compare ──plan────────────────────────────────► assemble ──nodes──► upload ──► server
//!                      └──jobs──► desk ◄──► workers ──results──────────┘                  ▲
//!                                            └──frames──────────────────────────────────┘
//! ```
//! Every arrow is bounded. It reads no clock and draws no random bytes: the caller gives them.
//!
//! Invariant: I12 — a run ends `complete`, `partial` or with an error; what was skipped is listed in the snapshot.

mod ahead;
pub mod assemble;
pub mod buffers;
pub mod carry;
pub mod commit;
pub mod compare;
pub mod content;
pub mod desk;
pub mod digest;
pub mod fetch;
pub mod increment;
pub mod input;
pub mod job;
mod kept;
pub mod large;
pub mod lay;
pub mod moved;
mod out;
pub mod overlay;
pub mod pipeline;
pub mod plan;
pub mod previous;
pub mod progress;
pub mod read;
mod remember;
pub mod run;
pub mod seal;
pub mod shared;
pub mod sparing;
pub mod split;
#[cfg(test)]
mod tests;
pub mod upload;
pub mod walk;
pub mod work;

use common::stored::RecordError;
use common::tree::builder::BuildError;
use common::tree::extents::LayerError;

use crate::backup::seal::SelfCheckFailed;
use crate::durable::DurableError;
use crate::remote::RemoteError;
use crate::source::files::WalkError;
use crate::state::journal::LockError;
use crate::state::memory::MemoryError;

/// Why a run made no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A rule of the set is wrong.
    #[error(transparent)]
    Pattern(#[from] crate::source::excludes::InvalidPattern),
    /// A folder of the set cannot be read, or the set is wrong.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The server refused, or cannot be reached.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Another run holds the source, or its folder cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The state folder cannot be written.
    #[error(transparent)]
    Disk(#[from] DurableError),
    /// The memory of the last tree failed in the middle of the run.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// This machine miscomputes.
    #[error(transparent)]
    SelfCheck(#[from] SelfCheckFailed),
    /// The system refused something that no single file is to blame for.
    #[error("the system refused")]
    Io(#[source] std::io::Error),
    /// The data would not be where it must be.
    #[error("the server keeps data in {found}, not in {wanted}")]
    Location {
        /// What the server declares.
        found: String,
        /// What this agent is configured for.
        wanted: String,
    },
    /// The receipt is not one.
    #[error("the receipt of the server cannot be accepted: {what}")]
    Receipt {
        /// What is wrong with it.
        what: &'static str,
        /// How that showed.
        #[source]
        source: Option<RecordError>,
    },
    /// The server misses chunks that were sent, again and again.
    #[error("the server still misses {0} chunks")]
    StillMissing(usize),
    /// The tree cannot be written: the text says which entry.
    #[error("{0}")]
    Tree(String),
    /// The session key cannot be sealed to its recipients.
    #[error(transparent)]
    Envelope(#[from] common::envelope::EnvelopeError),
    /// A file got one more name in a pass that follows a change journal: the pass begins again without it.
    #[error("a file has one more name than before")]
    FurtherName,
    /// The run was asked to stop.
    #[error("interrupted")]
    Cancelled,
    /// Another thread failed; its error is the one that is told.
    #[error("stopped")]
    Stopped,
}

impl From<BuildError<Self>> for BackupError {
    fn from(error: BuildError<Self>) -> Self {
        match error {
            BuildError::Sink(error) => error,
            other => Self::Tree(other.to_string()),
        }
    }
}

impl From<LayerError<Self>> for BackupError {
    fn from(error: LayerError<Self>) -> Self {
        match error {
            LayerError::Sink(error) => error,
            other => Self::Tree(other.to_string()),
        }
    }
}
