//! Expiry: snapshots that left the history go, and leave a tombstone.
//!
//! ```text
//! tombstone durable → snapshot object gone, directory fsynced → row without a root (counters and receipt stay)
//! ```
//! A crash after the first step is taken up by the next run, after the second by recovery. Which snapshots go is
//! `contract::retention`'s decision; whether any may go is the guards'.
//!
//! Invariant: I2, I5. Invariant: age is counted by receipt time and by the clock of the guards, never by an agent's.

use std::collections::{BTreeMap, BTreeSet};

use common::id::{SessionId, SourceId};
use common::stored::SnapshotState;
use jiff::{SignedDuration, Timestamp};

use crate::catalog::snapshots::SnapshotFacts;
use crate::contract::guards::check_count;
use crate::contract::retention::{Candidate, Fate, History, Outlook, Suspension, plan_outlook, plan_retention};
use crate::session::error::SessionError;
use crate::session::subscription::Subscription;
use crate::store::name::ObjectName;
use crate::upkeep::facts::{self, Frozen};
use crate::upkeep::guard::Guards;
use crate::upkeep::jobs::{Counts, JobError};
use crate::upkeep::remove::Pass;
use crate::upkeep::token::{Progress, Token};
use crate::upkeep::tombstone::bury;

/// How far ahead a run announces what goes, in days: a week's absence of the job, and one day more.
const ANNOUNCED_DAYS: u32 = 8;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What becomes of the snapshots of each source.
pub type Fates = BTreeMap<SourceId, Vec<(SessionId, Fate)>>;

/// Removes the snapshots that left the history.
///
/// # Errors
/// [`JobError`]; what was done until then stays done.
pub fn expire(open: &Subscription, pass: &Pass<'_>, token: &Token) -> Result<Counts, JobError> {
    let id = open.shared().subscription;
    let frozen = pass.guards().frozen(open, pass.now())?;
    let pauses = pass.guards().terms(&id)?.pauses();
    let terms = (pass.history(), &pauses[..]);
    let fates = fates(open, terms, &frozen, pass.now())?;
    let total = fates.values().map(Vec::len).sum::<usize>();
    let going: Vec<SessionId> = fates
        .values()
        .flatten()
        .filter(|(session, fate)| *fate == Fate::Expire && !frozen.keeps(session, pass.now_ns()))
        .map(|(session, _)| *session)
        .collect();
    check_announced(open, pass, &going, total)?;
    pass.set_snapshots(going.len());
    let (mut expired, mut damaged) = (0, 0);
    for (done, session) in going.iter().enumerate() {
        token.go_on()?;
        token.report(Progress { done: done as u64, total: going.len() as u64, unit: "snapshots" });
        match expire_one(open, pass, session)? {
            true => expired += 1,
            false => damaged += 1,
        }
    }
    announce(open, pass.guards(), (terms, pass.now()), &frozen)?;
    Ok(vec![("expired", expired), ("kept", total as u64 - expired), ("damaged", damaged)])
}

/// G3, and what two persons agreed on.
fn check_announced(open: &Subscription, pass: &Pass<'_>, going: &[SessionId], total: usize) -> Result<(), JobError> {
    let (id, guards) = (open.shared().subscription, pass.guards());
    let preview: BTreeMap<SessionId, i64> = guards.control().pruning_preview(&id)?.into_iter().collect();
    let announced = |session: &&SessionId| preview.get(session).is_some_and(|at_ns| *at_ns <= pass.now_ns());
    let announced = going.iter().filter(announced).count();
    let counted = check_count(going.len(), announced, total);
    if counted.is_err() && guards.take_override(&id, pass.now())? {
        return guards.note_count(open, Ok(()), pass.now());
    }
    guards.note_count(open, counted, pass.now())
}

/// Lets a snapshot go; false if its object is damaged, which then stays and stands in nobody's way.
fn expire_one(open: &Subscription, pass: &Pass<'_>, session: &SessionId) -> Result<bool, JobError> {
    let (session, now_ns) = (*session, pass.now_ns());
    let shared = open.shared();
    // Nobody protects a snapshot between the guards' answer and its end.
    let _alone = shared.removal.lock();
    pass.check_snapshot(&session)?;
    let row = open.read(|catalog| Ok(catalog.snapshot(&session)?))?.ok_or(SessionError::Unknown)?;
    // No tombstone can be made of what cannot be read.
    if open.snapshot_object(&row, now_ns)?.is_none() {
        return Ok(false);
    }
    bury(&shared.objects, &shared.subscription, &row, now_ns)?;
    pass.remove_snapshot(&session)?;
    open.writer().run(move |writer| {
        let set = writer.catalog.atomically(|catalog| catalog.set_expired(&session, now_ns));
        set.map_err(|error| writer.catalog_failed(error))
    })?;
    Ok(true)
}

