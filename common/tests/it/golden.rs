//! Stored formats byte for byte: what version 1 wrote, every later program writes the same way or at least reads.
//!
//! A file under `tests/golden/` is written by the first run that misses it and never again: a test that fails here means that the
//! format changed, and then its version has to change too.

use std::convert::Infallible;
use std::fmt::Write;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use common::frame::{Chunk, FrameHeader, Opener, Sealer, checksum};
use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::keys::{ChunkKind, ScopeKeys, SessionKey, WritingSecret};
use common::pack::{self, FrameClass, HEADER_BYTES, PackEntry, PackHeader, PackKind, PackTail};
use common::receipt;
use common::snapshot::{SnapshotHead, StoredSnapshot, open_part, seal_part};
use common::stored::{
    Counts, Evidence, Fact, HoldBody, HoldSeen, HoldSignal, LiftBody, PackSession, PasswordEpochBody, ProtectionBody,
    Receipt, SealedPart, ServerPart, Skipped, SnapshotKind, SnapshotState, Tombstone, decode_strict,
};
use common::tree::builder::TreeBuilder;
use common::tree::content::{Content, Extent, Layer};
use common::tree::cursor::Cursor;
use common::tree::entry::{DeviceNumber, Entry, EntryKind, FileContent, Owner};
use common::tree::extents::{LayerWriter, Piece};
use common::tree::layers::ExtentReader;
use common::tree::node::Node;
use common::tree::path::{EntryKey, KeyRange};
use common::tree::xattrs::{Xattr, Xattrs};
use prost::Message;

use crate::forest::{Forest, NoSuchNode, chunk, model};

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([0x11; 16]);
const SESSION: SessionId = SessionId::new([0x22; 16]);

fn golden(name: &str, made: &[u8]) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if !path.exists() {
        std::fs::write(&path, made).unwrap();
        panic!("{name} was missing and is written: look at it, add it to the repository, run again");
    }
    std::fs::read(path).unwrap()
}

fn check(name: &str, made: &[u8]) {
    assert!(golden(name, made) == made, "{name} is not what is written today");
}

fn keys() -> ScopeKeys {
    WritingSecret::new([0x33; 32]).scope_secret(&ScopeId::new([0x44; 16])).keys()
}

fn session_key() -> SessionKey {
    SessionKey::new([0x55; 32])
}

/// A node with what its frame would carry beside the plaintext.
fn node_bytes(node: &Node) -> Vec<u8> {
    let mut out = vec![node.kind.code()];
    out.extend(node.id.as_bytes());
    out.extend((node.children.len() as u32).to_le_bytes());
    node.children.iter().for_each(|child| out.extend(child.as_bytes()));
    out.extend(&node.plaintext);
    out
}

fn sealed(kind: ChunkKind, children: &[ChunkId], plaintext: &[u8], compress: bool) -> Vec<u8> {
    let keys = keys();
    let id = keys.id.chunk_id(kind, children, plaintext);
    let mut sealer = Sealer::new(SUBSCRIPTION, SESSION, session_key(), keys.tree.clone(), 3).unwrap();
    let mut out = Vec::new();
    sealer.seal(&Chunk { kind, id, children, plaintext }, [0x66; 16], compress, &mut out);
    out
}

fn opened(frame: &[u8]) -> Vec<u8> {
    let header = FrameHeader::parse_whole(frame).unwrap();
    let keys = keys();
    let secret = if header.kind.is_node() { *keys.tree.expose() } else { *session_key().expose() };
    Opener::new(SUBSCRIPTION, keys.id.clone()).unwrap().open(&header, frame, &secret).unwrap()
}

#[test]
fn derived_keys_ids_and_hashes() {
    let keys = keys();
    let mut text = String::new();
    let mut line = |name: &str, bytes: &[u8]| {
        write!(text, "{name} ").unwrap();
        bytes.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    };
    line("id-key", keys.id.expose());
    line("boundary-key", keys.boundary.expose());
    line("tree-key", keys.tree.expose());
    line("snapshot-mac-key", keys.snapshot_mac.expose());
    line("memory-key", keys.memory.expose());
    line("chunk-id-data", keys.id.chunk_id(ChunkKind::Data, &[], b"abc").as_bytes());
    line("chunk-id-leaf", keys.id.chunk_id(ChunkKind::Leaf, &[chunk(1), chunk(2)], b"abc").as_bytes());
    line("boundary", &keys.boundary.hash(1, &[b"abc"]).to_le_bytes());
    line("content-digest", keys.id.content_hasher().update(b"abc").finalize().as_bytes());
    line("page-hash", &keys.memory.short_hash(b"abc"));
    line("snapshot-mac", &keys.snapshot_mac.mac(b"agent part", b"sealed part"));
    check("keys-v1.txt", text.as_bytes());
}

