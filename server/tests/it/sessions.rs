//! Sessions from opening to receipt.

use aws_lc_rs::signature::KeyPair;
use common::receipt::{digest, verify};
use common::stored::{ServerPart, SnapshotKind};
use prost::Message;
use server::session::commit::CommitAnswer;
use server::session::error::SessionError;
use server::session::fetch::{Fetched, Right, Unavailable};
use server::session::memory::Memory;
use server::session::subscription::Subscription;
use server::subscriptions::Subscriptions;

use crate::engine::{Agent, DAY_NS, Made, NOON_NS, OTHER_SOURCE, SUBSCRIPTION, server};
use common::id::{ChunkId, ScopeId};

fn fetched(open: &Subscription, scope: &ScopeId, ids: &[ChunkId], right: Right) -> Vec<Fetched> {
    let mut all = Vec::new();
    open.fetch(scope, ids, right, |fetched| {
        all.push(fetched);
        true
    })
    .unwrap();
    all
}

fn check_receipt(server: &Subscriptions, signed: &[u8]) -> common::stored::Receipt {
    verify(signed, server.settings().key.public_key().as_ref()).unwrap()
}

#[test]
fn what_was_sent_and_committed_is_fetched_byte_for_byte() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    assert_eq!((opened.memory.clone(), opened.sequence, opened.committed), (Memory::Valid, 1, false));
    let (one, two) = (agent.data(&[1; 3_000]), agent.data(&[2; 5_000]));
    let leaf = agent.leaf(&[&one, &two], b"entries");
    agent.put(&open, &[&one, &two, &leaf]).unwrap();
    let answer = agent.commit(&open, &opened, &leaf).unwrap();
    let CommitAnswer::Committed { receipt, server_part } = answer else { panic!("something is missing") };
    let signed = check_receipt(&server, &receipt);
    assert_eq!((signed.sequence, signed.previous), (1, Vec::new()));
    let part = ServerPart::decode(&server_part[..]).unwrap();
    assert_eq!(
        (part.initial_bytes, part.changed_bytes, part.node_bytes),
        (8_000, 0, 170),
        "a first backup is no change"
    );
    assert_eq!(part.reachable_bytes, 8_000);
    assert_eq!((part.day.as_str(), part.first, part.location.as_str()), ("2026-11-22", true, "FR"));
    let absent = ChunkId::new([0xee; 32]);
    let all = fetched(&open, &agent.who.scope, &[two.id, absent, leaf.id, one.id], Right::Content);
    let frames: Vec<_> = all
        .iter()
        .filter_map(|f| if let Fetched::Frame { frame, .. } = f { Some(frame.clone()) } else { None })
        .collect();
    for made in [&one, &two, &leaf] {
        assert!(frames.contains(&made.frame.frame));
    }
    assert!(all.contains(&Fetched::Unavailable(absent, Unavailable::NotFound)));
}

#[test]
fn another_scopes_ids_and_content_without_a_right_look_absent() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let data = agent.data(b"content");
    let leaf = agent.leaf(&[&data], b"entries");
    agent.put(&open, &[&data, &leaf]).unwrap();
    agent.commit(&open, &opened, &leaf).unwrap();
    for (scope, right, id) in [
        (ScopeId::new([2; 16]), Right::Content, data.id),
        (ScopeId::new([2; 16]), Right::Content, leaf.id),
        (agent.who.scope, Right::Nodes, data.id),
    ] {
        assert_eq!(fetched(&open, &scope, &[id], right), [Fetched::Unavailable(id, Unavailable::NotFound)]);
        assert!(!open.have(&ScopeId::new([2; 16]), &[id]).unwrap()[0]);
    }
    let mut other = Agent::new(2, 2).of(OTHER_SOURCE);
    let (_, opened) = other.open(&server).unwrap();
    let foreign = other.leaf(&[&data], b"names a chunk of another scope");
    other.put(&open, &[&foreign]).unwrap();
    assert_eq!(other.commit(&open, &opened, &foreign).unwrap(), CommitAnswer::Missing(vec![data.id]));
}

#[test]
fn a_missing_closure_is_named_then_sent_then_committed() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let (sent, missing) = (agent.data(b"sent"), agent.data(b"missing"));
    let leaf = agent.leaf(&[&sent, &missing], b"entries");
    let branch = agent.made(common::keys::ChunkKind::Branch, &[leaf.id], b"keys");
    assert_eq!(agent.commit(&open, &opened, &branch).unwrap(), CommitAnswer::Missing(vec![branch.id]));
    agent.put(&open, &[&sent, &leaf, &branch]).unwrap();
    assert_eq!(agent.commit(&open, &opened, &branch).unwrap(), CommitAnswer::Missing(vec![missing.id]));
    assert_eq!(open.have(&agent.who.scope, &[sent.id, missing.id, leaf.id]).unwrap(), [true, false, false]);
    agent.put(&open, &[&missing]).unwrap();
    assert!(matches!(agent.commit(&open, &opened, &branch).unwrap(), CommitAnswer::Committed { .. }));
    assert_eq!(open.have(&agent.who.scope, &[missing.id, leaf.id, branch.id]).unwrap(), [true; 3]);
}

