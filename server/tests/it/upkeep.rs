//! Rebuilding, scrubbing and recounting.

use std::fs;
use std::path::{Path, PathBuf};

use common::id::SessionId;
use common::pack::FrameClass;
use common::stored::SnapshotKind;
use server::catalog::compare::compare;
use server::catalog::file::Catalog;
use server::catalog::packs::PackState;
use server::control::approvals::ApprovalKind;
use server::session::fetch::{Fetched, Right, Unavailable};
use server::session::memory::Memory;
use server::subscriptions::Subscriptions;
use server::upkeep::jobs::JobError;
use server::upkeep::quarantine;
use server::upkeep::recount::recount;
use server::upkeep::scrub::{Scrubbed, scrub};

use crate::engine::{Agent, DAY_NS, NOON_NS, OTHER_SOURCE, SUBSCRIPTION, copy_folder, files, server};
use crate::site::{Site, by, operator};

fn catalog(root: &Path) -> PathBuf {
    root.join("catalogs").join(SUBSCRIPTION.to_string()).join("catalog.db")
}

/// Three snapshots of two sources in two scopes, an aborted session, a verification.
fn history(server: &Subscriptions) -> Vec<SessionId> {
    let mut first = Agent::new(1, 1);
    first.back_up(server, &[&[1; 3_000], &[2; 4_000], &[3; 100]]);
    let mut second = Agent::new(1, 2).after(&first);
    second.kind = SnapshotKind::Reseed;
    let (open, opened) = second.open(server).unwrap();
    let mut relaid = second.data(&[4; 700]);
    relaid.frame.class = Some(FrameClass::Relaid);
    let mut reseed = second.data(&[5; 800]);
    reseed.frame.class = Some(FrameClass::Reseed);
    let kept = second.data(&[2; 4_000]);
    let leaf = second.leaf(&[&relaid, &reseed, &kept], b"entries of the second day");
    second.put(&open, &[&relaid, &reseed, &leaf]).unwrap();
    second.commit(&open, &opened, &leaf).unwrap();
    let mut other = Agent::new(2, 3).of(OTHER_SOURCE);
    other.back_up(server, &[&[1; 3_000], &[9; 50]]);
    let mut aborted = Agent::new(2, 4).of(OTHER_SOURCE).after(&other);
    aborted.open(server).unwrap();
    let (data, absent) = (aborted.data(&[8; 600]), aborted.data(&[7; 600]));
    let leaf = aborted.leaf(&[&data, &absent], b"entries that were never committed");
    aborted.put(&open, &[&data, &leaf]).unwrap();
    open.abort_session(aborted.who, aborted.session, NOON_NS).unwrap();
    open.report_verified(second.session, "marie".into(), NOON_NS).unwrap();
    vec![first.session, second.session, other.session]
}

fn scrubbed(server: &Subscriptions) -> Scrubbed {
    scrub(&server.get(&SUBSCRIPTION).unwrap(), NOON_NS, |_| true).unwrap()
}

#[test]
fn a_rebuilt_catalog_is_identical() {
    let (root, old) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    history(&server(root.path()));
    copy_folder(&root.path().join("catalogs"), old.path());
    let old = Catalog::open(&old.path().join(SUBSCRIPTION.to_string()).join("catalog.db")).unwrap();
    for how in ["with its catalog", "without", "with a broken one"] {
        match how {
            "without" => fs::remove_dir_all(root.path().join("catalogs")).unwrap(),
            "with a broken one" => {
                fs::OpenOptions::new().write(true).open(catalog(root.path())).unwrap().set_len(5_000).unwrap()
            }
            _ => {}
        }
        let rebuilt = server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
        assert_eq!((rebuilt.snapshots, rebuilt.incomplete_snapshots.len()), (3, 0), "{how}");
        let new = Catalog::open(&catalog(root.path())).unwrap();
        assert_eq!(compare(&old, &new, 10).unwrap(), Vec::<String>::new(), "{how}");
        assert_eq!(recount(&new).unwrap(), Vec::<String>::new(), "{how}");
    }
    let again = server(root.path());
    let memory = Agent::new(1, 9).after(&Agent::new(1, 2)).open(&again).unwrap().1.memory;
    assert_eq!(memory, Memory::Valid);
}

