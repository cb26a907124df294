//! A catalog made again from packs and objects.
//!
//! ```text
//! old catalog, if it opens: staging is adopted (session::recover), then it is put away
//!   → sessions, as packs, snapshots and tombstones describe them
//!   → packs: directories, and the frames of nodes for their children  → snapshots in the order of reception
//!   → tombstones of what expired → facts (holds, protections, verifications) → the new file takes the old one's place
//! ```
//! A session that made no snapshot is not open any more afterwards: its frames stay known. What staging held without a readable
//! catalog is removed: which of it had been acknowledged can't be told from a torn write, and no receipt depends on it.
//!
//! One bad object stops nothing: it is reported and left out (P7). A pack that cannot be read as one, or of which a frame found no
//! session, gets a row all the same, which keeps it from ever being taken for empty.
//!
//! What a store alone cannot tell: a snapshot object that still decodes but of which sealed bytes changed. The server has no key
//! to them, and what compared them before, the row with the object's hash, is gone: its receipt is signed again over the bytes as
//! they are. An agent or a person who opens it, or holds the first receipt, finds out.
//!
//! Invariant: no object is written or removed; the new catalog replaces the old one only when it is whole and durable.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;

use common::frame::{FIXED_HEADER_BYTES, FrameHeader, checksum};
use common::id::{ChunkId, PackId, SessionId};
use common::pack::{PackEntry, PackKind};
use common::snapshot::{SnapshotHead, StoredSnapshot};
use common::stored::{PackSession, ServerPart, SnapshotKind};
use roaring::RoaringBitmap;

use crate::catalog::chunks::{ChunkState, StagedChunk};
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::nodes::NewNode;
use crate::catalog::packs::{PackFacts, PackState};
use crate::catalog::sessions::{SessionFacts, SessionState};
use crate::catalog::snapshots::SnapshotFacts;
use crate::session::closure::{Closure, survey};
use crate::session::error::SessionError;
use crate::session::record::{SnapshotObjectBytes, reach_of, record_in_one};
use crate::session::subscription::SharedParts;
use crate::store::error::StoreError;
use crate::store::name::{FactKind, Folder, ObjectName};
use crate::upkeep::read_pack::{Depth, ReadPack, read_pack};
use crate::upkeep::tombstone::Buried;
use crate::upkeep::{facts, quarantine, tombstone};

/// The number of runs that a rebuilt catalog says it counted: no control store agrees, so pruning waits for an operator.
const REBUILT_RUNS: i64 = -2;

/// What a rebuild found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Packs read.
    pub packs: u64,
    /// Frames found.
    pub frames: u64,
    /// Snapshots found.
    pub snapshots: u64,
    /// Packs that can't be read, or whose directory can't: the frames of the latter were salvaged and are to be laid again.
    pub salvaged_packs: Vec<PackId>,
    /// Snapshots of which something is missing or damaged.
    pub incomplete_snapshots: Vec<SessionId>,
    /// Snapshot objects that can't be read.
    pub damaged_snapshots: Vec<SessionId>,
    /// Tombstones that can't be read.
    pub damaged_tombstones: Vec<SessionId>,
    /// Facts that can't be read: nothing is removed while there is one.
    pub damaged_facts: Vec<String>,
    /// Holds that stand.
    pub holds: u64,
    /// Protections that stand.
    pub protections: u64,
}