/// What becomes of each snapshot at `now`.
///
/// # Errors
/// [`SessionError`].
pub fn fates(
    open: &Subscription,
    (history, pauses): (&History, &[Suspension]),
    frozen: &Frozen,
    now: Timestamp,
) -> Result<Fates, SessionError> {
    let sources = candidates(open, frozen)?.into_iter();
    Ok(sources.map(|(source, all)| (source, plan_retention(&all, history, pauses, now))).collect())
}

/// What becomes of each snapshot, and when it goes, looking `steps` steps of `step` ahead.
///
/// # Errors
/// [`SessionError`].
pub fn outlook(
    open: &Subscription,
    ((history, pauses), now): ((&History, &[Suspension]), Timestamp),
    frozen: &Frozen,
    ahead: (SignedDuration, u32),
) -> Result<BTreeMap<SourceId, Vec<Outlook>>, SessionError> {
    let sources = candidates(open, frozen)?.into_iter();
    Ok(sources.map(|(source, all)| (source, plan_outlook(&all, (history, pauses), now, ahead))).collect())
}

/// Adds what goes within the next days to what was announced, for G3; how many. What is due at this very moment and was not
/// announced while it was still to come is not announced by this: a clock that jumped would announce everything.
fn announce(
    open: &Subscription,
    guards: &Guards,
    terms: ((&History, &[Suspension]), Timestamp),
    frozen: &Frozen,
) -> Result<u64, JobError> {
    let outlook = outlook(open, terms, frozen, (DAY, ANNOUNCED_DAYS))?;
    let all: Vec<&Outlook> = outlook.values().flatten().collect();
    let coming = all.iter().filter(|snapshot| snapshot.fate != Fate::Expire);
    let announced: Vec<(SessionId, i64)> = coming
        .filter_map(|snapshot| Some((snapshot.session, i64::try_from(snapshot.goes_at?.as_nanosecond()).ok()?)))
        .collect();
    let alive: BTreeSet<SessionId> = all.iter().map(|snapshot| snapshot.session).collect();
    guards.control().add_pruning_preview(&open.shared().subscription, &announced, &alive)?;
    Ok(announced.len() as u64)
}

/// Announces what goes within the next days, whether or not anything may go at present: a hold, a suspension or a pause that ends
/// must not find more due than was ever announced.
///
/// # Errors
/// [`JobError`].
pub fn announce_coming(open: &Subscription, guards: &Guards, now: Timestamp) -> Result<u64, JobError> {
    let shared = open.shared();
    let history = guards.pruned_by(&shared.subscription, now)?;
    let pauses = guards.terms(&shared.subscription)?.pauses();
    let frozen = open.read(|catalog| facts::frozen(&shared.objects, &shared.subscription, catalog))?;
    announce(open, guards, ((&history, &pauses), now), &frozen)
}

/// Announces what a shorter history, that two persons agreed on, lets go at once.
///
/// # Errors
/// [`JobError`].
pub fn announce_shortened(
    open: &Subscription,
    guards: &Guards,
    (before, after): (&History, &History),
    (frozen, now): (&Frozen, Timestamp),
) -> Result<(), JobError> {
    let pauses = guards.terms(&open.shared().subscription)?.pauses();
    let old = fates(open, (before, &pauses), frozen, now)?;
    let new = fates(open, (after, &pauses), frozen, now)?;
    let going = |fates: &Fates| -> BTreeSet<SessionId> {
        let all = fates.values().flatten();
        all.filter(|(_, fate)| *fate == Fate::Expire).map(|(session, _)| *session).collect()
    };
    let now_ns = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
    let announced: Vec<(SessionId, i64)> =
        going(&new).difference(&going(&old)).map(|session| (*session, now_ns)).collect();
    let alive = new.values().flatten().map(|(session, _)| *session).collect();
    Ok(guards.control().add_pruning_preview(&open.shared().subscription, &announced, &alive)?)
}

fn candidates(open: &Subscription, frozen: &Frozen) -> Result<BTreeMap<SourceId, Vec<Candidate>>, SessionError> {
    let mut sources: BTreeMap<SourceId, Vec<Candidate>> = BTreeMap::new();
    for row in open.read(|catalog| Ok(catalog.snapshots()?))? {
        let candidate = candidate(&row, frozen)?;
        sources.entry(row.source).or_default().push(candidate);
    }
    Ok(sources)
}

fn candidate(row: &SnapshotFacts, frozen: &Frozen) -> Result<Candidate, SessionError> {
    let moment = |at_ns: i64| {
        let at = Timestamp::from_nanosecond(at_ns.into());
        at.map_err(|_| SessionError::Damaged(ObjectName::Snapshot(row.session).to_string()))
    };
    let protections = frozen.protections.iter().filter(|protection| protection.snapshot == row.session);
    let protected_until = protections.map(|protection| protection.until_ns).max().map(moment).transpose()?;
    Ok(Candidate {
        session: row.session,
        received_at: moment(row.server.received_at_ns)?,
        complete: row.state == SnapshotState::Complete,
        verified: row.verified_at_ns != 0,
        protected_until,
    })
}
