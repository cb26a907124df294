//! History and the guards: what goes, what stays, and what stops everything.

use std::fs;

use common::id::SessionId;
use server::catalog::file::Catalog;
use server::contract::amendment::FormChange;
use server::contract::retention::History;
use server::contract::service::{SuspensionReason, Window};
use server::control::amendments::NewAmendment;
use server::control::approvals::ApprovalKind;
use server::store::name::{Folder, ObjectName};
use server::upkeep::expire::announce_coming;
use server::upkeep::facts::{self, NewProtection};
use server::upkeep::jobs::JobError;
use server::upkeep::recount::recount;

use crate::engine::{Agent, DAY_NS, SUBSCRIPTION, server};
use crate::site::{Site, World, by, moment, operator};

/// Backups numbered from 1, one a day, the last one today.
fn daily(site: &Site, days: u32) -> Vec<Agent> {
    let mut agents = Vec::new();
    for day in 1..=days {
        if day > 1 {
            site.pass_days(1);
        }
        agents.push(site.back_up(day, &[b"always", format!("day {day}").as_bytes()]));
    }
    agents
}

fn refused(result: Result<impl std::fmt::Debug, JobError>) -> &'static str {
    match result {
        Err(JobError::Refused(word)) => word,
        other => panic!("it was not refused: {other:?}"),
    }
}

/// Two persons agree, eight days ago.
fn agreed(site: &Site, kind: ApprovalKind) -> i64 {
    let at_ns = site.now_ns() - 8 * DAY_NS;
    let number = site.control.propose(kind, &SUBSCRIPTION, "détail", &by("anne", at_ns)).unwrap();
    site.control.approve(number, &by("bruno", at_ns)).unwrap();
    number
}

fn snapshots(site: &Site) -> usize {
    site.open.shared().objects.list(&SUBSCRIPTION, Folder::Snapshots).unwrap().len()
}

#[test]
fn an_expired_snapshot_leaves_a_tombstone_and_everything_else_goes_after_the_grace() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut agents = daily(&site, 5);
    let first = agents[0].data(b"day 1");
    let counts = site.expire().unwrap();
    assert_eq!((Site::count(&counts, "expired"), Site::count(&counts, "kept")), (1, 4), "window, and its edge");
    assert_eq!(site.sessions(), (2..=5).map(|n| site.agent(n).session).collect::<Vec<_>>());
    let tombstones = site.open.shared().objects.list(&SUBSCRIPTION, Folder::Tombstones).unwrap();
    assert_eq!(tombstones, [ObjectName::Tombstone(agents[0].session)]);
    let scope = agents[0].who.scope;
    let trashed = Site::count(&site.mark().unwrap(), "trashed");
    assert_eq!(trashed, 2, "a data chunk and a leaf of its own");
    assert_eq!(Site::count(&site.purge().unwrap(), "purged"), 0, "not before the grace");
    assert_eq!(site.readable(&scope, &[first.id]), 1);
    site.pass_days(7);
    let counts = site.purge().unwrap();
    assert_eq!((Site::count(&counts, "purged"), Site::count(&counts, "packs")), (2, 0));
    assert_eq!(site.readable(&scope, &[first.id]), 0);
    site.jump(3_600_000_000_000);
    assert_eq!(
        Site::count(&site.purge().unwrap(), "packs"),
        1,
        "the leaf's pack; the other still holds a chunk in use"
    );
    assert!(site.open.read(recount).unwrap().is_empty());
    assert_eq!(site.readable(&scope, &[agents[1].data(b"always").id, agents[4].data(b"day 5").id]), 2);
}

