//! One stream of frames: an asynchronous reader, a thread that stages, a forwarder of acknowledgements.
//!
//! ```text
//! network → reader → (channel) → staging thread → intake        every 8 MiB, 2 s, Flush and end: durable point
//!                                   │ Have, Refused                     │ writer's thread, may not block
//!                                   └────────► replies ◄── forwarder ◄──┘ newest acknowledged number
//! ```
//! Staging goes on while a durable point is made; at most `POINTS_IN_FLIGHT_MAX` wait, so what is staged and not durable is
//! bounded per stream. Acknowledgements are cumulative, so only the newest is kept for a slow agent.
//!
//! Invariant: I9 — each channel has a bound, and a full one stops the network by flow control.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::id::ChunkId;
use common::limits::{DURABLE_EVERY_BYTES, DURABLE_EVERY_MS, IDS_PER_MESSAGE_MAX, STREAM_IDLE_MS};
use common::pack::FrameClass;
use proto::v1::{self, transfer_reply, transfer_request};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::{Status, Streaming};

use crate::clock::Clock;
use crate::contract::terms::Terms;
use crate::grpc::blocking::id;
use crate::grpc::failure::{of_session, session_failure};
use crate::session::check::ReceivedFrame;
use crate::session::error::SessionError;
use crate::session::live::LiveSession;
use crate::session::open::AgentPrincipal;
use crate::session::subscription::{StreamPlace, Subscription};

/// Replies that wait for a slow agent.
pub const REPLIES_MAX: usize = 16;
/// Messages between the network and the staging thread.
const MESSAGES_MAX: usize = 4;
/// Longest use of terms that may have changed, in nanoseconds: a suspension ends open streams within it.
const TERMS_CHECK_NS: u64 = 10_000_000_000;
/// Durable points that one stream waits for.
const POINTS_IN_FLIGHT_MAX: u64 = 2;

/// Where the replies of a stream go.
pub type Replies = mpsc::Sender<Result<v1::TransferReply, Status>>;

/// What the durable points of a stream reached.
#[derive(Debug, Clone, Default)]
struct Progress {
    /// Durable points that are over.
    points: u64,
    /// Every Put up to this one is durable.
    number: u64,
    /// One failed; nothing more is acknowledged.
    failed: Option<Status>,
}

/// A stream that begins.
pub struct Transfer {
    /// Whose frames it brings.
    pub open: Arc<Subscription>,
    /// The agent that sends them.
    pub who: AgentPrincipal,
    /// Tells the time.
    pub clock: Clock,
    /// Asks for the terms as they are.
    pub terms: Box<dyn Fn() -> Result<Terms, SessionError> + Send>,
    /// Where acknowledgements go.
    pub replies: Replies,
}

impl Transfer {
    /// Takes messages until the agent ends the stream, the session ends, or something fails.
    pub async fn run(self, stream: Streaming<v1::TransferRequest>, place: StreamPlace) {
        let (messages, waiting) = mpsc::channel(MESSAGES_MAX);
        let (progress, acknowledged) = watch::channel(Progress::default());
        let forwarder = tokio::spawn(forward(acknowledged, self.replies.clone()));
        let replies = self.replies.clone();
        let staging = tokio::task::spawn_blocking(move || {
            let _place = place;
            Staging::new(self, progress).run(waiting)
        });
        let read = read(stream, messages).await;
        let staged = staging.await.unwrap_or_else(|_| Err(of_session(&SessionError::Closing)));
        // The last acknowledgements go out before the end of the stream says how it ended.
        let _ = forwarder.await;
        if let Err(status) = staged.and(read) {
            let _ = replies.send(Err(status)).await;
        }
    }
}