#[test]
fn a_comparison_and_a_recount_name_what_differs() {
    let (root, changed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    history(&server(root.path()));
    copy_folder(root.path(), changed.path());
    Agent::new(1, 9).after(&Agent::new(1, 2)).back_up(&server(changed.path()), &[b"more"]);
    let (one, two) = (Catalog::open(&catalog(root.path())).unwrap(), Catalog::open(&catalog(changed.path())).unwrap());
    assert!(recount(&two).unwrap().is_empty());
    let differences = compare(&one, &two, 100).unwrap();
    for kind in ["+ chunk", "+ pack", "+ session", "+ snapshot", "+ day", "+ node", "- reach", "+ reach"] {
        assert!(differences.iter().any(|line| line.starts_with(kind)), "{kind}: {differences:#?}");
    }
    assert_eq!(compare(&one, &two, 3).unwrap().len(), 3);
    let released = one.uncommitted_rows().unwrap();
    one.atomically(|catalog| catalog.release_uncommitted(&released)).unwrap();
    assert_eq!(recount(&one).unwrap(), ["uncommitted account"]);
}

#[test]
fn a_healthy_store_scrubs_clean() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    history(&server);
    let clean = scrubbed(&server);
    assert!(clean.is_clean(), "{clean:?}");
    let stored = files(&root.path().join("store"));
    assert_eq!(clean.objects, stored.len() as u64);
    assert_eq!(clean.bytes, stored.iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>());
}

#[test]
fn truncated_swapped_and_removed_objects_are_found() {
    let origin = tempfile::tempdir().unwrap();
    history(&server(origin.path()));
    let stored = files(&origin.path().join("store"));
    for (at, file) in stored.iter().enumerate() {
        let other = &stored[(at + 1) % stored.len()];
        for what in ["truncated", "swapped", "removed"] {
            let root = tempfile::tempdir().unwrap();
            copy_folder(origin.path(), root.path());
            let server = server(root.path());
            server.get(&SUBSCRIPTION).unwrap();
            let here = root.path().join(file.strip_prefix(origin.path()).unwrap());
            match what {
                "truncated" => {
                    let bytes = fs::metadata(&here).unwrap().len();
                    fs::OpenOptions::new().write(true).open(&here).unwrap().set_len(bytes - 1).unwrap();
                }
                "swapped" => drop(fs::copy(other, &here).unwrap()),
                _ => fs::remove_file(&here).unwrap(),
            }
            let found = scrubbed(&server);
            let is_fact = file.to_string_lossy().contains("/facts/");
            assert!(!found.is_clean() || (what == "removed" && is_fact), "{what} {}", file.display());
        }
    }
}

