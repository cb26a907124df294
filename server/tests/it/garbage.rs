//! The garbage collector beside backups: what is referred to in time stays, whatever runs when.
//!
//! The races are played step by step in their worst order; the engine's own steps are the ones that run in a server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use common::id::{ChunkId, SessionId};
use common::keys::ChunkKind;
use server::catalog::packs::PackState;
use server::session::commit::CommitAnswer;
use server::store::name::{Folder, ObjectName};
use server::upkeep::jobs::JobError;
use server::upkeep::mark::{MarkSettings, Noting, mark};
use server::upkeep::recount::recount;
use server::upkeep::token::Token;

use crate::engine::{Agent, DAY_NS, SUBSCRIPTION, copy_folder, files, received, server};
use crate::site::{Site, operator};

fn states(site: &Site) -> BTreeMap<PackState, usize> {
    let packs = site.open.read(|catalog| Ok(catalog.packs()?)).unwrap();
    let mut states = BTreeMap::new();
    packs.iter().for_each(|pack| *states.entry(pack.state).or_insert(0) += 1);
    states
}

fn trashed(site: &Site) -> u64 {
    site.open.read(|catalog| Ok(catalog.trashed_rows(None)?.len())).unwrap()
}

/// Two days of backups whose first one is out of the history, and whose chunks are in trash.
fn with_trash(site: &Site) -> (Agent, Vec<ChunkId>) {
    let mut old = site.back_up(1, &[b"shared later", b"old only"]);
    site.pass_days(1);
    site.back_up(2, &[b"second"]);
    site.pass_days(1);
    site.back_up(3, &[b"third"]);
    site.pass_days(3);
    site.expire().unwrap();
    site.mark().unwrap();
    let data = [old.data(b"shared later"), old.data(b"old only")];
    let leaf = old.leaf(&data.iter().collect::<Vec<_>>(), b"entries");
    let ids: Vec<ChunkId> = data.iter().chain([&leaf]).map(|made| made.id).collect();
    assert!(trashed(site) >= 3, "{}", trashed(site));
    (old, ids)
}

fn after_the_grace(site: &Site) {
    site.pass_days(8);
    site.purge().unwrap();
    site.jump(3_600_000_000_000);
    site.purge().unwrap();
    site.compact().unwrap();
}

#[test]
fn a_backup_based_on_a_snapshot_that_expires_during_the_collection_stays_whole() {
    // The interleaving of the Proxmox advisory: the collector lists snapshots, a backup begins on the last one, that one goes
    // before the collector reaches it, and the backup commits with nothing but references.
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut first = site.back_up(1, &[b"kept alive by reference only"]);
    let mut second = site.agent(2);
    second.parent = Some(first.session);
    let (open, opened) = second.open(&site.server).unwrap();
    site.open
        .writer()
        .run(|writer| {
            writer.referred = Some(roaring::RoaringBitmap::new());
            Ok(())
        })
        .unwrap();
    let leaf = first.data(b"kept alive by reference only");
    let root_of_first = first.leaf(&[&leaf], b"entries");
    assert_eq!(open.have(&second.who.scope, &[root_of_first.id]).unwrap(), [true]);
    let session = first.session;
    open.writer().run(move |writer| Ok(writer.catalog.set_expired(&session, 1)?)).unwrap();
    site.mark().unwrap();
    site.jump(600_000_000_000);
    let answer = second.commit(&open, &opened, &root_of_first).unwrap();
    assert!(matches!(answer, CommitAnswer::Committed { .. }));
    assert_eq!(trashed(&site), 0, "the commit brought its closure back");
    fs::remove_file(root.path().join(format!("store/subscriptions/{SUBSCRIPTION}/snapshots/{session}"))).unwrap();
    after_the_grace(&site);
    assert_eq!(site.readable(&second.who.scope, &[leaf.id, root_of_first.id]), 2);
    assert!(open.read(recount).unwrap().is_empty());
}

#[test]
fn trash_waits_for_every_session_that_was_open_when_it_was_made() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut slow = site.agent(50);
    slow.parent = None;
    let other = Agent::in_session(2, SessionId::new([50; 16])).of(crate::engine::OTHER_SOURCE).at(site.now_ns());
    other.open(&site.server).unwrap();
    let (old, ids) = with_trash(&site);
    site.pass_days(30);
    assert_eq!(Site::count(&site.purge().unwrap(), "purged"), 0, "a session of before is still open");
    assert_eq!(site.readable(&old.who.scope, &ids), 3);
    site.open.expire_sessions(site.now_ns()).unwrap();
    assert!(Site::count(&site.purge().unwrap(), "purged") >= 3);
    assert_eq!(site.readable(&old.who.scope, &ids), 0);
}