#[test]
fn a_rebuilt_catalog_knows_what_expired() {
    let root = tempfile::tempdir().unwrap();
    let (mut agents, world, before) = {
        let site = Site::new(root.path(), 2);
        let agents = daily(&site, 5);
        site.expire().unwrap();
        let before = site.open.read(|catalog| Ok((catalog.expired_snapshots()?, catalog.baseline_times()?))).unwrap();
        (agents, site.world.clone(), before)
    };
    let catalog = root.path().join(format!("catalogs/{SUBSCRIPTION}/catalog.db"));
    fs::copy(&catalog, root.path().join("old.db")).unwrap();
    server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
    let (old, new) = (Catalog::open(&root.path().join("old.db")).unwrap(), Catalog::open(&catalog).unwrap());
    assert_eq!(server::catalog::compare::compare(&old, &new, 10).unwrap(), Vec::<String>::new());
    drop((old, new));
    let site = Site::start(root.path(), &world);
    let after = site.open.read(|catalog| Ok((catalog.expired_snapshots()?, catalog.baseline_times()?))).unwrap();
    assert_eq!(after.1, before.1, "the baseline outlives its snapshot");
    assert_eq!(after.0.len(), 1);
    assert_eq!(after.0[0].receipt, before.0[0].receipt);
    assert_eq!(
        site.open.account().uncommitted,
        Default::default(),
        "what only expired snapshots reached is not charged"
    );
    assert!(site.open.read(recount).unwrap().is_empty());
    let again = agents.remove(0).open(&site.server).unwrap().1;
    assert!(again.committed, "its session id is taken for ever");
    // G2: after a rebuild nothing goes until an operator looked.
    site.pass_days(3);
    assert_eq!(refused(site.expire()), "rebuilt");
    assert_eq!(refused(site.purge()), "rebuilt");
    site.guards.allow(Some(&SUBSCRIPTION), site.now(), ("looked", &operator())).unwrap();
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 3);
}

#[test]
fn a_clock_that_jumps_stops_pruning_until_an_operator_looked() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    daily(&site, 3);
    site.expire().unwrap();
    site.jump(400 * DAY_NS);
    assert_eq!(refused(site.expire()), "clock_forward");
    assert_eq!(refused(site.purge()), "clock_forward");
    site.jump(-400 * DAY_NS);
    assert_eq!(refused(site.expire()), "clock_forward", "it stays stopped");
    let stops = site.control.pruning_stops().unwrap();
    assert_eq!((stops[0].subscription, stops[0].reason.as_str()), (None, "clock_forward"));
    site.guards.allow(None, site.now(), ("looked", &operator())).unwrap();
    site.expire().unwrap();
    site.jump(-600_000_000_000);
    assert_eq!(refused(site.expire()), "clock_back");
    assert_eq!(snapshots(&site), 3);
}

#[test]
fn an_operator_alone_cannot_prune_by_a_clock_set_forward() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    daily(&site, 6);
    site.expire().unwrap();
    site.jump(400 * DAY_NS);
    assert_eq!(refused(site.expire()), "clock_forward");
    site.guards.allow(None, site.now(), ("looked", &operator())).unwrap();
    assert_eq!(refused(site.expire()), "too_many", "all but the newest, and none of them announced");
    assert_eq!(snapshots(&site), 6);
}

#[test]
fn after_a_day_of_downtime_pruning_waits() {
    let root = tempfile::tempdir().unwrap();
    let world = {
        let site = Site::new(root.path(), 2);
        daily(&site, 5);
        site.expire().unwrap();
        site.world.clone()
    };
    world.now_ns.fetch_add(24 * 3_600_000_000_000 + 1_000_000_000, std::sync::atomic::Ordering::SeqCst);
    let site = Site::start(root.path(), &world);
    site.guards.start(site.now()).unwrap();
    assert_eq!(refused(site.expire()), "downtime");
    site.guards.allow(None, site.now(), ("looked", &operator())).unwrap();
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 2);
}

#[test]
fn a_restored_control_store_waits_for_an_operator() {
    let root = tempfile::tempdir().unwrap();
    let world = {
        let site = Site::new(root.path(), 2);
        daily(&site, 3);
        site.world.clone()
    };
    let copy = root.path().join("copy.db");
    fs::copy(root.path().join("control.db"), &copy).unwrap();
    {
        let site = Site::start(root.path(), &world);
        site.expire().unwrap();
        site.purge().unwrap();
        site.pass_days(1);
    }
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(root.path().join(format!("control.db{suffix}")));
    }
    fs::copy(&copy, root.path().join("control.db")).unwrap();
    let site = Site::start(root.path(), &world);
    site.guards.tick(site.now()).unwrap();
    assert_eq!(refused(site.expire()), "rebuilt");
    site.guards.allow(Some(&SUBSCRIPTION), site.now(), ("looked", &operator())).unwrap();
    site.expire().unwrap();
}

