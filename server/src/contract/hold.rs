//! Hold: the signals of a sudden change, which is also what ransomware looks like (reliability.md).
//!
//! It reads sizes and counts only, never content. It does not block a backup: it marks it `suspect`, and pruning freezes.
//!
//! Invariant: thresholds only ever add a hold; lifting one is a decision of two operators.

use common::stored::HoldSignal;
use serde::Deserialize;

/// When a snapshot is suspect; settings of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Change over this many times the day's allowance.
    pub allowance_times: u64,
    /// Change over this share of the volume, in per cent, together with content that no longer compresses.
    pub changed_percent: u64,
    /// Stored size of new content over this share of its plain size, in per cent: it no longer compresses.
    pub incompressible_percent: u64,
    /// Share of stored size over plain size of the source's history under which content used to compress, in per cent.
    pub compressed_before_percent: u64,
    /// Entries gone over this share of the previous snapshot's, or content gone over this share of its bytes, in per cent.
    pub gone_percent: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            allowance_times: 25,
            changed_percent: 10,
            incompressible_percent: 95,
            compressed_before_percent: 85,
            gone_percent: 30,
        }
    }
}

/// What a commit tells about itself, as sizes and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observation {
    /// Changed bytes of this snapshot.
    pub changed_bytes: u64,
    /// Bytes stored for them.
    pub stored_bytes: u64,
    /// The day's allowance; 0 while there is no baseline.
    pub allowed_bytes: u64,
    /// Plain bytes that this snapshot reaches.
    pub plain_bytes: u64,
    /// Plain bytes that the previous snapshot of this source reaches.
    pub previous_plain_bytes: u64,
    /// Of these, how many this snapshot does not reach any more.
    pub gone_bytes: u64,
    /// Plain and stored bytes of everything that this source stored before.
    pub history_plain_bytes: u64,
    /// See `history_plain_bytes`.
    pub history_stored_bytes: u64,
    /// Entries of the previous snapshot.
    pub previous_entries: u64,
    /// Of these, how many are gone.
    pub gone_entries: u64,
}

/// A reason to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Much more change than the contract knows.
    Change,
    /// Much change, and it no longer compresses.
    Incompressible,
    /// Many entries are gone, or much of the content.
    Gone,
}

impl Signal {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Incompressible => "incompressible",
            Self::Gone => "gone",
        }
    }

    /// As a record holds it.
    pub const fn stored(self) -> HoldSignal {
        match self {
            Self::Change => HoldSignal::Change,
            Self::Incompressible => HoldSignal::Incompressible,
            Self::Gone => HoldSignal::Gone,
        }
    }

    /// From a record; `None` for a signal that this program does not know.
    pub const fn of_stored(stored: HoldSignal) -> Option<Self> {
        match stored {
            HoldSignal::Unspecified => None,
            HoldSignal::Change => Some(Self::Change),
            HoldSignal::Incompressible => Some(Self::Incompressible),
            HoldSignal::Gone => Some(Self::Gone),
        }
    }
}

/// The signals that fire; empty is a clean snapshot. A first snapshot never fires.
pub fn signals(thresholds: Thresholds, seen: Observation) -> Vec<Signal> {
    let over = |part: u64, percent: u64, whole: u64| u128::from(part) * 100 > u128::from(percent) * u128::from(whole);
    let mut fired = Vec::new();
    if seen.previous_entries == 0 && seen.previous_plain_bytes == 0 {
        return fired;
    }
    if seen.allowed_bytes > 0
        && u128::from(seen.changed_bytes) > u128::from(thresholds.allowance_times) * u128::from(seen.allowed_bytes)
    {
        fired.push(Signal::Change);
    }
    let incompressible = over(seen.stored_bytes, thresholds.incompressible_percent, seen.changed_bytes)
        && !over(seen.history_stored_bytes, thresholds.compressed_before_percent, seen.history_plain_bytes);
    if incompressible && over(seen.changed_bytes, thresholds.changed_percent, seen.previous_plain_bytes) {
        fired.push(Signal::Incompressible);
    }
    // Counts are the agent's, bytes are the server's own: either is enough.
    if over(seen.gone_entries, thresholds.gone_percent, seen.previous_entries)
        || over(seen.gone_bytes, thresholds.gone_percent, seen.previous_plain_bytes)
    {
        fired.push(Signal::Gone);
    }
    fired
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Observation = Observation {
        changed_bytes: 1_000_000,
        stored_bytes: 400_000,
        allowed_bytes: 2_000_000,
        plain_bytes: 1_000_000_000,
        previous_plain_bytes: 1_000_000_000,
        gone_bytes: 1_000_000,
        history_plain_bytes: 1_000_000_000,
        history_stored_bytes: 400_000_000,
        previous_entries: 20_000,
        gone_entries: 10,
    };

    #[test]
    fn signals_fire_beyond_their_threshold_and_not_at_it() {
        let fired = |seen| signals(Thresholds::default(), seen);
        assert_eq!(fired(QUIET), []);
        assert_eq!(fired(Observation { changed_bytes: 50_000_000, ..QUIET }), []);
        assert_eq!(fired(Observation { changed_bytes: 50_000_001, ..QUIET }), [Signal::Change]);
        let encrypted = Observation { changed_bytes: 200_000_000, stored_bytes: 200_010_000, ..QUIET };
        assert_eq!(fired(encrypted), [Signal::Change, Signal::Incompressible]);
        let media = Observation { history_stored_bytes: 990_000_000, ..encrypted };
        assert_eq!(fired(media), [Signal::Change], "what never compressed says nothing");
        assert_eq!(fired(Observation { gone_entries: 6_000, ..QUIET }), []);
        assert_eq!(fired(Observation { gone_entries: 6_001, ..QUIET }), [Signal::Gone]);
        assert_eq!(fired(Observation { gone_bytes: 300_000_000, ..QUIET }), []);
        assert_eq!(fired(Observation { gone_bytes: 300_000_001, ..QUIET }), [Signal::Gone]);
        let first = Observation { previous_entries: 0, previous_plain_bytes: 0, changed_bytes: u64::MAX, ..QUIET };
        assert_eq!(fired(first), []);
    }
}
