//! Where frames of all sessions of a subscription come in: known ones are dropped, the rest is charged and written to staging.
//!
//! One lock covers looking up, charging and writing, so that everything in `pending` is in a staging file, and no chunk is
//! stored twice by two sessions. What makes frames durable runs outside of it ([`crate::session::durable`]).
//!
//! Invariant: a chunk is looked up among the pending ones first and in the catalog after: it leaves the first only after it
//! is in the second.
//! Invariant: a durable point covers all sessions, so a frame that was dropped because another session's copy is pending is
//! durable when its own session's next durable point is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::id::{ChunkId, SourceId, SubscriptionId};
use common::pack::{PackEntry, PackHeader, PackKind};
use common::stored::PackSession;
use roaring::RoaringBitmap;

use crate::catalog::chunks::{ChunkState, StagedChunk};
use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::catalog::packs::{PackFacts, PackState};
use crate::catalog::sessions::SessionFacts;
use crate::clock::Random;
use crate::contract::admission::Refusal;
use crate::contract::ledger::Tally;
use crate::contract::terms::Terms;
use crate::session::budget::{Budget, Sender, charge, civil_day, total};
use crate::session::check::CheckedFrame;
use crate::store::error::StoreError;
use crate::store::packer::OpenPack;

/// Why a batch did not come in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// It would exceed what the contract allows; nothing of it was taken.
    #[error("the batch exceeds {}", .0.limit.name())]
    Exceeded(Refusal),
    /// A staging file could not be written; what came before in the batch was taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog could not be asked; nothing was taken.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// A staging file with what its row will say.
pub struct Growing {
    /// Its row; `bytes` is what is acknowledged.
    pub facts: PackFacts,
    /// The file.
    pub pack: OpenPack,
    /// Where it is.
    pub path: PathBuf,
    /// Who fills it.
    pub session: PackSession,
    /// It has bytes that no durable point covers.
    dirty: bool,
}

/// A staging file that a durable point makes durable.
pub struct SyncTarget {
    /// The file.
    pub file: Arc<File>,
    /// Its path, for messages.
    pub path: PathBuf,
    /// What its row says once it is.
    pub facts: PackFacts,
}

/// What one durable point covers.
#[derive(Default)]
pub struct DurableBatch {
    /// Files to sync.
    pub targets: Vec<SyncTarget>,
    /// Frames to give rows, in the order in which they came.
    pub chunks: Vec<StagedChunk>,
    /// Frame bytes accepted, by session row.
    pub sent_bytes: BTreeMap<u32, u64>,
    /// Packs that take no more frames, to be published afterwards.
    pub retired: Vec<Growing>,
    /// A file was made since the last durable point.
    pub new_file: bool,
}

impl DurableBatch {
    /// True if there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.chunks.is_empty() && self.retired.is_empty()
    }
}

/// Where staging files are made, and for whom.
pub struct IntakePlace {
    /// The folder.
    pub folder: PathBuf,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Salts of packs.
    pub random: Random,
}

/// The lock's contents.
pub struct Intake {
    place: IntakePlace,
    reader: Catalog,
    budget: Budget,
    pending: HashSet<(u32, ChunkId)>,
    open: BTreeMap<(u32, PackKind), Growing>,
    batch: DurableBatch,
    next_pack: u32,
}

