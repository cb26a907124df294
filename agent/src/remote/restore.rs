//! The calls that read back: sources, dates, snapshots, frames.
//!
//! It opens and verifies nothing: frames and objects come out as the server gave them, bounded, for `restore` and `browse`.
//!
//! Invariant: a fetched stream hands out only ids that were asked for, each at most once.

use std::collections::HashSet;

use bytes::Bytes;
use common::frame::FrameHeader;
use common::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId};
use common::limits::{
    ENVELOPE_BYTES_MAX, IDS_PER_MESSAGE_MAX, SNAPSHOTS_LISTED_MAX, STREAM_IDLE_MS, STREAM_MESSAGE_BYTES_MAX,
};
use common::snapshot::StoredSnapshot;
use common::source_kind::SourceKind;
use proto::v1;
use proto::v1::restore_client::RestoreClient;
use tonic::Streaming;
use tonic::transport::Channel;

use super::sets::kind;
use super::{Remote, RemoteError, unary, within};

/// A source as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceInfo {
    /// The source.
    pub source: SourceId,
    /// Name shown to people.
    pub name: String,
    /// What it is.
    pub kind: SourceKind,
    /// Dedup domain of its chunks.
    pub scope: ScopeId,
    /// The agent that reads it.
    pub agent: AgentId,
    /// Host of that agent.
    pub host: String,
    /// Committed snapshots.
    pub snapshots: u64,
    /// When the newest one was received, nanoseconds since 1970.
    pub newest_at_ns: Option<i64>,
    /// When the oldest one was received, nanoseconds since 1970.
    pub oldest_at_ns: Option<i64>,
    /// Plain bytes of the newest one.
    pub latest_plain_bytes: u64,
    /// When a key holder last verified or restored one, nanoseconds since 1970.
    pub verified_at_ns: Option<i64>,
    /// When the newest complete one was received, nanoseconds since 1970.
    pub complete_at_ns: Option<i64>,
    /// Since when the source is late, nanoseconds since 1970.
    pub late_since_ns: Option<i64>,
}

/// A civil day that has snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayInfo {
    /// `2026-11-22`, Europe/Paris.
    pub day: String,
    /// Complete snapshots.
    pub complete: u32,
    /// Partial ones.
    pub partial: u32,
    /// Plain bytes that changed that day.
    pub changed_bytes: u64,
    /// Plain bytes of the newest snapshot of that day.
    pub newest_plain_bytes: u64,
}

/// A snapshot as listed: its parts are readable, its mac is not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedSnapshot {
    /// The object, decoded.
    pub stored: StoredSnapshot,
    /// BLAKE3 of the object's exact bytes: what its receipt must name.
    pub object_hash: [u8; 32],
    /// `SignedReceipt`, exact bytes.
    pub receipt: Vec<u8>,
    /// When a key holder verified or restored it, nanoseconds since 1970.
    pub verified_at_ns: Option<i64>,
    /// A sudden change, which the provider has not looked at yet: it may be what ransomware left.
    pub suspect: bool,
    /// By it, its day had changed more than the contract allows: outside the provider's guarantee.
    pub outside_guarantee: bool,
}

/// What a snapshot listing held: good objects, and how many could not be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SnapshotList {
    /// Newest first.
    pub snapshots: Vec<ListedSnapshot>,
    /// Objects that are malformed or of an unknown version.
    pub unreadable: usize,
}

/// Why the server has no frame for an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It is not there, or somebody else's.
    NotFound,
    /// It is damaged in the store.
    Damaged,
}

/// One thing that a fetch brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// A frame that was asked for, with its parsed header; not opened.
    Frame(FrameHeader, Bytes),
    /// The sealed key of a session, before its first frame.
    Envelope(SessionId, Bytes),
    /// A chunk that the server does not have.
    Absent(ChunkId, Absence),
}