#[test]
fn opening_and_committing_again_change_nothing() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    assert_eq!(agent.open(&server).unwrap().1, opened);
    let leaf = agent.send(&open, &[b"one", b"two"]);
    let first = agent.commit(&open, &opened, &leaf).unwrap();
    assert_eq!(agent.commit(&open, &opened, &leaf).unwrap(), first);
    let (_, again) = agent.open(&server).unwrap();
    assert!(again.committed);
    assert!(matches!(agent.put(&open, &[&leaf]), Err(SessionError::Unknown)), "a committed session takes no frame");
}

#[test]
fn receipts_form_a_chain_and_the_second_day_counts_only_what_is_new() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut first = Agent::new(1, 1);
    let receipt = first.back_up(&server, &[&[1; 1_000], &[2; 1_000]]);
    let mut second = Agent::new(1, 2).after(&first);
    let (open, opened) = second.open(&server).unwrap();
    assert_eq!(opened.newest, Some((first.session, receipt.clone())));
    assert_eq!((opened.memory.clone(), opened.sequence), (Memory::Valid, 2));
    let leaf = second.send(&open, &[&[2; 1_000], &[3; 500]]);
    let CommitAnswer::Committed { receipt: signed, server_part } = second.commit(&open, &opened, &leaf).unwrap() else {
        panic!("something is missing")
    };
    assert_eq!(check_receipt(&server, &signed).previous, digest(&receipt));
    let part = ServerPart::decode(&server_part[..]).unwrap();
    assert_eq!((part.changed_bytes, part.reachable_bytes, part.first), (500, 1_500, false));
    assert_eq!(part.day, "2026-11-23");
    assert_eq!(open.account().ledger.volume_bytes, 1_500);
    assert_eq!(open.account().uncommitted, Default::default());
}

#[test]
fn a_memory_of_anything_but_the_newest_snapshot_is_worth_nothing() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut first = Agent::new(1, 1);
    first.back_up(&server, &[b"one"]);
    assert_eq!(Agent::new(1, 2).open(&server).unwrap().1.memory, Memory::Invalid);
    let mut second = Agent::new(1, 3).after(&first);
    second.back_up(&server, &[b"two"]);
    assert_eq!(Agent::new(1, 4).after(&first).open(&server).unwrap().1.memory, Memory::Invalid);
    assert_eq!(Agent::new(1, 5).after(&second).open(&server).unwrap().1.memory, Memory::Valid);
}

#[test]
fn a_later_session_supersedes_and_keeps_the_frames_of_the_earlier() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut old = Agent::new(1, 1);
    let (open, _) = old.open(&server).unwrap();
    let leaf = old.send(&open, &[b"kept"]);
    let new = Agent::new(1, 2);
    let (_, opened) = new.open(&server).unwrap();
    assert!(matches!(old.put(&open, &[&leaf]), Err(SessionError::Superseded)));
    assert!(matches!(old.open(&server), Err(SessionError::Superseded)));
    assert!(matches!(new.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }));
    let live = open.shared().live.lock().len();
    assert_eq!(live, 0);
}

#[test]
fn a_session_id_belongs_to_the_agent_that_used_it_first() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let (open, _) = Agent::new(1, 1).open(&server).unwrap();
    let thief = Agent::new(2, 1);
    assert!(matches!(thief.open(&server), Err(SessionError::IdTaken)));
    assert!(matches!(Agent::new(1, 1).of(OTHER_SOURCE).open(&server), Err(SessionError::IdTaken)));
    assert!(matches!(open.live(thief.who, &thief.session), Err(SessionError::Unknown)));
    assert!(matches!(open.abort_session(thief.who, thief.session, NOON_NS), Err(SessionError::Unknown)));
}

#[test]
fn sessions_of_two_agents_work_side_by_side() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let contents: Vec<Vec<u8>> = (0..200u32).map(|n| n.to_le_bytes().repeat(500)).collect();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let (server, contents) = (&server, &contents);
            scope.spawn(move || {
                let mut agent =
                    Agent::new(number, number).of(if number % 2 == 0 { OTHER_SOURCE } else { super::engine::SOURCE });
                let (open, _) = agent.open(server).unwrap();
                let contents: Vec<&[u8]> = contents.iter().map(|content| &content[..]).collect();
                let leaf = agent.send(&open, &contents);
                // Two agents share each source, so the number is asked for right before the commit, and again if it was taken.
                loop {
                    let (_, opened) = agent.open(server).unwrap();
                    match agent.commit(&open, &opened, &leaf) {
                        Err(SessionError::Invalid { field: "sequence", .. }) => {}
                        answer => break assert!(matches!(answer.unwrap(), CommitAnswer::Committed { .. })),
                    }
                }
            });
        }
    });
    let open = server.get(&SUBSCRIPTION).unwrap();
    assert_eq!(open.read(|catalog| Ok(catalog.snapshots()?)).unwrap().len(), 4);
}