/// Passes messages on; `None` stands for a tick of the clock of durable points.
async fn read(
    mut stream: Streaming<v1::TransferRequest>,
    messages: mpsc::Sender<Option<v1::TransferRequest>>,
) -> Result<(), Status> {
    let mut ticks = tokio::time::interval(Duration::from_millis(DURABLE_EVERY_MS));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let idle = tokio::time::sleep(Duration::from_millis(STREAM_IDLE_MS));
    tokio::pin!(idle);
    loop {
        let message = tokio::select! {
            message = stream.message() => match message? {
                Some(message) => Some(message),
                None => return Ok(()),
            },
            _ = ticks.tick() => None,
            () = &mut idle => return Err(Status::cancelled("the stream was idle")),
        };
        if message.is_some() {
            idle.as_mut().reset(Instant::now() + Duration::from_millis(STREAM_IDLE_MS));
        }
        if messages.send(message).await.is_err() {
            // The staging thread ended, and says why.
            return Ok(());
        }
    }
}

async fn forward(mut progress: watch::Receiver<Progress>, replies: Replies) {
    let mut told = 0;
    while progress.changed().await.is_ok() {
        let Progress { number, failed, .. } = progress.borrow_and_update().clone();
        if failed.is_some() {
            return;
        }
        if number > told {
            told = number;
            let durable = transfer_reply::Body::Durable(v1::Durable { number });
            if replies.send(Ok(v1::TransferReply { body: Some(durable) })).await.is_err() {
                return;
            }
        }
    }
}

struct Staging {
    transfer: Transfer,
    progress: watch::Sender<Progress>,
    session: Option<Arc<LiveSession>>,
    /// Number of the last Put.
    number: u64,
    /// Bytes staged since the last durable point was asked for.
    staged_bytes: u64,
    /// A Put came since then.
    unasked: bool,
    /// Durable points asked for.
    points: u64,
    /// When the terms were last asked for, in nanoseconds since 1970.
    asked_at_ns: i64,
}

impl Staging {
    fn new(transfer: Transfer, progress: watch::Sender<Progress>) -> Self {
        let asked_at_ns = transfer.clock.now_ns();
        Self { transfer, progress, session: None, number: 0, staged_bytes: 0, unasked: false, points: 0, asked_at_ns }
    }

    fn run(mut self, mut waiting: mpsc::Receiver<Option<v1::TransferRequest>>) -> Result<(), Status> {
        while let Some(message) = waiting.blocking_recv() {
            self.check_terms().map_err(|error| of_session(&error))?;
            match message {
                Some(message) => self.take(message).map_err(|error| of_session(&error))?,
                None => self.ask_for_point().map_err(|error| of_session(&error))?,
            }
            self.check_progress()?;
        }
        self.ask_for_point().map_err(|error| of_session(&error))?;
        self.wait_for_points(self.points);
        self.check_progress()
    }

    /// Ends the stream soon after the subscription was suspended or ended, or maintenance began.
    fn check_terms(&mut self) -> Result<(), SessionError> {
        let now = self.transfer.clock.now();
        let now_ns = self.transfer.clock.now_ns();
        if now_ns.abs_diff(self.asked_at_ns) < TERMS_CHECK_NS {
            return Ok(());
        }
        self.asked_at_ns = now_ns;
        let terms = (self.transfer.terms)()?;
        terms.check_backup(now)?;
        // An amendment holds for the batches to come, too.
        self.transfer.open.shared().set_terms(&terms);
        Ok(())
    }

    fn take(&mut self, message: v1::TransferRequest) -> Result<(), SessionError> {
        let session = self.session(&message.session)?;
        match message.body {
            Some(transfer_request::Body::Probe(probe)) => self.probe(&session, &probe),
            Some(transfer_request::Body::Put(put)) => self.put(&session, put),
            Some(transfer_request::Body::Flush(_)) => self.ask_for_point(),
            None => Ok(()),
        }
    }

    fn session(&mut self, named: &Bytes) -> Result<Arc<LiveSession>, SessionError> {
        match &self.session {
            Some(session) if named.is_empty() || named[..] == session.facts.id.as_bytes()[..] => {
                Ok(Arc::clone(session))
            }
            Some(_) => Err(SessionError::invalid("session", "changes within a stream")),
            None => {
                let session = self.transfer.open.live(self.transfer.who, &id("session", named)?)?;
                self.session = Some(Arc::clone(&session));
                Ok(session)
            }
        }
    }

