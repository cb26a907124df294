//! The service `Backup`: sessions of agents.
//!
//! It decides nothing: `session` does. Identity comes from the principal only.

use std::sync::Arc;

use common::id::SubscriptionId;
use common::stored::SnapshotKind;
use common::text::date::moment;
use proto::v1;
use proto::v1::backup_server::Backup;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::contract::terms::Terms;
use crate::grpc::blocking::{agent, id, optional_id, run};
use crate::grpc::convert;
use crate::grpc::failure::of_session;
use crate::grpc::transfer::{REPLIES_MAX, Transfer};
use crate::grpc::usage::day_use;
use crate::session::commit::{CommitAnswer, CommitRequest};
use crate::session::error::SessionError;
use crate::session::memory::Memory;
use crate::session::open::{OpenRequest, Opened};
use crate::subscriptions::Subscriptions;

/// Serves agents.
#[derive(Clone)]
pub struct BackupService {
    subscriptions: Arc<Subscriptions>,
}

impl BackupService {
    /// A service on these subscriptions.
    pub fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions }
    }
}

#[tonic::async_trait]
impl Backup for BackupService {
    type TransferStream = ReceiverStream<Result<v1::TransferReply, Status>>;

    async fn open(&self, request: Request<v1::OpenRequest>) -> Result<Response<v1::OpenReply>, Status> {
        let (subscription, who) = agent(&request)?;
        let request = open_request(&request.into_inner()).map_err(|error| of_session(&error))?;
        let subscriptions = Arc::clone(&self.subscriptions);
        let reply = run(move || {
            let terms = subscriptions.terms(&subscription)?;
            // A source that another machine reads is as foreign as one that is not on the order form.
            let sources = (subscriptions.settings().sources)(&subscription)?;
            if !sources.iter().any(|known| known.source == request.source && known.agent == Some(who.agent)) {
                return Err(SessionError::NotContracted(request.source));
            }
            let open = subscriptions.get(&subscription)?;
            let now_ns = subscriptions.settings().clock.now_ns();
            let source = request.source;
            let opened = open.open_session(who, request, &terms, now_ns)?;
            let today = day_use(&subscriptions, &subscription, &terms, Some(&source))?;
            Ok(open_reply(&subscriptions, &terms, opened, today))
        });
        reply.await.map(Response::new)
    }

    async fn transfer(
        &self,
        request: Request<Streaming<v1::TransferRequest>>,
    ) -> Result<Response<Self::TransferStream>, Status> {
        let (subscription, who) = agent(&request)?;
        let subscriptions = Arc::clone(&self.subscriptions);
        let clock = self.subscriptions.settings().clock.clone();
        let asked = Arc::clone(&self.subscriptions);
        let terms = Box::new(move || asked.terms(&subscription));
        let (open, place) = run(move || {
            let open = subscriptions.get(&subscription)?;
            let place = open.enter_stream()?;
            Ok((open, place))
        })
        .await?;
        let (replies, receiver) = mpsc::channel(REPLIES_MAX);
        tokio::spawn(Transfer { open, who, clock, terms, replies }.run(request.into_inner(), place));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        let (subscription, who) = agent(&request)?;
        let request = commit_request(request.into_inner()).map_err(|error| of_session(&error))?;
        let subscriptions = Arc::clone(&self.subscriptions);
        let reply = run(move || {
            let now_ns = subscriptions.settings().clock.now_ns();
            let terms = subscriptions.terms(&subscription)?;
            terms.check_backup(moment(now_ns))?;
            let open = subscriptions.get(&subscription)?;
            open.shared().set_terms(&terms);
            let answer = open.commit(who, request, now_ns)?;
            commit_reply(&subscriptions, &subscription, answer)
        });
        reply.await.map(Response::new)
    }

    async fn abort(&self, request: Request<v1::AbortRequest>) -> Result<Response<v1::AbortReply>, Status> {
        let (subscription, who) = agent(&request)?;
        let session = id("session", &request.into_inner().session).map_err(|error| of_session(&error))?;
        let subscriptions = Arc::clone(&self.subscriptions);
        let done = run(move || {
            let now_ns = subscriptions.settings().clock.now_ns();
            subscriptions.get(&subscription)?.abort_session(who, session, now_ns)
        });
        done.await.map(|()| Response::new(v1::AbortReply {}))
    }
}

fn open_request(request: &v1::OpenRequest) -> Result<OpenRequest, SessionError> {
    let kind = i32::try_from(request.kind).ok().and_then(|kind| SnapshotKind::try_from(kind).ok());
    Ok(OpenRequest {
        session: id("session", &request.session)?,
        source: id("source", &request.source)?,
        set_version: request.set_version,
        kind: kind.ok_or_else(|| SessionError::invalid("kind", "is unknown"))?,
        parent: optional_id("parent", &request.parent)?,
        envelope: request.envelope.to_vec(),
        protocol: request.protocol,
    })
}

fn open_reply(subscriptions: &Subscriptions, terms: &Terms, opened: Opened, today: v1::DayUse) -> v1::OpenReply {
    let location = &subscriptions.settings().location;
    let (newest, newest_receipt) = opened
        .newest
        .map_or_else(Default::default, |(newest, receipt)| (newest.as_bytes().to_vec().into(), receipt.into()));
    let (memory, except_ids) = match opened.memory {
        Memory::Valid => (v1::Memory::Valid, Vec::new()),
        Memory::ValidExcept(ids) => (v1::Memory::ValidExcept, ids.iter().flat_map(|id| *id.as_bytes()).collect()),
        Memory::Invalid => (v1::Memory::Invalid, Vec::new()),
    };
    v1::OpenReply {
        location: Some(v1::Location {
            site: location.site.clone(),
            country: location.country.clone(),
            owner: location.owner.clone(),
        }),
        today: Some(today),
        state: convert::state(terms.state(subscriptions.settings().clock.now())).into(),
        memory: memory.into(),
        except_ids: except_ids.into(),
        sequence: opened.sequence,
        newest,
        committed: opened.committed,
        newest_receipt,
    }
}

fn commit_request(request: v1::CommitRequest) -> Result<CommitRequest, SessionError> {
    Ok(CommitRequest {
        session: id("session", &request.session)?,
        mac: request.mac[..].try_into().map_err(|_| SessionError::invalid("mac", "has the wrong length"))?,
        agent_part: request.agent_part.into(),
        sealed_part: request.sealed_part.into(),
    })
}

fn commit_reply(
    subscriptions: &Subscriptions,
    subscription: &SubscriptionId,
    answer: CommitAnswer,
) -> Result<v1::CommitReply, SessionError> {
    let result = match answer {
        CommitAnswer::Missing(ids) => {
            let ids: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
            v1::commit_reply::Result::Missing(v1::Missing { ids: ids.into() })
        }
        CommitAnswer::Committed { receipt, server_part } => {
            let terms = subscriptions.terms(subscription)?;
            let today = day_use(subscriptions, subscription, &terms, None)?;
            v1::commit_reply::Result::Committed(v1::Committed {
                receipt: receipt.into(),
                server_part: server_part.into(),
                today: Some(today),
            })
        }
    };
    Ok(v1::CommitReply { result: Some(result) })
}