#[test]
fn what_is_not_contracted_suspended_or_not_understood_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let agent = Agent::new(1, 1);
    let open = server.get(&SUBSCRIPTION).unwrap();
    let terms = server.terms(&SUBSCRIPTION).unwrap();
    let try_open = |change: &dyn Fn(&mut server::session::open::OpenRequest, &mut server::contract::terms::Terms)| {
        let (mut request, mut terms) = (agent.open_request(), terms.clone());
        change(&mut request, &mut terms);
        open.open_session(agent.who, request, &terms, NOON_NS).unwrap_err()
    };
    assert!(matches!(try_open(&|r, _| r.source = common::id::SourceId::new([99; 16])), SessionError::NotContracted(_)));
    assert!(matches!(try_open(&|r, _| r.protocol = 2), SessionError::Protocol(2)));
    assert!(matches!(try_open(&|r, _| r.envelope.clear()), SessionError::Invalid { field: "envelope", .. }));
    assert!(matches!(try_open(&|r, _| r.kind = SnapshotKind::Unspecified), SessionError::Invalid { .. }));
    assert!(matches!(
        try_open(&|_, t| t.ended_at = Some(jiff::Timestamp::UNIX_EPOCH)),
        SessionError::Suspended { reason: "ended", until: None }
    ));
    open.shared().objects.health().suspect("a test says so");
    assert!(matches!(try_open(&|_, _| {}), SessionError::Store(server::store::error::StoreError::Suspect(_))));
}

#[test]
fn an_aborted_session_leaves_its_frames_known_and_counted() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, _) = agent.open(&server).unwrap();
    let data: Made = agent.data(&[7; 1_000]);
    agent.put(&open, &[&data]).unwrap();
    open.abort_session(agent.who, agent.session, NOON_NS).unwrap();
    open.abort_session(agent.who, agent.session, NOON_NS).unwrap();
    assert!(open.have(&agent.who.scope, &[data.id]).unwrap()[0]);
    assert_eq!(open.account().uncommitted.data_bytes(), 1_000);
    assert!(open.read(|catalog| Ok(catalog.staging_packs()?)).unwrap().is_empty(), "its pack is published");
    assert!(matches!(agent.open(&server), Err(SessionError::Unknown)));
}

#[test]
fn a_session_left_alone_for_a_day_expires() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let agent = Agent::new(1, 1);
    let (open, _) = agent.open(&server).unwrap();
    assert_eq!(open.expire_sessions(NOON_NS + DAY_NS).unwrap(), 0);
    assert_eq!(open.expire_sessions(NOON_NS + DAY_NS + 1_000_000_000).unwrap(), 1);
    assert!(matches!(agent.open(&server), Err(SessionError::Unknown)));
}

#[test]
fn a_session_left_alone_expires_also_if_nobody_opens_its_subscription() {
    let root = tempfile::tempdir().unwrap();
    let agent = Agent::new(1, 1);
    agent.open(&server(root.path())).unwrap();
    server(root.path()).end_left_alone(NOON_NS + DAY_NS);
    agent.open(&server(root.path())).unwrap();
    server(root.path()).end_left_alone(NOON_NS + DAY_NS + 1_000_000_000);
    assert!(matches!(agent.open(&server(root.path())), Err(SessionError::Unknown)));
}

#[test]
fn a_session_that_fills_more_than_one_pack_publishes_on_the_way() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let contents: Vec<Vec<u8>> = (0..40u8).map(|n| vec![n; 1 << 20]).collect();
    let contents: Vec<&[u8]> = contents.iter().map(|content| &content[..]).collect();
    let leaf = agent.send(&open, &contents);
    let (done, result) = std::sync::mpsc::channel();
    open.flush(NOON_NS, move |flushed| done.send(flushed).unwrap()).unwrap();
    result.recv().unwrap().unwrap();
    open.flush_and_wait(NOON_NS).unwrap();
    let packs = open.read(|catalog| Ok(catalog.packs()?)).unwrap();
    assert_eq!(packs.iter().filter(|pack| pack.name.is_some()).count(), 1);
    assert!(matches!(agent.commit(&open, &opened, &leaf).unwrap(), CommitAnswer::Committed { .. }));
    let packs = open.read(|catalog| Ok(catalog.packs()?)).unwrap();
    assert!(packs.len() == 3 && packs.iter().all(|pack| pack.name.is_some()));
}

#[test]
fn reports_of_verification_are_kept_once_a_day() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    agent.back_up(&server, &[b"one"]);
    let open = server.get(&SUBSCRIPTION).unwrap();
    for at_ns in [NOON_NS, NOON_NS + 5, NOON_NS + DAY_NS] {
        open.report_verified(agent.session, "marie".into(), at_ns).unwrap();
    }
    let verified = open.read(|catalog| Ok(catalog.snapshot(&agent.session)?)).unwrap().unwrap().verified_at_ns;
    assert_eq!(verified, NOON_NS + DAY_NS);
    let facts = server::store::name::Folder::Facts(server::store::name::FactKind::Verified);
    assert_eq!(open.shared().objects.list(&SUBSCRIPTION, facts).unwrap().len(), 2);
    let unknown = open.report_verified(common::id::SessionId::new([77; 16]), "marie".into(), NOON_NS);
    assert!(matches!(unknown, Err(SessionError::Unknown)));
}