/// Puts a copy of the control store in its place, as `cp` would.
fn restore_control(root: &std::path::Path, copy: &std::path::Path) {
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(root.join(format!("control.db{suffix}")));
    }
    fs::copy(copy, root.join("control.db")).unwrap();
}

#[test]
fn a_control_store_from_a_copy_prunes_and_shortens_nothing_until_an_operator_accepts_it() {
    let root = tempfile::tempdir().unwrap();
    let copy = root.path().join("copy.db");
    let (world, shorter) = {
        let site = Site::new(root.path(), 2);
        daily(&site, 5);
        site.expire().unwrap();
        let change = FormChange { history: Some(History { days: 1, thinning: Vec::new() }), ..FormChange::default() };
        let shorter = NewAmendment {
            subscription: SUBSCRIPTION,
            change,
            document: "AV-1".into(),
            signed_on: jiff::civil::date(2026, 11, 20),
            applies_on: None,
        };
        let approval = site.control.amend(&shorter, &by("anne", site.now_ns())).unwrap().approval.unwrap();
        site.control.approve(approval, &by("bruno", site.now_ns())).unwrap();
        // No run between the copy and its return: both count the same runs.
        server::control::copy::copy(&root.path().join("control.db"), &copy, site.now_ns()).unwrap();
        (site.world.clone(), shorter)
    };
    restore_control(root.path(), &copy);
    let site = Site::start(root.path(), &world);
    assert_eq!(refused(site.expire()), "rebuilt");
    site.pass_days(8);
    for result in [site.expire(), site.purge(), site.compact()] {
        assert_eq!(refused(result), "rebuilt");
    }
    assert_eq!(site.control.pruning_stops().unwrap()[0].reason, "rebuilt");
    assert_eq!(site.control.apply_amendments(&by("server", site.now_ns())).unwrap(), 0);
    site.guards.allow(Some(&SUBSCRIPTION), site.now(), ("looked", &operator())).unwrap();
    assert_eq!(refused(site.expire()), "rebuilt", "it is the store as a whole that must be looked at");
    assert_eq!(snapshots(&site), 4);
    site.guards.allow(None, site.now(), ("looked", &operator())).unwrap();
    assert!(site.control.audit(3).unwrap().iter().any(|record| record.action == "accept_restored"));
    assert_eq!(site.control.apply_amendments(&by("server", site.now_ns())).unwrap(), 1);
    assert_eq!(
        site.control.subscription(&SUBSCRIPTION).unwrap().unwrap().form.history,
        shorter.change.history.unwrap()
    );
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 3);
}

#[test]
fn a_catalog_that_could_not_count_its_runs_is_not_taken_for_a_rebuilt_one() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    daily(&site, 3);
    site.expire().unwrap();
    let other = Catalog::open(&root.path().join(format!("catalogs/{SUBSCRIPTION}/catalog.db"))).unwrap();
    let counted = other.upkeep_runs().unwrap();
    for _ in 0..4 {
        site.expire().unwrap();
        // As if the disk had refused the catalog's row after the control store's.
        other.set_upkeep_runs(counted).unwrap();
    }
    site.expire().unwrap();
    other.set_upkeep_runs(0).unwrap();
    assert_eq!(refused(site.expire()), "rebuilt", "a catalog that knows of no run still is one");
}

#[test]
fn a_run_that_removes_more_than_announced_stops_and_asks_two_persons() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    daily(&site, 12);
    // Nothing was announced for these: the history was already this short, but the job never ran.
    site.change_terms(|terms| terms.history.days = 2);
    assert_eq!(refused(site.expire()), "too_many");
    assert_eq!(site.control.pruning_stops().unwrap()[0].reason, "too_many");
    site.guards.allow(Some(&SUBSCRIPTION), site.now(), ("looked", &operator())).unwrap();
    assert_eq!(refused(site.expire()), "too_many", "one operator is not enough");
    assert_eq!(snapshots(&site), 12);
    agreed(&site, ApprovalKind::PruneOverride);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 8);
    assert!(site.control.pruning_stops().unwrap().is_empty());
    assert!(site.control.approvals(None).unwrap()[0].carried_out, "it serves once");
}

