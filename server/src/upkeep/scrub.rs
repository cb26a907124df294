//! Every stored byte read again and compared, without any key.
//!
//! A pack's name is the hash of its bytes, a snapshot's is in the catalog and in its receipt, a fact is named by its hash. What differs is looked at frame by frame: good frames of a damaged pack stay usable, the others are quarantined.
//!
//! It removes and repairs nothing. How fast it reads is up to the caller, who is asked before each object.
//!
//! Invariant: quarantine is a fact in the store before it is a row in the catalog, and a row before it is reported.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use common::id::{ChunkId, PackId, SessionId};
use common::keyring::Keyring;
use common::limits::KEYRING_BYTES_MAX;
use common::pack::PackNamer;
use common::snapshot::StoredSnapshot;
use roaring::RoaringBitmap;
use rustix::io::Errno;

use crate::catalog::chunks::ChunkState;
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::packs::{PackFacts, PackState};
use crate::session::closure::survey;
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::error::StoreError;
use crate::store::fact::{self, KnownFact};
use crate::store::name::{Folder, ObjectName};
use crate::store::reader::{FrameRange, plan_runs, read_run};
use crate::upkeep::{quarantine, tombstone};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Objects read.
    pub objects: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Objects that are not what was stored, or are missing, by name.
    pub damaged: Vec<String>,
    /// Objects that the catalog does not know, by name.
    pub unknown: Vec<String>,
    /// Chunks that can't be used any more.
    pub damaged_chunks: Vec<ChunkId>,
    /// Snapshots that reach one of them.
    pub affected_snapshots: Vec<SessionId>,
}

impl Scrubbed {
    /// True if everything is as it was stored.
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.unknown.is_empty()
    }
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// These packs, in this order.
    pub packs: Vec<PackFacts>,
    /// Snapshots, facts, tombstones and keyring, and whether anything is there that the catalog does not know.
    pub small_objects: bool,
}

/// Scrubs everything of a subscription, suspect packs first. `go_on` is told how many bytes were read so far, again and again; it
/// may wait, or say false to stop.
///
/// # Errors
/// [`SessionError`] if the catalog or a listing fails; damage is no error.
pub fn scrub(open: &Subscription, now_ns: i64, go_on: impl FnMut(u64) -> bool) -> Result<Scrubbed, SessionError> {
    let mut packs = open.read(|catalog| Ok(catalog.packs()?))?;
    packs.retain(|pack| pack.state != PackState::Staging);
    packs.sort_by_key(|pack| pack.state != PackState::Suspect);
    scrub_these(open, now_ns, &Wanted { packs, small_objects: true }, go_on)
}

/// Scrubs what is wanted; as [`scrub`].
///
/// # Errors
/// As [`scrub`].
pub fn scrub_these(
    open: &Subscription,
    now_ns: i64,
    wanted: &Wanted,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<Scrubbed, SessionError> {
    let (report, damaged_rows) = (Scrubbed::default(), RoaringBitmap::new());
    let mut scrub = Scrub { open, now_ns, report, damaged_rows, whole: false, go_on: &mut go_on };
    for pack in &wanted.packs {
        if !(scrub.go_on)(scrub.report.bytes) || !scrub.pack(pack)? {
            return scrub.finish();
        }
    }
    if !wanted.small_objects {
        return scrub.finish();
    }
    scrub.unknown_packs()?;
    for folder in Folder::all().filter(|folder| *folder != Folder::Packs) {
        let names = open.shared().objects.list(&open.shared().subscription, folder)?;
        for name in &names {
            if !(scrub.go_on)(scrub.report.bytes) {
                return scrub.finish();
            }
            scrub.object(name)?;
        }
        scrub.lost_objects(folder, &names)?;
    }
    scrub.missing_snapshots()?;
    scrub.keyring()?;
    scrub.whole = true;
    open.writer().run(move |writer| {
        Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| catalog.set_objects_scrubbed(now_ns))?)
    })?;
    scrub.finish()
}

/// How reading a pack ended.
enum Hashed {
    /// The hash of its bytes.
    Named(PackId),
    /// Some can't be read.
    Unreadable,
    /// It was told to stop.
    Stopped,
}

/// A pack that is not as it was stored.
enum Broken<'a> {
    /// There is no such object.
    Missing,
    /// It cannot even be opened.
    Unreadable,
    /// Some of it may be good.
    Damaged(&'a File),
}

/// True for an error that says nothing of the object: the process or the machine lacks something.
fn is_of_the_process(error: &StoreError) -> bool {
    let StoreError::Failed { source, .. } = error else { return false };
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    source.raw_os_error().is_some_and(|code| lacking.contains(&code))
}

