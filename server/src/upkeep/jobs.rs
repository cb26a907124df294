//! Upkeep jobs: which there are, when each is due, and the threads that run them.
//!
//! A job of a subscription runs alone among that subscription's; jobs of others run beside it. No job holds a lock that a backup
//! or a restore waits for: what must be written goes through the subscription's writer in short transactions. What a job does is
//! in the module of its name; this one knows names, times and results only.
//!
//! Invariant: a job that ended is recorded in the control store before the next one begins; a crash runs it again.
//! Invariant: I8 — time comes from the injected clock.

use common::text::date::nanoseconds;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::id::SubscriptionId;
use jiff::{SignedDuration, Timestamp};
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::control::audit::Trace;
use crate::control::upkeep::JobRecord;
use crate::control::{Control, ControlError};
use crate::session::error::SessionError;
use crate::subscriptions::Subscriptions;
use crate::upkeep::token::{Progress, Stopped, Token};

/// Longest pause after a failure before the job is tried again.
const RETRY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// A job, in the order in which due ones of one place run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobKind {
    /// Signed checkpoints of the audit trail.
    Checkpoint,
    /// Amendments whose day has come, and first complete backups.
    Amend,
    /// Finished days are judged.
    Judge,
    /// Copies of the control store.
    ControlCopy,
    /// What is to leave the histories is announced.
    Announce,
    /// Snapshots that left the history.
    Expire,
    /// What nothing reaches moves to trash.
    Mark,
    /// Trash whose grace is over goes.
    Purge,
    /// Good frames of damaged packs are copied.
    Repair,
    /// Packs are rewritten and merged.
    Compact,
    /// Every stored byte is read again.
    Scrub,
    /// Counters are computed again.
    Recount,
}

impl JobKind {
    /// Every job.
    pub const ALL: [Self; 12] = [
        Self::Checkpoint,
        Self::Amend,
        Self::Judge,
        Self::ControlCopy,
        Self::Announce,
        Self::Expire,
        Self::Mark,
        Self::Purge,
        Self::Repair,
        Self::Compact,
        Self::Scrub,
        Self::Recount,
    ];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Amend => "amend",
            Self::Judge => "judge",
            Self::ControlCopy => "control-copy",
            Self::Announce => "announce",
            Self::Expire => "expire",
            Self::Mark => "mark",
            Self::Purge => "purge",
            Self::Repair => "repair",
            Self::Compact => "compact",
            Self::Scrub => "scrub",
            Self::Recount => "recount",
        }
    }

    /// The job of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a job runs: one subscription, or the server itself.
pub type Place = Option<SubscriptionId>;
/// What a job counted, by stable name.
pub type Counts = Vec<(&'static str, u64)>;

/// Why a job did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Somebody stopped it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// A guard says that nothing may be removed for the moment; its stable word.
    #[error("nothing may be removed: {0}")]
    Refused(&'static str),
    /// The subscription's side failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The control store failed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Failed(String),
}

/// What a job works with.
pub struct Context<'a> {
    /// Where it runs.
    pub place: Place,
    /// When it began.
    pub now: Timestamp,
    /// Tells the time, for long jobs.
    pub clock: &'a Clock,
    /// Asked between two steps.
    pub token: &'a Token,
}

impl Context<'_> {
    /// The subscription that a job of a subscription runs for.
    ///
    /// # Errors
    /// [`JobError::Failed`] in a job of the server.
    pub fn subscription(&self) -> Result<&SubscriptionId, JobError> {
        self.place.as_ref().ok_or_else(|| JobError::Failed("the job needs a subscription".to_owned()))
    }

    /// When it began, in nanoseconds since 1970.
    pub fn now_ns(&self) -> i64 {
        nanoseconds(self.now)
    }
}

type Run = dyn Fn(&Context<'_>) -> Result<Counts, JobError> + Send + Sync;

/// A job that can run.
pub struct Spec {
    /// Which.
    pub kind: JobKind,
    /// Time from one beginning to the next.
    pub every: SignedDuration,
    /// True if it runs once for the server, false if once per subscription.
    pub for_server: bool,
    /// Does it.
    pub run: Box<Run>,
}

/// Which jobs a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those of the server itself: however long subscriptions take, the control store is copied.
    Server,
    /// Those of subscriptions.
    Subscriptions,
}

