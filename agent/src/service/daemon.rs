//! The loop of the service: look at the sets, run what is due, note when the next run is, wait.
//!
//! It knows neither the clock nor the network: [`Surroundings`] has them. One source runs at a time, the longest due first.
//!
//! Invariant: what a source waits for is read from the state folder at each turn, so that a run by hand counts, and a service that
//! was killed at any moment goes on with the same plan.
//! Invariant: no turn waits longer than [`CLOCK_LOOK_S`] by the machine's own count, so that a machine that slept, or whose clock
//! was set, is noticed.

use std::path::Path;

use common::id::{AgentId, SourceId};
use common::limits::{CLOCK_LOOK_S, SETS_REFRESH_S};
use common::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};

use crate::durable::DurableError;
use crate::schedule::{Next, Planner, Spread};
use crate::service::ending::schedule_of;
use crate::state::runs::Runs;
use crate::state::source_folder;

/// Pause before the sets are asked for again after that failed, in seconds.
const SETS_RETRY_S: i64 = 60;

/// A source of this machine, with its set's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The source.
    pub source: SourceId,
    /// Its name on the order form.
    pub name: String,
    /// The schedule's text.
    pub schedule: String,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The time.
    Time,
    /// The service is to stop.
    Stop,
}

/// What the loop lives in.
pub trait Surroundings {
    /// The clock.
    fn now(&self) -> Timestamp;
    /// Waits until then.
    fn wait(&self, until: Timestamp) -> Woken;
    /// The sources that this machine reads; `None` if the server cannot say now.
    fn sources(&self) -> Option<Vec<Scheduled>>;
    /// Backs one up with the newest version of its set, and notes in the state folder how that ended.
    fn run(&self, source: &Scheduled) -> Woken;
}

/// Serves until it is stopped.
///
/// # Errors
/// If the state folder cannot be read or written.
pub fn serve(around: &impl Surroundings, agent: &AgentId, state: &Path) -> Result<(), DurableError> {
    let mut service =
        Service { agent: *agent, state, awake_since: around.now(), sources: Vec::new(), look_at: Timestamp::MIN };
    loop {
        service.look_at_sets(around);
        let wake_at = match service.turn(around)? {
            Turn::Stop => return Ok(()),
            Turn::Ran => continue,
            Turn::Idle(until) => until,
        };
        let look = later(around.now(), CLOCK_LOOK_S);
        if around.wait(wake_at.min(service.look_at).min(look)) == Woken::Stop {
            return Ok(());
        }
    }
}

struct Service<'a> {
    agent: AgentId,
    state: &'a Path,
    awake_since: Timestamp,
    sources: Vec<(Scheduled, Schedule)>,
    /// When the sets are asked for again.
    look_at: Timestamp,
}

enum Turn {
    Ran,
    Stop,
    Idle(Timestamp),
}

impl Service<'_> {
    /// Asks for the sets when that is due; keeps the known ones if the server does not answer.
    fn look_at_sets(&mut self, around: &impl Surroundings) {
        let now = around.now();
        // A clock that was set back must not put this off.
        if now < self.look_at && self.look_at <= later(now, SETS_REFRESH_S) {
            return;
        }
        let Some(sources) = around.sources() else {
            self.look_at = later(now, SETS_RETRY_S);
            return;
        };
        let scheduled = |source: Scheduled| schedule_of(&source.schedule).map(|schedule| (source, schedule));
        self.sources = sources.into_iter().filter_map(scheduled).collect();
        self.look_at = later(now, SETS_REFRESH_S);
    }

    /// Runs the source that is due longest, or says until when none is.
    fn turn(&self, around: &impl Surroundings) -> Result<Turn, DurableError> {
        let mut next = Timestamp::MAX;
        let mut due: Option<(Timestamp, &Scheduled)> = None;
        for (source, schedule) in &self.sources {
            let now = around.now();
            let planner =
                Planner { schedule, spread: Spread::of(&self.agent, &source.source), awake_since: self.awake_since };
            let folder = source_folder(self.state, &source.source);
            let kept = Runs::load(&folder)?;
            let mut runs = kept.clone().unwrap_or_else(|| Runs::new(now));
            runs.running_since = None;
            runs.next_at = match planner.next(&runs.standing, now) {
                // What is due keeps the moment at which it became so.
                Next::Now => Some(runs.next_at.unwrap_or(now).min(now)),
                Next::At(at) => {
                    next = next.min(at);
                    Some(at)
                }
            };
            if kept.as_ref() != Some(&runs) {
                runs.store(&folder)?;
            }
            if let Some(at) = runs.next_at.filter(|at| *at <= now)
                && due.is_none_or(|(first, _)| at < first)
            {
                due = Some((at, source));
            }
        }
        let Some((_, source)) = due else { return Ok(Turn::Idle(next)) };
        let folder = source_folder(self.state, &source.source);
        let now = around.now();
        let mut runs = Runs::load(&folder)?.unwrap_or_else(|| Runs::new(now));
        runs.running_since = Some(now);
        runs.store(&folder)?;
        match around.run(source) {
            Woken::Stop => Ok(Turn::Stop),
            Woken::Time => Ok(Turn::Ran),
        }
    }
}

