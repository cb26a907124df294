//! Protecting a snapshot while expiry is about to remove it: who is told that it is protected finds it.

use server::session::error::SessionError;
use server::store::name::ObjectName;
use server::upkeep::lifts::{Decision, LiftError};

use crate::site::{Site, by};

#[test]
fn a_snapshot_that_was_protected_in_time_stays_and_one_that_was_not_is_said_to_be_gone() {
    for _ in 0..12 {
        let root = tempfile::tempdir().unwrap();
        let site = Site::new(root.path(), 2);
        for session in 1..=4 {
            site.back_up(session, &[format!("content {session}").as_bytes()]);
            site.pass_days(1);
        }
        site.pass_days(3);
        let oldest = site.sessions()[0];
        let trace = by("anne", site.now_ns());
        let decision = Decision { control: &site.control, open: &site.open, trace: &trace };
        let until_ns = site.now_ns() + 1_000_000_000_000;
        let protected = std::thread::scope(|scope| {
            let expiring = scope.spawn(|| site.expire());
            let protected = decision.protect(oldest, until_ns, "litige");
            // One that comes in the middle stops the run, which is begun again the next day.
            let _ = expiring.join().unwrap();
            protected
        });
        let shared = site.open.shared();
        let is_there = shared.objects.bytes(&shared.subscription, &ObjectName::Snapshot(oldest)).is_ok();
        match protected {
            Ok(_) => assert!(is_there && site.sessions().contains(&oldest), "it was promised"),
            Err(LiftError::NotFound("snapshot")) => assert!(!is_there),
            Err(error) => panic!("{error}"),
        }
        let again = site.expire();
        assert!(again.is_ok(), "{again:?}");
        assert_eq!(site.sessions().contains(&oldest), protected.is_ok());
    }
}

#[test]
fn a_snapshot_that_a_crash_left_half_removed_can_not_be_protected() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    site.back_up(1, &[b"one"]);
    let session = site.sessions()[0];
    let shared = site.open.shared();
    let row = site.open.read(|catalog| Ok::<_, SessionError>(catalog.snapshot(&session)?.unwrap())).unwrap();
    server::upkeep::tombstone::bury(&shared.objects, &shared.subscription, &row, site.now_ns()).unwrap();
    let trace = by("anne", site.now_ns());
    let decision = Decision { control: &site.control, open: &site.open, trace: &trace };
    let refused = decision.protect(session, site.now_ns() + 1_000, "litige");
    assert!(matches!(refused, Err(LiftError::NotFound("snapshot"))), "{refused:?}");
}
