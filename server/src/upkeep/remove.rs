//! The one place from which stored objects are removed.
//!
//! Before each object the guards are asked again, against what is durable at that moment: a hold, a protection, a suspension or a
//! stop that came while the run was under way wins.
//!
//! Invariant: I5 — [`Warrant`] is made in this file only, and the store removes nothing without one.
//! Invariant: I2 — a snapshot goes after its tombstone, a pack after every row that pointed to it.

use std::cell::Cell;

use common::id::SessionId;
use jiff::Timestamp;

use crate::catalog::packs::PackFacts;
use crate::contract::retention::{Fate, History};
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;
use crate::upkeep::expire::fates;
use crate::upkeep::guard::{Guards, check_store};
use crate::upkeep::jobs::JobError;

/// Proof that the guards were asked; what the store wants to see before it removes.
#[derive(Debug)]
pub struct Warrant(());

/// A run that may remove something of one subscription.
pub struct Pass<'a> {
    guards: &'a Guards,
    open: &'a Subscription,
    now: Timestamp,
    history: History,
    snapshots_left: Cell<usize>,
}

impl<'a> Pass<'a> {
    /// Made by [`Guards::admit`]; no snapshot may go before [`Self::set_snapshots`].
    pub(in crate::upkeep) fn new(guards: &'a Guards, open: &'a Subscription, now: Timestamp, history: History) -> Self {
        Self { guards, open, now, history, snapshots_left: Cell::new(0) }
    }

    /// The time to prune by.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The time to prune by, in nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        i64::try_from(self.now.as_nanosecond()).unwrap_or(i64::MAX)
    }

    /// The history to prune by.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The guards.
    pub fn guards(&self) -> &Guards {
        self.guards
    }

    /// How many snapshots the run may remove: G3 was asked for as many.
    pub(in crate::upkeep) fn set_snapshots(&self, count: usize) {
        self.snapshots_left.set(count);
    }

    /// Asks the guards again.
    ///
    /// # Errors
    /// [`JobError::Refused`].
    pub fn check(&self) -> Result<(), JobError> {
        self.guards.frozen(self.open, self.now).map(|_| ())
    }

    /// Asks whether a snapshot may go at this moment.
    ///
    /// # Errors
    /// [`JobError::Refused`] if it is protected or kept by the history.
    pub fn check_snapshot(&self, session: &SessionId) -> Result<(), JobError> {
        let frozen = self.guards.frozen(self.open, self.now)?;
        if frozen.keeps(session, self.now_ns()) {
            return Err(JobError::Refused("protected"));
        }
        let terms = self.guards.terms(&self.open.shared().subscription)?;
        let known = self.open.read(|catalog| Ok(catalog.snapshot(session)?))?.ok_or(SessionError::Unknown)?;
        let fates = fates(self.open, (&self.history, &terms.pauses()), &frozen, self.now)?;
        let fate = fates.get(&known.source).and_then(|all| all.iter().find(|(of, _)| of == session));
        if fate.is_none_or(|(_, fate)| *fate != Fate::Expire) {
            return Err(JobError::Refused("kept"));
        }
        Ok(())
    }

    /// Removes the object of an expired snapshot, whose tombstone is durable. The caller holds the lock of removals.
    ///
    /// # Errors
    /// [`JobError::Refused`] if it may not go, or is one too many.
    pub fn remove_snapshot(&self, session: &SessionId) -> Result<(), JobError> {
        self.check_snapshot(session)?;
        let left = self.snapshots_left.get().checked_sub(1).ok_or(JobError::Refused("too_many"))?;
        self.snapshots_left.set(left);
        let shared = self.open.shared();
        let tombstone = ObjectName::Tombstone(*session);
        // It is read, not only looked for: what replaces the snapshot must be there.
        let bytes_max = common::limits::TOMBSTONE_BYTES_MAX;
        shared.objects.read(&shared.subscription, &tombstone, bytes_max).map_err(SessionError::from)?;
        self.remove(&ObjectName::Snapshot(*session))
    }

    /// Removes a pack that no row points to since `until_ns` at least.
    ///
    /// # Errors
    /// [`JobError::Refused`] if one does.
    pub fn remove_pack(&self, pack: &PackFacts, until_ns: i64) -> Result<(), JobError> {
        self.check()?;
        let row = pack.row;
        let is_emptied = self.open.writer().run(move |writer| Ok(writer.catalog.is_emptied(row, until_ns)?))?;
        let name = pack.name.filter(|_| is_emptied).ok_or(JobError::Refused("in_use"))?;
        self.remove(&ObjectName::Pack(name))
    }

    /// Removes an object; one that is gone already was removed before a crash.
    fn remove(&self, name: &ObjectName) -> Result<(), JobError> {
        let shared = self.open.shared();
        match shared.objects.remove(&shared.subscription, name, &Warrant(())) {
            Ok(()) => Ok(()),
            // Removed before a crash, or the store is not there any more: then other objects are missing too.
            Err(StoreError::NotFound(_)) => check_store(self.open),
            Err(error) => Err(SessionError::from(error).into()),
        }
    }
}