#[test]
fn what_was_announced_goes_although_it_is_much() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 10);
    daily(&site, 12);
    site.expire().unwrap();
    // A week without a job: more than a fifth is due, and all of it was announced.
    site.pass_days(7);
    site.back_up(100, &[b"later"]);
    let counts = site.expire().unwrap();
    assert_eq!(Site::count(&counts, "expired"), 7);
}

#[test]
fn a_shorter_history_waits_for_two_persons() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 30);
    daily(&site, 4);
    site.expire().unwrap();
    site.change_terms(|terms| terms.history = History { days: 1, thinning: Vec::new() });
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0, "the longer history goes on");
    agreed(&site, ApprovalKind::ShortenHistory);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 1);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0);
    site.change_terms(|terms| terms.history = History { days: 0, thinning: Vec::new() });
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0, "the request allowed one change");
    let trace = by("upkeep", site.now_ns());
    site.control.withdraw(site.control.approvals(None).unwrap()[0].number, &trace).unwrap();
    let asked = site.control.propose(ApprovalKind::ShortenHistory, &SUBSCRIPTION, "?", &by("anne", site.now_ns()));
    site.control.approve(asked.unwrap(), &by("bruno", site.now_ns())).unwrap();
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0, "seven days have not passed");
    site.pass_days(7);
    assert!(Site::count(&site.expire().unwrap(), "expired") > 0);
}

fn protect(site: &Site, snapshot: SessionId, until_ns: i64) {
    let (now_ns, text) = (site.now_ns(), str::to_owned);
    site.open
        .writer()
        .run(move |writer| {
            let new = NewProtection { snapshot, until_ns, reason: text("litige"), by: text("anne"), at_ns: now_ns };
            facts::protect(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new).map(|_| ())
        })
        .unwrap();
}

#[test]
fn protections_and_holds_win_over_everything() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let agents = daily(&site, 5);
    protect(&site, agents[0].session, site.now_ns() + 2 * DAY_NS);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0);
    site.pass_days(2);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 3);
    let (snapshot, clean, at_ns) = (agents[4].session, Some(agents[3].session), site.now_ns());
    site.open
        .writer()
        .run(move |writer| {
            let (signals, seen) = (Vec::new(), Default::default());
            let new = facts::NewHold { snapshot, source: crate::engine::SOURCE, clean, at_ns, signals, seen };
            facts::hold(&writer.shared.objects, &SUBSCRIPTION, &writer.catalog, &new)
        })
        .unwrap();
    site.pass_days(10);
    for result in [site.expire(), site.purge(), site.compact()] {
        assert_eq!(refused(result), "hold");
    }
    assert_eq!(snapshots(&site), 2);
}

#[test]
fn the_last_complete_and_the_verified_ones_never_go() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let agents = daily(&site, 4);
    site.open.report_verified(agents[0].session, "person:lea".into(), site.now_ns()).unwrap();
    site.pass_days(60);
    site.expire().unwrap();
    assert_eq!(site.sessions(), [agents[0].session, agents[3].session]);
}

#[test]
fn a_suspension_pauses_pruning_and_the_ages() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    daily(&site, 3);
    let window = |until| Window { from: site.now(), until, reason: SuspensionReason::Unpaid };
    let from = window(None);
    site.change_terms(|terms| terms.suspensions = vec![from]);
    site.pass_days(30);
    assert_eq!(refused(site.expire()), "suspended");
    assert_eq!(refused(site.purge()), "suspended");
    let until = Some(site.now());
    site.change_terms(|terms| terms.suspensions = vec![Window { until, ..from }]);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 0, "nothing aged meanwhile");
    site.pass_days(2);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 1);
    site.change_terms(|terms| terms.ended_at = Some(moment(1)));
    assert_eq!(refused(site.expire()), "ended", "termination keeps the data");
}