impl Lane {
    fn has(self, place: Place) -> bool {
        (self == Self::Server) == place.is_none()
    }
}

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Where.
    pub place: Place,
    /// Which.
    pub kind: JobKind,
    /// When it runs next, if not paused.
    pub due_at_ns: i64,
    /// How far it got, if it runs.
    pub progress: Option<Progress>,
    /// Whether its place is paused.
    pub paused: bool,
    /// How it ended last.
    pub last: Option<JobRecord>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<Place, (JobKind, Arc<Token>)>,
    wanted: BTreeSet<(Place, JobKind)>,
    paused: BTreeSet<Place>,
    last: BTreeMap<(Place, JobKind), JobRecord>,
    closing: bool,
}

/// All jobs of a server.
pub struct Jobs {
    control: Arc<Control>,
    subscriptions: Arc<Subscriptions>,
    clock: Clock,
    specs: Vec<Spec>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Jobs {
    /// Takes up last results and pauses; runs nothing yet.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn new(
        control: Arc<Control>,
        subscriptions: Arc<Subscriptions>,
        mut specs: Vec<Spec>,
    ) -> Result<Self, ControlError> {
        specs.sort_by_key(|spec| spec.kind);
        let clock = subscriptions.settings().clock.clone();
        let mut state = State {
            paused: control.paused_upkeep()?.into_iter().map(|(place, _)| place).collect(),
            ..State::default()
        };
        for record in control.jobs()? {
            if let Some(kind) = JobKind::named(&record.job) {
                state.last.insert((record.subscription, kind), record);
            }
        }
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { control, subscriptions, clock, specs, state, changed })
    }

    /// Runs what is due, one job after the other, until nothing is or [`Self::close`] is called; how many ran.
    pub fn run_due(&self) -> usize {
        self.run_lane(Lane::Server) + self.run_lane(Lane::Subscriptions)
    }

    fn run_lane(&self, lane: Lane) -> usize {
        let mut ran = 0;
        while let Some((place, spec, token)) = self.take_due(lane) {
            self.run(place, spec, &token);
            ran += 1;
        }
        ran
    }

    /// Runs what is due of a lane for as long as the server serves; looks every `look_every` at least.
    pub fn work(&self, lane: Lane, look_every: std::time::Duration) {
        loop {
            self.run_lane(lane);
            let mut state = self.state.lock();
            if state.closing {
                return;
            }
            let can_run = |(place, _): &(Place, JobKind)| lane.has(*place) && !state.running.contains_key(place);
            if !state.wanted.iter().any(can_run) {
                self.changed.wait_for(&mut state, look_every);
            }
        }
    }

    /// Stops everything that runs and begins nothing more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        state.running.values().for_each(|(_, token)| token.stop());
        self.changed.notify_all();
    }

    /// Has a job run as soon as its place is free, paused or not due as it may be.
    ///
    /// # Errors
    /// [`JobError::Failed`] if there is no such job at such a place.
    pub fn request(&self, place: Place, kind: JobKind) -> Result<(), JobError> {
        if !self.knows(place, kind) {
            return Err(JobError::Failed(format!("there is no job {} there", kind.name())));
        }
        self.state.lock().wanted.insert((place, kind));
        self.changed.notify_all();
        Ok(())
    }

    /// True if there is such a job at such a place.
    pub fn knows(&self, place: Place, kind: JobKind) -> bool {
        self.specs.iter().any(|spec| spec.kind == kind && spec.for_server == place.is_none())
    }

    /// Pauses or resumes all jobs of a place, also across a restart. The running one stops at its next step, so that it keeps no
    /// worker from others, and begins again when its place is resumed.
    ///
    /// # Errors
    /// [`ControlError`].
    pub fn pause(&self, place: Place, paused: bool, trace: &Trace) -> Result<(), ControlError> {
        self.control.pause_upkeep(place.as_ref(), paused, trace)?;
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if paused {
            state.paused.insert(place);
            if let Some((_, token)) = state.running.get(&place) {
                token.stop();
            }
        } else {
            state.paused.remove(&place);
            let stopped = state.last.iter().filter(|((of, _), last)| *of == place && last.outcome == "stopped");
            state.wanted.extend(stopped.map(|(key, _)| *key));
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Stops the job that runs at a place; true if one did.
    pub fn stop(&self, place: Place) -> bool {
        let state = self.state.lock();
        let running = state.running.get(&place);
        running.inspect(|(_, token)| token.stop()).is_some()
    }

    /// Every job of the server and of each stored subscription.
    ///
    /// # Errors
    /// [`JobError`] if the subscriptions can't be listed.
    pub fn status(&self) -> Result<Vec<JobStatus>, JobError> {
        let places = self.places()?;
        let state = self.state.lock();
        let all = places.iter().flat_map(|place| self.specs.iter().map(move |spec| (*place, spec)));
        let status = all.filter(|(place, spec)| spec.for_server == place.is_none()).map(|(place, spec)| {
            let running = state.running.get(&place).filter(|(kind, _)| *kind == spec.kind);
            JobStatus {
                place,
                kind: spec.kind,
                due_at_ns: nanoseconds(due_at(spec, state.last.get(&(place, spec.kind)))),
                progress: running.map(|(_, token)| token.progress()),
                paused: state.paused.contains(&place),
                last: state.last.get(&(place, spec.kind)).cloned(),
            }
        });
        Ok(status.collect())
    }

    fn places(&self) -> Result<Vec<Place>, JobError> {
        let stored = self.subscriptions.stored().map_err(SessionError::from)?;
        Ok(std::iter::once(None).chain(stored.into_iter().map(Some)).collect())
    }

    /// Takes the next job of a lane and marks its place as taken: what was asked for, then what is due the longest.
    fn take_due(&self, lane: Lane) -> Option<(Place, &Spec, Arc<Token>)> {
        let mut places = self.places().unwrap_or_else(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "the stored subscriptions could not be listed");
            vec![None]
        });
        places.retain(|place| lane.has(*place));
        let now = self.clock.now();
        let mut state = self.state.lock();
        if state.closing {
            return None;
        }
        let free = places.iter().filter(|place| !state.running.contains_key(place));
        let all = free.flat_map(|place| self.specs.iter().map(move |spec| (*place, spec)));
        let ours = all.filter(|(place, spec)| spec.for_server == place.is_none());
        let urgency = |(place, spec): &(Place, &Spec)| {
            let key = (*place, spec.kind);
            let due_at = due_at(spec, state.last.get(&key));
            let asked = state.wanted.contains(&key);
            (asked || (due_at <= now && !state.paused.contains(place))).then_some((!asked, due_at, spec.kind, *place))
        };
        let next = ours.filter_map(|job| Some((urgency(&job)?, job))).min_by_key(|(urgency, _)| *urgency);
        let Some((_, (place, spec))) = next else {
            // What was asked for at a place that is not there (any more) is not waited for.
            let running: BTreeSet<Place> = state.running.keys().copied().collect();
            state.wanted.retain(|(place, _)| running.contains(place) || !lane.has(*place));
            return None;
        };
        let token = Arc::new(Token::default());
        state.wanted.remove(&(place, spec.kind));
        state.running.insert(place, (spec.kind, token.clone()));
        Some((place, spec, token))
    }

    fn run(&self, place: Place, spec: &Spec, token: &Token) {
        let context = Context { place, now: self.clock.now(), clock: &self.clock, token };
        let run = std::panic::AssertUnwindSafe(|| (spec.run)(&context));
        let result = std::panic::catch_unwind(run).unwrap_or_else(|_| Err(JobError::Failed("it panicked".to_owned())));
        let (outcome, counts, error) = match result {
            Ok(counts) => ("done", counts, String::new()),
            Err(JobError::Stopped(_)) => ("stopped", Vec::new(), String::new()),
            Err(JobError::Refused(word)) => ("refused", Vec::new(), word.to_owned()),
            Err(error) => {
                let text = with_causes(&error);
                tracing::error!(error = text, job = spec.kind.name(), ?place, "an upkeep job failed");
                ("failed", Vec::new(), text)
            }
        };
        let record = JobRecord {
            subscription: place,
            job: spec.kind.name().to_owned(),
            started_at_ns: context.now_ns(),
            ended_at_ns: self.clock.now_ns(),
            outcome: outcome.to_owned(),
            counts: counts.into_iter().map(|(name, number)| (name.to_owned(), number)).collect(),
            error,
        };
        if let Err(error) = self.control.store_job(&record) {
            tracing::error!(error = &error as &dyn std::error::Error, "the result of a job could not be recorded");
        }
        let mut state = self.state.lock();
        state.last.insert((place, spec.kind), record);
        state.running.remove(&place);
        self.changed.notify_all();
    }
}

/// When a job runs next; a failed one is tried again sooner.
fn due_at(spec: &Spec, last: Option<&JobRecord>) -> Timestamp {
    let Some(last) = last else { return Timestamp::MIN };
    let every = if last.outcome == "done" { spec.every } else { spec.every.min(RETRY_MAX) };
    let started = Timestamp::from_nanosecond(last.started_at_ns.into()).unwrap_or(Timestamp::MIN);
    started.checked_add(every).unwrap_or(Timestamp::MAX)
}

/// An error with what caused it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}
