//! One look at everything that metrics and alarms show, gathered from the read functions of each area.
//!
//! It judges nothing (`monitor::observe` does). A subscription that cannot be read is said to be so; the others are read all the same.
//!
//! Invariant: no file name: names are references of order forms and names of contracted sources.

use common::text::date::nanoseconds;
use std::collections::BTreeMap;

use common::id::{SourceId, SubscriptionId};
use jiff::Timestamp;
use jiff::civil::Date;

use crate::catalog::totals::{ChunkTotals, PackTotals, SourceTotals};
use crate::contract::calendar::{day_of, days_between};
use crate::contract::day::{Day, Outlook};
use crate::contract::quota::Level;
use crate::contract::terms::{State, Terms};
use crate::control::alarms::ChannelState;
use crate::control::pruning::PruningStop;
use crate::control::reevaluations::Reevaluation;
use crate::control::upkeep::JobRecord;
use crate::control::{Control, ControlError};
use crate::monitor::process::Process;
use crate::session::error::SessionError;
use crate::session::subscription::DayRefusal;
use crate::store::health::Room;
use crate::subscriptions::Subscriptions;
use crate::upkeep::scrub_round::ScrubState;
use crate::upkeep::{facts, scrub_round};
use crate::usage::{Usage, usage_of};

/// Everything, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// When the process began.
    pub started_at: Timestamp,
    /// The process.
    pub process: Process,
    /// The disk; none if it cannot be measured.
    pub room: Option<Room>,
    /// A write failed, and nothing is written since.
    pub is_suspect: bool,
    /// Each presented certificate, and when it ends.
    pub certificates: Vec<(&'static str, Timestamp)>,
    /// Until when the control store is known to be copied; none if it never was.
    pub copied_at: Option<Timestamp>,
    /// How each channel fares.
    pub channels: Vec<ChannelState>,
    /// Last results of the server's own jobs.
    pub jobs: Vec<JobRecord>,
    /// Why pruning stands still everywhere, and since when, if it does.
    pub pruning_stop: Option<(String, Timestamp)>,
    /// Since when the server's own jobs are paused, if they are.
    pub paused_since: Option<Timestamp>,
    /// Each subscription.
    pub subscriptions: Vec<SubscriptionLook>,
}

/// One subscription.
#[derive(Debug, Clone)]
pub struct SubscriptionLook {
    /// Reference of its order form.
    pub reference: String,
    /// Its terms.
    pub terms: Terms,
    /// Its sources, in the order of the order form.
    pub sources: Vec<SourceLook>,
    /// What its catalog says; none if it cannot be read.
    pub stored: Option<StoredLook>,
    /// Last results of its jobs.
    pub jobs: Vec<JobRecord>,
    /// Its re-evaluation, if one waits for its outcome.
    pub reevaluation: Option<Reevaluation>,
    /// Refusals of the daily change, yesterday and today.
    pub refusals: Vec<DayRefusal>,
    /// Which guard stopped its pruning until an operator looks, and since when, if one did.
    pub pruning_stop: Option<(String, Timestamp)>,
    /// Since when its jobs are paused, if they are.
    pub paused_since: Option<Timestamp>,
}

/// One contracted source.
#[derive(Debug, Clone, Default)]
pub struct SourceLook {
    /// Its name on the order form.
    pub name: String,
    /// From when its first complete snapshot is waited for; none if it is not yet.
    pub due_from: Option<Timestamp>,
    /// What it has; zeros if nothing.
    pub totals: SourceTotals,
    /// Plain bytes that its snapshots of today changed.
    pub changed_bytes: u64,
}

/// A subscription's catalog.
#[derive(Debug, Clone)]
pub struct StoredLook {
    /// Plain bytes that the newest snapshots reach.
    pub used_bytes: u64,
    /// Accepted, not committed yet, in plain bytes.
    pub uncommitted_bytes: u64,
    /// Today's change.
    pub day: DayLook,
    /// Today, and yesterday as it ended, to be judged.
    pub days: Vec<Day>,
    /// Packs.
    pub packs: PackTotals,
    /// Small objects that are damaged or gone.
    pub damaged_objects: u64,
    /// Chunks, as they were last counted.
    pub chunks: ChunkTotals,
    /// What scrubbing has still to do.
    pub scrub: ScrubState,
    /// Sessions that are open.
    pub sessions: u64,
    /// Names of the sources of suspect snapshots, and since when each is held.
    pub holds: Vec<(String, Timestamp)>,
}

/// Today's change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayLook {
    /// Bytes that count against the allowance.
    pub changed_bytes: u64,
    /// Bytes that may change.
    pub allowed_bytes: u64,
    /// Plain bytes of the first complete snapshots.
    pub baseline_bytes: u64,
    /// How close it is.
    pub level: Level,
    /// What the last 30 days say; none while nothing is stored.
    pub outlook: Option<Outlook>,
}

impl SubscriptionLook {
    /// Whether backups are taken.
    pub fn state(&self, now: Timestamp) -> State {
        self.terms.state(now)
    }

    /// Since when a source is late; none if it is not.
    pub fn late_since(&self, source: &SourceLook, now: Timestamp) -> Option<Timestamp> {
        let complete = source.totals.complete_at_ns.map(common::text::date::moment);
        let reference = complete.or(source.due_from)?;
        self.stored.as_ref()?;
        self.terms.late_since(reference, now)
    }
}

/// Reads the subscriptions.
pub struct Gatherer<'a> {
    /// The provider's records.
    pub control: &'a Control,
    /// What is stored.
    pub subscriptions: &'a Subscriptions,
    /// Chunks of each subscription, as they were last counted.
    pub chunks: &'a BTreeMap<SubscriptionId, ChunkTotals>,
}

