//! A server in memory: it keeps frames, checks their order and closure, signs receipts, and fails when told to.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bytes::Bytes;
use common::frame::{FrameHeader, checksum};
use common::id::ChunkId;
use common::snapshot::{SnapshotHead, StoredSnapshot};
use common::stored::{Receipt, ServerPart};
use parking_lot::Mutex;
use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::backup_server::{Backup, BackupServer};
use proto::v1::restore_server::{Restore, RestoreServer};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

/// What goes wrong, each once.
#[derive(Default)]
pub struct Faults {
    /// The stream is cut after so many Put messages, before they are acknowledged.
    pub cut_after_puts: Option<usize>,
    /// Every Put is refused for its quota.
    pub refuse: bool,
    /// What a day allows under the policy "defer", and what is left of it, in plain bytes of data.
    pub day: Option<(u64, u64)>,
    /// The commit's answer is lost, after the commit.
    pub lose_commit: bool,
}

#[derive(Default)]
pub struct State {
    pub frames: HashMap<ChunkId, Bytes>,
    pub opens: Vec<v1::OpenRequest>,
    pub put_frames: usize,
    pub put_twice: usize,
    /// Plain bytes of data that were put, by class: changed, laid again, reseeded.
    pub put_plain: [u64; 3],
    pub probed: usize,
    pub commits: HashMap<Bytes, v1::CommitReply>,
    pub snapshots: Vec<v1::Snapshot>,
    pub except: Vec<ChunkId>,
    /// Frames were taken away: a node may come without its children.
    pub has_losses: bool,
    pub faults: Faults,
}

impl State {
    pub fn newest(&self) -> Option<StoredSnapshot> {
        self.snapshots.last().map(|snapshot| StoredSnapshot::decode(&snapshot.object).unwrap())
    }

    /// Ids below `root` that are not stored.
    fn missing(&self, root: ChunkId) -> Vec<ChunkId> {
        let (mut waiting, mut seen, mut missing) = (vec![root], HashSet::new(), Vec::new());
        while let Some(id) = waiting.pop() {
            if !seen.insert(id) {
                continue;
            }
            match self.frames.get(&id) {
                Some(frame) => waiting.extend(FrameHeader::parse_whole(frame).unwrap().children),
                None => missing.push(id),
            }
        }
        missing
    }

    /// Takes new data off the day, or refuses all of it.
    fn admits(&mut self, put: &v1::Put, pending: &[v1::PutFrame]) -> bool {
        let Some((_, left)) = &mut self.faults.day else { return true };
        let pending: HashSet<ChunkId> =
            pending.iter().map(|frame| FrameHeader::parse_whole(&frame.frame).unwrap().id).collect();
        let headers = put.frames.iter().map(|frame| FrameHeader::parse_whole(&frame.frame).unwrap());
        let is_new = |header: &FrameHeader| {
            !header.kind.is_node() && !self.frames.contains_key(&header.id) && !pending.contains(&header.id)
        };
        let wanted: u64 = headers.filter(is_new).map(|header| u64::from(header.plain_bytes)).sum();
        left.checked_sub(wanted).inspect(|rest| *left = *rest).is_some()
    }

    fn put(&mut self, frame: &v1::PutFrame) {
        let header = FrameHeader::parse_whole(&frame.frame).unwrap();
        assert_eq!(checksum(&frame.frame)[..], frame.checksum[..]);
        for child in &header.children {
            assert!(self.has_losses || self.frames.contains_key(child), "a node came before its child");
        }
        self.put_frames += 1;
        if !header.kind.is_node() {
            let class = usize::try_from(frame.class - 1).unwrap();
            self.put_plain[class] += u64::from(header.plain_bytes);
        }
        let is_new = self.frames.insert(header.id, frame.frame.clone()).is_none();
        self.put_twice += usize::from(!(is_new || self.has_losses && header.kind.is_node()));
    }
}

pub struct Double {
    pub state: Arc<Mutex<State>>,
    key: Ed25519KeyPair,
}

impl Double {
    pub fn new() -> Self {
        Self { state: Arc::default(), key: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap() }
    }

    pub fn public_key(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().unwrap()
    }