fn later(at: Timestamp, by_s: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(by_s)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::schedule::End;
    use crate::service::ending::{Ending, note};
    use crate::state::runs::RunResult;

    /// A machine whose time passes only while it waits or runs.
    struct Machine {
        now: Cell<Timestamp>,
        stop_at: Timestamp,
        state: tempfile::TempDir,
        sources: RefCell<Vec<Scheduled>>,
        reachable: Cell<bool>,
        asked: Cell<u32>,
        runs: RefCell<Vec<(String, Timestamp)>>,
        ends: RefCell<Vec<Ending>>,
    }

    const AGENT: AgentId = AgentId::new([2; 16]);

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn ending(end: End) -> Ending {
        Ending { end, result: RunResult::Complete, error: None, walk: None }
    }

    impl Machine {
        fn new(now: &str, stop_at: &str, schedules: &[(&str, &str)]) -> Self {
            let source = |(number, (name, schedule)): (u8, &(&str, &str))| Scheduled {
                source: SourceId::new([number; 16]),
                name: (*name).to_owned(),
                schedule: (*schedule).to_owned(),
            };
            Self {
                now: Cell::new(at(now)),
                stop_at: at(stop_at),
                state: tempfile::tempdir().unwrap(),
                sources: RefCell::new((1..).zip(schedules).map(source).collect()),
                reachable: Cell::new(true),
                asked: Cell::new(0),
                runs: RefCell::default(),
                ends: RefCell::default(),
            }
        }

        fn serve(&self) -> Vec<(String, Timestamp)> {
            serve(self, &AGENT, self.state.path()).unwrap();
            self.runs.take()
        }

        fn pass(&self, seconds: i64) {
            self.now.set(later(self.now.get(), seconds));
        }
    }

    impl Surroundings for Machine {
        fn now(&self) -> Timestamp {
            self.now.get()
        }

        fn wait(&self, until: Timestamp) -> Woken {
            assert!(until > self.now.get(), "a wait for the past would turn without end");
            self.now.set(until);
            if self.now.get() >= self.stop_at { Woken::Stop } else { Woken::Time }
        }

        fn sources(&self) -> Option<Vec<Scheduled>> {
            self.asked.set(self.asked.get() + 1);
            self.reachable.get().then(|| self.sources.borrow().clone())
        }

        fn run(&self, source: &Scheduled) -> Woken {
            let started = self.now.get();
            self.runs.borrow_mut().push((source.name.clone(), started));
            self.pass(300);
            let end = self.ends.borrow_mut().pop().unwrap_or_else(|| ending(End::Snapshot));
            let schedule = schedule_of(&source.schedule).unwrap();
            let spread = Spread::of(&AGENT, &source.source);
            let planner = Planner { schedule: &schedule, spread, awake_since: started };
            let folder = source_folder(self.state.path(), &source.source);
            note(&folder, Some(&planner), &end, (started, self.now.get())).unwrap();
            if end.end == End::Interrupted { Woken::Stop } else { Woken::Time }
        }
    }

    #[test]
    fn a_week_of_two_sources_runs_each_when_it_is_due_one_at_a_time() {
        let machine = Machine::new(
            "2026-11-22T08:00:00Z",
            "2026-11-29T08:00:00Z",
            &[("a", "21:30"), ("b", "mon-fri 12:00,21:30"), ("manual", "")],
        );
        let runs = machine.serve();
        assert_eq!(runs.iter().filter(|(name, _)| name == "a").count(), 7);
        assert_eq!(runs.iter().filter(|(name, _)| name == "b").count(), 10);
        assert!(runs.windows(2).all(|pair| pair[1].1 >= later(pair[0].1, 300)), "one at a time");
        assert!(machine.asked.get() > 600, "the sets are looked at every quarter of an hour: {}", machine.asked.get());
    }

    #[test]
    fn a_service_that_was_off_for_31_days_runs_once_and_then_as_usual() {
        let machine = Machine::new("2026-10-20T08:00:00Z", "2026-10-22T08:00:00Z", &[("a", "21:30")]);
        assert_eq!(machine.serve().len(), 2);
        let machine = Machine { stop_at: at("2026-11-24T08:00:00Z"), ..machine };
        machine.now.set(at("2026-11-22T07:00:00Z"));
        let runs = machine.serve();
        assert_eq!(runs.len(), 3, "{runs:?}");
        assert!(runs[0].1 < at("2026-11-22T07:11:00Z"), "caught up at once");
    }

    #[test]
    fn a_stopped_run_is_the_first_of_the_next_start() {
        let machine = Machine::new("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z", &[("a", "21:30")]);
        machine.ends.borrow_mut().push(ending(End::Interrupted));
        assert_eq!(machine.serve().len(), 1);
        let folder = source_folder(machine.state.path(), &SourceId::new([1; 16]));
        assert!(Runs::load(&folder).unwrap().unwrap().running_since.is_none());
        let stopped_at = machine.now.get();
        let runs = machine.serve();
        assert_eq!(runs.len(), 1);
        assert!(runs[0].1 <= later(stopped_at, 600));
    }

    #[test]
    fn an_unreachable_server_is_asked_every_minute_and_known_sets_are_kept() {
        let machine = Machine::new("2026-11-22T08:00:00Z", "2026-11-22T09:00:00Z", &[("a", "21:30")]);
        machine.reachable.set(false);
        assert!(machine.serve().is_empty());
        assert!((55..=65).contains(&machine.asked.get()), "{}", machine.asked.get());
    }

    #[test]
    fn a_changed_schedule_is_followed_within_a_quarter_of_an_hour() {
        let machine = Machine::new("2026-11-22T08:00:00Z", "2026-11-22T11:00:00Z", &[("a", "21:30")]);
        machine.serve();
        machine.sources.borrow_mut()[0].schedule = "every 1h".into();
        let machine = Machine { stop_at: at("2026-11-22T14:00:00Z"), ..machine };
        assert!(machine.serve().len() >= 3);
    }
}
