//! Repair: good frames of a damaged pack are copied into a good one.
//!
//! ```text
//! scrub quarantines a pack and marks its damaged frames → repair copies the others, as compaction does
//!   → the next backup of each source lays the damaged ones again → nothing points to the pack any more, and it goes (`upkeep::purge`)
//! ```
//! It removes nothing, so it runs while nothing may be removed: a disk that begins to fail does not wait for a hold to end. What no
//! agent has any more stays marked as damaged, in the pack where it is.
//!
//! Invariant: I5 — as compaction: a row moves only to a frame that was read back from its pack with the same checksum.

use crate::catalog::error::CatalogError;
use crate::catalog::packs::{PackFacts, PackState};
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::upkeep::compact::{Wanted, rewrite};
use crate::upkeep::jobs::{Counts, JobError};
use crate::upkeep::token::{Progress, Token};

/// Saves what can be saved of quarantined packs; what is still damaged is counted.
///
/// # Errors
/// [`JobError`]; what was done until then stays done. A pack that cannot be opened does not keep the others.
pub fn repair(open: &Subscription, now_ns: i64, token: &Token) -> Result<Counts, JobError> {
    let packs: Vec<PackFacts> = open.read(|catalog| {
        Ok(catalog.at_once(|catalog| {
            let (mut packs, damaged) = (catalog.packs()?, catalog.damaged_rows()?);
            packs.retain(|pack| pack.state == PackState::Quarantined && pack.emptied_at_ns == 0);
            let mut with_good = Vec::new();
            for pack in packs {
                if catalog.chunks_of_pack(pack.row)?.iter().any(|(row, _)| !damaged.contains(*row)) {
                    with_good.push(pack);
                }
            }
            Ok::<_, CatalogError>(with_good)
        })?)
    })?;
    let (mut written, mut copied_bytes, mut failed) = (0, 0, 0);
    for (done, pack) in packs.iter().enumerate() {
        token.go_on()?;
        token.report(Progress { done: done as u64, total: packs.len() as u64, unit: "packs" });
        match rewrite(open, std::slice::from_ref(pack), (Wanted::Good, now_ns)) {
            Ok(Some(bytes)) => {
                written += 1;
                copied_bytes += bytes;
            }
            Ok(None) => {}
            Err(SessionError::Store(error)) => {
                tracing::error!(error = &error as &dyn std::error::Error, pack = pack.row, "a pack was not repaired");
                failed += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let damaged = open.read(|catalog| Ok(catalog.damaged_rows()?.len()))?;
    Ok(vec![("written", written), ("copied_bytes", copied_bytes), ("failed", failed), ("damaged_chunks", damaged)])
}