#[test]
fn an_emptied_or_unreadable_store_removes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    daily(&site, 6);
    site.expire().unwrap();
    site.mark().unwrap();
    site.pass_days(8);
    let store = root.path().join(format!("store/subscriptions/{SUBSCRIPTION}"));
    let away = root.path().join("away");
    fs::rename(&store, &away).unwrap();
    for result in [site.expire(), site.purge(), site.compact()] {
        assert_eq!(refused(result), "read_failed");
    }
    assert!(!store.exists(), "nothing is made in place of what is missing");
    fs::rename(&away, &store).unwrap();
    // A folder that can't be listed is no empty folder.
    fs::rename(store.join("snapshots"), store.join("away")).unwrap();
    fs::write(store.join("snapshots"), b"no folder").unwrap();
    assert!(matches!(site.expire(), Err(JobError::Session(_))));
    fs::remove_file(store.join("snapshots")).unwrap();
    fs::rename(store.join("away"), store.join("snapshots")).unwrap();
    let rows = site.open.read(|catalog| Ok(catalog.chunk_rows()?.len())).unwrap();
    assert_eq!(rows, 13, "every row is still there");
    assert!(Site::count(&site.purge().unwrap(), "purged") > 0, "and it goes on by itself once the store is back");
}

#[test]
fn an_object_that_the_catalog_does_not_know_stops_removal() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    daily(&site, 4);
    let name = ObjectName::Snapshot(SessionId::new([9; 16]));
    site.open.shared().objects.publish(&SUBSCRIPTION, &name, b"?").unwrap();
    assert_eq!(refused(site.expire()), "read_failed");
}

#[test]
fn a_site_without_a_history_of_its_own_starts_empty() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::start(root.path(), &World::new());
    site.night();
    assert!(site.control.pruning_stops().unwrap().is_empty());
}

#[test]
fn a_damaged_snapshot_that_is_due_stays_and_the_others_go() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 1);
    let agents = daily(&site, 5);
    let file = root.path().join(format!("store/subscriptions/{SUBSCRIPTION}/snapshots/{}", agents[0].session));
    let mut bytes = fs::read(&file).unwrap();
    bytes[9] ^= 1;
    fs::write(&file, bytes).unwrap();
    let counts = site.expire().unwrap();
    assert_eq!((Site::count(&counts, "expired"), Site::count(&counts, "damaged")), (1, 1));
    assert_eq!(site.sessions().len(), 4);
    let totals = site.open.read(|catalog| Ok(catalog.pack_totals()?)).unwrap();
    assert_eq!(totals.damaged, 1, "it is an alarm");
    // The others are still there for whoever asks for the list.
    let rows = site.open.read(|catalog| Ok(catalog.snapshots()?)).unwrap();
    let objects: Vec<bool> =
        rows.iter().map(|row| site.open.snapshot_object(row, site.now_ns()).unwrap().is_some()).collect();
    assert_eq!(objects, [false, true, true, true]);
    let kept = site.open.read(|catalog| Ok(catalog.source_totals()?)).unwrap();
    assert_eq!(kept[&crate::engine::SOURCE].snapshots, 4, "what left the history is not kept");
}

#[test]
fn a_shorter_history_that_two_persons_agreed_on_needs_nobody_else() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 90);
    daily(&site, 93);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 1);
    site.change_terms(|terms| terms.history.days = 30);
    agreed(&site, ApprovalKind::ShortenHistory);
    // Whichever job is the first to come uses the request up.
    site.purge().unwrap();
    site.pass_days(1);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 61);
    assert_eq!(site.sessions().len(), 31, "thirty days and the edge of the window");
    assert!(site.control.pruning_stops().unwrap().is_empty());
}

#[test]
fn a_pause_or_hold_longer_than_the_announcement_ends_without_two_persons() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 10);
    daily(&site, 12);
    site.expire().unwrap();
    for day in 1..=30 {
        site.pass_days(1);
        site.back_up(100 + day, &[format!("later {day}").as_bytes()]);
        assert!(announce_coming(&site.open, &site.guards, site.now()).unwrap() > 0);
    }
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 30);
}