#[test]
fn the_gear_table() {
    let bytes: Vec<u8> = keys().gear_table().iter().flat_map(|word| word.to_le_bytes()).collect();
    check("gear-table-v1.bin", &bytes);
}

#[test]
fn frames() {
    check("frame-data-raw-v1.bin", &sealed(ChunkKind::Data, &[], b"the only other copy", false));
    check("frame-leaf-raw-v1.bin", &sealed(ChunkKind::Leaf, &[chunk(1), chunk(2)], b"node", false));
    let plain = b"many times the same words ".repeat(40);
    let zstd = golden("frame-data-zstd-v1.bin", &sealed(ChunkKind::Data, &[], &plain, true));
    assert_eq!(opened(&zstd), plain);
}

/// One entry of each kind, and each form of content, owner and attributes.
fn all_kinds() -> Vec<(EntryKey, Entry)> {
    let extent = |number, offset| Extent { chunk: Some(chunk(number)), offset, bytes: 4_096 };
    let hole = Extent { chunk: None, offset: 0, bytes: 1 << 40 };
    let file = |size, fuzzy, content| EntryKind::File(FileContent { size, digest: [0x77; 32], fuzzy, content });
    let layers = vec![Layer { root: chunk(8), extents: 70_000 }, Layer { root: chunk(9), extents: 300 }];
    let number = DeviceNumber { major: 8, minor: 300 };
    let kinds: Vec<(&[u8], EntryKind)> = vec![
        (b"srv", EntryKind::Directory),
        (b"srv/block", EntryKind::BlockDevice(number)),
        (b"srv/char", EntryKind::CharDevice(number)),
        (b"srv/empty", file(0, false, Content::Inline(Vec::new()))),
        (b"srv/fifo", EntryKind::Fifo),
        (b"srv/holes", file((1 << 40) + 8_192, true, Content::Inline(vec![extent(1, 0), hole, extent(1, 4_096)]))),
        (b"srv/image", file(1 << 45, false, Content::Layers(layers))),
        (b"srv/link", EntryKind::Symlink { target: b"../\xe9t\xe9".to_vec() }),
        (b"srv/name\xff", EntryKind::HardLink { to: EntryKey::from_path(b"srv/holes").unwrap() }),
        (b"srv/socket", EntryKind::Socket),
        (b"srv/text", file(4_096, false, Content::Inline(vec![extent(2, 123_456)]))),
    ];
    let owner =
        |at: usize| Owner { uid: (at as u32 / 3) * 1_000, gid: 100, user: b"marie".to_vec(), group: Vec::new() };
    let xattr = |name: &[u8]| Xattr { name: name.to_vec(), value: vec![1, 0, 2] };
    let xattrs = |at: usize| match at {
        3 => Xattrs::Inline(vec![xattr(b"system.posix_acl_access"), xattr(b"user.x")]),
        4 => Xattrs::Extents(vec![extent(3, 5)]),
        _ => Xattrs::none(),
    };
    let entry = |(at, (path, kind)): (usize, (&[u8], EntryKind))| {
        let mtime_ns = 1_700_000_000_123_456_789 - at as i64 * 900_000_000_000_000_000;
        let entry = Entry { kind, mode: 0o4755, owner: owner(at), mtime_ns, xattrs: xattrs(at) };
        (EntryKey::from_path(path).unwrap(), entry)
    };
    kinds.into_iter().enumerate().map(entry).collect()
}

#[test]
fn a_leaf_with_every_kind_of_entry() {
    let (keys, mut made) = (keys(), Vec::new());
    let sink = |node: Node| -> Result<(), Infallible> {
        made.push(node);
        Ok(())
    };
    let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, sink);
    all_kinds().iter().for_each(|(key, entry)| builder.push(key, entry).unwrap());
    let root = builder.finish().unwrap().root;
    assert_eq!(made.len(), 1);
    check("leaf-v1.bin", &node_bytes(&made[0]));
    let fetch = |_: &ChunkId| Ok::<Node, NoSuchNode>(made[0].clone());
    let mut cursor = Cursor::new(root, KeyRange::all(), fetch);
    let read: Vec<_> = std::iter::from_fn(|| cursor.next_entry().unwrap()).collect();
    assert_eq!(read, all_kinds());
}