#[test]
fn every_kind_of_reference_brings_trash_back_with_all_that_it_reaches() {
    type Refer = fn(&Site, &mut Agent, &[ChunkId]) -> usize;
    let asked: Refer = |site, old, ids| {
        assert_eq!(site.open.have(&old.who.scope, &[ids[2]]).unwrap(), [true]);
        3
    };
    let sent_again: Refer = |site, old, _| {
        let mut agent = site.agent(60);
        agent.parent = site.newest();
        let (open, _) = agent.open(&site.server).unwrap();
        let data = [old.data(b"shared later"), old.data(b"old only")];
        let node = agent.leaf(&data.iter().collect::<Vec<_>>(), b"entries");
        agent.put(&open, &[&node]).unwrap();
        open.abort_session(agent.who, agent.session, site.now_ns()).unwrap();
        3
    };
    let named: Refer = |site, _, ids| {
        let mut agent = site.agent(61);
        agent.parent = site.newest();
        let (open, _) = agent.open(&site.server).unwrap();
        let branch = agent.made(ChunkKind::Branch, &[ids[2]], b"one child");
        agent.put(&open, &[&branch]).unwrap();
        open.flush_and_wait(site.now_ns()).unwrap();
        3
    };
    let committed: Refer = |site, old, _| {
        let mut agent = site.agent(62);
        agent.parent = site.newest();
        let (open, opened) = agent.open(&site.server).unwrap();
        let data = [old.data(b"shared later"), old.data(b"old only")];
        let leaf = agent.leaf(&data.iter().collect::<Vec<_>>(), b"entries");
        agent.commit(&open, &opened, &leaf).unwrap();
        3
    };
    for refer in [asked, sent_again, named, committed] {
        let root = tempfile::tempdir().unwrap();
        let site = Site::new(root.path(), 2);
        let (mut old, ids) = with_trash(&site);
        let before = trashed(&site);
        let back = refer(&site, &mut old, &ids);
        assert_eq!(trashed(&site), before - back as u64, "{before} before");
        // Referred to by nothing that lasts, it goes again, but not before another grace; what was committed stays.
        site.mark().unwrap();
        assert_eq!(site.readable(&old.who.scope, &ids), 3);
    }
}

#[test]
fn what_is_sent_while_mark_runs_is_not_moved_to_trash() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut old = site.back_up(1, &[b"old"]);
    site.pass_days(1);
    site.back_up(2, &[b"second"]);
    site.pass_days(1);
    site.back_up(3, &[b"third"]);
    site.pass_days(3);
    site.expire().unwrap();
    let mut agent = site.agent(70);
    agent.parent = site.newest();
    let (open, opened) = agent.open(&site.server).unwrap();
    let leaf_of_old = {
        let data = old.data(b"old");
        old.leaf(&[&data], b"entries")
    };
    // Between the view of mark and its last step: a node that names what mark did not reach.
    let settings = MarkSettings { now_ns: site.now_ns(), memory_bytes_max: 1 << 28 };
    let noting = Noting::begin(&open).unwrap();
    let found = noting.look(settings, &Token::default()).unwrap();
    let branch = agent.made(ChunkKind::Branch, &[leaf_of_old.id], b"names old");
    agent.put(&open, &[&branch]).unwrap();
    open.flush_and_wait(site.now_ns()).unwrap();
    noting.finish(found, site.now_ns()).unwrap();
    let answer = agent.commit(&open, &opened, &branch).unwrap();
    assert!(matches!(answer, CommitAnswer::Committed { .. }));
    assert_eq!(trashed(&site), 2, "the second backup's, which nothing refers to");
}

#[test]
fn a_paused_or_failed_mark_ends_and_leaves_no_note_behind() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    site.back_up(1, &[b"one"]);
    let is_noting = || site.open.writer().run(|writer| Ok(writer.referred.is_some())).unwrap();
    let settings = MarkSettings { now_ns: site.now_ns(), memory_bytes_max: 1 << 28 };
    let token = Token::default();
    token.pause();
    assert!(
        matches!(mark(&site.open, settings, &token), Err(JobError::Stopped(_))),
        "it does not wait with a view open"
    );
    assert!(!is_noting());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _noting = Noting::begin(&site.open).unwrap();
        assert!(is_noting());
        panic!("in the middle of mark");
    }));
    assert!(panicked.is_err() && !is_noting());
    token.resume();
    assert_eq!(Site::count(&mark(&site.open, settings, &token).unwrap(), "chunks"), 2);
    assert!(!is_noting());
}

