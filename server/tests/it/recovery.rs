//! What a crash leaves, at each step of the order of writes, and what opening makes of it.
//!
//! A crash is a copy of the server's folder taken while the engine runs: what a killed process leaves. What a power cut leaves
//! beyond that (bytes that were never synced) is made by hand: cut and scribbled tails after the acknowledged length.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use common::id::{ChunkId, ScopeId};
use server::catalog::packs::PackState;
use server::session::commit::CommitAnswer;
use server::session::error::SessionError;
use server::session::fetch::{Fetched, Right};
use server::session::memory::Memory;
use server::session::subscription::Subscription;
use server::store::name::{Folder, ObjectName};
use server::upkeep::scrub_round::{Pace, round};
use server::upkeep::token::Token;

use crate::engine::{Agent, NOON_NS, SUBSCRIPTION, copy_folder, files, server};

fn staging(root: &Path) -> Vec<PathBuf> {
    files(&root.join("staging"))
}

fn readable(open: &Subscription, scope: &ScopeId, ids: &[ChunkId]) -> usize {
    let mut frames = 0;
    open.fetch(scope, ids, Right::Content, |fetched| {
        frames += usize::from(matches!(fetched, Fetched::Frame { .. }));
        true
    })
    .unwrap();
    frames
}

#[test]
fn acknowledged_frames_survive_and_the_session_goes_on() {
    let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new(1, 1);
    let (acknowledged, lost) = (agent.data(&[1; 5_000]), agent.data(&[2; 5_000]));
    {
        let server = server(root.path());
        let (open, _) = agent.open(&server).unwrap();
        agent.put(&open, &[&acknowledged]).unwrap();
        open.flush_and_wait(NOON_NS).unwrap();
        agent.put(&open, &[&lost]).unwrap();
        copy_folder(root.path(), crashed.path());
    }
    let server = server(crashed.path());
    let (open, opened) = agent.open(&server).unwrap();
    assert!(!opened.committed);
    assert_eq!(open.have(&agent.who.scope, &[acknowledged.id, lost.id]).unwrap(), [true, false]);
    assert!(staging(crashed.path()).is_empty(), "the staging file became a pack");
    assert_eq!(open.account().uncommitted.data_bytes(), 5_000);
    agent.put(&open, &[&lost]).unwrap();
    let leaf = agent.leaf(&[&acknowledged, &lost], b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    assert!(matches!(agent.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }));
    assert_eq!(readable(&open, &agent.who.scope, &[acknowledged.id, lost.id, leaf.id]), 3);
}

#[test]
fn whatever_stands_after_the_acknowledged_length_is_cut() {
    for tail in [&b""[..], b"x", &[0; 70_000], b"DBF\x01 torn frame"] {
        let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut agent = Agent::new(1, 1);
        let data = agent.data(&[1; 5_000]);
        {
            let server = server(root.path());
            let (open, _) = agent.open(&server).unwrap();
            agent.put(&open, &[&data]).unwrap();
            open.flush_and_wait(NOON_NS).unwrap();
            copy_folder(root.path(), crashed.path());
        }
        let [file] = &staging(crashed.path())[..] else { panic!("one staging file") };
        fs::OpenOptions::new().append(true).open(file).unwrap().write_all(tail).unwrap();
        fs::File::create(file.with_file_name("77")).unwrap();
        let server = server(crashed.path());
        let open = server.get(&SUBSCRIPTION).unwrap();
        assert_eq!(readable(&open, &agent.who.scope, &[data.id]), 1);
        assert!(staging(crashed.path()).is_empty(), "a file without a row is removed");
        let [ObjectName::Pack(name)] = open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap()[..] else {
            panic!("one pack")
        };
        let bytes = open.shared().objects.read(&SUBSCRIPTION, &ObjectName::Pack(name), 1 << 20).unwrap();
        assert_eq!(common::pack::name(&bytes), name);
        assert_eq!(common::pack::parse(&bytes).unwrap().1.sessions.len(), 1);
    }
}

