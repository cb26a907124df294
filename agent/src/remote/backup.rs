//! The unary calls of a backup session: open, commit, abort, and their answers as domain values.
//!
//! The stream between them is in `transfer`. It does not decide when a session opens or what is committed.

use bytes::Bytes;
use common::id::{ChunkId, SessionId, SourceId};
use common::limits::{COMMIT_DEADLINE_MS, RELAY_IDS_MAX, STREAM_MESSAGE_BYTES_MAX};
use common::stored::SnapshotKind;
use proto::v1;
use proto::v1::backup_client::BackupClient;
use tonic::transport::Channel;

use crate::remote::account::{DayUse, day_use};
use crate::remote::{Remote, RemoteError, unary, within};

/// What a session says of itself when it opens.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Made by the agent.
    pub session: SessionId,
    /// What is backed up.
    pub source: SourceId,
    /// Version of the backup set that is followed.
    pub set_version: u64,
    /// Why it is made.
    pub kind: SnapshotKind,
    /// Agent's clock, nanoseconds since 1970.
    pub started_at_ns: i64,
    /// The snapshot in the agent's memory.
    pub parent: Option<SessionId>,
    /// The session key for the recipients.
    pub envelope: Bytes,
}

/// What the server says to an opened session.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Country where the data is, ISO 3166-1 alpha-2.
    pub country: String,
    /// Today's account.
    pub today: DayUse,
    /// What the agent's memory of the parent is worth.
    pub memory: MemoryWorth,
    /// Sequence number of the snapshot that this session makes.
    pub sequence: u64,
    /// The newest snapshot of the source.
    pub newest: Option<SessionId>,
    /// True if this session already has its receipt: commit again to get it.
    pub committed: bool,
    /// Signed receipt of `newest`.
    pub newest_receipt: Bytes,
}

/// What the agent's memory of a snapshot is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryWorth {
    /// Everything that it names is there.
    Valid,
    /// Except these chunks, to be laid again.
    ValidExcept(Vec<ChunkId>),
    /// It is not the newest snapshot.
    Invalid,
}

/// The two authenticated parts of a snapshot, ready to be committed.
#[derive(Debug, Clone)]
pub struct CommitParts {
    /// The session.
    pub session: SessionId,
    /// Agent part, exact bytes.
    pub agent_part: Bytes,
    /// Sealed part, exact bytes.
    pub sealed_part: Bytes,
    /// Mac over both.
    pub mac: [u8; 32],
}

/// What the server answers to a commit.
#[derive(Debug, Clone)]
pub enum CommitAnswer {
    /// The snapshot exists.
    Committed {
        /// Signed receipt, exact bytes.
        receipt: Bytes,
        /// What the server added, exact bytes.
        server_part: Bytes,
        /// Today's account with this snapshot.
        today: Box<DayUse>,
    },
    /// These chunks are to be laid again first.
    Missing(Vec<ChunkId>),
}

impl Remote {
    /// Starts or resumes a session; idempotent.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn open_session(&self, open: &OpenSession) -> Result<Opened, RemoteError> {
        let request = v1::OpenRequest {
            session: bytes_of(open.session.as_bytes()),
            source: bytes_of(open.source.as_bytes()),
            set_version: open.set_version,
            kind: i32::from(open.kind).unsigned_abs(),
            started_at_ns: open.started_at_ns,
            parent: open.parent.map_or(Bytes::new(), |parent| bytes_of(parent.as_bytes())),
            envelope: open.envelope.clone(),
            protocol: proto::PROTOCOL,
        };
        let reply = unary(self.backup_client().open(self.request(request))).await?;
        let memory = match reply.memory() {
            v1::Memory::Valid => MemoryWorth::Valid,
            v1::Memory::ValidExcept => MemoryWorth::ValidExcept(ids_of(&reply.except_ids)?),
            v1::Memory::Invalid | v1::Memory::Unspecified => MemoryWorth::Invalid,
        };
        let newest = match &reply.newest[..] {
            [] => None,
            id => Some(SessionId::try_from(id).map_err(|error| RemoteError::Protocol(error.to_string()))?),
        };
        Ok(Opened {
            country: reply.location.map(|location| location.country).unwrap_or_default(),
            today: reply.today.map(day_use).unwrap_or_default(),
            memory,
            sequence: reply.sequence,
            newest,
            committed: reply.committed,
            newest_receipt: reply.newest_receipt,
        })
    }

    /// Makes the snapshot, or says what is missing; idempotent.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn commit(&self, parts: &CommitParts) -> Result<CommitAnswer, RemoteError> {
        let request = v1::CommitRequest {
            session: bytes_of(parts.session.as_bytes()),
            agent_part: parts.agent_part.clone(),
            sealed_part: parts.sealed_part.clone(),
            mac: bytes_of(&parts.mac),
        };
        let reply = within(COMMIT_DEADLINE_MS, self.backup_client().commit(self.request(request))).await?.into_inner();
        match reply.result {
            Some(v1::commit_reply::Result::Committed(committed)) => Ok(CommitAnswer::Committed {
                receipt: committed.receipt,
                server_part: committed.server_part,
                today: Box::new(committed.today.map(day_use).unwrap_or_default()),
            }),
            Some(v1::commit_reply::Result::Missing(missing)) => Ok(CommitAnswer::Missing(ids_of(&missing.ids)?)),
            None => Err(RemoteError::Protocol("an empty answer to commit".into())),
        }
    }

    /// Ends a session without a snapshot.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn abort_session(&self, session: &SessionId) -> Result<(), RemoteError> {
        let request = v1::AbortRequest { session: bytes_of(session.as_bytes()) };
        unary(self.backup_client().abort(self.request(request))).await.map(drop)
    }

    pub(crate) fn backup_client(&self) -> BackupClient<Channel> {
        BackupClient::new(self.channel())
            .max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(STREAM_MESSAGE_BYTES_MAX)
    }
}

pub(crate) fn bytes_of(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn ids_of(flat: &[u8]) -> Result<Vec<ChunkId>, RemoteError> {
    let (ids, rest) = flat.as_chunks::<{ ChunkId::BYTES }>();
    if !rest.is_empty() || ids.len() > RELAY_IDS_MAX {
        return Err(RemoteError::Protocol("a list of ids has a wrong length".into()));
    }
    Ok(ids.iter().copied().map(ChunkId::new).collect())
}
