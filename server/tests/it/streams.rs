//! The services `Backup` and `Restore` over HTTP/2 on loopback, with the principal put in by hand instead of by a credential.

use std::sync::Arc;

use common::frame::checksum;
use common::id::{AgentId, ChunkId, ScopeId, SubscriptionId};
use common::limits::STREAM_MESSAGE_BYTES_MAX;
use proto::code::{ErrorCode, Failure};
use proto::v1;
use proto::v1::backup_client::BackupClient;
use proto::v1::backup_server::BackupServer;
use proto::v1::restore_client::RestoreClient;
use proto::v1::restore_server::RestoreServer;
use proto::v1::{transfer_reply, transfer_request};
use server::auth::principal::{Principal, Role};
use server::grpc::backup::BackupService;
use server::grpc::restore::RestoreService;
use server::grpc::router::RouterBuilder;
use server::subscriptions::Subscriptions;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::engine::{Agent, Made, SUBSCRIPTION, server_with};

struct Loopback {
    backup: BackupClient<Channel>,
    restore: RestoreClient<Channel>,
    _root: tempfile::TempDir,
}

/// Whom the call is from is said in a header: a stand-in for the credential.
fn put_principal_in(mut request: Request<()>) -> Result<Request<()>, Status> {
    let who = request.metadata().get("who").and_then(|who| who.to_str().ok()).unwrap_or("").to_owned();
    let agent = |number: u8, subscription, can_restore| Principal::Agent {
        agent: AgentId::new([number; 16]),
        subscription,
        scope: ScopeId::new([number; 16]),
        can_restore,
    };
    let person = |role| Principal::Person {
        identifier: "marie".into(),
        subscription: SUBSCRIPTION,
        role,
        must_change_password: false,
    };
    let principal = match who.as_str() {
        "agent" => agent(1, SUBSCRIPTION, false),
        "restoring agent" => agent(1, SUBSCRIPTION, true),
        "other scope" => agent(2, SUBSCRIPTION, true),
        "other subscription" => agent(1, SubscriptionId::new([2; 16]), true),
        "reader" => person(Role::ReadOnly),
        "restorer" => person(Role::Restore),
        _ => return Ok(request),
    };
    request.extensions_mut().insert(principal);
    Ok(request)
}

async fn loopback(hard_volume_bytes: u64) -> Loopback {
    let root = tempfile::tempdir().unwrap();
    let subscriptions: Arc<Subscriptions> = Arc::new(server_with(root.path(), hard_volume_bytes));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backup = BackupServer::new(BackupService::new(Arc::clone(&subscriptions)))
        .max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX);
    let restore = RestoreServer::new(RestoreService::new(subscriptions));
    let router = RouterBuilder::default().with(backup).with(restore).finish();
    let service = InterceptedService::new(router, put_principal_in);
    let connections = TcpListenerStream::new(listener);
    tokio::spawn(tonic::transport::Server::builder().serve_with_incoming(service, connections));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let backup = BackupClient::new(channel.clone());
    let restore = RestoreClient::new(channel).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX);
    Loopback { backup, restore, _root: root }
}

fn from<T>(who: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("who", who.parse().unwrap());
    request
}

fn put(number: u64, frames: &[&Made]) -> transfer_request::Body {
    let frames = frames.iter().map(|made| v1::PutFrame {
        frame: made.frame.frame.clone(),
        checksum: checksum(&made.frame.frame).to_vec().into(),
        class: v1::FrameClass::Changed.into(),
    });
    transfer_request::Body::Put(v1::Put { number, frames: frames.collect() })
}

fn open_request(agent: &Agent) -> v1::OpenRequest {
    v1::OpenRequest {
        session: agent.session.as_bytes().to_vec().into(),
        source: agent.source.as_bytes().to_vec().into(),
        set_version: 1,
        kind: 1,
        started_at_ns: 0,
        parent: Vec::new().into(),
        envelope: vec![5; 100].into(),
        protocol: 1,
    }
}

/// Sends everything at once and gives what came back until the stream ended.
async fn transfer(
    loopback: &mut Loopback,
    who: &'static str,
    agent: &Agent,
    bodies: Vec<transfer_request::Body>,
) -> (Vec<transfer_reply::Body>, Option<Status>) {
    let (sender, receiver) = mpsc::channel(bodies.len().max(1));
    for body in bodies {
        let session = agent.session.as_bytes().to_vec().into();
        sender.send(v1::TransferRequest { session, body: Some(body) }).await.unwrap();
    }
    drop(sender);
    let mut stream = match loopback.backup.transfer(from(who, ReceiverStream::new(receiver))).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return (Vec::new(), Some(status)),
    };
    let mut replies = Vec::new();
    loop {
        match stream.message().await {
            Ok(Some(reply)) => replies.push(reply.body.unwrap()),
            Ok(None) => return (replies, None),
            Err(status) => return (replies, Some(status)),
        }
    }
}