#[test]
fn branches_and_where_nodes_end() {
    let mut forest = Forest::new();
    let built = forest.build(&model(0..9_000));
    check("branch-v1.bin", &node_bytes(&forest.nodes[&built.root]));
    let mut text = format!("{} {} {}\n", built.root, built.entries, built.bytes);
    let mut cursor = Cursor::new(built.root, KeyRange::all(), |id: &ChunkId| forest.fetch(id));
    while let Some(leaf) = cursor.next_leaf().unwrap() {
        writeln!(text, "{} {}", leaf.id, leaf.plaintext.len()).unwrap();
    }
    check("tree-v1.txt", text.as_bytes());
}

#[test]
fn extents_nodes() {
    let (keys, mut made) = (keys(), Vec::new());
    let sink = |node: Node| -> Result<(), Infallible> {
        made.push(node);
        Ok(())
    };
    let piece = |at: u64| match at % 7 {
        3 => Piece::Below(at * 1_000),
        5 => Piece::Extent(Extent { chunk: None, offset: 0, bytes: at }),
        _ => Piece::Extent(Extent { chunk: Some(chunk(at / 2)), offset: (at as u32 & 1) * 70_000, bytes: 4_096 }),
    };
    let mut writer = LayerWriter::new(&keys.id, &keys.boundary, sink);
    (0..6_000).for_each(|at| writer.push(piece(at)).unwrap());
    let layer = writer.finish().unwrap().unwrap();
    let root = made.last().unwrap();
    assert_eq!((root.id, root.plaintext[4]), (layer.root, 1));
    check("extents-1-v1.bin", &node_bytes(root));
    check("extents-0-v1.bin", &node_bytes(&made[0]));
    let content = Content::Layers(vec![layer]);
    let fetch = |id: &ChunkId| made.iter().find(|node| node.id == *id).cloned().ok_or(NoSuchNode);
    let mut reader = ExtentReader::new(&content, 4_096, 0, fetch);
    assert_eq!(reader.next_extent().unwrap().unwrap().chunk, Some(chunk(0)));
}

fn snapshot_head() -> SnapshotHead {
    SnapshotHead {
        session: SESSION,
        subscription: SUBSCRIPTION,
        scope: ScopeId::new([0x44; 16]),
        agent: AgentId::new([0x88; 16]),
        source: SourceId::new([0x99; 16]),
        set_version: 2,
        kind: SnapshotKind::Regular,
        sequence: 7,
        root: chunk(1),
        parent: Some(SessionId::new([0xaa; 16])),
        started_at_ns: 1_795_334_400_000_000_000,
        state: SnapshotState::Partial,
        counts: Counts { files: 1, directories: 2, laid_bytes: 3, ..Counts::default() },
        claimed_plain_bytes: 4,
        replaces: None,
    }
}

fn server_part() -> ServerPart {
    ServerPart {
        version: 1,
        received_at_ns: 1_795_334_401_000_000_000,
        day: "2026-11-22".into(),
        changed_bytes: 5,
        relaid_bytes: 6,
        location: "FR".into(),
        first: true,
        ..ServerPart::default()
    }
}

fn signed_receipt(signer: &Ed25519KeyPair) -> Vec<u8> {
    let receipt = Receipt {
        snapshot: vec![0xbb; 32],
        session: SESSION.as_bytes().to_vec(),
        subscription: SUBSCRIPTION.as_bytes().to_vec(),
        source: vec![0x99; 16],
        sequence: 7,
        received_at_ns: 1_795_334_401_000_000_000,
        previous: vec![0xcc; 32],
        ..Receipt::default()
    };
    receipt::sign(receipt, signer)
}

#[test]
fn a_snapshot_object() {
    let keys = keys();
    let agent_part = snapshot_head().encode();
    let sealed = SealedPart {
        version: 1,
        settings: "paths = [\"/srv\"]".into(),
        evidence: vec![Evidence { name: "consistency".into(), value: "crash".into() }],
        skipped: vec![Skipped { path: b"srv/\xe9".to_vec(), reason: "io_error".into(), detail: "EIO".into() }],
        skipped_not_listed: 1,
        host: "hôte".into(),
    };
    let sealed_part = seal_part(&session_key(), &SUBSCRIPTION, [0x66; 16], &agent_part, &sealed);
    let mac = keys.snapshot_mac.mac(&agent_part, &sealed_part);
    let object = StoredSnapshot::encode(agent_part, sealed_part, mac, &server_part(), vec![0xdd; 40]);
    check("snapshot-v1.bin", &object);
    let stored = StoredSnapshot::decode(&object).unwrap();
    assert!(stored.is_authentic(&keys.snapshot_mac));
    assert_eq!((stored.head, stored.server), (snapshot_head(), server_part()));
    let opened = open_part(&session_key(), &SUBSCRIPTION, &stored.object.agent_part, &stored.object.sealed_part);
    assert_eq!(opened, Ok(sealed));
}