#[test]
fn frames_of_an_open_session_are_never_collected() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    site.back_up(1, &[b"base"]);
    let mut agent = site.agent(2);
    agent.parent = site.newest();
    let (open, opened) = agent.open(&site.server).unwrap();
    let data = agent.data(b"sent days ago");
    agent.put(&open, &[&data]).unwrap();
    open.flush_and_wait(site.now_ns()).unwrap();
    for _ in 0..12 {
        site.pass_days(1);
        // It does a little every day, so that it does not count as left alone.
        let now_ns = site.now_ns();
        open.writer().run(move |writer| Ok(writer.catalog.touch_session(2, now_ns, 0)?)).unwrap();
        site.mark().unwrap();
        site.purge().unwrap();
    }
    assert_eq!(site.readable(&agent.who.scope, &[data.id]), 0, "it is still in staging");
    assert_eq!(open.have(&agent.who.scope, &[data.id]).unwrap(), [true]);
    let agent_now = agent.at(site.now_ns());
    let mut agent = agent_now;
    let leaf = agent.leaf(&[&data], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    assert!(matches!(agent.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }));
    assert_eq!(site.readable(&agent.who.scope, &[data.id, leaf.id]), 2);
}

#[test]
fn what_a_session_left_alone_sent_is_released_when_it_is_purged() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    site.back_up(1, &[b"base"]);
    let mut agent = site.agent(2);
    agent.parent = site.newest();
    let (open, _) = agent.open(&site.server).unwrap();
    let data = agent.data(&[7; 5_000]);
    agent.put(&open, &[&data]).unwrap();
    open.flush_and_wait(site.now_ns()).unwrap();
    site.pass_days(2);
    open.expire_sessions(site.now_ns()).unwrap();
    assert_eq!(trashed(&site), 0);
    site.mark().unwrap();
    assert_eq!((trashed(&site), open.account().uncommitted.chunks), (1, 1), "charged until it is purged");
    after_the_grace(&site);
    assert_eq!(open.account().uncommitted.chunks, 0);
    assert_eq!(site.readable(&agent.who.scope, &[data.id]), 0);
    assert!(open.read(recount).unwrap().is_empty());
}

#[test]
fn an_unchanged_backup_over_a_quarantined_chunk_lays_it_again_and_the_old_frame_goes() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut agent = site.back_up(1, &[b"damaged", b"good"]);
    let bad = agent.data(b"damaged");
    let row = site.open.read(|catalog| Ok(catalog.chunk(1, &bad.id)?)).unwrap().unwrap().row;
    site.open
        .writer()
        .run(move |writer| {
            writer.catalog.mark_damaged(row)?;
            Ok(writer.catalog.start_closure_epoch()?)
        })
        .unwrap();
    site.mark().unwrap();
    assert_eq!(trashed(&site), 0, "damage is no garbage");
    let mut next = site.agent(2);
    next.parent = site.newest();
    let (open, opened) = next.open(&site.server).unwrap();
    let laid = next.data(b"damaged");
    next.put(&open, &[&laid]).unwrap();
    let leaf = next.leaf(&[&bad, &agent.data(b"good")], b"entries");
    assert!(matches!(next.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }));
    site.pass_days(1);
    site.night();
    assert_eq!(site.readable(&agent.who.scope, &[bad.id]), 1);
    assert!(open.read(recount).unwrap().is_empty());
}

#[test]
fn nodes_that_name_each_other_are_collected_too() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    site.back_up(1, &[b"base"]);
    let mut agent = site.agent(2);
    agent.parent = site.newest();
    let (open, _) = agent.open(&site.server).unwrap();
    // A hostile agent: the id of a frame is in its header, and only a key holder could tell that it is not its content's.
    let (one, two) = (ChunkId::new([1; 32]), ChunkId::new([2; 32]));
    for (id, child) in [(one, two), (two, one)] {
        let made = agent.made(ChunkKind::Branch, &[child], b"loop");
        let mut frame = made.frame.frame.to_vec();
        let at = frame.windows(32).position(|window| window == made.id.as_bytes()).unwrap();
        frame[at..at + 32].copy_from_slice(id.as_bytes());
        let live = open.live(agent.who, &agent.session).unwrap();
        open.put(&live, vec![received(frame)], site.now_ns()).unwrap();
    }
    open.abort_session(agent.who, agent.session, site.now_ns()).unwrap();
    site.pass_days(2);
    site.mark().unwrap();
    assert_eq!(trashed(&site), 2);
    after_the_grace(&site);
    site.mark().unwrap();
    after_the_grace(&site);
    let rows = open.read(|catalog| Ok(catalog.chunk_rows()?.len())).unwrap();
    assert_eq!(rows, 2, "the base's chunk and leaf");
    site.back_up(3, &[b"base", b"more"]);
}

