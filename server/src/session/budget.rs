//! The account against which each batch is checked and added in one step.
//!
//! What may be added is decided by `contract::admission`; here it is kept in step with the catalog and with the civil day.
//!
//! Invariant: the account lives under the intake's lock; check and addition are one step, so any number of sessions together
//! never exceed a limit by one byte. Nothing is reserved when a session opens.
//! Invariant: I6 — it is what the catalog says of the day, plus what is staged; opening and each commit recompute it. The day
//! never goes back: it is the later one of the clock's and of the last snapshot received.

use std::collections::{BTreeMap, BTreeSet};

use common::id::SourceId;
use common::keys::ChunkKind;
use common::pack::{FrameClass, PackEntry};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::error::CatalogError;
use crate::catalog::file::Catalog;
use crate::contract::admission::{Account, Refusal};
use crate::contract::calendar::day_of;
use crate::contract::ledger::{Ledger, Tally};
use crate::contract::terms::Terms;

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What is committed, on the day of the account.
    pub ledger: Ledger,
    /// Accepted, not yet reached by a snapshot.
    pub uncommitted: Tally,
    /// The same by the source that sent it.
    pub by_source: BTreeMap<SourceId, Tally>,
}

/// Who sends a batch.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The source of its session.
    pub source: &'a SourceId,
    /// Every source that has a session open.
    pub at_work: &'a BTreeSet<SourceId>,
}

impl Budget {
    /// The account as the catalog has it.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn load(catalog: &Catalog) -> Result<Self, CatalogError> {
        let day = civil_day(catalog.received_at_ns()?);
        let tallies = catalog.uncommitted_by_source()?;
        let uncommitted = tallies.values().copied().fold(Tally::default(), Tally::plus);
        let by_source = tallies.into_iter().filter_map(|(source, tally)| Some((source?, tally))).collect();
        Ok(Self { ledger: catalog.ledger(day)?, uncommitted, by_source })
    }

    /// Begins the civil day of `now_ns`. What is uncommitted goes on to count.
    ///
    /// # Errors
    /// [`CatalogError`]; the account is then as it was.
    pub fn roll(&mut self, catalog: &Catalog, now_ns: i64) -> Result<(), CatalogError> {
        self.ledger = catalog.ledger(civil_day(now_ns))?;
        Ok(())
    }

    /// Adds a batch of a source, or says why not and leaves the account as it was.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn try_add(&mut self, batch: &Tally, terms: &Terms, sender: Sender<'_>) -> Result<(), Refusal> {
        let at_work = self.by_source.iter().filter(|(source, _)| sender.at_work.contains(*source));
        let running = &at_work.map(|(source, tally)| (*source, *tally)).collect();
        let (ledger, uncommitted, source) = (&self.ledger, &self.uncommitted, sender.source);
        Account { ledger, uncommitted, terms, running, source }.admit(batch)?;
        self.add(batch, sender.source);
        Ok(())
    }

    /// Adds what is accepted already.
    pub fn add(&mut self, tally: &Tally, source: &SourceId) {
        self.uncommitted = self.uncommitted.plus(*tally);
        let of_source = self.by_source.entry(*source).or_default();
        *of_source = of_source.plus(*tally);
    }

    /// Takes back what was added for frames that were not stored after all.
    pub fn release(&mut self, batch: &Tally, source: &SourceId) {
        self.uncommitted = self.uncommitted.minus(*batch);
        let of_source = self.by_source.entry(*source).or_default();
        *of_source = of_source.minus(*batch);
    }

    /// Lets bytes that were accepted as initial count as change from here on: a later snapshot is about to reach them.
    ///
    /// # Errors
    /// [`Refusal`], which leaves the account as it was.
    pub fn turn_into_change(&mut self, bytes: u64, terms: &Terms, source: &SourceId) -> Result<(), Refusal> {
        let left = self.uncommitted.minus(Tally { initial_bytes: bytes, ..Tally::default() });
        let (ledger, uncommitted) = (&self.ledger, &left);
        let change = Tally { changed_bytes: bytes, ..Tally::default() };
        Account { ledger, uncommitted, terms, running: &BTreeMap::new(), source }.admit(&change)?;
        self.uncommitted = left.plus(change);
        Ok(())
    }
}

/// The civil day of a moment in nanoseconds since 1970.
pub fn civil_day(at_ns: i64) -> Date {
    day_of(Timestamp::from_nanosecond(at_ns.into()).unwrap_or(Timestamp::MAX))
}

/// What a chunk adds to the uncommitted account; `initial` says that its source had no baseline when its session was opened.
pub fn charge(entry: &PackEntry, initial: bool) -> Tally {
    let (plain_bytes, frame_bytes) = (u64::from(entry.plain_bytes), u64::from(entry.frame_bytes));
    let one = Tally { chunks: 1, ..Tally::default() };
    match (entry.kind, entry.class) {
        (ChunkKind::Data, FrameClass::Changed) if initial => Tally { initial_bytes: plain_bytes, ..one },
        (ChunkKind::Data, FrameClass::Changed) => Tally { changed_bytes: plain_bytes, ..one },
        (ChunkKind::Data, FrameClass::Relaid) => Tally { relaid_bytes: plain_bytes, ..one },
        (ChunkKind::Data, FrameClass::Reseed) => Tally { reseed_bytes: plain_bytes, ..one },
        // The children of a node are stored too, but are no plaintext.
        (ChunkKind::Leaf | ChunkKind::Branch | ChunkKind::Extents, _) => {
            Tally { node_bytes: plain_bytes.max(frame_bytes), ..one }
        }
    }
}

/// Adds up charges.
pub fn total(charges: impl Iterator<Item = Tally>) -> Tally {
    charges.fold(Tally::default(), Tally::plus)
}
