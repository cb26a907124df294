//! Compaction: packs that hold little are rewritten, and small ones are merged.
//!
//! ```text
//! frames copied as they are into a file of staging, each checked by its checksum → directory, fsync → read back and compared
//!   → row of the pack, arriving → object published → one transaction: rows of chunks point to it, the old packs are empty
//!   → an hour later the old packs go (`upkeep::purge`)
//! ```
//! No key is needed. A chunk that went elsewhere meanwhile (laid again, deleted) is left alone. Who planned to read from an old
//! pack still can, or looks again.
//!
//! Invariant: I1, I5 — a row moves only to a frame that was read back from its pack with the same checksum.

use std::collections::HashMap;
use std::fs;

use common::frame::checksum;
use common::limits::{COMPACT_FRAMES_MAX, PACK_BYTES_MAX, PACK_SESSIONS_MAX, PACK_TARGET_BYTES};
use common::pack::{self, PackEntry, PackHeader, PackKind};

use crate::catalog::error::CatalogError;
use crate::catalog::garbage::PackUse;
use crate::catalog::packs::{PackFacts, PackState};
use crate::session::error::SessionError;
use crate::session::intake::staging_path;
use crate::session::subscription::Subscription;
use crate::store::durable::sync_folder;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;
use crate::store::packer::{FinishedPack, OpenPack, discard};
use crate::store::reader::{FrameRange, plan_runs, read_run};
use crate::upkeep::jobs::{Counts, JobError};
use crate::upkeep::remove::Pass;
use crate::upkeep::token::{Progress, Token};

/// Share of a pack that must be pointed to for it to stay, in per cent.
const LIVE_PERCENT_MIN: u64 = 70;
/// A pack below this size is small, in bytes.
const SMALL_BYTES: u64 = PACK_TARGET_BYTES / 4;
/// Small packs that are merged at once, at least: each byte is then copied a few times in its life, not daily.
const MERGED_MIN: usize = 8;

/// A pack as planning sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Its row.
    pub row: u32,
    /// What its frames hold.
    pub kind: PackKind,
    /// Its length, in bytes.
    pub bytes: u64,
    /// What is pointed to.
    pub used: PackUse,
}

/// Groups of packs, each to become one pack.
pub fn plan_compaction(packs: &[Fill]) -> Vec<Vec<u32>> {
    let mut groups = Vec::new();
    for kind in [PackKind::Data, PackKind::Nodes] {
        let of_kind = || packs.iter().filter(|pack| pack.kind == kind);
        let is_sparse = |pack: &&Fill| pack.used.live_bytes * 100 < LIVE_PERCENT_MIN * pack.bytes && !is_small(pack);
        groups.extend(grouped(of_kind().filter(is_sparse)));
        let small: Vec<&Fill> = of_kind().filter(|pack| is_small(pack)).collect();
        let mut merged = grouped(small.iter().copied());
        // A small pack that holds little is not worth a copy of its own either.
        merged.retain(|group| group.len() >= MERGED_MIN);
        groups.extend(merged);
    }
    groups
}

fn is_small(pack: &Fill) -> bool {
    pack.bytes < SMALL_BYTES
}

/// Fills groups up to the size of a pack, in the order of rows: what was written together stays together.
fn grouped<'a>(packs: impl Iterator<Item = &'a Fill>) -> Vec<Vec<u32>> {
    let mut groups: Vec<(Vec<u32>, u64, u64)> = Vec::new();
    for pack in packs {
        let PackUse { frames, live_bytes } = pack.used;
        let fits = |bytes: u64, count: u64| {
            bytes + live_bytes <= PACK_TARGET_BYTES && count + frames <= COMPACT_FRAMES_MAX as u64
        };
        match groups.last_mut().filter(|(_, bytes, count)| fits(*bytes, *count)) {
            Some((rows, bytes, count)) => {
                rows.push(pack.row);
                (*bytes, *count) = (*bytes + live_bytes, *count + frames);
            }
            None => groups.push((vec![pack.row], live_bytes, frames)),
        }
    }
    groups.into_iter().map(|(rows, _, _)| rows).collect()
}

/// Rewrites and merges packs; says how the space is used.
///
/// # Errors
/// [`JobError`]; what was done until then stays done.
pub fn compact(open: &Subscription, pass: &Pass<'_>, token: &Token) -> Result<Counts, JobError> {
    let (packs, uses) =
        open.read(|catalog| Ok(catalog.at_once(|c| Ok::<_, CatalogError>((c.packs()?, c.pack_uses()?)))?))?;
    let groups = plan_compaction(&fills(&packs, &uses));
    let (mut written, mut copied_bytes) = (0, 0);
    for (done, group) in groups.iter().enumerate() {
        token.go_on()?;
        token.report(Progress { done: done as u64, total: groups.len() as u64, unit: "packs" });
        pass.check()?;
        let sources: Vec<PackFacts> = packs.iter().filter(|pack| group.contains(&pack.row)).cloned().collect();
        if let Some(bytes) = rewrite(open, &sources, (Wanted::All, pass.now_ns()))? {
            written += 1;
            copied_bytes += bytes;
        }
    }
    let replaced = groups.iter().map(|group| group.len() as u64).sum();
    let mut counts = vec![("replaced", replaced), ("written", written), ("copied_bytes", copied_bytes)];
    counts.extend(space(open)?);
    Ok(counts)
}