impl Intake {
    /// An intake with nothing staged.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn new(place: IntakePlace, reader: Catalog) -> Result<Self, CatalogError> {
        let budget = reader.at_once(Budget::load)?;
        let next_pack = reader.next_pack_row()?;
        let (pending, open, batch) = Default::default();
        Ok(Self { place, reader, budget, pending, open, batch, next_pack })
    }

    /// What is used.
    pub fn account(&self) -> &Budget {
        &self.budget
    }

    /// What is used on the civil day of `now_ns`.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn budget(&mut self, now_ns: i64) -> Result<&mut Budget, CatalogError> {
        let Self { reader, budget, .. } = self;
        if civil_day(now_ns) > budget.ledger.day {
            reader.at_once(|catalog| budget.roll(catalog, now_ns))?;
        }
        Ok(budget)
    }

    /// Takes a batch of one session: drops known chunks, charges the others at once, writes them. `at_work` are the sources
    /// that have a session open.
    ///
    /// # Errors
    /// [`IntakeError`] says what was taken.
    pub fn put(
        &mut self,
        session: &SessionFacts,
        frames: &[CheckedFrame],
        (terms, at_work): (&Terms, &BTreeSet<SourceId>),
        now_ns: i64,
    ) -> Result<(), IntakeError> {
        self.budget(now_ns)?;
        // One state of the catalog for the whole batch: what it gains meanwhile stays pending until this lock is free.
        let wanted = self.reader.at_once(|_| self.select(session, frames))?;
        let batch = total(wanted.iter().map(|(_, charged)| *charged));
        let sender = Sender { source: &session.source, at_work };
        self.budget.try_add(&batch, terms, sender).map_err(IntakeError::Exceeded)?;
        for (at, (frame, _)) in wanted.iter().enumerate() {
            if let Err(error) = self.write(session, frame) {
                self.budget.release(&total(wanted[at..].iter().map(|(_, charged)| *charged)), &session.source);
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// The frames to be stored, each with what it adds to the account.
    fn select<'a>(
        &self,
        session: &SessionFacts,
        frames: &'a [CheckedFrame],
    ) -> Result<Vec<(&'a CheckedFrame, Tally)>, CatalogError> {
        let (scope, initial) = (session.scope, self.is_initial(session));
        let mut wanted = Vec::with_capacity(frames.len());
        let mut seen = HashSet::new();
        for frame in frames {
            let id = frame.entry.id;
            if self.pending.contains(&(scope, id)) || !seen.insert(id) {
                continue;
            }
            if let Some(charged) = self.charge(scope, &frame.entry, initial)? {
                wanted.push((frame, charged));
            }
        }
        Ok(wanted)
    }

    fn write(&mut self, session: &SessionFacts, frame: &CheckedFrame) -> Result<(), StoreError> {
        let key = (session.row, PackKind::of(frame.entry.kind));
        if !self.open.contains_key(&key) {
            let growing = self.create(session, key.1)?;
            self.open.insert(key, growing);
        }
        let growing = self.open.get_mut(&key).expect("it was made above");
        let entry = growing.pack.append(&frame.frame, frame.entry)?;
        growing.dirty = true;
        let (scope, row, pack) = (session.scope, session.row, growing.facts.row);
        let children = frame.children.clone();
        self.batch.chunks.push(StagedChunk { scope, session: row, pack, entry, children });
        *self.batch.sent_bytes.entry(row).or_default() += u64::from(entry.frame_bytes);
        self.pending.insert((scope, entry.id));
        if growing.pack.is_full()
            && let Some(full) = self.open.remove(&key)
        {
            self.retire(full);
        }
        Ok(())
    }

    fn create(&mut self, session: &SessionFacts, kind: PackKind) -> Result<Growing, StoreError> {
        let (row, salt) = (self.next_pack, self.place.random.bytes());
        let path = staging_path(&self.place.folder, row);
        let header = PackHeader { kind, subscription: self.place.subscription, salt };
        let pack = OpenPack::create(&path, &header)?;
        self.next_pack += 1;
        self.batch.new_file = true;
        let facts = PackFacts {
            row,
            name: None,
            kind,
            state: PackState::Staging,
            salt,
            bytes: 0,
            session: session.row,
            emptied_at_ns: 0,
        };
        Ok(Growing { facts, pack, path, session: session.pack_session(), dirty: true })
    }

    fn retire(&mut self, mut growing: Growing) {
        if growing.dirty {
            self.batch.targets.push(target(&mut growing));
        }
        self.batch.retired.push(growing);
    }

    /// The row and the random bytes of a pack that is made elsewhere.
    pub fn reserve_pack(&mut self) -> (u32, [u8; 16]) {
        let row = self.next_pack;
        self.next_pack += 1;
        (row, self.place.random.bytes())
    }

    /// Lets the open packs of a session take no more frames.
    pub fn retire_session(&mut self, session: u32) {
        let keys: Vec<_> = self.open.keys().copied().filter(|(row, _)| *row == session).collect();
        self.retire_keys(keys);
    }

    /// Lets the open packs of these rows take no more frames.
    pub fn retire_packs(&mut self, packs: &RoaringBitmap) {
        let open = self.open.iter().filter(|(_, growing)| packs.contains(growing.facts.row));
        let keys = open.map(|(key, _)| *key).collect();
        self.retire_keys(keys);
    }

    fn retire_keys(&mut self, keys: Vec<(u32, PackKind)>) {
        for key in keys {
            if let Some(growing) = self.open.remove(&key) {
                self.retire(growing);
            }
        }
    }

    /// Everything since the last durable point.
    pub fn take(&mut self) -> DurableBatch {
        for growing in self.open.values_mut().filter(|growing| growing.dirty) {
            self.batch.targets.push(target(growing));
        }
        std::mem::take(&mut self.batch)
    }

    /// Gives back what could not be made durable yet, to stand before what came meanwhile. Never after a failed fsync.
    pub fn put_back(&mut self, mut batch: DurableBatch) {
        let later = std::mem::take(&mut self.batch);
        batch.targets.extend(later.targets);
        batch.chunks.extend(later.chunks);
        batch.retired.extend(later.retired);
        batch.new_file |= later.new_file;
        for (session, bytes) in later.sent_bytes {
            *batch.sent_bytes.entry(session).or_default() += bytes;
        }
        self.batch = batch;
    }

    /// Notes that these frames have their rows.
    pub fn settle(&mut self, chunks: &[StagedChunk]) {
        for chunk in chunks {
            self.pending.remove(&(chunk.scope, chunk.entry.id));
        }
    }

    /// Reads the account from the catalog again after a commit, and adds what is staged.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn refresh_account(&mut self) -> Result<(), CatalogError> {
        self.budget = self.reckon()?;
        Ok(())
    }

    /// True if the account is what the catalog and what is staged add up to; asked by the writer, beside which nothing is committed.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn is_account_right(&self) -> Result<bool, CatalogError> {
        // A source whose frames were taken back has a line of zeros, which says nothing.
        let said = |budget: &Budget| {
            let mut said = budget.clone();
            said.by_source.retain(|_, tally| *tally != Tally::default());
            said
        };
        Ok(said(&self.reckon()?) == said(&self.budget))
    }

    fn reckon(&self) -> Result<Budget, CatalogError> {
        let mut budget = self.reader.at_once(Budget::load)?;
        // A commit that waited over midnight does not take the account back to its own day.
        if budget.ledger.day < self.budget.ledger.day {
            budget.ledger = self.reader.at_once(|catalog| catalog.ledger(self.budget.ledger.day))?;
        }
        for chunk in &self.batch.chunks {
            let session = self.reader.session_of_row(chunk.session)?;
            let initial = budget.ledger.is_initial(&session.source, session.opened_at_ns);
            if let Some(charged) = self.charge(chunk.scope, &chunk.entry, initial)? {
                budget.add(&charged, &session.source);
            }
        }
        Ok(budget)
    }

    fn is_initial(&self, session: &SessionFacts) -> bool {
        self.budget.ledger.is_initial(&session.source, session.opened_at_ns)
    }

    /// What a chunk adds to the account if it is stored; `None` if it is there.
    fn charge(&self, scope: u32, entry: &PackEntry, initial: bool) -> Result<Option<Tally>, CatalogError> {
        let known = self.reader.chunk(scope, &entry.id)?;
        let trashed = known.map(|known| self.reader.is_trashed(known.row)).transpose()?.unwrap_or(false);
        Ok(match known.map(|known| known.state) {
            Some(ChunkState::Present) if !trashed => None,
            // It is on the account already, or a snapshot reached it before it was damaged or went to trash.
            Some(ChunkState::Present | ChunkState::Damaged) => Some(Tally::default()),
            Some(ChunkState::Absent) | None => Some(charge(entry, initial)),
        })
    }
}

fn target(growing: &mut Growing) -> SyncTarget {
    growing.dirty = false;
    growing.facts.bytes = growing.pack.end();
    SyncTarget { file: Arc::clone(growing.pack.file()), path: growing.path.clone(), facts: growing.facts.clone() }
}

/// The staging file of a pack's row.
pub fn staging_path(folder: &Path, row: u32) -> PathBuf {
    folder.join(row.to_string())
}
