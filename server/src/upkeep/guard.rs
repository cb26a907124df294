//! The deletion guards put together: who may remove what at this moment (reliability.md, G1 to G5, and two persons).
//!
//! It removes nothing: it gives out a [`Pass`], and `upkeep::remove` asks it again before each object.
//!
//! Invariant: I5 — a guard that can't be evaluated refuses.
//! Invariant: the clock that decides never goes back, and a stop is stored before it is reported.

use common::text::date::nanoseconds;
use std::collections::BTreeSet;
use std::sync::Arc;

use common::id::SubscriptionId;
use jiff::Timestamp;

use crate::catalog::packs::PackState;
use crate::contract::guards::{HighWater, Stop, check_start};
use crate::contract::retention::{History, is_shorter};
use crate::contract::terms::{State, Terms};
use crate::control::approvals::{Approval, ApprovalKind};
use crate::control::audit::Trace;
use crate::control::pruning::{Pruning, PruningClock, PruningStop};
use crate::control::{Control, ControlError};
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::name::{Folder, ObjectName};
use crate::subscriptions::Subscriptions;
use crate::upkeep::expire::announce_shortened;
use crate::upkeep::facts::{Frozen, frozen, known};
use crate::upkeep::jobs::JobError;
use crate::upkeep::remove::Pass;

/// The guards of a server.
#[derive(Clone)]
pub struct Guards {
    control: Arc<Control>,
    subscriptions: Arc<Subscriptions>,
}

impl Guards {
    /// Guards that remember in `control`.
    pub fn new(control: Arc<Control>, subscriptions: Arc<Subscriptions>) -> Self {
        Self { control, subscriptions }
    }

