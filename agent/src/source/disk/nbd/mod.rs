//! A client of NBD, the network block device protocol, for reading: ranges of a disk, which of them are allocated, which changed.
//!
//! `wire` has the messages, `client` the handshake and the commands (NetworkBlockDevice/nbd, doc/proto.md: fixed newstyle
//! handshake, structured replies, metadata contexts). It writes nothing to a disk and has no command that could.
//!
//! Invariant: no length that a server sends is believed before it is bounded.

pub mod client;
pub mod wire;

/// Why a disk cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum NbdError {
    /// The connection.
    #[error("talk to the disk's server")]
    Io(#[from] std::io::Error),
    /// The server does not keep to the protocol.
    #[error("the disk's server breaks the protocol: {0}")]
    Protocol(&'static str),
    /// The server says no.
    #[error("the disk's server refuses: {said} (error {number})")]
    Refused {
        /// Number of the error.
        number: u32,
        /// Its own words, or empty.
        said: String,
    },
}

impl From<NbdError> for std::io::Error {
    fn from(error: NbdError) -> Self {
        match error {
            NbdError::Io(error) => error,
            other => Self::other(other),
        }
    }
}