fn fills(packs: &[PackFacts], uses: &HashMap<u32, PackUse>) -> Vec<Fill> {
    let whole = packs.iter().filter(|pack| pack.state == PackState::Published && pack.emptied_at_ns == 0);
    let fill = |pack: &PackFacts| {
        let used = uses.get(&pack.row).copied()?;
        Some(Fill { row: pack.row, kind: pack.kind, bytes: pack.bytes, used })
    };
    whole.filter_map(fill).collect()
}

/// How the space of a subscription's packs is used, in bytes: stored, pointed to, in trash, and in packs that are about to go.
///
/// # Errors
/// [`SessionError::Catalog`].
pub fn space(open: &Subscription) -> Result<Counts, SessionError> {
    open.read(|catalog| {
        Ok(catalog.at_once(|catalog| {
            let packs = catalog.packs()?;
            let live: u64 = catalog.pack_uses()?.values().map(|used| used.live_bytes).sum();
            let sum = |wanted: &dyn Fn(&&PackFacts) -> bool| packs.iter().filter(wanted).map(|pack| pack.bytes).sum();
            let trashed = catalog.frame_bytes_of(&catalog.trashed_rows(None)?)?;
            Ok::<_, CatalogError>(vec![
                ("stored_bytes", sum(&|pack| pack.state != PackState::Lost)),
                ("live_bytes", live),
                ("trash_bytes", trashed),
                ("emptied_bytes", sum(&|pack| pack.emptied_at_ns != 0 && pack.state != PackState::Lost)),
            ])
        })?)
    })
}

/// A frame that was copied.
struct Moved {
    row: u32,
    from: (u32, u32),
    to: u32,
}

/// Which frames of a pack are to be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All that are used, or none.
    All,
    /// Those that are not known to be damaged and read back well.
    Good,
}

/// Copies what is used of some packs of one kind into one, and lets the catalog point to it; its length. A pack of which a frame
/// does not read back well is the next to be scrubbed; if all frames are wanted, nothing happens then.
///
/// # Errors
/// [`SessionError`].
pub fn rewrite(
    open: &Subscription,
    sources: &[PackFacts],
    (wanted, now_ns): (Wanted, i64),
) -> Result<Option<u64>, SessionError> {
    let Some(kind) = sources.first().map(|pack| pack.kind) else { return Ok(None) };
    let shared = open.shared();
    let (row, salt) = shared.intake.lock().reserve_pack();
    let path = staging_path(&shared.staging, row);
    let header = PackHeader { kind, subscription: shared.subscription, salt };
    let mut target = OpenPack::create(&path, &header)?;
    let copied = copy(open, sources, wanted, &mut target).and_then(|moved| match moved {
        Some((moved, sessions)) if !moved.is_empty() => Ok(Some((moved, finish(open, &mut target, &sessions)?))),
        _ => Ok(None),
    });
    let Ok(Some((moved, finished))) = copied else {
        discard(&path)?;
        return copied.map(|_| None);
    };
    let arriving = PackFacts {
        row,
        name: Some(finished.name),
        kind,
        state: PackState::Arriving,
        salt,
        bytes: finished.bytes,
        session: 0,
        emptied_at_ns: 0,
    };
    publish(open, &finished, &arriving)?;
    let old: Vec<u32> = sources.iter().map(|pack| pack.row).collect();
    swap(open, arriving, moved, (old, now_ns))?;
    Ok(Some(finished.bytes))
}

type Copied = (Vec<Moved>, Vec<u32>);

