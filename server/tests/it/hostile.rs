//! Agents that send what no agent sends: refused by name, never a panic, nothing stored.

use bytes::Bytes;
use common::frame::checksum;
use common::id::ChunkId;
use common::keys::ChunkKind;
use common::pack::FrameClass;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use server::session::check::{ReceivedFrame, check_frame};
use server::session::commit::CommitAnswer;
use server::session::error::SessionError;

use crate::engine::{Agent, NOON_NS, received, server};

#[test]
fn a_frame_with_one_wrong_field_is_refused_and_nothing_of_its_batch_is_stored() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, _) = agent.open(&server).unwrap();
    let live = open.live(agent.who, &agent.session).unwrap();
    let good = agent.data(b"good");
    let check = |what: &str, bad: ReceivedFrame, wanted: &str| {
        let error = open.put(&live, vec![good.frame.clone(), bad], NOON_NS).unwrap_err();
        assert!(matches!(&error, SessionError::Invalid { field, .. } if *field == wanted), "{what}: {error}");
    };
    let other_session = Agent::new(1, 2).data(b"good").frame;
    check("another session's", other_session, "frame");
    check("wrong checksum", ReceivedFrame { checksum: Bytes::from_static(&[0; 16]), ..good.frame.clone() }, "checksum");
    check("short checksum", ReceivedFrame { checksum: Bytes::new(), ..good.frame.clone() }, "checksum");
    check("no class", ReceivedFrame { class: None, ..good.frame.clone() }, "class");
    check("reseed", ReceivedFrame { class: Some(FrameClass::Reseed), ..good.frame.clone() }, "class");
    check("empty", received(Vec::new()), "frame");
    check("cut", received(good.frame.frame[..good.frame.frame.len() - 1].to_vec()), "frame");
    let child = ChunkId::new([1; 32]);
    let twice = agent.made(ChunkKind::Leaf, &[child, child], b"");
    check("a child twice", twice.frame, "frame");
    open.flush_and_wait(NOON_NS).unwrap();
    assert_eq!(open.have(&agent.who.scope, &[good.id]).unwrap(), [false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn any_bytes_are_a_frame_or_an_error(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut agent = Agent::new(1, 1);
        let child = ChunkId::new([7; 32]);
        let mut frame = agent.made(ChunkKind::Leaf, &[child], b"entries").frame.frame.to_vec();
        let at = at.index(frame.len());
        for (target, byte) in frame[at..].iter_mut().zip(&bytes) {
            *target = *byte;
        }
        let facts = server::catalog::sessions::SessionFacts {
            row: 1, id: agent.session, agent: agent.who.agent, scope: 1, scope_id: agent.who.scope, source: agent.source,
            kind: agent.kind, set_version: 1, parent: None, opened_at_ns: 0, touched_at_ns: 0,
            state: server::catalog::sessions::SessionState::Open, sent_bytes: 0, envelope: Vec::new(),
        };
        let checksum = Bytes::copy_from_slice(&checksum(&frame));
        let _ = check_frame(&facts, ReceivedFrame { frame: frame.into(), checksum, class: Some(FrameClass::Changed) });
        let _ = check_frame(&facts, received(bytes));
    }
}

/// A node frame that names itself as `id`, whatever its content: what a compromised agent can do and the server can't tell.
fn forged(agent: &mut Agent, id: [u8; 32], children: &[ChunkId]) -> (ChunkId, ReceivedFrame) {
    let mut frame = agent.made(ChunkKind::Branch, children, b"keys").frame.frame.to_vec();
    frame[15..47].copy_from_slice(&id);
    (ChunkId::new(id), received(frame))
}

#[test]
fn nodes_in_a_circle_are_never_complete() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let live = open.live(agent.who, &agent.session).unwrap();
    let (a, b) = (ChunkId::new([0xa; 32]), ChunkId::new([0xb; 32]));
    let (_, frame_a) = forged(&mut agent, [0xa; 32], &[b]);
    let (_, frame_b) = forged(&mut agent, [0xb; 32], &[a]);
    open.put(&live, vec![frame_a, frame_b], NOON_NS).unwrap();
    let request = agent.commit_request(&agent.head(&opened, a));
    assert_eq!(open.commit(agent.who, request, NOON_NS).unwrap(), CommitAnswer::Missing(vec![a]));
}

#[test]
fn data_and_extents_are_no_roots_and_a_chain_of_nodes_of_any_length_is_walked() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let data = agent.data(b"x");
    let extents = agent.made(ChunkKind::Extents, &[data.id], b"");
    agent.put(&open, &[&data, &extents]).unwrap();
    for id in [data.id, extents.id] {
        let request = agent.commit_request(&agent.head(&opened, id));
        assert_eq!(open.commit(agent.who, request, NOON_NS).unwrap(), CommitAnswer::Missing(vec![id]));
    }
    let mut top = data;
    for level in 0..20_000u32 {
        let next = agent.made(ChunkKind::Branch, &[top.id], &level.to_le_bytes());
        agent.put(&open, &[&next]).unwrap();
        top = next;
    }
    assert!(matches!(agent.commit(&open, &opened, &top).unwrap(), CommitAnswer::Committed { .. }));
}

#[test]
fn a_snapshot_head_that_is_not_the_sessions_own_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let server = server(root.path());
    let mut agent = Agent::new(1, 1);
    let (open, opened) = agent.open(&server).unwrap();
    let leaf = agent.send(&open, &[b"one"]);
    let good = agent.head(&opened, leaf.id);
    let check = |field: &str, change: &dyn Fn(&mut common::snapshot::SnapshotHead)| {
        let mut head = good.clone();
        change(&mut head);
        let error = open.commit(agent.who, agent.commit_request(&head), NOON_NS).unwrap_err();
        assert!(matches!(&error, SessionError::Invalid { field: found, .. } if *found == field), "{field}: {error}");
    };
    check("session", &|head| head.session = common::id::SessionId::new([9; 16]));
    check("subscription", &|head| head.subscription = common::id::SubscriptionId::new([9; 16]));
    check("scope", &|head| head.scope = common::id::ScopeId::new([9; 16]));
    check("agent", &|head| head.agent = common::id::AgentId::new([9; 16]));
    check("source", &|head| head.source = crate::engine::OTHER_SOURCE);
    check("set_version", &|head| head.set_version = 2);
    check("kind", &|head| head.kind = common::stored::SnapshotKind::Reseed);
    check("sequence", &|head| head.sequence = 2);
    check("parent", &|head| head.parent = Some(common::id::SessionId::new([9; 16])));
    let mut request = agent.commit_request(&good);
    request.sealed_part.truncate(31);
    assert!(matches!(
        open.commit(agent.who, request, NOON_NS),
        Err(SessionError::Invalid { field: "sealed_part", .. })
    ));
    let mut request = agent.commit_request(&good);
    request.agent_part[3] ^= 0x40;
    assert!(open.commit(agent.who, request, NOON_NS).is_err());
}
