//! An honest agent in miniature: one file, one snapshot, by the rules, with the formats of `common` and nothing of the agent.

use std::convert::Infallible;

use bytes::Bytes;
use common::frame::{Chunk, Sealer, checksum};
use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::keys::{ChunkKind, ScopeKeys, ScopeSecret, SessionKey};
use common::snapshot::{SnapshotHead, seal_part};
use common::stored::{Counts, SealedPart, SnapshotKind, SnapshotState};
use common::tree::builder::TreeBuilder;
use common::tree::content::{Content, Extent};
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::node::Node;
use common::tree::path::EntryKey;
use common::tree::xattrs::Xattrs;
use proto::v1;
use proto::v1::backup_client::BackupClient;
use tonic::Status;
use tonic::transport::Channel;

use crate::line::with_token;

/// An enrolled agent with its set.
#[derive(Clone)]
pub struct Agent {
    pub token: String,
    pub agent: AgentId,
    pub scope: ScopeId,
    pub subscription: SubscriptionId,
    pub source: SourceId,
    pub set_version: u64,
}

/// What a commit left behind.
#[derive(Debug, Clone)]
pub struct Stored {
    pub session: SessionId,
    pub root: ChunkId,
    pub data: ChunkId,
}

struct Frame {
    id: ChunkId,
    bytes: Vec<u8>,
}

impl Agent {
    fn keys(&self) -> ScopeKeys {
        ScopeSecret::new([self.scope.as_bytes()[0]; 32]).keys()
    }

    /// One whole session with `content` as the only file; `number` makes its ids.
    pub async fn back_up(&self, channel: &Channel, number: u8, content: &[u8]) -> Result<Stored, Status> {
        let mut client = BackupClient::new(channel.clone());
        let session = SessionId::new([number; 16]);
        let open = client.open(with_token(&self.token, self.open_request(session))).await?.into_inner();
        let frames = self.frames(session, content);
        self.transfer(&mut client, session, &frames).await?;
        let commit = self.commit_request(session, &open, frames[1].id, content);
        let reply = client.commit(with_token(&self.token, commit)).await?.into_inner();
        match reply.result {
            Some(v1::commit_reply::Result::Committed(_)) => {
                Ok(Stored { session, root: frames[1].id, data: frames[0].id })
            }
            other => panic!("not committed: {other:?}"),
        }
    }

    /// The request that opens a session.
    pub fn open_request(&self, session: SessionId) -> v1::OpenRequest {
        v1::OpenRequest {
            session: copy(session.as_bytes()),
            source: copy(self.source.as_bytes()),
            set_version: self.set_version,
            kind: SnapshotKind::Regular as u32,
            started_at_ns: 1_700_000_000_000_000_000,
            parent: Bytes::new(),
            envelope: copy(b"sealed for the recipients"),
            protocol: proto::PROTOCOL,
        }
    }

    /// A message with the frames of a file, the `number`th of its stream.
    pub fn put(&self, session: SessionId, number: u64, content: &[u8]) -> v1::TransferRequest {
        put_request(session, number, &self.frames(session, content))
    }

    async fn transfer(
        &self,
        client: &mut BackupClient<Channel>,
        session: SessionId,
        frames: &[Frame],
    ) -> Result<(), Status> {
        let messages = vec![put_request(session, 1, frames), flush_request(session)];
        let mut replies = client.transfer(with_token(&self.token, tokio_stream::iter(messages))).await?.into_inner();
        let mut durable = 0;
        while let Some(reply) = replies.message().await? {
            match reply.body {
                Some(v1::transfer_reply::Body::Durable(up_to)) => durable = up_to.number,
                Some(v1::transfer_reply::Body::Refused(refused)) => panic!("refused: {refused:?}"),
                _ => {}
            }
        }
        assert_eq!(durable, 1, "the stream ended without durability");
        Ok(())
    }

    fn frames(&self, session: SessionId, content: &[u8]) -> Vec<Frame> {
        let keys = self.keys();
        let key = SessionKey::new([9; 32]);
        let mut sealer = Sealer::new(self.subscription, session, key, keys.tree.clone(), 1).unwrap();
        let mut seal = |kind, id, children: &[ChunkId], plaintext: &[u8]| {
            let mut bytes = Vec::new();
            sealer.seal(&Chunk { kind, id, children, plaintext }, [session.as_bytes()[0]; 16], true, &mut bytes);
            Frame { id, bytes }
        };
        let data = keys.id.chunk_id(ChunkKind::Data, &[], content);
        let leaf = leaf(&keys, data, content);
        vec![seal(ChunkKind::Data, data, &[], content), seal(ChunkKind::Leaf, leaf.id, &leaf.children, &leaf.plaintext)]
    }

    fn commit_request(
        &self,
        session: SessionId,
        open: &v1::OpenReply,
        root: ChunkId,
        content: &[u8],
    ) -> v1::CommitRequest {
        let head = SnapshotHead {
            session,
            subscription: self.subscription,
            scope: self.scope,
            agent: self.agent,
            source: self.source,
            set_version: self.set_version,
            kind: SnapshotKind::Regular,
            sequence: open.sequence,
            root,
            parent: open.newest[..].try_into().ok(),
            started_at_ns: 1_700_000_000_000_000_000,
            state: SnapshotState::Complete,
            counts: Counts { files: 1, ..Counts::default() },
            claimed_plain_bytes: content.len() as u64,
            replaces: None,
        };
        let agent_part = head.encode();
        let plain = SealedPart { version: 1, ..SealedPart::default() };
        let sealed = seal_part(&SessionKey::new([9; 32]), &self.subscription, [3; 16], &agent_part, &plain);
        let mac = self.keys().snapshot_mac.mac(&agent_part, &sealed);
        v1::CommitRequest {
            session: copy(session.as_bytes()),
            agent_part: agent_part.into(),
            sealed_part: sealed.into(),
            mac: copy(&mac),
        }
    }
}

fn put_request(session: SessionId, number: u64, frames: &[Frame]) -> v1::TransferRequest {
    let put = |frame: &Frame| v1::PutFrame {
        frame: copy(&frame.bytes),
        checksum: copy(&checksum(&frame.bytes)),
        class: v1::FrameClass::Changed.into(),
    };
    let put = v1::Put { number, frames: frames.iter().map(put).collect() };
    v1::TransferRequest { session: copy(session.as_bytes()), body: Some(v1::transfer_request::Body::Put(put)) }
}

/// Asks for durability.
pub fn flush_request(session: SessionId) -> v1::TransferRequest {
    let body = Some(v1::transfer_request::Body::Flush(v1::Flush {}));
    v1::TransferRequest { session: copy(session.as_bytes()), body }
}

fn leaf(keys: &ScopeKeys, data: ChunkId, content: &[u8]) -> Node {
    let mut nodes = Vec::new();
    let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, |node| {
        nodes.push(node);
        Ok::<(), Infallible>(())
    });
    let extent = Extent { chunk: Some(data), offset: 0, bytes: content.len() as u64 };
    let file = FileContent {
        size: content.len() as u64,
        digest: [0; 32],
        fuzzy: false,
        content: Content::Inline(vec![extent]),
    };
    let entry = Entry {
        kind: EntryKind::File(file),
        mode: 0o644,
        owner: Owner::default(),
        mtime_ns: 0,
        xattrs: Xattrs::Inline(Vec::new()),
    };
    builder.push(&EntryKey::from_path(b"file").unwrap(), &entry).unwrap();
    builder.finish().unwrap();
    assert_eq!(nodes.len(), 1);
    nodes.pop().unwrap()
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
