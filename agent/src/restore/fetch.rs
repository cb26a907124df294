//! Many chunks at once: requests in flight on the connection, frames opened and used on every core.
//!
//! ```text
//! producer ─► requests ─► request threads (several, each one stream) ─► frames ─► workers: open, verify, use
//! ```
//! The server orders the frames of a request as its store reads them best, so chunks arrive in any order. It does not know
//! files: what a chunk is for travels with its request.
//!
//! Invariant: I9 — both queues are bounded: slow writing slows the connection, and memory stays the same.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use common::frame::FrameHeader;
use common::id::{ChunkId, ScopeId};
use common::keys::ChunkKind;
use common::limits::{FETCH_QUEUE_FRAMES, FETCHES_IN_FLIGHT};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::unlock::{ChunkFailure, FrameOpener, Plain, Unlock};
use crate::remote::restore::Arrival;
use crate::remote::retry::Backoff;
use crate::remote::{Remote, RemoteError};

/// Where frames come from: the server, or a map in tests and benches.
pub trait FrameSource: Sync {
    /// Answers every id once, in any order, by calling `sink`; `Break` from it ends the call early.
    ///
    /// # Errors
    /// If answers are missing and asking again would not help.
    fn fetch(&self, ids: &[ChunkId], sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>) -> Result<(), RemoteError>;
}

/// Frames of one scope on the server, asked for again after a cut.
pub struct RemoteFrames {
    /// The connection.
    pub remote: Remote,
    /// Where it runs; its calls are made from plain threads.
    pub runtime: Handle,
    /// The scope whose frames are read.
    pub scope: ScopeId,
    /// Seed of the retry jitter.
    pub seed: u64,
}

impl FrameSource for RemoteFrames {
    fn fetch(&self, ids: &[ChunkId], sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>) -> Result<(), RemoteError> {
        self.runtime.block_on(self.fetch_until_answered(ids, sink))
    }
}

impl RemoteFrames {
    async fn fetch_until_answered(
        &self,
        ids: &[ChunkId],
        sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let mut backoff = Backoff::new(self.seed);
        let mut left: Vec<ChunkId> = ids.to_vec();
        let mut answered = HashSet::new();
        loop {
            let before = answered.len();
            let error = match self.fetch_once(&left, &mut answered, sink).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if answered.len() > before {
                backoff.reset();
                left.retain(|id| !answered.contains(id));
            }
            match backoff.after(&error) {
                _ if left.is_empty() => return Ok(()),
                Some(delay) => tokio::time::sleep(delay).await,
                None => return Err(error),
            }
        }
    }

