//! Purge: trash whose grace is over is deleted, and then the packs that hold nothing any more.
//!
//! ```text
//! an epoch's sessions have ended and 7 days have passed → its rows go, parents first, a few thousand per transaction
//!   → packs that no row points to are noted as emptied → an hour later: pack gone, directory fsynced → row of the pack
//! ```
//! Rows of chunks go before the pack, so that no row ever points to a frame that is gone; the row of the pack goes last, so that
//! a crash leaves a pack that is known to be empty, never one that looks lost. A pack that still holds something is left to
//! compaction.
//!
//! Invariant: I5 — between two transactions what is left of the trash is as usable as before: a row goes after all that name it.

use common::limits::{EMPTIED_PACK_S, TRASH_GRACE_S};

use crate::catalog::trash::TrashEpoch;
use crate::session::subscription::Subscription;
use crate::upkeep::jobs::{Counts, JobError};
use crate::upkeep::remove::Pass;
use crate::upkeep::token::{Progress, Token};

/// Rows of one transaction: short enough for a backup to wait for.
const ROWS_PER_TRANSACTION: usize = 2_048;
const SECOND_NS: i64 = 1_000_000_000;

/// Deletes the trash that is due, and the packs that are empty.
///
/// # Errors
/// [`JobError`]; what was done until then stays done.
pub fn purge(open: &Subscription, pass: &Pass<'_>, token: &Token) -> Result<Counts, JobError> {
    let mut purged = 0;
    for epoch in open.read(|catalog| Ok(catalog.trash_epochs()?))? {
        if !is_due(open, epoch, pass.now_ns())? {
            // Those after it wait for the same sessions, and longer.
            break;
        }
        purged += purge_epoch(open, epoch, pass, token)?;
    }
    let (packs, bytes) = remove_emptied(open, pass, token)?;
    let waiting = open.read(|catalog| Ok(catalog.trashed_rows(None)?.len()))?;
    Ok(vec![("purged", purged), ("waiting", waiting), ("packs", packs), ("bytes", bytes)])
}

fn is_due(open: &Subscription, epoch: TrashEpoch, now_ns: i64) -> Result<bool, JobError> {
    if now_ns.saturating_sub(epoch.at_ns) < TRASH_GRACE_S * SECOND_NS {
        return Ok(false);
    }
    Ok(!open.read(|catalog| Ok(catalog.has_open_session_until(epoch.newest_session)?))?)
}

fn purge_epoch(open: &Subscription, epoch: TrashEpoch, pass: &Pass<'_>, token: &Token) -> Result<u64, JobError> {
    let order = open.read(|catalog| {
        Ok(catalog.at_once(|catalog| catalog.purge_order(&catalog.trashed_rows(Some(epoch.epoch))?))?)
    })?;
    let (total, mut purged) = (order.rows.len() as u64, 0);
    for rows in order.rows.chunks(ROWS_PER_TRANSACTION) {
        token.go_on()?;
        token.report(Progress { done: purged, total, unit: "chunks" });
        pass.check()?;
        let (rows, named_later) = (rows.to_vec(), order.named_later.clone());
        purged += open.writer().run(move |writer| {
            let purged = writer.catalog.atomically(|catalog| catalog.purge_rows(&rows, &named_later));
            purged.map_err(|error| writer.catalog_failed(error))
        })?;
    }
    open.writer().run(|writer| {
        let forgotten = writer.catalog.atomically(|catalog| catalog.forget_empty_epochs());
        forgotten.map_err(|error| writer.catalog_failed(error))?;
        // What was never committed is off the account with its rows.
        Ok(writer.shared.intake.lock().refresh_account()?)
    })?;
    Ok(purged)
}

/// Removes packs that have been empty for long enough; how many, and their bytes. Notes those that became empty.
fn remove_emptied(open: &Subscription, pass: &Pass<'_>, token: &Token) -> Result<(u64, u64), JobError> {
    let now_ns = pass.now_ns();
    for pack in open.read(|catalog| Ok(catalog.packs_without_chunks()?))? {
        token.go_on()?;
        open.writer().run(move |writer| Ok(writer.catalog.note_emptied(pack, now_ns)?))?;
    }
    let (mut removed, mut bytes) = (0, 0);
    let packs = open.read(|catalog| Ok(catalog.packs()?))?;
    let until_ns = now_ns.saturating_sub(EMPTIED_PACK_S * SECOND_NS);
    for pack in packs.iter().filter(|pack| pack.emptied_at_ns != 0 && pack.emptied_at_ns <= until_ns) {
        token.go_on()?;
        token.report(Progress { done: removed, total: 0, unit: "packs" });
        // A lost one may have come back: its row must not go while it is there.
        pass.remove_pack(pack, until_ns)?;
        let row = pack.row;
        open.writer().run(move |writer| {
            let forgotten = writer.catalog.atomically(|catalog| catalog.forget_emptied(row));
            forgotten.map_err(|error| writer.catalog_failed(error))
        })?;
        removed += 1;
        bytes += pack.bytes;
    }
    Ok((removed, bytes))
}
