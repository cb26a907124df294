//! Opening a subscription: what a crash left is taken up or removed, so that nothing acknowledged is lost and nothing is phantom.
//!
//! The argument, by the order of writes (I2). Let a crash fall between any two steps:
//!
//! 1. *Frames written, rows not committed.* The rows of packs say how much of each staging file is acknowledged (nothing, for a
//!    file without a row). What stands after it is cut, a file without acknowledged frames is removed. Nothing was promised.
//! 2. *Rows committed, acknowledgement sent or not.* The staging file was synced before. It is cut to the acknowledged length,
//!    finished from the catalog's rows and published. Sessions that are open stay open, with new staging files.
//! 3. *Directory written, not renamed.* As 2: the tail stands after the acknowledged length.
//! 4. *Renamed, name not in the catalog.* The staging file is gone. The pack is the unknown one whose header has the row's salt.
//! 5. *Snapshot object durable, row missing.* All packs of its closure were published before it, all rows committed before them:
//!    its closure is whole, and the commit's transaction is run now.
//! 6. *Row committed, receipt not sent.* The agent commits again and gets it.
//! 7. *Tombstone durable, snapshot object gone, row still live.* The row is told. With the object still there, the next run goes on.
//! 8. *Empty pack gone, its row not.* The row goes: nothing points to it. *A copy of compaction published, not swapped in.* It is an
//!    empty pack, and goes as one.
//!
//! Anything else (a pack or a snapshot that the catalog cannot explain) means that the catalog is older than the store, for
//! example restored from a copy. Then nothing is removed and nothing is written: `rebuild` is asked for (P6).
//! A pack that the catalog knows and the store does not have is lost: its chunks are marked, which starts a closure epoch. A store
//! that has none of what the catalog knows is not believed: the subscription is not opened.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use common::id::PackId;
use common::limits::IDS_PER_MESSAGE_MAX;
use common::pack::{HEADER_BYTES, PackEntry, PackHeader};
use common::snapshot::StoredSnapshot;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::packs::{PackFacts, PackState};
use crate::clock::Random;
use crate::session::closure::{Walk, walk};
use crate::session::error::SessionError;
use crate::session::intake::{Intake, IntakePlace, staging_path};
use crate::session::live::LiveSession;
use crate::session::record::{SnapshotObjectBytes, reach_of, record_in_one};
use crate::session::subscription::{Shared, SharedParts};
use crate::session::writer::Writer;
use crate::store::durable;
use crate::store::error::StoreError;
use crate::store::name::{Folder, ObjectName};
use crate::store::packer::{OpenPack, discard};
use crate::upkeep::{facts, tombstone};

/// Takes up a subscription whose catalog exists, and gives its writer.
///
/// # Errors
/// [`SessionError::NeedsRebuild`] if the catalog cannot explain the store; nothing was then changed that mattered.
pub fn recover(parts: SharedParts, catalog: Catalog, random: Random) -> Result<Writer, SessionError> {
    let recovery = Recovery { parts: &parts, catalog: &catalog };
    recovery.check_store()?;
    parts.objects.sweep_temporaries(&parts.subscription)?;
    recovery.packs()?;
    recovery.snapshots()?;
    recovery.expiries()?;
    recovery.leftovers()?;
    recovery.facts()?;
    let reader = Catalog::open_reader(&parts.catalog_file)?;
    let place = IntakePlace { folder: parts.staging.clone(), subscription: parts.subscription, random };
    let shared = Arc::new(Shared::new(parts, Intake::new(place, reader)?));
    for session in catalog.open_sessions()? {
        shared.live.lock().insert(session.id, Arc::new(LiveSession::new(session)));
    }
    let next_chunk_row = catalog.next_chunk_row()?;
    Ok(Writer { catalog, shared, next_chunk_row, retired: VecDeque::new(), referred: None })
}

struct Recovery<'a> {
    parts: &'a SharedParts,
    catalog: &'a Catalog,
}