struct Scrub<'a> {
    open: &'a Subscription,
    now_ns: i64,
    report: Scrubbed,
    damaged_rows: RoaringBitmap,
    /// Every small object was looked at.
    whole: bool,
    go_on: &'a mut dyn FnMut(u64) -> bool,
}

impl Scrub<'_> {
    /// Reads a pack; false if it was told to stop.
    fn pack(&mut self, pack: &PackFacts) -> Result<bool, SessionError> {
        let Some(name) = pack.name else { return Ok(true) };
        let object = ObjectName::Pack(name);
        let (objects, subscription) = (&self.open.shared().objects, &self.open.shared().subscription);
        let file = match objects.file(subscription, &object) {
            Ok(file) => file,
            Err(StoreError::NotFound(_)) if self.is_gone(pack)? => return Ok(true),
            Err(StoreError::NotFound(_)) => return self.quarantine(pack, &name, Broken::Missing).map(|()| true),
            Err(error) if is_of_the_process(&error) => return Err(error.into()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, pack = %name, "a pack cannot be opened");
                return self.quarantine(pack, &name, Broken::Unreadable).map(|()| true);
            }
        };
        match self.name_of(&file) {
            Hashed::Stopped => return Ok(false),
            Hashed::Named(found) if found == name && pack.state == PackState::Unread => self.unread(pack, &object)?,
            Hashed::Named(found) if found == name => self.good(pack)?,
            Hashed::Named(_) | Hashed::Unreadable => self.quarantine(pack, &name, Broken::Damaged(&file))?,
        }
        self.report.objects += 1;
        Ok(true)
    }

    /// True if a pack went by the rules of removal since it was listed: its row is gone, or is another pack's.
    fn is_gone(&self, pack: &PackFacts) -> Result<bool, SessionError> {
        let row = self.open.read(|catalog| Ok(catalog.pack(pack.row)?))?;
        Ok(row.is_none_or(|row| row.name != pack.name))
    }

    /// The hash of a file's bytes.
    fn name_of(&mut self, mut file: &File) -> Hashed {
        let mut namer = PackNamer::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let Ok(bytes) = file.read(&mut buffer) else { return Hashed::Unreadable };
            if bytes == 0 {
                break;
            }
            namer.update(&buffer[..bytes]);
            self.report.bytes += bytes as u64;
            if !(self.go_on)(self.report.bytes) {
                return Hashed::Stopped;
            }
        }
        // What is read once for this is not read soon again. Advice may be ignored, so may its result.
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        Hashed::Named(namer.name())
    }

    /// A pack that reads well now, and did not when the catalog was rebuilt: another rebuild takes up what it holds.
    fn unread(&mut self, pack: &PackFacts, object: &ObjectName) -> Result<(), SessionError> {
        self.report.unknown.push(object.to_string());
        let (row, now_ns) = (pack.row, self.now_ns);
        self.open.writer().run(move |writer| {
            Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| catalog.set_pack_verified(row, now_ns))?)
        })
    }

    /// A pack that reads well: if it was thought otherwise, it is usable again.
    fn good(&self, pack: &PackFacts) -> Result<(), SessionError> {
        let (row, state, now_ns) = (pack.row, pack.state, self.now_ns);
        self.open.writer().run(move |writer| {
            Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| {
                catalog.set_pack_verified(row, now_ns)?;
                if state == PackState::Published {
                    return Ok(());
                }
                for (chunk, _) in catalog.chunks_of_pack(row)? {
                    catalog.mark_present(chunk)?;
                }
                catalog.set_pack_state(row, PackState::Published)
            })?)
        })
    }

    fn quarantine(&mut self, pack: &PackFacts, name: &PackId, broken: Broken<'_>) -> Result<(), SessionError> {
        let (state, file) = match broken {
            Broken::Missing => (PackState::Lost, None),
            Broken::Unreadable => (PackState::Quarantined, None),
            Broken::Damaged(file) => (PackState::Quarantined, Some(file)),
        };
        let state = if pack.state == PackState::Unread { PackState::Unread } else { state };
        let (chunks, present) = self.open.read(|catalog| {
            let (chunks, mut present) = (catalog.chunks_of_pack(pack.row)?, RoaringBitmap::new());
            for (row, _) in &chunks {
                if catalog.chunk_of_row(*row)?.state == ChunkState::Present {
                    present.insert(*row);
                }
            }
            Ok((chunks, present))
        })?;
        let ranges: Vec<FrameRange> = chunks
            .iter()
            .map(|(_, entry)| FrameRange {
                offset: entry.offset.into(),
                frame_bytes: entry.frame_bytes,
                checksum: entry.checksum,
            })
            .collect();
        let mut damaged = Vec::new();
        for run in plan_runs(&ranges) {
            let frames = file.map_or_else(|| vec![None; run.len()], |file| read_run(file, &ranges[run.clone()]));
            let bad = chunks[run].iter().zip(frames).filter(|(_, frame)| frame.is_none());
            damaged.extend(bad.map(|((row, entry), _)| (*row, entry.id)));
        }
        self.report.damaged.push(ObjectName::Pack(*name).to_string());
        self.report.damaged_chunks.extend(damaged.iter().map(|(_, id)| *id));
        self.damaged_rows.extend(damaged.iter().map(|(row, _)| *row));
        damaged.retain(|(row, _)| present.contains(*row));
        let ids: Vec<ChunkId> = damaged.iter().map(|(_, id)| *id).collect();
        if !ids.is_empty() || pack.state != state {
            tracing::error!(pack = %name, frames = ids.len(), "a pack is damaged; these frames were not known to be");
        }
        let shared = self.open.shared();
        let facts = quarantine::store(&shared.objects, &shared.subscription, name, &ids, self.now_ns)?;
        let (pack, now_ns) = (pack.row, self.now_ns);
        self.open.writer().run(move |writer| {
            Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| {
                catalog.set_pack_verified(pack, now_ns)?;
                facts.iter().try_for_each(|fact| catalog.insert_fact(fact))?;
                damaged.iter().try_for_each(|(row, _)| catalog.mark_damaged_in(*row, pack))?;
                catalog.set_pack_state(pack, state)?;
                if damaged.is_empty() { Ok(()) } else { catalog.start_closure_epoch() }
            })?)
        })
    }

    fn unknown_packs(&mut self) -> Result<(), SessionError> {
        let shared = self.open.shared();
        for name in shared.objects.list(&shared.subscription, Folder::Packs)? {
            let ObjectName::Pack(pack) = name else { continue };
            // A pack is listed before its row is looked for: one that is published or removed meanwhile is not unknown.
            if shared.objects.bytes(&shared.subscription, &name).is_ok()
                && self.open.read(|catalog| Ok(catalog.pack_named(&pack)?))?.is_none()
            {
                self.report.unknown.push(name.to_string());
            }
        }
        Ok(())
    }

    fn object(&mut self, name: &ObjectName) -> Result<(), SessionError> {
        let shared = self.open.shared();
        let bytes = match shared.objects.read(&shared.subscription, name, StoredSnapshot::BYTES_MAX) {
            Ok(bytes) => bytes,
            // It went by the rules since it was listed, or is missed by what looks for lost ones.
            Err(StoreError::NotFound(_)) => return Ok(()),
            Err(error) if is_of_the_process(&error) => return Err(error.into()),
            Err(_) => {
                self.report.damaged.push(name.to_string());
                return Ok(());
            }
        };
        self.report.objects += 1;
        self.report.bytes += bytes.len() as u64;
        let good = match name {
            ObjectName::Snapshot(session) => {
                let row = self.open.read(|catalog| Ok(catalog.snapshot(session)?))?;
                if row.is_none() {
                    self.report.unknown.push(name.to_string());
                    return Ok(());
                }
                row.is_some_and(|row| row.digest == *blake3::hash(&bytes).as_bytes())
            }
            ObjectName::Fact(_, id) => fact::id_of(&bytes) == *id,
            ObjectName::Tombstone(session) => tombstone::decode(&bytes, session).is_some(),
            // Each generation needs those before it: they are checked together.
            ObjectName::Keyring(_) | ObjectName::Pack(_) => true,
        };
        if !good {
            self.report.damaged.push(name.to_string());
            return Ok(());
        }
        self.remember(name, bytes)
    }

    /// Notes a small object that reads well, so that its loss is noticed.
    fn remember(&self, name: &ObjectName, bytes: Vec<u8>) -> Result<(), SessionError> {
        if self.open.read(|catalog| known_of(catalog, name))? {
            return Ok(());
        }
        let name = name.clone();
        self.open.writer().run(move |writer| {
            Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| match name {
                ObjectName::Fact(kind, id) => catalog.insert_fact(&KnownFact { kind, id, bytes }),
                ObjectName::Keyring(_) | ObjectName::Tombstone(_) => catalog.note_seen(&name.to_string()),
                ObjectName::Snapshot(_) | ObjectName::Pack(_) => Ok(()),
            })?)
        })
    }

    /// Small objects of a folder that were there once: keyring generations, tombstones and facts never go alone.
    fn lost_objects(&mut self, folder: Folder, listed: &[ObjectName]) -> Result<(), SessionError> {
        let prefix = format!("{}/", folder.path());
        let known: Vec<String> = self.open.read(|catalog| match folder {
            Folder::Facts(kind) => Ok(catalog.facts(kind)?.iter().map(|fact| fact.name().to_string()).collect()),
            Folder::Keyring | Folder::Tombstones => Ok(catalog.seen()?),
            Folder::Packs | Folder::Snapshots => Ok(Vec::new()),
        })?;
        let listed: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
        let lost = known.into_iter().filter(|name| name.starts_with(&prefix) && !listed.contains(name));
        self.report.damaged.extend(lost);
        Ok(())
    }

    fn missing_snapshots(&mut self) -> Result<(), SessionError> {
        let shared = self.open.shared();
        for row in self.open.read(|catalog| Ok(catalog.snapshots()?))? {
            let name = ObjectName::Snapshot(row.session);
            match shared.objects.bytes(&shared.subscription, &name) {
                Ok(_) => {}
                Err(error) if is_of_the_process(&error) => return Err(error.into()),
                Err(_) if self.report.damaged.contains(&name.to_string()) => {}
                Err(_) => self.report.damaged.push(name.to_string()),
            }
        }
        Ok(())
    }

    /// The chain of keyring generations, each signed by the one before.
    fn keyring(&mut self) -> Result<(), SessionError> {
        let shared = self.open.shared();
        let mut generations = Vec::new();
        for name in shared.objects.list(&shared.subscription, Folder::Keyring)? {
            // One that cannot be read was reported with the other small objects.
            let Ok(bytes) = shared.objects.read(&shared.subscription, &name, KEYRING_BYTES_MAX) else { return Ok(()) };
            generations.push(bytes);
            if Keyring::verify(&generations, None).is_err() {
                self.report.damaged.push(name.to_string());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Stores what was found: damaged small objects, and the snapshots that reach something damaged.
    fn finish(mut self) -> Result<Scrubbed, SessionError> {
        if self.report.damaged.is_empty() && !self.whole {
            return Ok(self.report);
        }
        let packs = format!("{}/", Folder::Packs.path());
        let small = self.report.damaged.iter().filter(|name| !name.starts_with(&packs));
        let (small, whole, now_ns): (Vec<String>, _, _) = (small.cloned().collect(), self.whole, self.now_ns);
        let affected = self.affected()?;
        self.open.writer().run(move |writer| {
            Ok(writer.catalog.atomically::<_, CatalogError>(|catalog| {
                catalog.note_damaged_objects(&small, whole, now_ns)?;
                affected.map_or(Ok(()), |affected| catalog.set_affected_snapshots(&affected))
            })?)
        })?;
        Ok(self.report)
    }

    /// The snapshots that reach a damaged chunk, and how many each; those that reach one of this scrub's go into the report. None if
    /// the caller said to stop before all were looked at.
    fn affected(&mut self) -> Result<Option<Vec<(SessionId, u64)>>, SessionError> {
        let (found, bytes, go_on) = (&self.damaged_rows, self.report.bytes, &mut self.go_on);
        let (mut all, mut reported) = (Vec::new(), Vec::new());
        let is_whole = self.open.read(|catalog| {
            let damaged = catalog.damaged_rows()? | found;
            if damaged.is_empty() {
                return Ok(true);
            }
            // Few are touched mostly: one scan of the nodes tells which, and only those are walked.
            let above = catalog.rows_above(&damaged, || go_on(bytes))?;
            for snapshot in catalog.snapshots()?.into_iter().filter(|snapshot| above.contains(snapshot.root)) {
                if !go_on(bytes) {
                    return Ok(false);
                }
                let reached = survey(catalog, snapshot.root, u64::MAX)?.chunks & &damaged;
                if !reached.is_empty() {
                    all.push((snapshot.session, reached.len()));
                }
                if !reached.is_disjoint(found) {
                    reported.push(snapshot.session);
                }
            }
            Ok(go_on(bytes))
        })?;
        self.report.affected_snapshots = reported;
        Ok(is_whole.then_some(all))
    }
}

/// True if a small object has its row.
fn known_of(catalog: &Catalog, name: &ObjectName) -> Result<bool, SessionError> {
    Ok(match name {
        ObjectName::Fact(kind, id) => catalog.has_fact(*kind, id)?,
        ObjectName::Keyring(_) | ObjectName::Tombstone(_) => catalog.has_seen(&name.to_string())?,
        ObjectName::Snapshot(_) | ObjectName::Pack(_) => true,
    })
}