/// Fills an empty catalog with everything that the store holds of a subscription.
///
/// # Errors
/// [`SessionError`]; an error while listing stops the rebuild.
pub fn fill(parts: &SharedParts, catalog: &Catalog) -> Result<Rebuilt, SessionError> {
    let (damaged, damaged_facts) = quarantine::load(&parts.objects, &parts.subscription)?;
    let report = Rebuilt { damaged_facts, ..Rebuilt::default() };
    let mut rebuild = Rebuild { parts, catalog, damaged, next_row: 1, next_pack: 1, report };
    let objects = rebuild.snapshot_objects()?;
    let buried = rebuild.tombstones(&objects)?;
    let packs = rebuild.sessions(&objects, &buried)?;
    // Nodes last: their children then have rows, and most are found complete at once.
    for wanted in [Some(PackKind::Data), Some(PackKind::Nodes), None] {
        for (name, _) in packs.iter().filter(|(_, kind)| *kind == wanted) {
            rebuild.pack(name)?;
        }
    }
    let mut buried = buried.into_iter().peekable();
    // Receipts name the one before: expired and other snapshots take their turns in the order of reception.
    for object in &objects {
        let received_at_ns = object.snapshot.server.received_at_ns;
        while let Some(earlier) = buried.next_if(|buried| buried.server.received_at_ns < received_at_ns) {
            rebuild.buried(&earlier)?;
        }
        rebuild.snapshot(object)?;
    }
    buried.try_for_each(|buried| rebuild.buried(&buried))?;
    catalog.atomically(|catalog| catalog.set_upkeep_runs(REBUILT_RUNS))?;
    rebuild.facts()?;
    rebuild.verifications()?;
    Ok(rebuild.report)
}

struct Rebuild<'a> {
    parts: &'a SharedParts,
    catalog: &'a Catalog,
    damaged: BTreeMap<PackId, BTreeSet<ChunkId>>,
    next_row: u32,
    next_pack: u32,
    report: Rebuilt,
}