#[test]
fn a_pack_that_was_renamed_before_its_row_knew_is_found_by_its_salt() {
    let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new(1, 1);
    let data = agent.data(&[1; 5_000]);
    {
        let server = server(root.path());
        let (open, _) = agent.open(&server).unwrap();
        agent.put(&open, &[&data]).unwrap();
        open.flush_and_wait(NOON_NS).unwrap();
        copy_folder(root.path(), crashed.path());
        // The same frames go on to become a pack here; the copied catalog knows nothing of it.
        open.abort_session(agent.who, agent.session, NOON_NS).unwrap();
    }
    fs::remove_file(&staging(crashed.path())[0]).unwrap();
    copy_folder(&root.path().join("store"), &crashed.path().join("store"));
    let server = server(crashed.path());
    let open = server.get(&SUBSCRIPTION).unwrap();
    assert_eq!(readable(&open, &agent.who.scope, &[data.id]), 1);
    assert!(open.read(|catalog| Ok(catalog.packs()?)).unwrap().iter().all(|pack| pack.state == PackState::Published));
}

#[test]
fn a_staging_file_that_has_two_names_becomes_one_pack() {
    let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new(1, 1);
    let data = agent.data(&[1; 5_000]);
    {
        let server = server(root.path());
        let (open, _) = agent.open(&server).unwrap();
        agent.put(&open, &[&data]).unwrap();
        open.flush_and_wait(NOON_NS).unwrap();
        copy_folder(root.path(), crashed.path());
        open.abort_session(agent.who, agent.session, NOON_NS).unwrap();
    }
    copy_folder(&root.path().join("store"), &crashed.path().join("store"));
    let server = server(crashed.path());
    let open = server.get(&SUBSCRIPTION).unwrap();
    assert_eq!(readable(&open, &agent.who.scope, &[data.id]), 1);
    assert_eq!(open.shared().objects.list(&SUBSCRIPTION, Folder::Packs).unwrap().len(), 1);
    assert!(staging(crashed.path()).is_empty());
}