    /// The control store that they remember in.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// G2: to be called once when the server starts, before the first tick.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn start(&self, wall: Timestamp) -> Result<(), ControlError> {
        let (clock, restored) = (self.control.pruning_clock()?, self.control.restored_from()?.is_some());
        match check_start(clock.as_ref().map(|clock| clock.seen), wall, restored) {
            Err(stop) if clock.as_ref().is_none_or(|clock| clock.stopped.is_empty()) => {
                self.stop_clock(clock.map_or(wall, |clock| clock.seen), stop, wall)
            }
            _ => Ok(()),
        }
    }

    /// G1: lets the clock of pruning go on; the time to prune by. To be called every few minutes.
    ///
    /// # Errors
    /// [`JobError::Refused`] while pruning stands still everywhere.
    pub fn tick(&self, wall: Timestamp) -> Result<Timestamp, JobError> {
        let clock = self.control.pruning_clock()?;
        let clock = clock.unwrap_or(PruningClock { seen: wall, stopped: String::new(), stopped_at_ns: 0 });
        if !clock.stopped.is_empty() {
            return Err(JobError::Refused(word_of(&clock.stopped)));
        }
        // However it came back, and whether the server was started since or not.
        if self.control.restored_from()?.is_some() {
            self.stop_clock(clock.seen, Stop::Rebuilt, wall)?;
            return Err(JobError::Refused(Stop::Rebuilt.word()));
        }
        match (HighWater { seen: clock.seen }).tick(wall) {
            Ok(HighWater { seen }) => {
                self.control.store_pruning_clock(&PruningClock { seen, ..clock })?;
                Ok(seen)
            }
            Err(stop) => {
                self.stop_clock(clock.seen, stop, wall)?;
                Err(JobError::Refused(stop.word()))
            }
        }
    }

    fn stop_clock(&self, seen: Timestamp, stop: Stop, wall: Timestamp) -> Result<(), ControlError> {
        tracing::error!(reason = stop.word(), %seen, now = %wall, "pruning stands still until an operator allows it");
        let (stopped, stopped_at_ns) = (stop.word().to_owned(), nanoseconds(wall));
        self.control.store_pruning_clock(&PruningClock { seen, stopped, stopped_at_ns })
    }

    /// An operator looked: pruning goes on everywhere, or of one subscription; the word of what had stopped it, empty if nothing
    /// had. What two persons must agree on is not touched.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn allow(
        &self,
        subscription: Option<&SubscriptionId>,
        wall: Timestamp,
        (reason, trace): (&str, &Trace),
    ) -> Result<String, JobError> {
        let Some(id) = subscription else {
            let stopped = self.control.pruning_clock()?.map_or_else(String::new, |clock| clock.stopped);
            self.control.audit_allowed_pruning(None, &format!("{stopped}: {reason}"), trace)?;
            // The mark first: a crash in between leaves the clock stopped.
            if self.control.restored_from()?.is_some() {
                self.control.accept_restored(trace)?;
            }
            self.control.store_pruning_clock(&PruningClock { seen: wall, stopped: String::new(), stopped_at_ns: 0 })?;
            return Ok(stopped);
        };
        let mut pruning = self.control.pruning(id)?;
        self.control.audit_allowed_pruning(Some(id), &format!("{}: {reason}", pruning.stopped), trace)?;
        let stopped = std::mem::take(&mut pruning.stopped);
        let open = self.subscriptions.get(id)?;
        // Both counters forward, whichever of the two is the older one.
        pruning.runs = pruning.runs.max(open.read(|catalog| Ok(catalog.upkeep_runs()?))?);
        self.control.store_pruning(id, &pruning)?;
        set_runs(&open, pruning.runs)?;
        Ok(stopped)
    }

    /// Where pruning stands still, and why: stops that wait for an operator, then holds, suspensions and ends.
    ///
    /// # Errors
    /// [`JobError`] if the control store cannot be read; a subscription that cannot be read is left to its alarm.
    pub fn stops(&self, now: Timestamp) -> Result<Vec<PruningStop>, JobError> {
        let mut stops = self.control.pruning_stops()?;
        for id in self.subscriptions.stored().map_err(SessionError::from)? {
            let Some(terms) = self.control.terms(&id)? else { continue };
            let mut stop = |reason: &str, since_ns| {
                stops.push(PruningStop { subscription: Some(id), reason: reason.to_owned(), since_ns });
            };
            if terms.state(now) == State::Ended {
                stop("ended", 0);
            } else if !terms.openness(now).pruning {
                stop("suspended", 0);
            }
            let holds = self.subscriptions.peek(&id, |catalog, _| Ok(known(catalog)?.standing().holds));
            if let Some(hold) = holds.ok().flatten().and_then(|holds| holds.into_iter().next()) {
                stop("hold", hold.at_ns);
            }
        }
        Ok(stops)
    }

    /// True if [`Self::allow`] ends a stop of this word. Too many snapshots need two persons, and a store that cannot be read is
    /// looked at again by each run.
    pub fn can_allow(word: &str) -> bool {
        Stop::WORDS.contains(&word) && word != TOO_MANY && word != Stop::ReadFailed.word()
    }

    /// Lets a run begin that may remove something of a subscription.
    ///
    /// # Errors
    /// [`JobError::Refused`] with the guard's word.
    pub fn admit<'a>(&'a self, open: &'a Subscription, wall: Timestamp) -> Result<Pass<'a>, JobError> {
        let id = open.shared().subscription;
        let now = self.tick(wall)?;
        let mut pruning = self.control.pruning(&id)?;
        let known = self.check_runs(open, &mut pruning, wall)?;
        let frozen = self.frozen(open, now)?;
        check_store(open)?;
        let (history, agreed) = self.history(&id, &pruning, now)?;
        if let (Some(number), Some(before)) = (agreed, &pruning.history) {
            // What two persons agreed to let go was told to the customer: it is announced, before the request is used up.
            announce_shortened(open, self, (before, &history), (&frozen, now))?;
            pruning.shortened_by = number;
        }
        // From what the catalog knows: however often its row could not be written, the control store is at most one ahead.
        pruning.runs = known + 1;
        pruning.history = Some(history.clone());
        // The control store first: a crash in between leaves it one ahead, which is known to be harmless.
        self.control.store_pruning(&id, &pruning)?;
        set_runs(open, pruning.runs)?;
        Ok(Pass::new(self, open, now, history))
    }

    /// Whether anything of a subscription may go at present; nothing begins and nothing is stored.
    ///
    /// # Errors
    /// [`JobError::Refused`] with the guard's word.
    pub fn admissible(&self, open: &Subscription, now: Timestamp) -> Result<(), JobError> {
        let clock = self.control.pruning_clock()?.map_or_else(String::new, |clock| clock.stopped);
        let stopped = self.control.pruning(&open.shared().subscription)?.stopped;
        match [clock, stopped].iter().find(|word| !word.is_empty()) {
            Some(word) => Err(JobError::Refused(word_of(word))),
            None => self.frozen(open, now).map(|_| ()),
        }
    }

    /// G2: a catalog and a control store that do not count the same runs: one of them was rebuilt or restored. The runs that the catalog knows.
    fn check_runs(&self, open: &Subscription, pruning: &mut Pruning, wall: Timestamp) -> Result<i64, JobError> {
        let known = open.read(|catalog| Ok(catalog.upkeep_runs()?))?;
        let agree = known == pruning.runs || known + 1 == pruning.runs;
        if pruning.stopped.is_empty() && !agree {
            self.stop(open, pruning, Stop::Rebuilt, wall)?;
        }
        // What goes beyond the announcement is counted again in each run.
        if !pruning.stopped.is_empty() && pruning.stopped != TOO_MANY {
            return Err(JobError::Refused(word_of(&pruning.stopped)));
        }
        Ok(known)
    }

    fn stop(&self, open: &Subscription, pruning: &mut Pruning, stop: Stop, wall: Timestamp) -> Result<(), JobError> {
        let id = open.shared().subscription;
        tracing::error!(reason = stop.word(), subscription = %id, "pruning stands still until an operator looks");
        (pruning.stopped, pruning.stopped_at_ns) = (stop.word().to_owned(), nanoseconds(wall));
        Ok(self.control.store_pruning(&id, pruning)?)
    }

    /// G3: stores that a run would remove too much, or that none does any more.
    ///
    /// # Errors
    /// [`JobError::Refused`] if it would.
    pub fn note_count(&self, open: &Subscription, counted: Result<(), Stop>, now: Timestamp) -> Result<(), JobError> {
        let id = open.shared().subscription;
        let mut pruning = self.control.pruning(&id)?;
        match counted {
            Ok(()) if pruning.stopped == TOO_MANY => {
                pruning.stopped = String::new();
                Ok(self.control.store_pruning(&id, &pruning)?)
            }
            Ok(()) => Ok(()),
            Err(stop) => {
                if pruning.stopped.is_empty() {
                    self.stop(open, &mut pruning, stop, now)?;
                }
                Err(JobError::Refused(stop.word()))
            }
        }
    }

    /// Takes the request that two persons agreed on to remove more than was announced, so that it can't serve twice; false if
    /// none stands whose seven days have passed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn take_override(&self, id: &SubscriptionId, now: Timestamp) -> Result<bool, ControlError> {
        let found = self.control.standing(ApprovalKind::PruneOverride, id, nanoseconds(now))?;
        let Some(approval) = found.filter(|approval| approval.check(now).is_ok()) else { return Ok(false) };
        let trace = Trace { who: "upkeep".to_owned(), address: "local".to_owned(), at_ns: nanoseconds(now) };
        self.control.carried_out(approval.number, &trace)?;
        Ok(true)
    }

    /// The history to prune by: one that is shorter than that of the last run only if two persons agreed on it since then; the
    /// number of their request comes with it.
    fn history(
        &self,
        id: &SubscriptionId,
        pruning: &Pruning,
        now: Timestamp,
    ) -> Result<(History, Option<i64>), JobError> {
        let wanted = self.terms(id)?.history;
        let Some(before) = pruning.history.as_ref().filter(|before| is_shorter(&wanted, before)) else {
            return Ok((wanted, None));
        };
        let agreed = |approval: &Approval| {
            approval.kind == ApprovalKind::ShortenHistory
                && approval.number > pruning.shortened_by
                && (approval.carried_out || approval.stands(nanoseconds(now)))
                && approval.check(now).is_ok()
        };
        match self.control.approvals(Some(id))?.into_iter().find(agreed) {
            Some(approval) => Ok((wanted, Some(approval.number))),
            None => Ok((before.clone(), None)),
        }
    }

    /// The history that the next run prunes by, unless a shorter one is agreed on until then.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn pruned_by(&self, id: &SubscriptionId, now: Timestamp) -> Result<History, JobError> {
        let pruning = self.control.pruning(id)?;
        Ok(match self.history(id, &pruning, now)? {
            (history, Some(_)) => pruning.history.unwrap_or(history),
            (history, None) => history,
        })
    }

    /// The terms of a subscription.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn terms(&self, id: &SubscriptionId) -> Result<Terms, SessionError> {
        self.subscriptions.terms(id)
    }

    /// G4: what is protected, if nothing holds the subscription as a whole.
    ///
    /// # Errors
    /// [`JobError::Refused`] for a hold, a suspension, the end of the contract, or a clock that was stopped meanwhile.
    pub fn frozen(&self, open: &Subscription, now: Timestamp) -> Result<Frozen, JobError> {
        let shared = open.shared();
        if self.control.pruning_clock()?.is_some_and(|clock| !clock.stopped.is_empty()) {
            return Err(JobError::Refused("stopped"));
        }
        if self.control.restored_from()?.is_some() {
            return Err(JobError::Refused(Stop::Rebuilt.word()));
        }
        let terms = self.terms(&shared.subscription)?;
        if terms.state(now) == State::Ended {
            return Err(JobError::Refused("ended"));
        }
        if !terms.openness(now).pruning {
            return Err(JobError::Refused("suspended"));
        }
        let frozen = open.read(|catalog| frozen(&shared.objects, &shared.subscription, catalog))?;
        if frozen.is_held() { Err(JobError::Refused("hold")) } else { Ok(frozen) }
    }
}