    /// Serves on a free port of this machine.
    pub async fn serve(self) -> u16 {
        let double = Arc::new(self);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let max = common::limits::STREAM_MESSAGE_BYTES_MAX;
        let router = server::grpc::router::RouterBuilder::default()
            .with(BackupServer::from_arc(double.clone()).max_decoding_message_size(max))
            .with(RestoreServer::from_arc(double))
            .finish();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(tonic::transport::Server::builder().serve_with_incoming(router, incoming));
        port
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn lost() -> Status {
    Status::unavailable("cut by the test")
}

#[tonic::async_trait]
impl Backup for Double {
    async fn open(&self, request: Request<v1::OpenRequest>) -> Result<Response<v1::OpenReply>, Status> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        let newest = state.newest().map(|newest| newest.head.session.as_bytes().to_vec()).unwrap_or_default();
        let memory = match (request.parent == newest && !newest.is_empty(), state.except.is_empty()) {
            (true, true) => v1::Memory::Valid,
            (true, false) => v1::Memory::ValidExcept,
            _ => v1::Memory::Invalid,
        };
        let reply = v1::OpenReply {
            location: Some(v1::Location { country: "FR".into(), ..v1::Location::default() }),
            memory: memory.into(),
            except_ids: state.except.iter().flat_map(|id| id.as_bytes()).copied().collect::<Vec<u8>>().into(),
            sequence: state.snapshots.len() as u64 + 1,
            newest: newest.into(),
            today: state.faults.day.map(|(allowed_bytes, left)| v1::DayUse {
                allowed_bytes,
                counted_bytes: allowed_bytes - left,
                policy: v1::ChangePolicy::Defer.into(),
                days: 1,
                ..v1::DayUse::default()
            }),
            committed: state.commits.contains_key(&request.session),
            newest_receipt: state.snapshots.last().map(|snapshot| snapshot.receipt.clone()).unwrap_or_default(),
            ..v1::OpenReply::default()
        };
        state.opens.push(request);
        Ok(Response::new(reply))
    }

    type TransferStream = Replies<v1::TransferReply>;

    async fn transfer(
        &self,
        request: Request<Streaming<v1::TransferRequest>>,
    ) -> Result<Response<Self::TransferStream>, Status> {
        let mut messages = request.into_inner();
        let state = self.state.clone();
        let (replies, stream) = tokio::sync::mpsc::channel(16);
        tokio::spawn(async move {
            let mut unacknowledged: Vec<v1::PutFrame> = Vec::new();
            let (mut number, mut is_cut) = (0, false);
            while let Ok(Some(message)) = messages.message().await {
                let Some(body) = message.body else { continue };
                let reply = match body {
                    v1::transfer_request::Body::Probe(probe) => {
                        let mut state = state.lock();
                        let ids: Vec<ChunkId> = probe.ids.chunks(32).map(|id| id.try_into().unwrap()).collect();
                        state.probed += ids.len();
                        let mut bitmap = vec![0u8; ids.len().div_ceil(8)];
                        for (at, id) in ids.iter().enumerate() {
                            bitmap[at / 8] |= u8::from(state.frames.contains_key(id)) << (at % 8);
                        }
                        let have = v1::Have { number: probe.number, bitmap: bitmap.into() };
                        Ok(v1::transfer_reply::Body::Have(have))
                    }
                    v1::transfer_request::Body::Put(put) => {
                        let mut state = state.lock();
                        if state.faults.refuse || !state.admits(&put, &unacknowledged) {
                            number = put.number;
                            // Nodes that are on their way refer to what was just refused, and are sent again.
                            state.has_losses = true;
                            let failure = Failure::new(ErrorCode::QuotaExceeded).with("limit", "daily_change");
                            let refused = v1::Refused { number: put.number, error: Some(failure.into()) };
                            Ok(v1::transfer_reply::Body::Refused(refused))
                        } else {
                            assert_eq!(put.number, number + 1);
                            number = put.number;
                            unacknowledged.extend(put.frames);
                            match &mut state.faults.cut_after_puts {
                                Some(0) => {
                                    state.faults.cut_after_puts = None;
                                    Err(lost())
                                }
                                Some(left) => {
                                    *left -= 1;
                                    continue;
                                }
                                None => continue,
                            }
                        }
                    }
                    v1::transfer_request::Body::Flush(_) => {
                        let mut state = state.lock();
                        unacknowledged.drain(..).for_each(|frame| state.put(&frame));
                        Ok(v1::transfer_reply::Body::Durable(v1::Durable { number }))
                    }
                };
                is_cut = reply.is_err();
                let sent = replies.send(reply.map(|body| v1::TransferReply { body: Some(body) })).await;
                if is_cut || sent.is_err() {
                    break;
                }
            }
            // As the server does: what was accepted is durable when its stream ends, unless the test cut it.
            if !is_cut {
                unacknowledged.drain(..).for_each(|frame| state.lock().put(&frame));
            }
        });
        Ok(Response::new(Box::pin(tokio_stream::wrappers::ReceiverStream::new(stream))))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        let request = request.into_inner();
        let mut state = self.state.lock();
        if let Some(reply) = state.commits.get(&request.session) {
            return Ok(Response::new(reply.clone()));
        }
        let head = SnapshotHead::decode(&request.agent_part).unwrap();
        let missing = state.missing(head.root);
        if !missing.is_empty() {
            let ids = missing.iter().flat_map(|id| id.as_bytes()).copied().collect::<Vec<u8>>().into();
            let result = Some(v1::commit_reply::Result::Missing(v1::Missing { ids }));
            return Ok(Response::new(v1::CommitReply { result }));
        }
        let server = ServerPart { version: 1, ..ServerPart::default() };
        let envelope = state.opens.iter().rfind(|open| open.session == request.session).unwrap().envelope.to_vec();
        let mac = <[u8; 32]>::try_from(&request.mac[..]).unwrap();
        let object =
            StoredSnapshot::encode(request.agent_part.to_vec(), request.sealed_part.to_vec(), mac, &server, envelope);
        let previous = state.snapshots.last().map(|last| common::receipt::digest(&last.receipt).to_vec());
        let receipt = Receipt {
            snapshot: blake3::hash(&object).as_bytes().to_vec(),
            session: request.session.to_vec(),
            subscription: head.subscription.as_bytes().to_vec(),
            source: head.source.as_bytes().to_vec(),
            sequence: head.sequence,
            previous: previous.unwrap_or_default(),
            ..Receipt::default()
        };
        let receipt: Bytes = common::receipt::sign(receipt, &self.key).into();
        state.snapshots.push(v1::Snapshot {
            object: object.into(),
            receipt: receipt.clone(),
            ..v1::Snapshot::default()
        });
        let server_part = prost::Message::encode_to_vec(&server).into();
        let committed = v1::Committed { receipt, server_part, today: None };
        let reply = v1::CommitReply { result: Some(v1::commit_reply::Result::Committed(committed)) };
        state.commits.insert(request.session, reply.clone());
        if std::mem::take(&mut state.faults.lose_commit) { Err(lost()) } else { Ok(Response::new(reply)) }
    }

    async fn abort(&self, _: Request<v1::AbortRequest>) -> Result<Response<v1::AbortReply>, Status> {
        Ok(Response::new(v1::AbortReply {}))
    }
}

#[tonic::async_trait]
impl Restore for Double {
    async fn sources(&self, _: Request<v1::SourcesRequest>) -> Result<Response<v1::SourcesReply>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn dates(&self, _: Request<v1::DatesRequest>) -> Result<Response<v1::DatesReply>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn snapshots(&self, _: Request<v1::SnapshotsRequest>) -> Result<Response<v1::SnapshotsReply>, Status> {
        let snapshots = self.state.lock().snapshots.iter().rev().cloned().collect();
        Ok(Response::new(v1::SnapshotsReply { snapshots }))
    }

    type FetchStream = Replies<v1::FetchReply>;

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let ids = request.into_inner().ids;
        let state = self.state.lock();
        let frames: Vec<Bytes> =
            ids.chunks(32).filter_map(|id| state.frames.get(&id.try_into().unwrap()).cloned()).collect();
        let replies: Vec<_> = frames
            .into_iter()
            .map(|frame| Ok(v1::FetchReply { frames: vec![frame], ..v1::FetchReply::default() }))
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(replies))))
    }

    async fn report_verified(
        &self,
        _: Request<v1::ReportVerifiedRequest>,
    ) -> Result<Response<v1::ReportVerifiedReply>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
