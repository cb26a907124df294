//! The job framework: what is due runs once, alone at its place, and its result survives a restart.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use jiff::{SignedDuration, Timestamp};
use server::clock::Clock;
use server::control::Control;
use server::control::audit::Trace;
use server::store::objects::Objects;
use server::subscriptions::Subscriptions;
use server::upkeep::jobs::{Context, Counts, JobError, JobKind, Jobs, Spec};
use server::upkeep::token::Progress;

use crate::engine::{NOON_NS, SUBSCRIPTION, settings};

fn jobs(root: &Path, now_ns: &Arc<AtomicI64>, specs: Vec<Spec>) -> Jobs {
    let shared = now_ns.clone();
    let clock = Clock::new(move || Timestamp::from_nanosecond(shared.load(Ordering::SeqCst).into()).unwrap());
    let settings = server::subscriptions::Settings { clock, ..settings(root, 1 << 40) };
    let objects = Objects::open(&root.join("store"), 0).unwrap();
    let subscriptions = Arc::new(Subscriptions::new(settings, objects).unwrap());
    subscriptions.get(&SUBSCRIPTION).unwrap();
    let control = Arc::new(Control::open(&root.join("control.db")).unwrap());
    Jobs::new(control, subscriptions, specs).unwrap()
}

fn spec(kind: JobKind, run: impl Fn(&Context<'_>) -> Result<Counts, JobError> + Send + Sync + 'static) -> Spec {
    Spec { kind, every: SignedDuration::from_hours(24), for_server: false, run: Box::new(run) }
}

fn trace() -> Trace {
    Trace { who: "operator:anne".into(), address: "local".into(), at_ns: NOON_NS }
}

#[test]
fn a_job_runs_when_due_in_order_and_its_result_survives() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let specs = || {
        let noted = |kind: JobKind, failing: bool| {
            let order = order.clone();
            spec(kind, move |_| {
                order.lock().push(kind.name());
                if failing { Err(JobError::Failed("on purpose".into())) } else { Ok(vec![("packs", 3)]) }
            })
        };
        vec![noted(JobKind::Mark, true), noted(JobKind::Expire, false)]
    };
    {
        let jobs = jobs(root.path(), &now, specs());
        assert_eq!((jobs.run_due(), jobs.run_due()), (2, 0));
        assert_eq!(*order.lock(), ["expire", "mark"]);
    }
    let jobs = jobs(root.path(), &now, specs());
    assert_eq!(jobs.run_due(), 0, "the results are known after a restart");
    now.fetch_add(3_600_000_000_000, Ordering::SeqCst);
    assert_eq!(jobs.run_due(), 1, "what failed is tried again within the hour");
    let status = jobs.status().unwrap();
    let of = |kind| status.iter().find(|job| job.kind == kind).unwrap().last.clone().unwrap();
    assert_eq!((of(JobKind::Expire).outcome, of(JobKind::Expire).counts), ("done".into(), vec![("packs".into(), 3)]));
    assert_eq!((of(JobKind::Mark).outcome, of(JobKind::Mark).error), ("failed".into(), "on purpose".into()));
}

#[test]
fn a_paused_place_runs_only_what_is_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let ran = Arc::new(AtomicUsize::new(0));
    let counter = ran.clone();
    let counting = move |_: &Context<'_>| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Vec::new())
    };
    let jobs = jobs(root.path(), &now, vec![spec(JobKind::Mark, counting)]);
    jobs.pause(Some(SUBSCRIPTION), true, &trace()).unwrap();
    assert_eq!(jobs.run_due(), 0);
    jobs.request(Some(SUBSCRIPTION), JobKind::Mark).unwrap();
    assert_eq!(jobs.run_due(), 1);
    jobs.pause(Some(SUBSCRIPTION), false, &trace()).unwrap();
    now.fetch_add(25 * 3_600_000_000_000, Ordering::SeqCst);
    assert_eq!((jobs.run_due(), ran.load(Ordering::SeqCst)), (1, 2));
    assert!(jobs.request(None, JobKind::Mark).is_err(), "no such job of the server");
}

#[test]
fn a_running_job_shows_its_progress_pauses_and_stops() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let (reached, steps) = mpsc::channel();
    let reached = parking_lot::Mutex::new(reached);
    let endless = move |context: &Context<'_>| {
        for done in 1.. {
            context.token.go_on()?;
            context.token.report(Progress { done, total: 0, unit: "packs" });
            let _ = reached.lock().send(done);
        }
        Ok(Vec::new())
    };
    let jobs = Arc::new(jobs(root.path(), &now, vec![spec(JobKind::Compact, endless)]));
    let runner = std::thread::spawn({
        let jobs = jobs.clone();
        move || jobs.run_due()
    });
    steps.recv().unwrap();
    jobs.pause(Some(SUBSCRIPTION), true, &trace()).unwrap();
    let shown = jobs.status().unwrap();
    assert!(shown[0].paused && shown[0].progress.is_some_and(|progress| progress.done > 0));
    jobs.pause(Some(SUBSCRIPTION), false, &trace()).unwrap();
    assert!(jobs.stop(Some(SUBSCRIPTION)));
    assert_eq!(runner.join().unwrap(), 1);
    let last = jobs.status().unwrap()[0].last.clone().unwrap();
    assert_eq!(last.outcome, "stopped");
    assert!(!jobs.stop(Some(SUBSCRIPTION)));
}

#[test]
fn a_job_that_panics_is_a_failed_job() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let jobs = jobs(root.path(), &now, vec![spec(JobKind::Mark, |_| panic!("on purpose"))]);
    assert_eq!(jobs.run_due(), 1);
    assert_eq!(jobs.status().unwrap()[0].last.clone().unwrap().outcome, "failed");
}