async fn fetch(loopback: &mut Loopback, who: &'static str, scope: u8, ids: &[ChunkId]) -> v1::FetchReply {
    let ids: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
    let request = v1::FetchRequest { scope: vec![scope; 16].into(), ids: ids.into() };
    let mut stream = loopback.restore.fetch(from(who, request)).await.unwrap().into_inner();
    let mut all = v1::FetchReply::default();
    while let Some(reply) = stream.message().await.unwrap() {
        all.frames.extend(reply.frames);
        all.envelopes.extend(reply.envelopes);
        all.unavailable.extend(reply.unavailable);
    }
    all
}

fn code(status: &Status) -> ErrorCode {
    Failure::from_status(status).unwrap().code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_backup_and_a_restore_over_the_wire() {
    let mut loopback = loopback(1 << 40).await;
    let mut agent = Agent::new(1, 1);
    let opened = loopback.backup.open(from("agent", open_request(&agent))).await.unwrap().into_inner();
    assert_eq!((opened.sequence, opened.memory()), (1, v1::Memory::Valid));
    assert_eq!(opened.location.unwrap().country, "FR");
    let data: Vec<Made> = (0..40u8).map(|n| agent.data(&vec![n; 300_000])).collect();
    let refs: Vec<&Made> = data.iter().collect();
    let leaf = agent.leaf(&refs, b"entries");
    let mut bodies: Vec<_> = (1..).zip(refs.chunks(4)).map(|(number, frames)| put(number, frames)).collect();
    bodies.push(put(11, &[&leaf]));
    let ids: Vec<u8> = [leaf.id, ChunkId::new([0xcc; 32])].iter().flat_map(|id| *id.as_bytes()).collect();
    let (replies, ended) = transfer(&mut loopback, "agent", &agent, bodies).await;
    assert!(ended.is_none(), "{ended:?}");
    let durable: Vec<u64> = replies
        .iter()
        .filter_map(
            |reply| if let transfer_reply::Body::Durable(durable) = reply { Some(durable.number) } else { None },
        )
        .collect();
    assert!(durable.is_sorted() && durable.last() == Some(&11), "{durable:?}");
    let probe = transfer_request::Body::Probe(v1::Probe { number: 7, ids: ids.into() });
    let (replies, _) = transfer(&mut loopback, "agent", &agent, vec![probe]).await;
    assert_eq!(replies, [transfer_reply::Body::Have(v1::Have { number: 7, bitmap: vec![1].into() })]);

    let opened = server::session::open::Opened {
        memory: server::session::memory::Memory::Valid,
        sequence: opened.sequence,
        newest: None,
        committed: false,
    };
    let request = agent.commit_request(&agent.head(&opened, leaf.id));
    let request = v1::CommitRequest {
        session: agent.session.as_bytes().to_vec().into(),
        agent_part: request.agent_part.into(),
        sealed_part: request.sealed_part.into(),
        mac: request.mac.to_vec().into(),
    };
    let reply = loopback.backup.commit(from("agent", request)).await.unwrap().into_inner();
    let Some(v1::commit_reply::Result::Committed(committed)) = reply.result else { panic!("{reply:?}") };
    let today = committed.today.unwrap();
    assert_eq!((today.changed_bytes, today.baseline_bytes), (0, 12_000_000), "a first backup is no change");

    let all = fetch(&mut loopback, "restorer", 1, &refs.iter().map(|made| made.id).collect::<Vec<_>>()).await;
    assert_eq!((all.frames.len(), all.envelopes.len(), all.unavailable.len()), (40, 1, 0));
    assert!(refs.iter().all(|made| all.frames.contains(&made.frame.frame)));
    let wanted = [leaf.id, data[0].id];
    for (who, scope, frames) in [
        ("restorer", 1, 2),
        ("restoring agent", 1, 2),
        ("reader", 1, 1),
        ("agent", 1, 1),
        ("other scope", 1, 0),
        ("other scope", 2, 0),
        ("other subscription", 1, 0),
        ("restorer", 9, 0),
    ] {
        let found = fetch(&mut loopback, who, scope, &wanted).await;
        assert_eq!((found.frames.len(), found.unavailable.len()), (frames, 2 - frames), "{who}");
        assert!(found.unavailable.iter().all(|missed| missed.why() == v1::unavailable::Why::NotFound));
    }
    let snapshots = loopback.restore.snapshots(from("reader", v1::SnapshotsRequest::default())).await.unwrap();
    let snapshots = snapshots.into_inner().snapshots;
    assert_eq!((snapshots.len(), &snapshots[0].receipt), (1, &committed.receipt));
    let foreign = loopback.restore.snapshots(from("other scope", v1::SnapshotsRequest::default())).await.unwrap();
    assert!(foreign.into_inner().snapshots.is_empty());
    let dates = loopback.restore.dates(from("reader", v1::DatesRequest::default())).await.unwrap().into_inner().days;
    assert_eq!((dates[0].day.as_str(), dates[0].complete, dates[0].newest_plain_bytes), ("2026-11-22", 1, 12_000_000));
    let sources = loopback.restore.sources(from("agent", v1::SourcesRequest {})).await.unwrap().into_inner().sources;
    assert_eq!((sources.len(), sources[0].snapshots), (1, 1));
    let session: Vec<u8> = agent.session.as_bytes().to_vec();
    let report = v1::ReportVerifiedRequest { session: session.into(), complete: true };
    assert!(loopback.restore.report_verified(from("restorer", report.clone())).await.is_ok());
    let denied = loopback.restore.report_verified(from("reader", report)).await.unwrap_err();
    assert_eq!(code(&denied), ErrorCode::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_names_use_and_allowance_and_the_stream_goes_on() {
    let mut loopback = loopback(1_100).await;
    let mut agent = Agent::new(1, 1);
    loopback.backup.open(from("agent", open_request(&agent))).await.unwrap();
    let (small, large, last) = (agent.data(&[1; 900]), agent.data(&[2; 300]), agent.data(&[3; 200]));
    let bodies = vec![put(1, &[&small]), put(2, &[&large]), put(3, &[&last])];
    let (replies, ended) = transfer(&mut loopback, "agent", &agent, bodies).await;
    assert!(ended.is_none(), "{ended:?}");
    let refused = replies.iter().find_map(|reply| match reply {
        transfer_reply::Body::Refused(refused) => Some(refused.clone()),
        _ => None,
    });
    let refused = refused.unwrap();
    let failure = Failure::from(refused.error.unwrap());
    assert_eq!((refused.number, failure.code), (2, ErrorCode::QuotaExceeded));
    assert_eq!((failure.param("used_bytes"), failure.param("allowed_bytes")), (Some("900"), Some("1100")));
    assert_eq!((failure.param("since"), failure.param("contact")), (Some("2026-11-22"), Some("01 02 03 04 05")));
    assert!(replies.contains(&transfer_reply::Body::Durable(v1::Durable { number: 3 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_no_agent_sends_ends_the_stream_with_its_reason() {
    let mut loopback = loopback(1 << 40).await;
    let mut agent = Agent::new(1, 1);
    loopback.backup.open(from("agent", open_request(&agent))).await.unwrap();
    let good = agent.data(b"good");
    let ids = |bytes: usize| transfer_request::Body::Probe(v1::Probe { number: 1, ids: vec![0; bytes].into() });
    let unknown = Agent::new(1, 99);
    for (what, who, of, bodies, wanted) in [
        ("part of an id", "agent", &agent, vec![ids(33)], ErrorCode::InvalidArgument),
        ("too many ids", "agent", &agent, vec![ids(4_097 * 32)], ErrorCode::InvalidArgument),
        ("a number twice", "agent", &agent, vec![put(1, &[&good]), put(1, &[&good])], ErrorCode::InvalidArgument),
        ("an unknown session", "agent", &unknown, vec![ids(32)], ErrorCode::SessionUnknown),
        ("another agent's session", "other scope", &agent, vec![ids(32)], ErrorCode::SessionUnknown),
        ("another subscription's session", "other subscription", &agent, vec![ids(32)], ErrorCode::SessionUnknown),
        ("a person", "restorer", &agent, vec![ids(32)], ErrorCode::PermissionDenied),
        ("nobody", "nobody", &agent, vec![ids(32)], ErrorCode::Unauthenticated),
    ] {
        let (_, ended) = transfer(&mut loopback, who, of, bodies).await;
        assert_eq!(code(&ended.unwrap()), wanted, "{what}");
    }
    let short = v1::OpenRequest { session: vec![1; 15].into(), ..open_request(&agent) };
    assert_eq!(code(&loopback.backup.open(from("agent", short)).await.unwrap_err()), ErrorCode::InvalidArgument);
    let fetch = v1::FetchRequest { scope: vec![1; 16].into(), ids: vec![0; 31].into() };
    assert_eq!(code(&loopback.restore.fetch(from("restorer", fetch)).await.unwrap_err()), ErrorCode::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_superseded_stream_learns_it_with_its_next_frame() {
    let mut loopback = loopback(1 << 40).await;
    let mut old = Agent::new(1, 1);
    loopback.backup.open(from("agent", open_request(&old))).await.unwrap();
    let (first, second) = (old.data(b"first"), old.data(b"second"));
    let (sender, receiver) = mpsc::channel(4);
    let request = |body| v1::TransferRequest { session: old.session.as_bytes().to_vec().into(), body: Some(body) };
    let mut stream = loopback.backup.transfer(from("agent", ReceiverStream::new(receiver))).await.unwrap().into_inner();
    sender.send(request(put(1, &[&first]))).await.unwrap();
    sender.send(request(transfer_request::Body::Flush(v1::Flush {}))).await.unwrap();
    let reply = stream.message().await.unwrap().unwrap().body;
    assert_eq!(reply, Some(transfer_reply::Body::Durable(v1::Durable { number: 1 })));
    loopback.backup.open(from("agent", open_request(&Agent::new(1, 2)))).await.unwrap();
    sender.send(request(put(2, &[&second]))).await.unwrap();
    assert_eq!(code(&stream.message().await.unwrap_err()), ErrorCode::SessionSuperseded);
}
