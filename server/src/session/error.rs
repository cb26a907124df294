//! Why a session was refused, or could not go on.

use common::id::SourceId;
use common::stored::RecordError;
use jiff::Timestamp;

use crate::catalog::error::CatalogError;
use crate::contract::admission::{LimitKind, Refusal};
use crate::contract::terms::Closed;
use crate::store::error::StoreError;

/// A refused or failed step of a session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The request contradicts itself, the format or the session.
    #[error("{field} is invalid: {reason}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The source is not on the order form.
    #[error("source {0} is not contracted")]
    NotContracted(SourceId),
    /// No backup is taken for the moment, or any more.
    #[error("the subscription is closed: {reason}")]
    Suspended {
        /// The suspension's reason, or `ended`.
        reason: &'static str,
        /// Until when, if that is known.
        until: Option<Timestamp>,
    },
    /// Announced maintenance postpones backups.
    #[error("the server is in maintenance until {until}")]
    Maintenance {
        /// Until when.
        until: Timestamp,
        /// In how many seconds to try again.
        retry_s: u64,
    },
    /// It would exceed what the contract allows.
    #[error("the limit {} of the contract is reached", exceeded.limit.name())]
    Quota {
        /// What is used and what is allowed.
        exceeded: Refusal,
        /// Whom to call.
        contact: String,
    },
    /// There is no such session, or no more, or it is somebody else's.
    #[error("the session is unknown")]
    Unknown,
    /// A later run of the same agent and source took its place.
    #[error("the session was superseded")]
    Superseded,
    /// The session id was used before by somebody else, or for something else.
    #[error("the session id is taken")]
    IdTaken,
    /// The agent speaks a protocol that this server does not.
    #[error("protocol version {0} is not spoken here")]
    Protocol(u32),
    /// A bound of the subscription is reached.
    #[error("limit {limit} of {max} is reached")]
    Limit {
        /// Which one.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// There is no such subscription.
    #[error("the subscription is unknown")]
    NoSubscription,
    /// The catalog does not know everything that the store holds: it must be made again before anything is written.
    #[error("the catalog must be rebuilt: {0}")]
    NeedsRebuild(String),
    /// The store holds nothing of what the catalog says it does: nothing is concluded from that, and nothing changed.
    #[error("the store does not hold {0}")]
    StoreEmptied(&'static str),
    /// A stored object does not read back as it was written.
    #[error("{0} is damaged")]
    Damaged(String),
    /// Another process holds the subscription.
    #[error("the subscription is in use by another process")]
    InUse,
    /// The subscription is being closed.
    #[error("the subscription is closing")]
    Closing,
    /// The contract's side could not be asked.
    #[error("the contract could not be read: {0}")]
    Contract(String),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog refused or failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl From<Closed> for SessionError {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Ended { .. } => Self::Suspended { reason: "ended", until: None },
            Closed::Suspended { reason, until } => Self::Suspended { reason: reason.name(), until },
            Closed::Maintenance { until, retry_s } => Self::Maintenance { until, retry_s },
        }
    }
}

impl SessionError {
    /// A batch or a commit that exceeds what the contract allows.
    pub fn quota(exceeded: Refusal, contact: String) -> Self {
        if exceeded.limit == LimitKind::Chunks {
            return Self::Limit { limit: exceeded.limit.name(), max: exceeded.allowed };
        }
        Self::Quota { exceeded, contact }
    }

    /// An invalid field.
    pub fn invalid(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { field, reason: reason.into() }
    }

    /// An invalid record sent by an agent.
    pub fn record(field: &'static str, error: &RecordError) -> Self {
        Self::invalid(field, error.to_string())
    }
}