impl Rebuild<'_> {
    /// Stores every session that packs, snapshots and tombstones describe, so that each frame finds its scope; what each pack holds,
    /// nothing for one that cannot be read.
    fn sessions(
        &self,
        objects: &[SnapshotObjectBytes],
        buried: &[Buried],
    ) -> Result<Vec<(PackId, Option<PackKind>)>, SessionError> {
        let mut packs = Vec::new();
        for name in self.parts.objects.list(&self.parts.subscription, Folder::Packs)? {
            let ObjectName::Pack(name) = name else { continue };
            let read = self.read_pack(&name, Depth::Directory);
            for record in read.iter().flat_map(|read| &read.sessions) {
                self.catalog.atomically(|catalog| store_pack_session(catalog, record))?;
            }
            packs.push((name, read.map(|read| read.header.kind)));
        }
        let heads = objects.iter().map(|SnapshotObjectBytes { snapshot, .. }| {
            (&snapshot.head, &snapshot.server, &snapshot.object.envelope[..])
        });
        for (head, server, envelope) in heads.chain(buried.iter().map(|buried| (&buried.head, &buried.server, &[][..])))
        {
            if self.catalog.session(&head.session)?.is_none() {
                self.session(head, server, envelope)?;
            }
        }
        Ok(packs)
    }

    fn pack(&mut self, name: &PackId) -> Result<(), SessionError> {
        let Some(read) = self.read_pack(name, Depth::Frames) else { return self.unread(name) };
        let (row, next_row) = (self.next_pack, self.next_row);
        let stored = self.catalog.atomically(|catalog| {
            let mut frames = PackFrames { catalog, pack: row, next_row, read: &read };
            frames.store(name, self.damaged.get(name))?;
            Ok::<_, SessionError>(frames.next_row)
        })?;
        (self.next_pack, self.next_row) = (row + 1, stored);
        self.report.packs += 1;
        self.report.frames += read.entries.len() as u64;
        if read.salvaged {
            self.report.salvaged_packs.push(*name);
        }
        Ok(())
    }

    /// Gives a pack that cannot be read its row, so that it is known and stays.
    fn unread(&mut self, name: &PackId) -> Result<(), SessionError> {
        let bytes = self.parts.objects.bytes(&self.parts.subscription, &ObjectName::Pack(*name)).unwrap_or(0);
        let facts = PackFacts {
            row: self.next_pack,
            name: Some(*name),
            kind: PackKind::Data,
            state: PackState::Unread,
            salt: [0; 16],
            bytes,
            session: 0,
            emptied_at_ns: 0,
        };
        self.catalog.atomically(|catalog| catalog.store_pack(&facts))?;
        self.next_pack += 1;
        self.report.salvaged_packs.push(*name);
        Ok(())
    }

    /// Reads a pack of this subscription; none if it cannot be read as one, which is logged.
    fn read_pack(&self, name: &PackId, depth: Depth) -> Option<ReadPack> {
        let object = ObjectName::Pack(*name);
        let file = self.parts.objects.file(&self.parts.subscription, &object);
        let read =
            file.and_then(|file| read_pack(file, depth).map_err(|error| StoreError::from_io("read", &object, error)));
        let read = read.unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, pack = %name, "a pack cannot be read");
            None
        });
        let own = read.filter(|read| read.header.subscription == self.parts.subscription);
        if own.is_none() {
            tracing::error!(pack = %name, "a pack has no readable header");
        }
        own
    }

    /// Reads all snapshot objects, in the order of reception, and stores their sessions.
    fn snapshot_objects(&mut self) -> Result<Vec<SnapshotObjectBytes>, SessionError> {
        let mut objects = Vec::new();
        for name in self.parts.objects.list(&self.parts.subscription, Folder::Snapshots)? {
            let ObjectName::Snapshot(session) = name else { continue };
            let bytes = self.parts.objects.read(&self.parts.subscription, &name, StoredSnapshot::BYTES_MAX);
            match bytes.map_err(SessionError::from).and_then(|bytes| SnapshotObjectBytes::decode(&bytes)) {
                Ok(object) if object.snapshot.head.session == session => objects.push(object),
                _ => self.report.damaged_snapshots.push(session),
            }
        }
        objects.sort_unstable_by_key(|object| object.snapshot.server.received_at_ns);
        Ok(objects)
    }

    /// The tombstones of snapshots whose object is gone, in the order of reception.
    fn tombstones(&mut self, objects: &[SnapshotObjectBytes]) -> Result<Vec<Buried>, SessionError> {
        let (store, subscription) = (&self.parts.objects, &self.parts.subscription);
        let alive: BTreeSet<SessionId> = objects.iter().map(|object| object.snapshot.head.session).collect();
        let mut buried = Vec::new();
        for name in store.list(subscription, Folder::Tombstones)? {
            let ObjectName::Tombstone(session) = name else { continue };
            if alive.contains(&session) {
                continue;
            }
            match tombstone::read(store, subscription, &session) {
                Ok(found) => buried.extend(found),
                Err(_) => self.report.damaged_tombstones.push(session),
            }
        }
        buried.sort_unstable_by_key(|buried| buried.server.received_at_ns);
        Ok(buried)
    }

    fn buried(&self, buried: &Buried) -> Result<(), SessionError> {
        let Buried { head, server, digest, receipt, expired_at_ns } = buried.clone();
        let scope = self.session(&head, &server, &[])?;
        let row = SnapshotFacts {
            session: head.session,
            scope,
            agent: head.agent,
            source: head.source,
            sequence: head.sequence,
            state: head.state,
            root: 0,
            claimed_bytes: head.claimed_plain_bytes,
            server,
            digest,
            receipt,
            verified_at_ns: 0,
            expired_at_ns,
        };
        Ok(self.catalog.atomically::<_, CatalogError>(|catalog| {
            catalog.insert_snapshot(&row)?;
            catalog.add_to_ledger(&head, &row.server)?;
            // What its own session sent and no earlier snapshot reached; what else it reached is not known any more.
            let sent = catalog.uncommitted_rows_of(&head.session)?;
            catalog.set_first_reached(&head.session, &row.server, &sent)?;
            catalog.release_uncommitted(&sent)
        })?)
    }

    /// Stores the session of a snapshot, or completes what packs said of it; the row of its scope.
    fn session(&self, head: &SnapshotHead, server: &ServerPart, envelope: &[u8]) -> Result<u32, SessionError> {
        let known = self.catalog.session(&head.session)?;
        let scope = self.catalog.atomically(|catalog| catalog.scope_row(&head.scope))?;
        let facts = SessionFacts {
            row: known.as_ref().map_or(0, |known| known.row),
            id: head.session,
            agent: head.agent,
            scope,
            scope_id: head.scope,
            source: head.source,
            kind: head.kind,
            set_version: head.set_version,
            parent: head.parent,
            opened_at_ns: known.as_ref().map_or(server.received_at_ns, |known| known.opened_at_ns),
            touched_at_ns: server.received_at_ns,
            state: SessionState::Committed,
            sent_bytes: server.sent_bytes,
            envelope: envelope.to_vec(),
        };
        self.catalog.atomically::<_, CatalogError>(|catalog| match known {
            Some(_) => catalog.complete_session(&facts),
            None => catalog.insert_session(&facts).map(|_| ()),
        })?;
        Ok(scope)
    }

    fn snapshot(&mut self, object: &SnapshotObjectBytes) -> Result<(), SessionError> {
        let head = &object.snapshot.head;
        let scope = self.session(head, &object.snapshot.server, &object.snapshot.object.envelope)?;
        let next_row = &mut self.next_row;
        let root = self.catalog.atomically(|catalog| catalog.named_chunk(scope, &head.root, next_row))?;
        let found = survey(self.catalog, root.row, u64::MAX)?;
        if !found.missing.is_empty() {
            self.report.incomplete_snapshots.push(head.session);
        }
        let reach = reach_of(self.catalog, &head.source, &found.chunks)?;
        let (newly_complete, epoch) = (found.newly_complete, found.epoch);
        let trashed = RoaringBitmap::new();
        let closure = Closure { root: root.row, chunks: found.chunks, newly_complete, trashed, epoch };
        record_in_one(self.catalog, &self.parts.key, object, (&closure, &reach))?;
        self.report.snapshots += 1;
        Ok(())
    }

    fn verifications(&mut self) -> Result<(), SessionError> {
        for known in self.catalog.facts(FactKind::Verified)? {
            let fact = known.decode().and_then(|fact| {
                let session = SessionId::try_from(&fact.id[..]).map_err(|_| known.damaged())?;
                Ok((session, fact.at_ns))
            });
            match fact {
                Ok((session, at_ns)) => self.catalog.atomically(|catalog| catalog.set_verified(&session, at_ns))?,
                Err(error) => self.damaged_fact(error.to_string()),
            }
        }
        Ok(())
    }

    fn damaged_fact(&mut self, name: String) {
        if !self.report.damaged_facts.contains(&name) {
            self.report.damaged_facts.push(name);
        }
    }

    /// Facts get their rows; what holds and protections they make is what the report says.
    fn facts(&mut self) -> Result<(), SessionError> {
        let (objects, subscription) = (&self.parts.objects, &self.parts.subscription);
        facts::adopt(objects, subscription, self.catalog)?.into_iter().for_each(|name| self.damaged_fact(name));
        match facts::known(self.catalog) {
            Ok(known) => {
                let frozen = known.standing();
                self.report.holds = frozen.holds.len() as u64;
                self.report.protections = frozen.protections.len() as u64;
            }
            Err(error) => self.damaged_fact(error.to_string()),
        }
        Ok(())
    }
}