const TOO_MANY: &str = "too_many";

fn word_of(stored: &str) -> &'static str {
    Stop::WORDS.into_iter().find(|word| *word == stored).unwrap_or("stopped")
}

fn set_runs(open: &Subscription, runs: i64) -> Result<(), JobError> {
    Ok(open.writer().run(move |writer| {
        let set = writer.catalog.atomically(|catalog| catalog.set_upkeep_runs(runs));
        set.map_err(|error| writer.catalog_failed(error))
    })?)
}

/// G5: the store lists everything that the catalog says it holds, and no snapshot that the catalog does not know. A folder
/// that was emptied or not mounted, and a commit that did not end, stop here.
///
/// # Errors
/// [`JobError::Refused`].
pub(in crate::upkeep) fn check_store(open: &Subscription) -> Result<(), JobError> {
    let shared = open.shared();
    let list = |folder| shared.objects.list(&shared.subscription, folder).map_err(SessionError::from);
    // The rows first: what is published meanwhile is listed, and not expected.
    let (snapshots, packs) = open
        .read(|catalog| catalog.at_once(|catalog| Ok::<_, SessionError>((catalog.snapshots()?, catalog.packs()?))))?;
    let stored: BTreeSet<ObjectName> = list(Folder::Snapshots)?.into_iter().chain(list(Folder::Packs)?).collect();
    let expected = snapshots.iter().map(|row| ObjectName::Snapshot(row.session));
    let held = |state| !matches!(state, PackState::Staging | PackState::Lost | PackState::Arriving);
    let packs = packs.iter().filter(|pack| held(pack.state) && pack.emptied_at_ns == 0);
    let expected = expected.chain(packs.filter_map(|pack| pack.name).map(ObjectName::Pack));
    if let Some(missing) = expected.into_iter().find(|name| !stored.contains(name)) {
        tracing::error!(subscription = %shared.subscription, object = %missing, "the store does not list an object");
        return Err(JobError::Refused(Stop::ReadFailed.word()));
    }
    for name in &stored {
        let ObjectName::Snapshot(session) = name else { continue };
        let mut known = open.read(|catalog| Ok(catalog.snapshot(session)?))?;
        if known.is_none() {
            // A commit that is under way holds the writer from the object to the row.
            let session = *session;
            known = open.writer().run(move |writer| Ok(writer.catalog.snapshot(&session)?))?;
        }
        if known.is_none_or(|known| known.expired_at_ns != 0) {
            tracing::error!(subscription = %shared.subscription, %session, "the catalog does not know a snapshot");
            return Err(JobError::Refused(Stop::ReadFailed.word()));
        }
    }
    Ok(())
}