    async fn fetch_once(
        &self,
        ids: &[ChunkId],
        answered: &mut HashSet<ChunkId>,
        sink: &mut dyn FnMut(Arrival) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let mut fetch = self.remote.fetch(&self.scope, ids).await?;
        while let Some(arrivals) = fetch.next().await? {
            for arrival in arrivals {
                match &arrival {
                    Arrival::Frame(header, _) => drop(answered.insert(header.id)),
                    Arrival::Absent(id, _) => drop(answered.insert(*id)),
                    Arrival::Envelope(..) => {}
                }
                if sink(arrival).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Chunks wanted together, and what for.
pub struct Request<T> {
    /// What the chunks are for.
    pub purpose: T,
    /// Which, at most `limits::FETCH_IDS`; each is answered once.
    pub ids: Vec<ChunkId>,
}

/// Hands requests to the threads that make them; `Break` when everything is to stop.
pub type Submit<'a, T> = dyn FnMut(Request<T>) -> ControlFlow<()> + 'a;

/// Why a run of requests ended early.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server.
    #[error("fetch chunks")]
    Remote(#[from] RemoteError),
    /// No memory for a decompression context.
    #[error("start a decompressor")]
    Decompressor(#[source] std::io::Error),
}

/// How a run is made.
pub struct Fetcher<'a> {
    /// Where frames come from.
    pub source: &'a dyn FrameSource,
    /// What opens them.
    pub unlock: &'a Unlock,
    /// Threads that open frames and use chunks.
    pub threads: usize,
    /// Set from outside to end early.
    pub stop: &'a AtomicBool,
}

/// A chunk that was asked for, or why it cannot be had.
pub type Answer = (ChunkId, Result<Plain, ChunkFailure>);

enum Work<T> {
    Frame(T, FrameHeader, Bytes),
    Absent(T, ChunkId, ChunkFailure),
}

impl Fetcher<'_> {
    /// Runs `produce` on the calling thread, and on each worker what `consumer` makes, once per requested chunk.
    ///
    /// # Errors
    /// The first error; nothing is then called for chunks that are still outstanding.
    pub fn run<T: Clone + Send, C: FnMut(&T, &ChunkId, Result<Plain, ChunkFailure>)>(
        &self,
        produce: impl FnOnce(&mut Submit<'_, T>),
        consumer: impl Fn() -> C + Sync,
    ) -> Result<(), FetchError> {
        let failure = Mutex::new(None);
        let fail = |error: FetchError| {
            failure.lock().get_or_insert(error);
            self.stop.store(true, Ordering::Relaxed);
        };
        let (request_in, request_out) = bounded::<Request<T>>(FETCHES_IN_FLIGHT);
        let (work_in, work_out) = bounded::<Work<T>>(FETCH_QUEUE_FRAMES);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                let (work_out, consumer, fail) = (work_out.clone(), &consumer, &fail);
                scope.spawn(move || match self.unlock.opener() {
                    Ok(opener) => self.work(opener, &work_out, consumer()),
                    Err(error) => fail(FetchError::Decompressor(error)),
                });
            }
            for _ in 0..FETCHES_IN_FLIGHT {
                let (requests, work, fail) = (request_out.clone(), work_in.clone(), &fail);
                scope.spawn(move || {
                    if let Err(error) = self.ask(&requests, &work) {
                        fail(error.into());
                    }
                });
            }
            // The last holders of each end hang up: requests end the request threads, those end the workers.
            drop((work_in, work_out, request_out));
            let mut submit = |request: Request<T>| self.submit(&request_in, request);
            produce(&mut submit);
            drop(request_in);
        });
        failure.into_inner().map_or(Ok(()), Err)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn submit<T>(&self, requests: &Sender<Request<T>>, request: Request<T>) -> ControlFlow<()> {
        if self.stopped() || (!request.ids.is_empty() && requests.send(request).is_err()) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// One request thread: its stream's frames go to the workers as they come.
    fn ask<T: Clone>(&self, requests: &Receiver<Request<T>>, work: &Sender<Work<T>>) -> Result<(), RemoteError> {
        for request in requests {
            if self.stopped() {
                continue;
            }
            self.source.fetch(&request.ids, &mut |arrival| {
                let work_item = match arrival {
                    Arrival::Envelope(session, sealed) => {
                        self.unlock.learn(session, &sealed);
                        return ControlFlow::Continue(());
                    }
                    Arrival::Frame(header, frame) => Work::Frame(request.purpose.clone(), header, frame),
                    Arrival::Absent(id, why) => Work::Absent(request.purpose.clone(), id, why.into()),
                };
                if self.stopped() || work.send(work_item).is_err() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
        }
        Ok(())
    }

    /// One worker. It drains its queue even when stopped, so that no sender waits for ever.
    fn work<T>(
        &self,
        mut opener: FrameOpener<'_>,
        work: &Receiver<Work<T>>,
        mut consume: impl FnMut(&T, &ChunkId, Result<Plain, ChunkFailure>),
    ) {
        for item in work {
            if self.stopped() {
                continue;
            }
            match item {
                Work::Absent(purpose, id, why) => consume(&purpose, &id, Err(why)),
                Work::Frame(purpose, header, frame) => {
                    let opened = opener.open(&header, &frame);
                    let FrameHeader { id, kind, children, .. } = header;
                    consume(&purpose, &id, opened.map(|bytes| Plain { id, kind, children, bytes }));
                }
            }
        }
    }

    /// The plaintexts of a few chunks, opened on the calling thread; what cannot be had is left out with its reason.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn fetch_few(&self, ids: &[ChunkId]) -> Result<Vec<Answer>, FetchError> {
        let mut opener = self.unlock.opener().map_err(FetchError::Decompressor)?;
        let mut chunks = Vec::with_capacity(ids.len());
        self.source.fetch(ids, &mut |arrival| {
            match arrival {
                Arrival::Envelope(session, sealed) => drop(self.unlock.learn(session, &sealed)),
                Arrival::Absent(id, why) => chunks.push((id, Err(why.into()))),
                Arrival::Frame(header, frame) => {
                    let opened = opener.open(&header, &frame);
                    let FrameHeader { id, kind, children, .. } = header;
                    chunks.push((id, opened.map(|bytes| Plain { id, kind, children, bytes })));
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(chunks)
    }
}

impl Plain {
    /// The bytes of a content chunk.
    ///
    /// # Errors
    /// [`ChunkFailure::Unfitting`] for a node.
    pub fn content(&self) -> Result<&[u8], ChunkFailure> {
        if self.kind == ChunkKind::Data { Ok(&self.bytes) } else { Err(ChunkFailure::Unfitting) }
    }
}