/// Stores a session as a pack describes it; a record that is none is left out.
fn store_pack_session(catalog: &Catalog, record: &PackSession) -> Result<(), CatalogError> {
    let ids = || {
        let (session, scope) = (record.session[..].try_into().ok()?, record.scope[..].try_into().ok()?);
        Some((session, scope, record.agent[..].try_into().ok()?, record.source[..].try_into().ok()?))
    };
    let Some((id, scope_id, agent, source)) = ids() else {
        tracing::error!("a session record of a pack is damaged");
        return Ok(());
    };
    if catalog.session(&id)?.is_some() {
        return Ok(());
    }
    let facts = SessionFacts {
        row: 0,
        id,
        agent,
        scope: catalog.scope_row(&scope_id)?,
        scope_id,
        source,
        kind: SnapshotKind::Regular,
        set_version: 0,
        parent: None,
        opened_at_ns: record.opened_at_ns,
        touched_at_ns: record.opened_at_ns,
        state: SessionState::Expired,
        sent_bytes: 0,
        envelope: record.envelope.clone(),
    };
    catalog.insert_session(&facts).map(|_| ())
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Its chunk has a good frame, this one or another.
    Good,
    /// It is damaged, and no good one of its chunk was met before.
    Damaged,
    /// Nothing describes its session, so it has no scope.
    Homeless,
}