impl Recovery<'_> {
    /// A store that lists none of the packs, or none of the snapshots, that the catalog knows is not mounted, or was emptied:
    /// taken for losses, everything would be laid again.
    fn check_store(&self) -> Result<(), SessionError> {
        let held = |row: &PackFacts| {
            row.emptied_at_ns == 0 && !matches!(row.state, PackState::Staging | PackState::Arriving | PackState::Lost)
        };
        let packs = self.catalog.packs()?;
        let packs = packs.iter().filter(|row| held(row)).filter_map(|row| row.name).map(ObjectName::Pack);
        let snapshots = self.catalog.snapshots()?.into_iter().map(|row| ObjectName::Snapshot(row.session));
        self.check_folder(Folder::Packs, packs.collect(), "any of the packs")?;
        self.check_folder(Folder::Snapshots, snapshots.collect(), "any of the snapshots")
    }

    fn check_folder(
        &self,
        folder: Folder,
        known: BTreeSet<ObjectName>,
        what: &'static str,
    ) -> Result<(), SessionError> {
        let listed = self.parts.objects.list(&self.parts.subscription, folder)?;
        let is_emptied = !known.is_empty() && !listed.iter().any(|name| known.contains(name));
        // What left the history leaves a tombstone.
        let explained = |name: &ObjectName| match name {
            ObjectName::Snapshot(session) => {
                let name = ObjectName::Tombstone(*session);
                self.parts.objects.bytes(&self.parts.subscription, &name).is_ok()
            }
            _ => false,
        };
        if is_emptied && !known.iter().any(explained) { Err(SessionError::StoreEmptied(what)) } else { Ok(()) }
    }

    fn packs(&self) -> Result<(), SessionError> {
        let listed = self.parts.objects.list(&self.parts.subscription, Folder::Packs)?;
        let stored: BTreeSet<PackId> = listed
            .into_iter()
            .filter_map(|name| if let ObjectName::Pack(id) = name { Some(id) } else { None })
            .collect();
        let rows = self.catalog.packs()?;
        let known: BTreeSet<PackId> = rows.iter().filter_map(|row| row.name).collect();
        let mut unknown: BTreeSet<PackId> = stored.difference(&known).copied().collect();
        for row in &rows {
            match row.name {
                None => self.staging_pack(row, &mut unknown)?,
                Some(name) if row.state == PackState::Arriving => self.arriving(row, stored.contains(&name))?,
                // Nothing points to it: it was removed, and its row is what the crash left.
                Some(name) if row.emptied_at_ns != 0 && !stored.contains(&name) => {
                    self.catalog.atomically(|catalog| catalog.forget_emptied(row.row))?;
                }
                // Not all that it holds is known: the guards ask for it, and nothing goes while it is not there.
                Some(_) if row.state == PackState::Unread => {}
                Some(name) if row.state != PackState::Lost && !stored.contains(&name) => self.lost(row)?,
                // It is back: a scrub reads it before anything of it is believed.
                Some(name) if row.state == PackState::Lost && stored.contains(&name) => {
                    self.catalog.atomically(|catalog| catalog.set_pack_state(row.row, PackState::Suspect))?;
                }
                Some(_) => {}
            }
        }
        match unknown.first() {
            Some(name) => Err(SessionError::NeedsRebuild(format!("pack {name} is not in it"))),
            None => Ok(()),
        }
    }

    fn staging_pack(&self, row: &PackFacts, unknown: &mut BTreeSet<PackId>) -> Result<(), SessionError> {
        let path = staging_path(&self.parts.staging, row.row);
        let entries: Vec<PackEntry> =
            self.catalog.chunks_of_pack(row.row)?.into_iter().map(|(_, entry)| entry).collect();
        let stored_bytes = fs::metadata(&path).map(|metadata| metadata.len()).ok();
        if entries.is_empty() {
            discard(&path)?;
            return Ok(self.catalog.atomically(|catalog| catalog.forget_pack(row.row))?);
        }
        let end = entries.last().map_or(0, PackEntry::end);
        if end != row.bytes || !stand_end_to_end(&entries) {
            return Err(CatalogError::Inconsistent("a staging pack's rows do not make a pack").into());
        }
        if stored_bytes.is_some_and(|bytes| bytes >= row.bytes) {
            let (name, bytes) = self.adopt(row, &path, entries)?;
            unknown.remove(&name);
            return self.published(row, name, bytes);
        }
        for name in unknown.iter().copied() {
            if self.salt_of(&name)? == Some(row.salt) {
                let bytes = self.parts.objects.bytes(&self.parts.subscription, &ObjectName::Pack(name))?;
                self.published(row, name, bytes)?;
                unknown.remove(&name);
                return Ok(());
            }
        }
        self.lost(row)
    }

    fn adopt(&self, row: &PackFacts, path: &Path, entries: Vec<PackEntry>) -> Result<(PackId, u64), SessionError> {
        let record = self.catalog.session_of_row(row.session)?.pack_session();
        let finished = OpenPack::adopt(path, entries)?.finish(self.parts.objects.health(), vec![record])?;
        match self.parts.objects.adopt_pack(&self.parts.subscription, path, &finished.name) {
            // The rename was durable under both names: the pack is there, this is its other name.
            Err(StoreError::AlreadyExists(_)) => discard(path)?,
            adopted => adopted?,
        }
        Ok((finished.name, finished.bytes))
    }

    fn published(&self, row: &PackFacts, name: PackId, bytes: u64) -> Result<(), SessionError> {
        let facts = PackFacts { name: Some(name), state: PackState::Published, bytes, ..row.clone() };
        Ok(self.catalog.atomically(|catalog| catalog.store_pack(&facts))?)
    }

    /// The salt in the header of a stored pack; none if it is too short or no pack, which scrub will say.
    fn salt_of(&self, name: &PackId) -> Result<Option<[u8; 16]>, SessionError> {
        let mut file = self.parts.objects.file(&self.parts.subscription, &ObjectName::Pack(*name))?;
        let mut header = [0; HEADER_BYTES];
        if file.read_exact(&mut header).is_err() {
            return Ok(None);
        }
        Ok(PackHeader::parse(&header).ok().map(|header| header.salt))
    }

    /// A copy that compaction made and did not swap in: it goes as a pack that nothing points to.
    fn arriving(&self, row: &PackFacts, stored: bool) -> Result<(), SessionError> {
        Ok(self.catalog.atomically(|catalog| {
            if stored { catalog.set_pack_state(row.row, PackState::Published) } else { catalog.forget_emptied(row.row) }
        })?)
    }

    /// Finishes the expiries whose object is gone: there is a tombstone, and the row does not say so.
    fn expiries(&self) -> Result<(), SessionError> {
        let (objects, subscription) = (&self.parts.objects, &self.parts.subscription);
        let stored: BTreeSet<ObjectName> = objects.list(subscription, Folder::Snapshots)?.into_iter().collect();
        for row in self.catalog.snapshots()? {
            if stored.contains(&ObjectName::Snapshot(row.session)) {
                continue;
            }
            // Without a tombstone it was not expired but lost, which a scrub reports.
            match tombstone::read(objects, subscription, &row.session) {
                Ok(Some(buried)) => {
                    self.catalog.atomically(|catalog| catalog.set_expired(&row.session, buried.expired_at_ns))?;
                }
                Ok(None) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %subscription, session = %row.session, "a tombstone cannot be read");
                }
            }
        }
        Ok(())
    }

    fn lost(&self, row: &PackFacts) -> Result<(), SessionError> {
        let name = row.name.map_or_else(|| format!("staging file {}", row.row), |name| name.to_string());
        tracing::error!(subscription = %self.parts.subscription, pack = name, "a pack is lost");
        Ok(self.catalog.atomically::<_, CatalogError>(|catalog| {
            for (chunk, _) in catalog.chunks_of_pack(row.row)? {
                catalog.mark_damaged(chunk)?;
            }
            catalog.set_pack_state(row.row, PackState::Lost)?;
            catalog.start_closure_epoch()
        })?)
    }

    /// Finishes the commits whose object is durable.
    fn snapshots(&self) -> Result<(), SessionError> {
        let mut unfinished = Vec::new();
        for name in self.parts.objects.list(&self.parts.subscription, Folder::Snapshots)? {
            let ObjectName::Snapshot(session) = name else { continue };
            if self.catalog.snapshot(&session)?.is_some() {
                continue;
            }
            let bytes = self.parts.objects.read(&self.parts.subscription, &name, StoredSnapshot::BYTES_MAX);
            let read = bytes.map_err(SessionError::from).and_then(|bytes| SnapshotObjectBytes::decode(&bytes));
            match read {
                Ok(object) if object.snapshot.head.session == session => unfinished.push(object),
                // Only its own date is lost with it. Nothing is removed while it is there and has no row.
                Ok(_) => tracing::error!(subscription = %self.parts.subscription, %session, "a snapshot is damaged"),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, subscription = %self.parts.subscription, %session, "a snapshot is damaged");
                }
            }
        }
        unfinished.sort_unstable_by_key(|object| object.snapshot.server.received_at_ns);
        unfinished.iter().try_for_each(|object| self.finish_commit(object))
    }

    fn finish_commit(&self, object: &SnapshotObjectBytes) -> Result<(), SessionError> {
        let head = &object.snapshot.head;
        let unexplained = || SessionError::NeedsRebuild(format!("snapshot {} is not in it", head.session));
        let scope = self.catalog.find_scope(&head.scope)?.ok_or_else(unexplained)?;
        if self.catalog.session(&head.session)?.is_none() {
            return Err(unexplained());
        }
        let Walk::Whole(closure) = walk(self.catalog, scope, &head.root, IDS_PER_MESSAGE_MAX)? else {
            return Err(unexplained());
        };
        let reach = reach_of(self.catalog, &head.source, &closure.chunks)?;
        record_in_one(self.catalog, &self.parts.key, object, (&closure, &reach))?;
        tracing::info!(snapshot = %head.session, "finished a commit that a crash had cut");
        Ok(())
    }

    /// Facts that are durable and have no row get one. One that cannot be read stops removal, not backups.
    fn facts(&self) -> Result<(), SessionError> {
        for name in facts::adopt(&self.parts.objects, &self.parts.subscription, self.catalog)? {
            tracing::error!(subscription = %self.parts.subscription, fact = name, "a fact cannot be read");
        }
        Ok(())
    }

    /// Removes staging files without a row: nothing in them was acknowledged.
    fn leftovers(&self) -> Result<(), SessionError> {
        let kept: BTreeSet<String> = self.catalog.staging_packs()?.iter().map(|pack| pack.row.to_string()).collect();
        for name in durable::list(&self.parts.staging)? {
            if !kept.contains(&name) {
                discard(&self.parts.staging.join(name))?;
            }
        }
        Ok(durable::sync_folder(self.parts.objects.health(), &self.parts.staging)?)
    }
}

/// Opens the lock file beside a catalog and holds it.
///
/// # Errors
/// [`SessionError::InUse`] if another process has it.
pub fn lock(folder: &Path) -> Result<File, SessionError> {
    let path = folder.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| StoreError::from_io("open", path.display(), error))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| SessionError::InUse)?;
    Ok(file)
}

fn stand_end_to_end(entries: &[PackEntry]) -> bool {
    let mut end = HEADER_BYTES as u64;
    entries.iter().all(|entry| {
        let fits = u64::from(entry.offset) == end;
        end = entry.end();
        fits
    })
}