fn copy(
    open: &Subscription,
    sources: &[PackFacts],
    wanted: Wanted,
    target: &mut OpenPack,
) -> Result<Option<Copied>, SessionError> {
    let (mut moved, mut sessions) = (Vec::new(), Vec::new());
    for source in sources {
        let Some(name) = source.name else { return Ok(None) };
        let (mut entries, of_pack, damaged) = open.read(|catalog| {
            Ok(catalog.at_once(|c| {
                let (entries, sessions) = (c.chunks_of_pack(source.row)?, c.sessions_of_pack(source.row)?);
                Ok::<_, CatalogError>((entries, sessions, c.damaged_rows()?))
            })?)
        })?;
        if wanted == Wanted::Good {
            entries.retain(|(row, _)| !damaged.contains(*row));
        }
        sessions.extend(of_pack);
        let file = open.shared().objects.file(&open.shared().subscription, &ObjectName::Pack(name))?;
        let range = |(_, entry): &(u32, PackEntry)| FrameRange {
            offset: entry.offset.into(),
            frame_bytes: entry.frame_bytes,
            checksum: entry.checksum,
        };
        let ranges: Vec<FrameRange> = entries.iter().map(range).collect();
        for run in plan_runs(&ranges) {
            let frames = read_run(&file, &ranges[run.clone()]);
            for ((chunk, entry), frame) in entries[run].iter().zip(frames) {
                let Some(frame) = frame else {
                    open.suspect_pack(source.row)?;
                    if wanted == Wanted::All {
                        return Ok(None);
                    }
                    continue;
                };
                let to = target.append(&frame, *entry)?.offset;
                moved.push(Moved { row: *chunk, from: (source.row, entry.offset), to });
            }
        }
        // Advice may be ignored, so may its result.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    }
    sessions.sort_unstable();
    sessions.dedup();
    Ok((sessions.len() <= PACK_SESSIONS_MAX).then_some((moved, sessions)))
}

/// Writes directory and trailer, makes the file durable, and reads it back.
fn finish(open: &Subscription, target: &mut OpenPack, sessions: &[u32]) -> Result<FinishedPack, SessionError> {
    let records = open.read(|catalog| {
        sessions.iter().map(|row| Ok(catalog.session_of_row(*row)?.pack_session())).collect::<Result<Vec<_>, _>>()
    })?;
    let health = open.shared().objects.health();
    let finished = target.finish(health, records)?;
    sync_folder(health, &open.shared().staging)?;
    verify(&finished)?;
    Ok(finished)
}

fn verify(finished: &FinishedPack) -> Result<(), SessionError> {
    let damaged = || SessionError::Damaged(finished.path.display().to_string());
    if finished.bytes > PACK_BYTES_MAX {
        return Err(damaged());
    }
    let bytes = fs::read(&finished.path);
    let bytes = bytes.map_err(|error| StoreError::from_io("read back", finished.path.display(), error))?;
    if pack::name(&bytes) != finished.name {
        return Err(damaged());
    }
    let (_, tail) = pack::parse(&bytes).map_err(|_| damaged())?;
    let reads_well = |entry: &PackEntry| {
        let frame = usize::try_from(entry.end()).ok().and_then(|end| bytes.get(entry.offset as usize..end));
        frame.is_some_and(|frame| checksum(frame) == entry.checksum)
    };
    if tail.entries.iter().all(reads_well) { Ok(()) } else { Err(damaged()) }
}

fn publish(open: &Subscription, finished: &FinishedPack, arriving: &PackFacts) -> Result<(), SessionError> {
    let facts = arriving.clone();
    open.writer().run(move |writer| {
        let stored = writer.catalog.atomically(|catalog| catalog.store_pack(&facts));
        stored.map_err(|error| writer.catalog_failed(error))
    })?;
    let shared = open.shared();
    Ok(shared.objects.adopt_pack(&shared.subscription, &finished.path, &finished.name)?)
}

fn swap(
    open: &Subscription,
    arrived: PackFacts,
    moved: Vec<Moved>,
    (old, now_ns): (Vec<u32>, i64),
) -> Result<(), SessionError> {
    open.writer().run(move |writer| {
        let swapped = writer.catalog.atomically(|catalog| {
            for chunk in &moved {
                catalog.move_chunk(chunk.row, chunk.from, (arrived.row, chunk.to))?;
            }
            catalog.store_pack(&PackFacts { state: PackState::Published, ..arrived.clone() })?;
            old.iter().try_for_each(|pack| catalog.note_emptied(*pack, now_ns))
        });
        swapped.map_err(|error| writer.catalog_failed(error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn fill(row: u32, bytes: u64, live_bytes: u64) -> Fill {
        Fill { row, kind: PackKind::Data, bytes, used: PackUse { frames: 10, live_bytes } }
    }

    #[test]
    fn sparse_packs_are_rewritten_together_and_full_ones_stay() {
        let packs = [fill(1, 32 * MIB, 31 * MIB), fill(2, 32 * MIB, 10 * MIB), fill(3, 32 * MIB, 20 * MIB)];
        assert_eq!(plan_compaction(&packs), [[2, 3]]);
        let at_the_bound = fill(4, 100 * MIB, 70 * MIB);
        assert!(plan_compaction(&[at_the_bound]).is_empty());
        assert_eq!(plan_compaction(&[Fill { bytes: 100 * MIB + 1, ..at_the_bound }]), [[4]]);
    }

    #[test]
    fn a_group_ends_at_the_size_of_a_pack_and_holds_one_kind() {
        let packs = [fill(1, 32 * MIB, 20 * MIB), fill(2, 32 * MIB, 20 * MIB), fill(3, 32 * MIB, 12 * MIB)];
        assert_eq!(plan_compaction(&packs), [vec![1], vec![2, 3]]);
        let nodes = Fill { kind: PackKind::Nodes, ..packs[1] };
        assert_eq!(plan_compaction(&[packs[0], nodes]), [[1], [2]]);
    }

    #[test]
    fn small_packs_wait_for_each_other() {
        let small: Vec<Fill> = (1..=8).map(|row| fill(row, MIB, MIB / 2)).collect();
        assert!(plan_compaction(&small[..7]).is_empty());
        assert_eq!(plan_compaction(&small), [(1..=8).collect::<Vec<u32>>()]);
    }
}
