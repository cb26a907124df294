//! Every decoder of bytes that come from a store, a server or a file, as one function from bytes that are anything: it accepts or refuses, and never more.
//!
//! `common/tests/decoders.rs` plays the committed corpus and changes of it to each, on any toolchain; `common/fuzz` lets libFuzzer look for more. Agent and
//! server have lists of their own beside their tests.

use common::envelope::{self, ReadingIdentity};
use common::frame::{FrameHeader, Opener};
use common::id::{ChunkId, SessionId};
use common::keyring::Keyring;
use common::keys::{ChunkKind, ScopeSecret};
use common::schedule::Schedule;
use common::snapshot::{SnapshotHead, StoredSnapshot};
use common::stored::{self, decode_strict};
use common::tree::extents::child_nodes;
use common::tree::node::{LeafReader, Node, read_branch};
use common::tree::path::EntryKey;
use common::tree::xattrs::decode_xattrs;
use common::{pack, receipt};

/// Longest record that is tried, in bytes.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// What is done with bytes.
type Decoder = fn(&[u8]);

/// All of them: a name, which is also that of the corpus, and the decoder.
pub const DECODERS: &[(&str, Decoder)] = &[
    ("frame", frame),
    ("pack", packs),
    ("leaf", |bytes| leaf(&node(ChunkKind::Leaf, bytes))),
    ("branch", |bytes| drop(read_branch(&node(ChunkKind::Branch, bytes)))),
    ("extents", |bytes| {
        let _ = child_nodes(&node(ChunkKind::Extents, bytes));
    }),
    ("xattrs", |bytes| drop(decode_xattrs(bytes))),
    ("snapshot", snapshot),
    ("receipt", |bytes| drop(receipt::verify(bytes, &[7; 32]))),
    ("keyring", |bytes| drop(Keyring::verify(&[bytes.to_vec()], None))),
    ("envelope", |bytes| drop(envelope::open(bytes, &[ReadingIdentity::generate()]))),
    ("records", records),
    ("texts", texts),
];

fn frame(bytes: &[u8]) {
    let Ok(header) = FrameHeader::parse_whole(bytes) else { return };
    let id_key = ScopeSecret::new([3; 32]).keys().id.clone();
    let mut opener = Opener::new(common::id::SubscriptionId::new([1; 16]), id_key).unwrap();
    if let Ok(plain) = opener.open(&header, bytes, &[3; 32]) {
        assert_eq!(plain.len(), header.plain_bytes as usize, "a plaintext of another length than declared");
    }
}

fn packs(bytes: &[u8]) {
    if let Ok((_, tail)) = pack::parse(bytes) {
        for entry in &tail.entries {
            let range = entry.offset as usize..usize::try_from(entry.end()).unwrap();
            frame(bytes.get(range).expect("an entry lies in its pack"));
        }
    }
    for entry in pack::salvage(bytes) {
        assert!(entry.end() <= bytes.len() as u64, "a salvaged frame lies in its pack");
    }
}

/// The first byte says how many children there are; these are numbered.
fn node(kind: ChunkKind, bytes: &[u8]) -> Node {
    let (count, plaintext) = bytes.split_first().map_or((0, bytes), |(count, rest)| (*count, rest));
    let children = (0..count).map(|number| ChunkId::new([number; 32])).collect();
    Node { kind, id: ChunkId::new([0; 32]), children, plaintext: plaintext.to_vec() }
}

fn leaf(node: &Node) {
    let Ok(mut reader) = LeafReader::open(node) else { return };
    let mut before: Vec<u8> = Vec::new();
    while let Ok(Some(entry)) = reader.advance() {
        let _ = (entry.size(), entry.digest(), entry.to_entry(&node.children));
        assert!(reader.key() > &before[..], "keys increase");
        before = reader.key().to_vec();
    }
}

fn snapshot(bytes: &[u8]) {
    if let Ok(head) = SnapshotHead::decode(bytes) {
        assert_eq!(head.encode(), bytes, "a head is read one way only");
    }
    if let Ok(stored) = StoredSnapshot::decode(bytes) {
        let _ = stored.is_authentic(&ScopeSecret::new([3; 32]).keys().snapshot_mac);
    }
}

fn records(bytes: &[u8]) {
    fn strictly<T: prost::Message + Default>(bytes: &[u8]) {
        if let Ok(record) = decode_strict::<T>("record", bytes, RECORD_BYTES_MAX) {
            assert_eq!(record.encode_to_vec(), bytes, "a record is read one way only");
        }
    }
    strictly::<stored::Tombstone>(bytes);
    strictly::<stored::Fact>(bytes);
    strictly::<stored::SealedPart>(bytes);
    strictly::<stored::ServerPart>(bytes);
    strictly::<stored::SignedKeyring>(bytes);
    strictly::<stored::SignedReceipt>(bytes);
}

fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(schedule) = Schedule::parse(&text) {
        let _ = format!("{schedule:?}");
    }
    let _ = common::bandwidth::Bandwidth::parse(&text);
    let _ = common::recovery::RecoveryKey::parse(&text);
    let _ = ReadingIdentity::parse(&text);
    let _ = text.parse::<SessionId>();
    if let Ok(key) = EntryKey::from_path(bytes) {
        let _ = format!("{key:?}");
    }
}