#[test]
fn compaction_merges_small_packs_and_readers_of_the_old_ones_still_read() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 60);
    let mut agents = Vec::new();
    for day in 1..=9 {
        agents.push(site.back_up(day, &[format!("day {day}").as_bytes()]));
        site.pass_days(1);
    }
    let before = site.open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap();
    assert_eq!(before.len(), 18);
    let counts = site.compact().unwrap();
    assert_eq!((Site::count(&counts, "replaced"), Site::count(&counts, "written")), (18, 2));
    assert!(Site::count(&counts, "emptied_bytes") > 0);
    let ids: Vec<ChunkId> =
        (1..).zip(&mut agents).map(|(day, agent)| agent.data(format!("day {day}").as_bytes()).id).collect();
    let scope = agents[0].who.scope;
    assert_eq!(site.readable(&scope, &ids), 9);
    site.purge().unwrap();
    assert_eq!(site.open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap().len(), 20, "an hour of grace");
    site.jump(3_600_000_000_000);
    site.purge().unwrap();
    assert_eq!(site.open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap().len(), 2);
    assert_eq!(site.readable(&scope, &ids), 9);
    assert!(site.open.read(recount).unwrap().is_empty());
    assert_eq!(states(&site), BTreeMap::from([(PackState::Published, 2)]));
    // Two packs of many sessions each: the store alone still makes the same index.
    let world = site.world.clone();
    drop(site);
    let catalog = root.path().join(format!("catalogs/{SUBSCRIPTION}/catalog.db"));
    fs::copy(&catalog, root.path().join("old.db")).unwrap();
    assert!(server(root.path()).rebuild(&SUBSCRIPTION).unwrap().incomplete_snapshots.is_empty());
    let old = server::catalog::file::Catalog::open(&root.path().join("old.db")).unwrap();
    let new = server::catalog::file::Catalog::open(&catalog).unwrap();
    assert_eq!(server::catalog::compare::compare(&old, &new, 10).unwrap(), Vec::<String>::new());
    drop(new);
    assert_eq!(Site::start(root.path(), &world).readable(&scope, &ids), 9);
}

#[test]
fn a_frame_that_does_not_read_back_is_not_copied() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 60);
    for day in 1..=8 {
        site.back_up(day, &[format!("day {day}").as_bytes()]);
        site.pass_days(1);
    }
    let pack = files(&root.path().join("store"))
        .into_iter()
        .find(|file| file.to_string_lossy().contains("/packs/") && fs::read(file).unwrap()[4] == 0);
    let pack = pack.unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = common::pack::HEADER_BYTES + 60;
    bytes[middle] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let counts = site.compact().unwrap();
    assert_eq!(Site::count(&counts, "written"), 1, "the nodes; the data has a pack that must be scrubbed first");
    assert_eq!(states(&site).get(&PackState::Suspect), Some(&1));
}