impl Remote {
    /// The sources that the caller may read.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn sources(&self) -> Result<Vec<SourceInfo>, RemoteError> {
        let reply = unary(self.restore_client().sources(self.request(v1::SourcesRequest {}))).await?;
        // A source on the order form that no machine was set up for has no scope, and nothing to read.
        reply.sources.into_iter().filter(|source| !source.scope.is_empty()).map(source_info).collect()
    }

    /// Days with snapshots of one source, or of all, newest first.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn dates(&self, source: Option<&SourceId>) -> Result<Vec<DayInfo>, RemoteError> {
        let request = v1::DatesRequest { source: optional_source(source) };
        let reply = unary(self.restore_client().dates(self.request(request))).await?;
        let day = |day: v1::Day| DayInfo {
            day: day.day,
            complete: day.complete,
            partial: day.partial,
            changed_bytes: day.changed_bytes,
            newest_plain_bytes: day.newest_plain_bytes,
        };
        Ok(reply.days.into_iter().map(day).collect())
    }

    /// Snapshots of one source, or of all, newest first, received at or before `until_ns`; at most `limit` (0: as many as the
    /// server gives at once).
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn snapshots(
        &self,
        source: Option<&SourceId>,
        until_ns: Option<i64>,
        limit: u32,
    ) -> Result<SnapshotList, RemoteError> {
        let request = v1::SnapshotsRequest { source: optional_source(source), until_ns: until_ns.unwrap_or(0), limit };
        let mut client = self.restore_client();
        let reply = unary(client.snapshots(self.request(request))).await?;
        let mut list = SnapshotList::default();
        for snapshot in reply.snapshots {
            match StoredSnapshot::decode(&snapshot.object) {
                Ok(stored) => list.snapshots.push(ListedSnapshot {
                    stored,
                    object_hash: *blake3::hash(&snapshot.object).as_bytes(),
                    receipt: snapshot.receipt.to_vec(),
                    verified_at_ns: time(snapshot.verified_at_ns),
                    suspect: snapshot.suspect,
                    outside_guarantee: snapshot.outside_guarantee,
                }),
                Err(error) => {
                    tracing::warn!(%error, "a listed snapshot cannot be read");
                    list.unreadable += 1;
                }
            }
        }
        Ok(list)
    }

    /// Every snapshot of one source, or of all, newest first; asks again as long as the server's answers go on.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn all_snapshots(&self, source: Option<&SourceId>) -> Result<SnapshotList, RemoteError> {
        let (mut all, mut seen, mut until_ns) = (SnapshotList::default(), HashSet::new(), None);
        while all.snapshots.len() < SNAPSHOTS_LISTED_MAX {
            let page = self.snapshots(source, until_ns, 0).await?;
            all.unreadable += page.unreadable;
            let before = all.snapshots.len();
            // Several may have been received at the same moment: the moment is asked for again, what is known left out.
            let fresh = page.snapshots.into_iter().filter(|listed| seen.insert(listed.stored.head.session));
            all.snapshots.extend(fresh);
            let last = all.snapshots.last().map(|listed| listed.stored.server.received_at_ns);
            if all.snapshots.len() == before || last == until_ns {
                break;
            }
            until_ns = last;
        }
        Ok(all)
    }

    /// Starts fetching frames; at most [`IDS_PER_MESSAGE_MAX`] ids. They come in the server's order.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn fetch(&self, scope: &ScopeId, ids: &[ChunkId]) -> Result<Fetch, RemoteError> {
        assert!(ids.len() <= IDS_PER_MESSAGE_MAX, "callers cut requests: a plan's invariant");
        let wanted: HashSet<ChunkId> = ids.iter().copied().collect();
        let mut flat = Vec::with_capacity(wanted.len() * ChunkId::BYTES);
        // In the caller's order, which is the order of the files; a repeated id is asked for once.
        let mut left = wanted.clone();
        ids.iter().filter(|id| left.remove(id)).for_each(|id| flat.extend_from_slice(id.as_bytes()));
        let request = v1::FetchRequest { scope: scope.as_bytes().to_vec().into(), ids: flat.into() };
        let stream = within(STREAM_IDLE_MS, self.restore_client().fetch(self.request(request))).await?.into_inner();
        let nonsense_left = wanted.len();
        Ok(Fetch { stream, wanted, nonsense_left })
    }

    /// Tells the server that a key holder verified or restored a snapshot; `complete` if all of it.
    ///
    /// # Errors
    /// Any [`RemoteError`].
    pub async fn report_verified(&self, session: &SessionId, complete: bool) -> Result<(), RemoteError> {
        let request = v1::ReportVerifiedRequest { session: session.as_bytes().to_vec().into(), complete };
        unary(self.restore_client().report_verified(self.request(request))).await.map(drop)
    }

    fn restore_client(&self) -> RestoreClient<Channel> {
        RestoreClient::new(self.channel()).max_decoding_message_size(STREAM_MESSAGE_BYTES_MAX)
    }
}

