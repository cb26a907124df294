//! The terms of a subscription, as its order form sets them and the sessions need them.

use common::id::{SourceId, SubscriptionId};

/// A contracted source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsSource {
    /// Its id.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
}

/// Whether a subscription takes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// Not for the moment; restores stay open.
    Suspended,
    /// No more.
    Ended,
}

/// What a session is held to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whose terms.
    pub subscription: SubscriptionId,
    /// Volume of the order form, in bytes.
    pub contracted_bytes: u64,
    /// Volume that is never exceeded, in bytes.
    pub hard_volume_bytes: u64,
    /// Daily change, in thousandths of the first backup.
    pub per_mille: u32,
    /// History, in days.
    pub history_days: u32,
    /// Closed list of what may be backed up.
    pub sources: Vec<TermsSource>,
    /// Whether backups are taken.
    pub state: State,
    /// Whom a refusal tells to call.
    pub contact: String,
}