/// A copy of everything after each step of a collection, each opened as a crashed server's, rebuilt and read.
#[test]
fn a_crash_after_any_step_loses_nothing_that_is_reachable() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 2);
    let mut alive = Vec::new();
    for day in 1..=9u32 {
        let mut agent = site.back_up(day, &[b"always", format!("day {day}").as_bytes()]);
        if day >= 7 {
            alive.push(agent.data(format!("day {day}").as_bytes()).id);
        }
        alive.push(agent.data(b"always").id);
        site.pass_days(1);
        // A run a day, as always: each is within what was announced.
        site.expire().unwrap();
    }
    let scope = site.agent(1).who.scope;
    let sessions: BTreeSet<SessionId> = site.sessions().into_iter().collect();
    let mut crashes = Vec::new();
    let crash = || {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(root.path(), copy.path());
        copy
    };
    // Tombstone durable, object still there; then object gone, row not told.
    let shared = site.open.shared();
    let victim = *sessions.iter().next().unwrap();
    let row = site.open.read(|catalog| Ok(catalog.snapshot(&victim)?)).unwrap().unwrap();
    server::upkeep::tombstone::bury(&shared.objects, &SUBSCRIPTION, &row, site.now_ns()).unwrap();
    crashes.push((crash(), true));
    let gone = crash();
    fs::remove_file(gone.path().join(format!("store/subscriptions/{SUBSCRIPTION}/snapshots/{victim}"))).unwrap();
    crashes.push((gone, false));
    site.mark().unwrap();
    crashes.push((crash(), true));
    site.pass_days(8);
    site.purge().unwrap();
    crashes.push((crash(), true));
    site.compact().unwrap();
    crashes.push((crash(), true));
    // A copy published by compaction whose row still says "arriving".
    let arriving = crash();
    crashes.push((arriving, true));
    site.jump(3_600_000_000_000);
    // Packs gone, rows not.
    let before = crash();
    site.purge().unwrap();
    let packs = |root: &std::path::Path| {
        files(&root.join("store")).into_iter().filter(|f| f.to_string_lossy().contains("/packs/"))
    };
    let left: BTreeSet<_> = packs(root.path()).map(|file| file.file_name().unwrap().to_owned()).collect();
    let gone: Vec<_> = packs(before.path()).filter(|file| !left.contains(file.file_name().unwrap())).collect();
    assert!(!gone.is_empty());
    gone.iter().for_each(|file| fs::remove_file(file).unwrap());
    crashes.push((before, true));
    crashes.push((crash(), true));
    let world = site.world.clone();
    for (at, (copy, with_victim)) in crashes.iter().enumerate() {
        let check = |site: &Site, how: &str| {
            let mut wanted = sessions.clone();
            if !with_victim {
                wanted.remove(&victim);
            }
            assert_eq!(site.sessions().into_iter().collect::<BTreeSet<_>>(), wanted, "crash {at}, {how}");
            assert_eq!(site.readable(&scope, &alive), alive.len(), "crash {at}, {how}");
            let lost = states(site).get(&PackState::Lost).copied();
            assert_eq!(lost, None, "crash {at}, {how}");
            assert_eq!(site.open.read(recount).unwrap(), Vec::<String>::new(), "crash {at}, {how}");
        };
        let crashed = Site::start(copy.path(), &world);
        check(&crashed, "recovered");
        // The copy was not looked at since it was taken.
        crashed.guards.allow(None, crashed.now(), ("looked", &operator())).unwrap();
        crashed.mark().unwrap();
        crashed.purge().unwrap();
        crashed.compact().unwrap();
        check(&crashed, "and went on");
        drop(crashed);
        let rebuilt = server(copy.path()).rebuild(&SUBSCRIPTION).unwrap();
        assert!(rebuilt.incomplete_snapshots.is_empty(), "crash {at}");
        check(&Site::start(copy.path(), &world), "rebuilt");
    }
}

#[test]
fn a_copy_that_compaction_did_not_swap_in_goes() {
    let root = tempfile::tempdir().unwrap();
    let site = Site::new(root.path(), 60);
    let agent = site.back_up(1, &[b"one"]);
    let world = site.world.clone();
    // An unknown pack would ask for a rebuild; the row, written before the object, explains it.
    site.open
        .writer()
        .run(|writer| {
            let pack = writer.catalog.packs()?[0].clone();
            let name = common::id::PackId::new([7; 32]);
            let row = server::catalog::packs::PackFacts {
                row: 99,
                name: Some(name),
                state: PackState::Arriving,
                salt: [9; 16],
                ..pack
            };
            writer.catalog.store_pack(&row)?;
            writer.shared.objects.publish(&SUBSCRIPTION, &ObjectName::Pack(name), b"a copy")?;
            let missing =
                server::catalog::packs::PackFacts { row: 98, name: Some(common::id::PackId::new([8; 32])), ..row };
            Ok(writer.catalog.store_pack(&missing)?)
        })
        .unwrap();
    drop(site);
    let site = Site::start(root.path(), &world);
    site.purge().unwrap();
    site.jump(3_600_000_000_000);
    site.purge().unwrap();
    assert_eq!(states(&site), BTreeMap::from([(PackState::Published, 2)]));
    assert_eq!(site.open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap().len(), 2);
    assert_eq!(site.sessions(), [agent.session]);
    let _ = DAY_NS;
}
