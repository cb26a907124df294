//! The job framework: what is due runs once, alone at its place, and its result survives a restart.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use common::id::SubscriptionId;
use jiff::{SignedDuration, Timestamp};
use server::clock::Clock;
use server::control::Control;
use server::control::audit::Trace;
use server::store::objects::Objects;
use server::subscriptions::Subscriptions;
use server::upkeep::jobs::{Context, Counts, JobError, JobKind, Jobs, Lane, Spec};
use server::upkeep::token::Progress;

use crate::engine::{NOON_NS, SUBSCRIPTION, settings};

fn jobs(root: &Path, now_ns: &Arc<AtomicI64>, specs: Vec<Spec>) -> Jobs {
    jobs_of(root, now_ns, specs, &[SUBSCRIPTION])
}

fn jobs_of(root: &Path, now_ns: &Arc<AtomicI64>, specs: Vec<Spec>, places: &[SubscriptionId]) -> Jobs {
    let shared = now_ns.clone();
    let clock = Clock::new(move || Timestamp::from_nanosecond(shared.load(Ordering::SeqCst).into()).unwrap());
    let settings = server::subscriptions::Settings { clock, ..settings(root, 1 << 40) };
    let objects = Objects::open(&root.join("store"), 0).unwrap();
    let subscriptions = Arc::new(Subscriptions::new(settings, objects).unwrap());
    for place in places {
        subscriptions.get(place).unwrap();
    }
    let control = Arc::new(Control::create(&root.join("control.db")).unwrap());
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
fn a_running_job_shows_its_progress_and_ends_at_a_pause_and_at_a_stop() {
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
    let run = || {
        let jobs = jobs.clone();
        std::thread::spawn(move || jobs.run_due())
    };
    let last = || jobs.status().unwrap()[0].last.clone().unwrap().outcome;
    let runner = run();
    steps.recv().unwrap();
    assert!(jobs.status().unwrap()[0].progress.is_some_and(|progress| progress.done > 0));
    jobs.pause(Some(SUBSCRIPTION), true, &trace()).unwrap();
    assert_eq!(runner.join().unwrap(), 1, "a paused job keeps no worker");
    assert_eq!((last(), jobs.run_due()), ("stopped".into(), 0));
    assert!(jobs.status().unwrap()[0].paused);
    while steps.try_recv().is_ok() {}
    jobs.pause(Some(SUBSCRIPTION), false, &trace()).unwrap();
    let runner = run();
    steps.recv().unwrap();
    assert!(jobs.stop(Some(SUBSCRIPTION)), "it began again when its place was resumed");
    assert_eq!(runner.join().unwrap(), 1);
    assert_eq!(last(), "stopped");
    assert!(!jobs.stop(Some(SUBSCRIPTION)));
}

#[test]
fn what_is_due_the_longest_runs_first_wherever_it_is() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let noted = |kind: JobKind, minutes: i64| {
        let order = order.clone();
        let run = move |context: &Context<'_>| {
            order.lock().push((kind, context.place));
            Ok(Vec::new())
        };
        Spec { every: SignedDuration::from_mins(minutes), ..spec(kind, run) }
    };
    let other = SubscriptionId::new([0xee; 16]);
    let specs = vec![noted(JobKind::Expire, 60), noted(JobKind::Scrub, 10)];
    let jobs = jobs_of(root.path(), &now, specs, &[SUBSCRIPTION, other]);
    assert_eq!(jobs.run_due(), 4);
    order.lock().clear();
    // The scrub of the first place is always due again; the other place's job must not wait for it for ever.
    now.fetch_add(61 * 60_000_000_000, Ordering::SeqCst);
    assert_eq!(jobs.run_due(), 4);
    let due_first = [JobKind::Scrub, JobKind::Scrub, JobKind::Expire, JobKind::Expire];
    assert_eq!(order.lock().iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), due_first);
    jobs.request(Some(other), JobKind::Expire).unwrap();
    now.fetch_add(11 * 60_000_000_000, Ordering::SeqCst);
    order.lock().clear();
    jobs.run_due();
    assert_eq!(order.lock()[0], (JobKind::Expire, Some(other)), "what was asked for is first");
}

#[test]
fn the_servers_own_jobs_run_while_every_other_worker_is_busy() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let (begun, begins) = mpsc::channel();
    let (copied, copies) = mpsc::channel();
    let (begun, copied) = (parking_lot::Mutex::new(begun), parking_lot::Mutex::new(copied));
    let endless = move |context: &Context<'_>| {
        begun.lock().send(()).unwrap();
        context.token.rest(std::time::Duration::MAX)?;
        Ok(Vec::new())
    };
    let copy = move |_: &Context<'_>| {
        copied.lock().send(()).unwrap();
        Ok(Vec::new())
    };
    let copy = Spec { for_server: true, every: SignedDuration::from_mins(5), ..spec(JobKind::ControlCopy, copy) };
    let jobs = Arc::new(jobs(root.path(), &now, vec![copy, spec(JobKind::Scrub, endless)]));
    let work = |lane| {
        let jobs = jobs.clone();
        std::thread::spawn(move || jobs.work(lane, std::time::Duration::from_millis(1)))
    };
    let busy = work(Lane::Subscriptions);
    begins.recv().unwrap();
    let own = work(Lane::Server);
    for _ in 0..3 {
        copies.recv().unwrap();
        now.fetch_add(6 * 60_000_000_000, Ordering::SeqCst);
    }
    jobs.close();
    busy.join().unwrap();
    own.join().unwrap();
}

#[test]
fn a_job_that_panics_is_a_failed_job() {
    let root = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(NOON_NS));
    let jobs = jobs(root.path(), &now, vec![spec(JobKind::Mark, |_| panic!("on purpose"))]);
    assert_eq!(jobs.run_due(), 1);
    assert_eq!(jobs.status().unwrap()[0].last.clone().unwrap().outcome, "failed");
}