/// Frames on their way.
pub struct Fetch {
    stream: Streaming<v1::FetchReply>,
    wanted: HashSet<ChunkId>,
    nonsense_left: usize,
}

impl Fetch {
    /// What the next message holds; `None` after the last one, when every id was answered. A frame that is malformed or was
    /// not asked for is passed over, and what the server leaves unanswered comes out as damaged.
    ///
    /// # Errors
    /// [`RemoteError::Protocol`] if the server sends mostly nonsense; or any other.
    pub async fn next(&mut self) -> Result<Option<Vec<Arrival>>, RemoteError> {
        let Some(reply) = within(STREAM_IDLE_MS, self.stream.message()).await? else {
            let unanswered = self.wanted.drain().map(|id| Arrival::Absent(id, Absence::Damaged)).collect::<Vec<_>>();
            return Ok((!unanswered.is_empty()).then_some(unanswered));
        };
        let mut arrivals = Vec::with_capacity(reply.envelopes.len() + reply.frames.len() + reply.unavailable.len());
        for envelope in reply.envelopes {
            match SessionId::try_from(&envelope.session[..]) {
                Ok(session) if envelope.envelope.len() <= ENVELOPE_BYTES_MAX => {
                    arrivals.push(Arrival::Envelope(session, envelope.envelope));
                }
                _ => self.nonsense()?,
            }
        }
        for frame in reply.frames {
            match FrameHeader::parse_whole(&frame) {
                Ok(header) if self.wanted.remove(&header.id) => arrivals.push(Arrival::Frame(header, frame)),
                _ => self.nonsense()?,
            }
        }
        for absent in reply.unavailable {
            match ChunkId::try_from(&absent.id[..]) {
                Ok(id) if self.wanted.remove(&id) => arrivals.push(Arrival::Absent(id, absence(absent.why()))),
                _ => self.nonsense()?,
            }
        }
        Ok(Some(arrivals))
    }

    /// One damaged frame costs one chunk; a server that sends without end costs the call.
    fn nonsense(&mut self) -> Result<(), RemoteError> {
        self.nonsense_left = self
            .nonsense_left
            .checked_sub(1)
            .ok_or_else(|| RemoteError::Protocol("the answer holds more than was asked for".into()))?;
        Ok(())
    }
}

fn absence(why: v1::unavailable::Why) -> Absence {
    match why {
        v1::unavailable::Why::Damaged => Absence::Damaged,
        _ => Absence::NotFound,
    }
}

fn source_info(source: v1::Source) -> Result<SourceInfo, RemoteError> {
    Ok(SourceInfo {
        source: id(&source.source)?,
        kind: kind(source.kind())?,
        scope: id(&source.scope)?,
        agent: id(&source.agent)?,
        name: source.name,
        host: source.host,
        snapshots: source.snapshots,
        newest_at_ns: time(source.newest_at_ns),
        oldest_at_ns: time(source.oldest_at_ns),
        latest_plain_bytes: source.latest_plain_bytes,
        verified_at_ns: time(source.verified_at_ns),
        complete_at_ns: time(source.complete_at_ns),
        late_since_ns: time(source.late_since_ns),
    })
}

fn optional_source(source: Option<&SourceId>) -> Bytes {
    source.map_or(Bytes::new(), |source| Bytes::copy_from_slice(source.as_bytes()))
}

fn time(ns: i64) -> Option<i64> {
    (ns != 0).then_some(ns)
}

fn id<'a, T: TryFrom<&'a [u8], Error = common::id::InvalidId>>(bytes: &'a Bytes) -> Result<T, RemoteError> {
    T::try_from(bytes).map_err(|error| RemoteError::Protocol(error.to_string()))
}
