//! Snapshots made by hand: a store in memory that a restore reads from, with any tree in it, hostile and damaged ones too.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use agent::remote::RemoteError;
use agent::remote::restore::{Absence, Arrival};
use agent::restore::fetch::FrameSource;
use agent::restore::unlock::Unlock;
use bytes::Bytes;
use common::envelope::{ReadingIdentity, seal};
use common::frame::{Chunk, FrameHeader, Sealer};
use common::id::{ChunkId, SessionId, SubscriptionId};
use common::keys::{ChunkKind, ScopeKeys, ScopeSecret, SessionKey};
use common::tree::builder::TreeBuilder;
use common::tree::content::{Content, Extent};
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::node::Node;
use common::tree::path::EntryKey;
use common::tree::xattrs::Xattrs;
use parking_lot::Mutex;

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const SESSION: SessionId = SessionId::new([2; 16]);

pub fn keys() -> ScopeKeys {
    ScopeSecret::new([3; 32]).keys()
}

/// Frames by id, and the tree that is being made of them.
pub struct Crafted {
    pub frames: HashMap<ChunkId, Vec<u8>>,
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Frames handed out, in order.
    pub asked: Mutex<Vec<ChunkId>>,
    identity: ReadingIdentity,
    envelope: Vec<u8>,
    sealer: Sealer,
}

impl Crafted {
    pub fn new() -> Self {
        let session_key = SessionKey::new([4; 32]);
        let identity = ReadingIdentity::generate();
        let envelope = seal(&session_key, &[identity.recipient()]).unwrap();
        let sealer = Sealer::new(SUBSCRIPTION, SESSION, session_key, keys().tree.clone(), 1).unwrap();
        let (frames, entries, asked) = (HashMap::new(), BTreeMap::new(), Mutex::new(Vec::new()));
        Self { frames, entries, asked, identity, envelope, sealer }
    }

    pub fn unlock(&self) -> Unlock {
        Unlock::new(SUBSCRIPTION, keys(), vec![self.identity.clone()])
    }

    fn seal(&mut self, chunk: &Chunk<'_>) {
        let mut frame = Vec::new();
        self.sealer.seal(chunk, [5; 16], true, &mut frame);
        self.frames.insert(chunk.id, frame);
    }

    pub fn data(&mut self, plaintext: &[u8]) -> ChunkId {
        let id = keys().id.chunk_id(ChunkKind::Data, &[], plaintext);
        self.seal(&Chunk { kind: ChunkKind::Data, id, children: &[], plaintext });
        id
    }

    pub fn node(&mut self, node: &Node) {
        self.seal(&Chunk { kind: node.kind, id: node.id, children: &node.children, plaintext: &node.plaintext });
    }

    pub fn add(&mut self, path: &str, entry: Entry) {
        self.entries.insert(EntryKey::from_path(path.as_bytes()).unwrap(), entry);
    }

    /// A file whose content is cut into chunks of `chunk_bytes`.
    pub fn file(&mut self, path: &str, content: &[u8], chunk_bytes: usize) {
        let extent =
            |this: &mut Self, part: &[u8]| Extent { chunk: Some(this.data(part)), offset: 0, bytes: part.len() as u64 };
        let extents = content.chunks(chunk_bytes).map(|part| extent(self, part)).collect();
        self.add(path, plain(file_of(content, extents)));
    }

    /// Files laid end to end in one chunk.
    pub fn solid(&mut self, files: &[(&str, &[u8])]) {
        let all: Vec<u8> = files.iter().flat_map(|(_, content)| content.to_vec()).collect();
        let chunk = Some(self.data(&all));
        let mut offset = 0;
        for (path, content) in files {
            let extents = match content.len() {
                0 => Vec::new(),
                bytes => vec![Extent { chunk, offset, bytes: bytes as u64 }],
            };
            offset += u32::try_from(content.len()).unwrap();
            self.add(path, plain(file_of(content, extents)));
        }
    }

    pub fn directory(&mut self, path: &str) {
        self.add(path, Entry { mode: 0o755, ..plain(EntryKind::Directory) });
    }

    pub fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, plain(EntryKind::Symlink { target: target.into() }));
    }

    pub fn hard_link(&mut self, path: &str, to: &str) {
        self.add(path, plain(EntryKind::HardLink { to: EntryKey::from_path(to.as_bytes()).unwrap() }));
    }

    /// Builds the tree; its root.
    pub fn root(&mut self) -> ChunkId {
        let keys = keys();
        let mut nodes = Vec::new();
        let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, |node: Node| {
            nodes.push(node);
            Ok::<(), std::convert::Infallible>(())
        });
        for (key, entry) in &self.entries {
            builder.push(key, entry).unwrap();
        }
        let root = builder.finish().unwrap().root;
        nodes.iter().for_each(|node| self.node(node));
        root
    }
}

pub fn file_of(content: &[u8], extents: Vec<Extent>) -> EntryKind {
    let digest = *keys().id.content_hasher().update(content).finalize().as_bytes();
    let content = FileContent { size: content.len() as u64, digest, fuzzy: false, content: Content::Inline(extents) };
    EntryKind::File(content)
}

pub fn plain(kind: EntryKind) -> Entry {
    let owner = Owner {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        ..Owner::default()
    };
    Entry { kind, mode: 0o644, owner, mtime_ns: 1_600_000_000_123_456_789, xattrs: Xattrs::none() }
}

impl FrameSource for Crafted {
    fn fetch(&self, ids: &[ChunkId], sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>) -> Result<(), RemoteError> {
        let _ = sink(Arrival::Envelope(SESSION, Bytes::from(self.envelope.clone())));
        // In another order than asked for, as a server may.
        for id in ids.iter().rev() {
            self.asked.lock().push(*id);
            let arrival = match self.frames.get(id) {
                None => Arrival::Absent(*id, Absence::NotFound),
                Some(frame) => match FrameHeader::parse_whole(frame) {
                    Ok(header) if header.id == *id => Arrival::Frame(header, Bytes::from(frame.clone())),
                    _ => Arrival::Absent(*id, Absence::Damaged),
                },
            };
            if sink(arrival).is_break() {
                break;
            }
        }
        Ok(())
    }
}