#[test]
fn a_commit_whose_object_is_durable_is_finished_with_the_same_receipt() {
    let (root, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new(1, 1);
    let (leaf, request, receipt) = {
        let server = server(root.path());
        let (open, opened) = agent.open(&server).unwrap();
        let leaf = agent.send(&open, &[b"one", b"two"]);
        open.flush_and_wait(NOON_NS).unwrap();
        copy_folder(root.path(), crashed.path());
        let request = agent.commit_request(&agent.head(&opened, leaf.id));
        let receipt = crate::engine::receipt(open.commit(agent.who, request.clone(), NOON_NS).unwrap());
        (leaf, request, receipt)
    };
    // The catalog of before the commit, the store of after it: the transaction is what is missing.
    staging(crashed.path()).iter().for_each(|file| fs::remove_file(file).unwrap());
    copy_folder(&root.path().join("store"), &crashed.path().join("store"));
    let server = server(crashed.path());
    let open = server.get(&SUBSCRIPTION).unwrap();
    assert_eq!(open.read(|catalog| Ok(catalog.snapshots()?)).unwrap().len(), 1);
    let again = crate::engine::receipt(open.commit(agent.who, request, NOON_NS + 5).unwrap());
    assert_eq!(again, receipt);
    assert_eq!(open.account().uncommitted, Default::default());
    let next = Agent::new(1, 2).after(&agent).open(&server).unwrap().1;
    assert_eq!((next.memory, next.newest), (Memory::Valid, Some((agent.session, receipt))));
    assert_eq!(readable(&open, &agent.who.scope, &[leaf.id]), 1);
}

#[test]
fn an_index_that_is_lost_or_older_than_the_store_stops_everything_and_removes_nothing() {
    let (root, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut agent = Agent::new(1, 1);
    {
        let server = server(root.path());
        agent.back_up(&server, &[b"one"]);
        copy_folder(&root.path().join("catalogs"), &older.path().join("catalogs"));
        Agent::new(1, 2).after(&agent).back_up(&server, &[b"two"]);
    }
    copy_folder(&root.path().join("store"), &older.path().join("store"));
    let before = files(&older.path().join("store")).len();
    assert!(matches!(server(older.path()).get(&SUBSCRIPTION), Err(SessionError::NeedsRebuild(_))));
    fs::remove_dir_all(older.path().join("catalogs")).unwrap();
    assert!(matches!(server(older.path()).get(&SUBSCRIPTION), Err(SessionError::NeedsRebuild(_))));
    assert_eq!(files(&older.path().join("store")).len(), before);
}

#[test]
fn a_lost_pack_marks_its_chunks_and_the_agent_is_told_to_lay_them_again() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    let (one, two) = (agent.data(b"one"), agent.data(b"two"));
    {
        let server = server(root.path());
        let (open, opened) = agent.open(&server).unwrap();
        agent.put(&open, &[&one, &two]).unwrap();
        let leaf = agent.leaf(&[&one, &two], b"entries");
        agent.put(&open, &[&leaf]).unwrap();
        agent.commit(&open, &opened, &leaf).unwrap();
        let location = open.read(|catalog| Ok(catalog.location(1, &one.id)?)).unwrap().unwrap();
        let name = ObjectName::Pack(location.name.unwrap());
        let file = root.path().join(format!("store/subscriptions/{SUBSCRIPTION}/{name}"));
        fs::remove_file(file).unwrap();
    }
    let server = server(root.path());
    let mut next = Agent::new(1, 2).after(&agent);
    let (open, opened) = next.open(&server).unwrap();
    let Memory::ValidExcept(mut except) = opened.memory.clone() else { panic!("{:?}", opened.memory) };
    except.sort();
    let mut wanted = vec![one.id, two.id];
    wanted.sort();
    assert_eq!(except, wanted);
    let leaf = next.leaf(&[&one, &two], b"entries");
    assert_eq!(open.have(&next.who.scope, &[one.id, leaf.id]).unwrap(), [false, false]);
    let (one, two) = (next.data(b"one"), next.data(b"two"));
    next.put(&open, &[&one, &two]).unwrap();
    let answer = next.commit(&open, &opened, &leaf).unwrap();
    let CommitAnswer::Committed { server_part, .. } = answer else { panic!("something is missing") };
    let part: common::stored::ServerPart = prost::Message::decode(&server_part[..]).unwrap();
    assert_eq!(part.changed_bytes, 0, "what is laid again after damage is not change");
    assert_eq!(open.account().uncommitted, Default::default());
    assert_eq!(readable(&open, &agent.who.scope, &[one.id, two.id]), 2);
}

#[test]
fn only_one_process_holds_a_subscription() {
    let root = tempfile::tempdir().unwrap();
    let first = server(root.path());
    first.get(&SUBSCRIPTION).unwrap();
    assert!(matches!(server(root.path()).get(&SUBSCRIPTION), Err(SessionError::InUse)));
    drop(first);
    server(root.path()).get(&SUBSCRIPTION).unwrap();
}

#[test]
fn a_crash_at_any_moment_of_a_backup_loses_no_receipt_and_nothing_acknowledged() {
    let root = tempfile::tempdir().unwrap();
    let server_here = server(root.path());
    let mut crashes = Vec::new();
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server_here).unwrap();
    let mut acknowledged: Vec<ChunkId> = Vec::new();
    let mut data = Vec::new();
    let crash = |acknowledged: &Vec<ChunkId>, receipt: Option<Vec<u8>>| {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(root.path(), copy.path());
        (copy, acknowledged.clone(), receipt)
    };
    for round in 0..6u8 {
        let made = agent.data(&[round; 9_000]);
        agent.put(&open, &[&made]).unwrap();
        crashes.push(crash(&acknowledged, None));
        if round % 2 == 1 {
            open.flush_and_wait(NOON_NS).unwrap();
            data.push(made);
            acknowledged = data.iter().map(|made| made.id).collect();
            crashes.push(crash(&acknowledged, None));
        } else {
            data.push(made);
        }
    }
    let refs: Vec<_> = data.iter().collect();
    let leaf = agent.leaf(&refs, b"entries");
    agent.put(&open, &[&leaf]).unwrap();
    crashes.push(crash(&acknowledged, None));
    let receipt = crate::engine::receipt(agent.commit(&open, &opened, &leaf).unwrap());
    crashes.push(crash(&acknowledged, Some(receipt)));
    for (at, (copy, acknowledged, receipt)) in crashes.into_iter().enumerate() {
        let server = server(copy.path());
        let (open, opened) = agent.open(&server).unwrap();
        assert_eq!(readable(&open, &agent.who.scope, &acknowledged), acknowledged.len(), "crash {at}");
        assert_eq!(opened.committed, receipt.is_some(), "crash {at}");
        if let Some(receipt) = receipt {
            assert_eq!(opened.newest, Some((agent.session, receipt)));
            continue;
        }
        agent.put(&open, &refs).unwrap();
        agent.put(&open, &[&leaf]).unwrap();
        assert!(matches!(agent.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }), "crash {at}");
    }
}