impl Gatherer<'_> {
    /// Looks at every subscription.
    ///
    /// # Errors
    /// If the control store cannot be read; a catalog that cannot be read is no error.
    pub fn subscriptions(&self, now: Timestamp) -> Result<Vec<SubscriptionLook>, ControlError> {
        let (jobs, stops, pauses) =
            (self.control.jobs()?, self.control.pruning_stops()?, self.control.paused_upkeep()?);
        let mut reevaluations = self.control.reevaluations(None, false)?;
        let yesterday = day_of(now).yesterday().unwrap_or(Date::MIN);
        let mut looks = Vec::new();
        for known in self.control.subscriptions(None)? {
            let id = known.subscription;
            let Some(terms) = self.control.terms(&id)? else { continue };
            let due = self.control.due_from(&known)?;
            let mut sources: Vec<(SourceId, SourceLook)> = Vec::new();
            for source in &known.sources {
                let due_from = due.get(&source.source).copied();
                let look = SourceLook { name: source.name.clone(), due_from, ..SourceLook::default() };
                sources.push((source.source, look));
            }
            let stored = self.stored(&id, &terms, &mut sources, now);
            let stored = stored.inspect_err(|error| self.complain(&id, error)).ok();
            looks.push(SubscriptionLook {
                reference: known.form.reference,
                terms,
                sources: sources.into_iter().map(|(_, source)| source).collect(),
                stored,
                jobs: jobs.iter().filter(|job| job.subscription == Some(id)).cloned().collect(),
                reevaluation: reevaluations.extract_if(.., |known| known.subscription == id).next(),
                refusals: self.control.refusals(&id, yesterday)?,
                pruning_stop: stop_of(&stops, Some(id)),
                paused_since: pause_of(&pauses, Some(id)),
            });
        }
        Ok(looks)
    }

    fn stored(
        &self,
        id: &SubscriptionId,
        terms: &Terms,
        sources: &mut [(SourceId, SourceLook)],
        now: Timestamp,
    ) -> Result<StoredLook, SessionError> {
        let peeked = self.subscriptions.peek(id, |catalog, account| {
            let totals = catalog.source_totals()?;
            let usage = usage_of(catalog, account, (terms, now), None)?;
            let changed: BTreeMap<_, _> = catalog.sources_of_day(usage.today.day)?.into_iter().collect();
            for (id, source) in sources.iter_mut() {
                source.changed_bytes = changed.get(id).map_or(0, |line| line.tally.counted_bytes(u64::MAX));
                source.totals = totals.get(id).copied().unwrap_or_default();
            }
            let name = |id: &SourceId| {
                let found = sources.iter().find(|(source, _)| source == id);
                found.map_or_else(|| id.to_string(), |(_, source)| source.name.clone())
            };
            let holds = facts::known(catalog)?.standing().holds;
            Ok(StoredLook {
                used_bytes: usage.ledger.volume_bytes,
                uncommitted_bytes: usage.uncommitted.data_bytes(),
                day: day(&usage),
                days: recent(&usage),
                packs: catalog.pack_totals()?,
                damaged_objects: catalog.damaged_objects()?.len() as u64,
                chunks: self.chunks.get(id).copied().unwrap_or_default(),
                scrub: scrub_round::state(catalog, nanoseconds(now))?,
                sessions: catalog.open_session_count()?,
                holds: holds.iter().map(|hold| (name(&hold.source), common::text::date::moment(hold.at_ns))).collect(),
            })
        })?;
        Ok(peeked.unwrap_or_else(|| StoredLook {
            used_bytes: 0,
            uncommitted_bytes: 0,
            day: DayLook {
                changed_bytes: 0,
                allowed_bytes: 0,
                baseline_bytes: 0,
                level: Level::NotStarted,
                outlook: None,
            },
            days: Vec::new(),
            packs: PackTotals::default(),
            damaged_objects: 0,
            chunks: ChunkTotals::default(),
            scrub: ScrubState::default(),
            sessions: 0,
            holds: Vec::new(),
        }))
    }

    fn complain(&self, id: &SubscriptionId, error: &SessionError) {
        let error = error as &dyn std::error::Error;
        tracing::warn!(error, subscription = %id, "a subscription could not be looked at");
    }
}

/// Today as it stands, and yesterday as its last snapshot left it.
fn recent(usage: &Usage) -> Vec<Day> {
    let yesterday = usage.days.iter().find(|line| days_between(line.day, usage.today.day) == 1);
    std::iter::once(usage.today).chain(yesterday.map(crate::usage::day)).collect()
}

/// Which stop of pruning is a place's own, and since when.
pub fn stop_of(stops: &[PruningStop], place: Option<SubscriptionId>) -> Option<(String, Timestamp)> {
    let stop = stops.iter().find(|stop| stop.subscription == place)?;
    Some((stop.reason.clone(), common::text::date::moment(stop.since_ns)))
}

/// Since when the jobs of a place are paused.
pub fn pause_of(pauses: &[(Option<SubscriptionId>, i64)], place: Option<SubscriptionId>) -> Option<Timestamp> {
    let (_, since_ns) = pauses.iter().find(|(of, _)| *of == place)?;
    Some(common::text::date::moment(*since_ns))
}

fn day(usage: &Usage) -> DayLook {
    DayLook {
        changed_bytes: usage.today.counted_bytes,
        allowed_bytes: usage.today.allowed_bytes.unwrap_or(0),
        baseline_bytes: usage.baseline_bytes,
        level: usage.today.level(),
        outlook: Some(usage.outlook),
    }
}