#[test]
fn good_frames_of_a_damaged_pack_stay_usable_and_the_others_are_laid_again() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    let (bad, good) = (agent.data(&[1; 3_000]), agent.data(&[2; 3_000]));
    let first = server(root.path());
    let (open, opened) = agent.open(&first).unwrap();
    agent.put(&open, &[&bad, &good]).unwrap();
    let leaf = agent.leaf(&[&bad, &good], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    agent.commit(&open, &opened, &leaf).unwrap();
    let location = open.read(|catalog| Ok(catalog.location(1, &bad.id)?)).unwrap().unwrap();
    let name = location.name.unwrap().to_string();
    let file = files(&root.path().join("store")).into_iter().find(|file| file.ends_with(&name)).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(location.range.offset).unwrap() + 500] ^= 1;
    fs::File::create(&file).and_then(|mut f| std::io::Write::write_all(&mut f, &bytes)).unwrap();

    let look = |open: &server::session::subscription::Subscription| {
        let mut found = Vec::new();
        open.fetch(&agent.who.scope, &[bad.id, good.id], Right::Content, |fetched| {
            found.push(match fetched {
                Fetched::Unavailable(id, why) => (id, Some(why)),
                Fetched::Frame { frame, .. } if frame == bad.frame.frame => (bad.id, None),
                Fetched::Frame { .. } => (good.id, None),
            });
            true
        })
        .unwrap();
        found
    };
    let wanted = [(bad.id, Some(Unavailable::Damaged)), (good.id, None)];
    assert_eq!(look(&open), wanted, "no wrong byte is given out even before a scrub");
    let packs = open.read(|catalog| Ok(catalog.packs()?)).unwrap();
    assert_eq!(packs.iter().filter(|pack| pack.state == PackState::Suspect).count(), 1);
    let found = scrubbed(&first);
    assert_eq!((&found.damaged_chunks[..], &found.affected_snapshots[..]), (&[bad.id][..], &[agent.session][..]));
    assert_eq!(look(&open), wanted);
    assert_eq!(scrubbed(&first).damaged_chunks, [bad.id], "a second scrub says the same and stores nothing more");
    drop(open);
    drop(first);

    let rebuilt = server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
    assert_eq!(rebuilt.incomplete_snapshots, [agent.session]);
    let again = server(root.path());
    let mut next = Agent::new(1, 2).after(&agent);
    let (open, opened) = next.open(&again).unwrap();
    assert_eq!(opened.memory, Memory::ValidExcept(vec![bad.id]));
    let laid = next.data(&[1; 3_000]);
    next.put(&open, &[&laid]).unwrap();
    next.commit(&open, &opened, &leaf).unwrap();
    let mut found = Vec::new();
    open.fetch(&agent.who.scope, &[bad.id], Right::Content, |fetched| {
        found.push(fetched);
        true
    })
    .unwrap();
    assert!(matches!(&found[..], [Fetched::Frame { frame, .. }] if *frame == laid.frame.frame));
    assert!(open.read(recount).unwrap().is_empty());
}