    fn probe(&self, session: &LiveSession, probe: &v1::Probe) -> Result<(), SessionError> {
        let ids = chunk_ids(&probe.ids)?;
        let have = self.transfer.open.have(&session.facts.scope_id, &ids)?;
        let mut bitmap = vec![0u8; have.len().div_ceil(8)];
        for (at, _) in have.iter().enumerate().filter(|(_, have)| **have) {
            bitmap[at / 8] |= 1 << (at % 8);
        }
        self.reply(transfer_reply::Body::Have(v1::Have { number: probe.number, bitmap: bitmap.into() }))
    }

    fn put(&mut self, session: &LiveSession, put: v1::Put) -> Result<(), SessionError> {
        if put.number <= self.number {
            return Err(SessionError::invalid("number", "does not increase"));
        }
        self.number = put.number;
        self.unasked = true;
        let frames = put.frames.into_iter().map(received).collect();
        match self.transfer.open.put(session, frames, self.transfer.clock.now_ns()) {
            Ok(bytes) => self.staged_bytes += bytes,
            Err(error @ SessionError::Quota { .. }) => {
                let error = Some(session_failure(&error).into());
                self.reply(transfer_reply::Body::Refused(v1::Refused { number: put.number, error }))?;
            }
            Err(error) => return Err(error),
        }
        if self.staged_bytes >= DURABLE_EVERY_BYTES { self.ask_for_point() } else { Ok(()) }
    }

    fn ask_for_point(&mut self) -> Result<(), SessionError> {
        if !self.unasked {
            return Ok(());
        }
        self.wait_for_points((self.points + 1).saturating_sub(POINTS_IN_FLIGHT_MAX));
        (self.points, self.staged_bytes, self.unasked) = (self.points + 1, 0, false);
        let (progress, number) = (self.progress.clone(), self.number);
        self.transfer.open.flush(self.transfer.clock.now_ns(), move |result| {
            progress.send_modify(|progress| {
                progress.points += 1;
                match result {
                    Ok(()) if progress.failed.is_none() => progress.number = number,
                    Ok(()) => {}
                    Err(error) => progress.failed = Some(of_session(&error)),
                }
            });
        })
    }

    fn wait_for_points(&self, points: u64) {
        let mut progress = self.progress.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = Handle::current().block_on(progress.wait_for(|progress| progress.points >= points));
    }

    fn check_progress(&self) -> Result<(), Status> {
        self.progress.borrow().failed.clone().map_or(Ok(()), Err)
    }

    fn reply(&self, body: transfer_reply::Body) -> Result<(), SessionError> {
        let reply = v1::TransferReply { body: Some(body) };
        self.transfer.replies.blocking_send(Ok(reply)).map_err(|_| SessionError::Closing)
    }
}

fn received(frame: v1::PutFrame) -> ReceivedFrame {
    let class = match frame.class() {
        v1::FrameClass::Unspecified => None,
        v1::FrameClass::Changed => Some(FrameClass::Changed),
        v1::FrameClass::Relaid => Some(FrameClass::Relaid),
        v1::FrameClass::Reseed => Some(FrameClass::Reseed),
    };
    ReceivedFrame { frame: frame.frame, checksum: frame.checksum, class }
}

/// The ids of a flat field.
///
/// # Errors
/// [`SessionError::Invalid`] if there are too many, or part of one.
pub fn chunk_ids(bytes: &[u8]) -> Result<Vec<ChunkId>, SessionError> {
    let (ids, rest) = bytes.as_chunks::<{ ChunkId::BYTES }>();
    if !rest.is_empty() || ids.len() > IDS_PER_MESSAGE_MAX {
        return Err(SessionError::invalid("ids", "are not 32 bytes each, or too many"));
    }
    Ok(ids.iter().copied().map(ChunkId::new).collect())
}