/// The frames of one pack on their way into the catalog.
struct PackFrames<'a> {
    catalog: &'a Catalog,
    pack: u32,
    next_row: u32,
    read: &'a ReadPack,
}

impl PackFrames<'_> {
    fn store(&mut self, name: &PackId, damaged: Option<&BTreeSet<ChunkId>>) -> Result<(), SessionError> {
        let only = self.read.sessions.first().filter(|_| self.read.sessions.len() == 1);
        let only = only.and_then(|session| SessionId::try_from(&session.session[..]).ok());
        let (mut quarantined, mut homeless) = (false, false);
        for entry in &self.read.entries {
            let suspect = self.read.salvaged || damaged.is_some_and(|damaged| damaged.contains(&entry.id));
            let stored = self.frame(entry, only, suspect)?;
            quarantined |= stored == Stored::Damaged;
            homeless |= stored == Stored::Homeless;
        }
        let state = match (homeless, self.read.salvaged) {
            (true, true) => PackState::Unread,
            (false, false) if !quarantined => PackState::Published,
            _ => PackState::Quarantined,
        };
        let session = only.map(|only| self.catalog.session(&only)).transpose()?.flatten();
        Ok(self.catalog.store_pack(&PackFacts {
            row: self.pack,
            name: Some(*name),
            kind: self.read.header.kind,
            state,
            salt: self.read.header.salt,
            bytes: self.read.bytes,
            session: session.map_or(0, |session| session.row),
            emptied_at_ns: 0,
        })?)
    }

    fn frame(&mut self, entry: &PackEntry, only: Option<SessionId>, suspect: bool) -> Result<Stored, SessionError> {
        let frame = if suspect || entry.kind.is_node() { self.read_frame(entry) } else { None };
        let good = match &frame {
            Some(frame) => checksum(frame) == entry.checksum && !self.read.salvaged,
            None => !suspect && !entry.kind.is_node(),
        };
        let session = match only {
            Some(only) => Some(only),
            None => self.session_of_frame(entry),
        };
        let session = session.map(|session| self.catalog.session(&session)).transpose()?.flatten();
        let Some(session) = session else { return Ok(Stored::Homeless) };
        let known = self.catalog.chunk(session.scope, &entry.id)?;
        if known
            .is_some_and(|known| known.state == ChunkState::Present || (known.state == ChunkState::Damaged && !good))
        {
            return Ok(Stored::Good);
        }
        let header = frame.as_deref().and_then(|frame| FrameHeader::parse_whole(frame).ok());
        let children = header.map_or(Vec::new(), |header| header.children);
        let staged =
            StagedChunk { scope: session.scope, session: session.row, pack: self.pack, entry: *entry, children };
        let row = self.catalog.store_chunk(&staged, &mut self.next_row)?;
        if entry.kind.is_node() && good {
            let epoch = self.catalog.closure_epoch()?;
            let node = NewNode { row, scope: staged.scope, children: &staged.children, epoch };
            self.catalog.store_node(node, &mut self.next_row)?;
        }
        if good {
            return Ok(Stored::Good);
        }
        self.catalog.mark_damaged(row)?;
        Ok(Stored::Damaged)
    }

    fn read_frame(&self, entry: &PackEntry) -> Option<Vec<u8>> {
        let mut frame = vec![0; entry.frame_bytes as usize];
        self.read.file.read_exact_at(&mut frame, u64::from(entry.offset)).ok()?;
        Some(frame)
    }

    fn session_of_frame(&self, entry: &PackEntry) -> Option<SessionId> {
        let mut head = [0; FIXED_HEADER_BYTES];
        self.read.file.read_exact_at(&mut head, u64::from(entry.offset)).ok()?;
        Some(SessionId::new(*head.get(47..)?.first_chunk()?))
    }
}