#[test]
fn a_pack_without_a_readable_directory_is_salvaged_by_a_rebuild() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    agent.back_up(&server(root.path()), &[&[1; 3_000]]);
    for file in files(&root.path().join("store")).iter().filter(|file| file.to_string_lossy().contains("/packs/")) {
        let bytes = fs::metadata(file).unwrap().len();
        fs::OpenOptions::new().write(true).open(file).unwrap().set_len(bytes - 1).unwrap();
    }
    fs::remove_dir_all(root.path().join("catalogs")).unwrap();
    let rebuilt = server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
    assert_eq!((rebuilt.salvaged_packs.len(), rebuilt.frames, rebuilt.snapshots), (2, 2, 1));
    let again = server(root.path());
    let opened = Agent::new(1, 2).after(&agent).open(&again).unwrap().1;
    assert_ne!(opened.memory, Memory::Valid, "what nothing vouches for is laid again");
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn one_bad_object_of_each_kind_stops_neither_a_rebuild_nor_what_comes_after() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 1);
    let mut agents: Vec<Agent> = Vec::new();
    for day in 1..=6 {
        agents.push(site.back_up(day, &[b"always", format!("day {day}").as_bytes()]));
        site.pass_days(1);
    }
    let newest = agents[5].data(b"day 6");
    let of_second = agents[1].data(b"day 2").id;
    site.guards.allow(None, site.now(), ("vu", &operator())).unwrap();
    agreed_to_prune(&site);
    assert_eq!(Site::count(&site.expire().unwrap(), "expired"), 4);
    let stored = root.path().join(format!("store/subscriptions/{SUBSCRIPTION}"));
    let unreadable = site.open.read(|catalog| Ok(catalog.location(1, &of_second)?)).unwrap().unwrap().name.unwrap();
    let (world, sessions) = (site.world.clone(), site.sessions());
    quarantine::store(&site.open.shared().objects, &SUBSCRIPTION, &unreadable, &[newest.id], NOON_NS).unwrap();
    drop(site);
    let bad_snapshot = sessions[0];
    flip(&stored.join(format!("snapshots/{bad_snapshot}")), 2);
    flip(&files(&stored.join("tombstones"))[0], 2);
    flip(&files(&stored.join("facts/quarantine"))[0], 2);
    let pack = files(&stored.join("packs")).into_iter().find(|file| file.ends_with(unreadable.to_string())).unwrap();
    let good = fs::read(&pack).unwrap();
    fs::remove_file(&pack).unwrap();
    std::os::unix::fs::symlink(&pack, &pack).unwrap();

    let rebuilt = server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
    assert_eq!((rebuilt.snapshots, &rebuilt.damaged_snapshots[..]), (1, &[bad_snapshot][..]));
    assert_eq!((rebuilt.damaged_tombstones.len(), rebuilt.damaged_facts.len()), (1, 1), "{rebuilt:?}");
    assert_eq!(rebuilt.salvaged_packs, [unreadable]);

    let site = Site::start(root.path(), &world);
    assert_eq!(site.sessions(), sessions[1..], "it opens, with what can be read");
    assert_eq!(site.readable(&agents[5].who.scope, &[newest.id]), 1);
    site.back_up(100, &[b"always", b"and it goes on"]);
    site.guards.allow(Some(&SUBSCRIPTION), site.now(), ("vu", &operator())).unwrap();
    for result in [site.expire(), site.purge(), site.compact()] {
        assert!(matches!(result, Err(JobError::Refused("read_failed"))), "the damaged date still needs its chunks");
    }
    fs::remove_file(stored.join(format!("snapshots/{bad_snapshot}"))).unwrap();
    for _ in 0..3 {
        site.purge().unwrap();
        site.jump(3_600_000_000_000);
    }
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, good).unwrap();
    let scrubbed = scrub(&site.open, site.now_ns(), |_| true).unwrap();
    assert!(scrubbed.unknown.iter().any(|name| name.ends_with(&unreadable.to_string())), "a rebuild is needed again");
    drop(site);
    assert!(server(root.path()).rebuild(&SUBSCRIPTION).unwrap().salvaged_packs.is_empty());
}

/// Two persons agree to prune beyond what was announced, eight days ago.
fn agreed_to_prune(site: &Site) {
    let at_ns = site.now_ns() - 8 * DAY_NS;
    let number =
        site.control.propose(ApprovalKind::PruneOverride, &SUBSCRIPTION, "détail", &by("anne", at_ns)).unwrap();
    site.control.approve(number, &by("bruno", at_ns)).unwrap();
}

#[test]
fn frames_of_a_pack_without_a_directory_are_found_again_if_anything_describes_their_session() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    agent.back_up(&server(root.path()), &[&[1; 3_000]]);
    let id = agent.data(&[1; 3_000]).id;
    let is_data = |file: &&PathBuf| file.to_string_lossy().contains("/packs/") && fs::read(file).unwrap()[4] == 0;
    let stored = files(&root.path().join("store"));
    let file = stored.iter().find(is_data).unwrap();
    let bytes = fs::metadata(file).unwrap().len();
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(bytes - 1).unwrap();
    fs::remove_dir_all(root.path().join("catalogs")).unwrap();
    let rebuilt = server(root.path()).rebuild(&SUBSCRIPTION).unwrap();
    assert_eq!((rebuilt.salvaged_packs.len(), &rebuilt.incomplete_snapshots[..]), (1, &[agent.session][..]));
    let again = server(root.path());
    let mut found = 0;
    let count = |fetched| {
        found += usize::from(matches!(fetched, Fetched::Frame { .. }));
        true
    };
    again.get(&SUBSCRIPTION).unwrap().fetch(&agent.who.scope, &[id], Right::Content, count).unwrap();
    assert_eq!(found, 1, "who holds a key can still restore it");
}