#[test]
fn an_emptied_store_opens_nothing_and_loses_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    agent.back_up(&server(root.path()), &[&[1; 3_000]]);
    let id = agent.data(&[1; 3_000]).id;
    let stored = root.path().join(format!("store/subscriptions/{SUBSCRIPTION}"));
    let away = root.path().join("away");
    for emptied in ["", "packs", "snapshots"] {
        let folder = stored.join(emptied);
        fs::rename(&folder, &away).unwrap();
        fs::create_dir(&folder).unwrap();
        for _ in 0..2 {
            assert!(matches!(server(root.path()).get(&SUBSCRIPTION), Err(SessionError::StoreEmptied(_))), "{emptied}");
        }
        if emptied.is_empty() {
            let refused = server(root.path()).rebuild(&SUBSCRIPTION);
            assert!(matches!(refused, Err(SessionError::StoreEmptied(_))), "no catalog is made from nothing");
        }
        fs::remove_dir_all(&folder).unwrap();
        fs::rename(&away, &folder).unwrap();
        let again = server(root.path());
        let open = again.get(&SUBSCRIPTION).unwrap();
        assert!(open.read(|catalog| Ok(catalog.damaged_rows()?)).unwrap().is_empty(), "{emptied}");
        assert_eq!(open.have(&agent.who.scope, &[id]).unwrap(), [true]);
    }
}

#[test]
fn a_lost_pack_that_comes_back_is_read_at_once_and_needs_nothing_laid_again() {
    let root = tempfile::tempdir().unwrap();
    let mut agent = Agent::new(1, 1);
    agent.back_up(&server(root.path()), &[&[1; 3_000]]);
    let id = agent.data(&[1; 3_000]).id;
    let is_pack = |file: &PathBuf| file.to_string_lossy().contains("/packs/") && fs::read(file).unwrap()[4] == 0;
    let pack = files(&root.path().join("store")).into_iter().find(is_pack).unwrap();
    let away = root.path().join("away");
    for restarted in [true, false] {
        fs::rename(&pack, &away).unwrap();
        let first = server(root.path());
        let open = first.get(&SUBSCRIPTION).unwrap();
        assert_eq!(open.have(&agent.who.scope, &[id]).unwrap(), [false], "it is lost");
        let (server, open) = if restarted {
            drop((open, first));
            fs::rename(&away, &pack).unwrap();
            let again = server(root.path());
            let open = again.get(&SUBSCRIPTION).unwrap();
            (again, open)
        } else {
            round(&open, NOON_NS, Pace { bytes_per_second: 0 }, &Token::default()).unwrap();
            fs::rename(&away, &pack).unwrap();
            (first, open)
        };
        assert!(round(&open, NOON_NS + 1, Pace { bytes_per_second: 0 }, &Token::default()).unwrap().is_clean());
        assert_eq!(open.have(&agent.who.scope, &[id]).unwrap(), [true]);
        drop((open, server));
    }
}
