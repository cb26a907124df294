//! What a commit tells about itself, and the hold that follows when it looks like ransomware.
//!
//! Sizes and counts only; the rules are `contract::hold`'s. The backup goes on whatever they say.
//!
//! Invariant: the hold is durable before the snapshot's object: no crash leaves a suspect snapshot without its hold. A crash
//! between the two leaves a hold of a snapshot that the agent commits again; the hold that is there then stands for it.

use common::pack::FrameClass;
use common::snapshot::SnapshotHead;
use common::stored::{ServerPart, SnapshotState};
use jiff::civil::Date;
use roaring::RoaringBitmap;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::snapshots::SnapshotFacts;
use crate::contract::hold::{Observation, signals};
use crate::contract::order_form::PER_MILLE_DEFAULT;
use crate::contract::quota::{Rate, SourceShare, days_carried};
use crate::session::error::SessionError;
use crate::session::writer::Writer;
use crate::upkeep::facts::{self, Facts, NewHold};

/// A snapshot that is about to be committed.
pub struct Candidate<'a> {
    /// What its agent says of it.
    pub head: &'a SnapshotHead,
    /// What the server adds.
    pub server: &'a ServerPart,
    /// Rows that it is the first to reach.
    pub first_reached: &'a RoaringBitmap,
    /// Plain bytes that the previous snapshot reached and this one does not.
    pub gone_bytes: u64,
}

impl Writer {
    /// Places a hold if the snapshot is suspect and has none yet.
    ///
    /// # Errors
    /// [`SessionError`] if the hold could not be made durable; nothing is committed then.
    pub(in crate::session) fn judge(&self, candidate: &Candidate<'_>) -> Result<(), SessionError> {
        let SnapshotHead { session, source, .. } = candidate.head;
        let Some(previous) = self.catalog.newest_snapshot(source)? else { return Ok(()) };
        let seen = observe(&self.catalog, candidate, &previous, self.shared.rate())?;
        let fired = signals(self.shared.thresholds, seen);
        if fired.is_empty() {
            return Ok(());
        }
        let known = facts::known(&self.catalog)?;
        if known.holds.iter().any(|hold| hold.snapshot == *session) {
            return Ok(());
        }
        tracing::warn!(subscription = %self.shared.subscription, snapshot = %session, ?fired, "a snapshot is suspect");
        let new = NewHold {
            snapshot: *session,
            source: *source,
            clean: last_clean(&self.catalog, &known, &previous)?,
            at_ns: candidate.server.received_at_ns,
            signals: fired,
            seen,
        };
        facts::hold(&self.shared.objects, &self.shared.subscription, &self.catalog, &new)
    }
}

fn observe(
    catalog: &Catalog,
    candidate: &Candidate<'_>,
    previous: &SnapshotFacts,
    rate: Option<Rate>,
) -> Result<Observation, CatalogError> {
    let Candidate { head, server, first_reached, gone_bytes } = candidate;
    let counts = &head.counts;
    let history = catalog.history_of(&head.source)?;
    Ok(Observation {
        changed_bytes: server.changed_bytes,
        stored_bytes: changed_frame_bytes(catalog, first_reached)?,
        allowed_bytes: allowed_bytes(catalog, server, previous, rate)?,
        plain_bytes: server.reachable_bytes,
        previous_plain_bytes: previous.server.reachable_bytes,
        gone_bytes: *gone_bytes,
        history_plain_bytes: history.plain_bytes,
        history_stored_bytes: history.stored_bytes,
        previous_entries: counts
            .files_unchanged
            .saturating_add(counts.files_changed)
            .saturating_add(counts.files_deleted),
        gone_entries: counts.files_deleted,
    })
}

/// Frames of the data that counts as change, in bytes.
fn changed_frame_bytes(catalog: &Catalog, first_reached: &RoaringBitmap) -> Result<u64, CatalogError> {
    first_reached.iter().try_fold(0, |sum, row| {
        let chunk = catalog.chunk_of_row(row)?;
        let counts = !chunk.kind.is_node() && chunk.class == FrameClass::Changed;
        Ok(sum + if counts { u64::from(chunk.frame_bytes) } else { 0 })
    })
}

/// The source's own part of the day's allowance; 0 while it has no baseline.
fn allowed_bytes(
    catalog: &Catalog,
    server: &ServerPart,
    previous: &SnapshotFacts,
    rate: Option<Rate>,
) -> Result<u64, CatalogError> {
    let Some(baseline_bytes) = catalog.baseline_of(&previous.source)? else { return Ok(0) };
    let contract = Rate { per_mille: PER_MILLE_DEFAULT, min_daily_allowance_bytes: 0, contracted_bytes: u64::MAX };
    let rate = rate.unwrap_or(contract);
    let day = |text: &str| text.parse::<Date>().map_err(|_| CatalogError::Inconsistent("a day is malformed"));
    let days = days_carried(day(&server.day)?, Some(day(&previous.server.day)?), true);
    Ok(rate.allowed_bytes(&[SourceShare { baseline_bytes, days }]).unwrap_or(0))
}

/// The newest snapshot of a source that no hold calls suspect, complete if there is such a one. Whatever came after a suspect
/// one is no cleaner than it: the hold that stands says which was the last.
fn last_clean(
    catalog: &Catalog,
    known: &Facts,
    previous: &SnapshotFacts,
) -> Result<Option<common::id::SessionId>, CatalogError> {
    let standing = known.holds.iter().find(|hold| hold.lifted.is_none() && hold.source == previous.source);
    if let Some(hold) = standing {
        return Ok(hold.clean);
    }
    let snapshots = catalog.snapshots_until(Some(&previous.source), i64::MAX, u32::MAX)?;
    let complete = snapshots.iter().find(|snapshot| snapshot.state == SnapshotState::Complete);
    Ok(complete.or(snapshots.first()).map(|snapshot| snapshot.session))
}
