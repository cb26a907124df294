//! Why the store did not do what it was asked.

use std::io;

/// A failed operation of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("object {0} does not exist")]
    NotFound(String),
    /// The name is taken; nothing was changed.
    #[error("object {0} already exists")]
    AlreadyExists(String),
    /// Longer than what the reader accepts.
    #[error("object {0} is too long")]
    TooLong(String),
    /// A file that is no object of this program; nothing is concluded from such a folder.
    #[error("{0} is not an object of this store")]
    Foreign(String),
    /// A folder that does not bear the mark of a store: perhaps it is not mounted.
    #[error("folder {0} is not a store")]
    NoStore(String),
    /// An object does not read back as it was stored.
    #[error("object {0} is damaged")]
    Damaged(String),
    /// The disk is full, or below its reserve.
    #[error("the store is full")]
    Full,
    /// An earlier write could not be made durable; nothing more is written until a person looked.
    #[error("the store is suspect: {0}")]
    Suspect(String),
    /// The operating system refused.
    #[error("{attempt} {object}")]
    Failed {
        /// What was attempted.
        attempt: &'static str,
        /// On what.
        object: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// What an operating system error means to the store.
    pub fn from_io(attempt: &'static str, object: impl ToString, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(object.to_string()),
            io::ErrorKind::AlreadyExists => Self::AlreadyExists(object.to_string()),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Failed { attempt, object: object.to_string(), source },
        }
    }
}