#[test]
fn a_receipt_a_tombstone_and_a_fact() {
    let signer = Ed25519KeyPair::from_seed_unchecked(&[0xee; 32]).unwrap();
    let signed = signed_receipt(&signer);
    check("receipt-v1.bin", &signed);
    assert_eq!(receipt::verify(&signed, signer.public_key().as_ref()).unwrap().sequence, 7);
    let tombstone = Tombstone {
        version: 1,
        agent_part: snapshot_head().encode(),
        server_part: server_part().encode_to_vec(),
        signed_receipt: signed,
        reason: "expired".into(),
        expired_at_ns: 1_800_000_000_000_000_000,
        // Of version 1, which had none.
        checksum: Vec::new(),
    };
    check("tombstone-v1.bin", &tombstone.encode_to_vec());
    let tombstone = Tombstone { version: 2, ..tombstone };
    let of_rest = checksum(&tombstone.encode_to_vec()).to_vec();
    check("tombstone-v2.bin", &Tombstone { checksum: of_rest, ..tombstone }.encode_to_vec());
    let fact = Fact {
        version: 1,
        kind: "hold".into(),
        id: vec![1; 16],
        at_ns: 1_795_334_401_000_000_000,
        by: "operator".into(),
        body: vec![2, 3],
    };
    check("fact-v1.bin", &fact.encode_to_vec());
    assert_eq!(decode_strict::<Fact>("fact", &fact.encode_to_vec(), 100), Ok(fact));
}

#[test]
fn bodies_of_facts() {
    let seen = HoldSeen {
        changed_bytes: 1,
        changed_stored_bytes: 2,
        allowed_bytes: 3,
        plain_bytes: 4,
        previous_plain_bytes: 5,
        history_plain_bytes: 6,
        history_stored_bytes: 7,
        previous_entries: 8,
        gone_entries: 9,
        gone_bytes: 10,
    };
    let hold = HoldBody {
        version: 1,
        source: vec![0x99; 16],
        clean: vec![0x23; 16],
        signals: vec![HoldSignal::Change.into(), HoldSignal::Gone.into()],
        seen: Some(seen),
    };
    check("hold-v1.bin", &hold.encode_to_vec());
    let protection = ProtectionBody { version: 1, until_ns: 1_800_000_000_000_000_000, reason: "litige".into() };
    check("protection-v1.bin", &protection.encode_to_vec());
    let lift = LiftBody { version: 1, reason: "vu".into(), asked_by: "alice".into(), approved_by: "bruno".into() };
    check("lift-v1.bin", &lift.encode_to_vec());
    let epoch = PasswordEpochBody { version: 1, account: "anna".into() };
    check("password-epoch-v1.bin", &epoch.encode_to_vec());
}

#[test]
fn a_pack() {
    let header = PackHeader { kind: PackKind::Data, subscription: SUBSCRIPTION, salt: [0x66; 16] };
    let mut bytes = header.encode().to_vec();
    let entry = |frame: &[u8], class, offset: usize| {
        let header = FrameHeader::parse_whole(frame).unwrap();
        let (frame_bytes, offset) = (frame.len() as u32, offset as u32);
        let (id, kind, plain_bytes) = (header.id, header.kind, header.plain_bytes);
        PackEntry { id, kind, class, offset, frame_bytes, plain_bytes, checksum: checksum(frame) }
    };
    let frames = [sealed(ChunkKind::Data, &[], b"one", false), sealed(ChunkKind::Data, &[], b"other", false)];
    let entries = vec![
        entry(&frames[0], FrameClass::Changed, HEADER_BYTES),
        entry(&frames[1], FrameClass::Relaid, HEADER_BYTES + frames[0].len()),
    ];
    let session = PackSession {
        session: SESSION.as_bytes().to_vec(),
        agent: vec![0x88; 16],
        scope: vec![0x44; 16],
        source: vec![0x99; 16],
        opened_at_ns: 1_795_334_400_000_000_000,
        envelope: vec![0xdd; 40],
    };
    let tail = PackTail { entries, sessions: vec![session] };
    frames.iter().for_each(|frame| bytes.extend(frame));
    bytes.extend(tail.encode());
    check("pack-v1.bin", &bytes);
    let (read_header, read_tail) = pack::parse(&bytes).unwrap();
    assert_eq!((read_header, read_tail.entries), (header, tail.entries));
}
