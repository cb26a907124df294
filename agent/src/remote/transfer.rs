//! The Transfer stream of a session: frames and probes out, durability and knowledge in, surviving cuts.
//!
//! It opens with the first message and again after a cut. What was not acknowledged as durable is kept; after a cut the session
//! is opened again (which is idempotent) and only that is sent again. It does not compress, seal or decide what is sent.
//!
//! Invariant: I9 — at most [`UNACKNOWLEDGED_BYTES_MAX`] bytes wait for their acknowledgement; who sends more waits.
//! Invariant: a refusal ends the stream only after everything that was accepted before it is durable.
//! Invariant: frames leave in the order of [`Transfer::put`], also after a cut, so children stand before their parents.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use common::id::ChunkId;
use common::limits::{IDS_PER_MESSAGE_MAX, UNACKNOWLEDGED_BYTES_MAX};
use parking_lot::{Condvar, Mutex};
use proto::code::Failure;
use proto::v1::{self, transfer_reply, transfer_request};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::remote::backup::{OpenSession, bytes_of};
use crate::remote::pace::Pace;
use crate::remote::retry::Backoff;
use crate::remote::{Remote, RemoteError};

/// Messages handed to HTTP/2 and not yet taken by it.
const QUEUED_MESSAGES_MAX: usize = 2;

/// How the server counts a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameClass {
    /// The source changed.
    Changed,
    /// Laid again by the product itself.
    Relaid,
    /// Laid again because page hashes were lost.
    Reseed,
}

/// A frame on its way.
#[derive(Debug, Clone)]
pub struct OutgoingFrame {
    /// Sealed bytes.
    pub frame: Bytes,
    /// [`common::frame::checksum`] of them.
    pub checksum: [u8; 16],
    /// How it is counted.
    pub class: FrameClass,
}

impl OutgoingFrame {
    fn into_wire(self) -> v1::PutFrame {
        let class = match self.class {
            FrameClass::Changed => v1::FrameClass::Changed,
            FrameClass::Relaid => v1::FrameClass::Relaid,
            FrameClass::Reseed => v1::FrameClass::Reseed,
        };
        v1::PutFrame { frame: self.frame, checksum: bytes_of(&self.checksum), class: class.into() }
    }
}

/// What comes back while frames go out.
#[derive(Debug)]
pub enum Answer {
    /// `have[i]` is true if the i-th id of probe `number` is stored and may be referred to.
    Have {
        /// As given to [`Transfer::probe`].
        number: u64,
        /// One per id.
        have: Vec<bool>,
    },
    /// Nothing more will be answered; [`Transfer::put`] says why.
    Failed,
}

enum Command {
    Put(Unacknowledged),
    Probe(Probe),
    Flush,
}

#[derive(Clone)]
struct Unacknowledged {
    frames: Vec<v1::PutFrame>,
    bytes: u64,
}

struct Probe {
    number: u64,
    ids: Bytes,
}

#[derive(Default)]
struct Window {
    unacknowledged_bytes: u64,
    /// A message was refused: the stream is about to fail, once what was accepted is durable.
    refused: bool,
    failed: Option<RemoteError>,
}

#[derive(Default)]
struct Shared {
    window: Mutex<Window>,
    changed: Condvar,
}

impl Shared {
    fn acknowledge(&self, bytes: u64) {
        let mut window = self.window.lock();
        window.unacknowledged_bytes = window.unacknowledged_bytes.saturating_sub(bytes);
        self.changed.notify_all();
    }
}

/// The sending side of a session, used from plain threads; the stream itself lives on the runtime.
pub struct Transfer {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    task: tokio::task::JoinHandle<()>,
}

impl Transfer {
    /// Starts the stream of a session that is open. Must run inside a tokio runtime. `retry_seed` is random.
    pub fn start(
        remote: Remote,
        open: OpenSession,
        retry_seed: u64,
        answers: impl Fn(Answer) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let (commands, queue) = mpsc::unbounded_channel();
        let stream = Stream {
            remote,
            open,
            shared: shared.clone(),
            queue,
            answers: Box::new(answers),
            backoff: Backoff::new(retry_seed),
            unacknowledged: VecDeque::new(),
            probes: Vec::new(),
            refusal: None,
        };
        Self { shared, commands, task: tokio::spawn(stream.run()) }
    }

    /// Sends frames in one message; waits while too much is unacknowledged.
    ///
    /// # Errors
    /// What ended the stream.
    pub fn put(&self, frames: Vec<OutgoingFrame>) -> Result<(), RemoteError> {
        let bytes = frames.iter().map(|frame| frame.frame.len() as u64).sum();
        let mut window = self.shared.window.lock();
        while window.failed.is_none()
            && window.unacknowledged_bytes > 0
            && window.unacknowledged_bytes + bytes > UNACKNOWLEDGED_BYTES_MAX
        {
            self.shared.changed.wait(&mut window);
        }
        if let Some(error) = &window.failed {
            return Err(error.clone());
        }
        window.unacknowledged_bytes += bytes;
        let frames = frames.into_iter().map(OutgoingFrame::into_wire).collect();
        // Sent under the lock, so that two threads cannot exchange their messages.
        self.send(Command::Put(Unacknowledged { frames, bytes }))
    }

    /// Asks whether chunks are stored; the answer comes through `answers` under `number`.
    ///
    /// # Errors
    /// What ended the stream.
    pub fn probe(&self, number: u64, ids: &[ChunkId]) -> Result<(), RemoteError> {
        assert!(ids.len() <= IDS_PER_MESSAGE_MAX, "callers cut probes: the pipeline's invariant");
        let ids = ids.iter().flat_map(|id| id.as_bytes()).copied().collect::<Vec<u8>>().into();
        self.send(Command::Probe(Probe { number, ids }))
    }

    /// Waits until everything that was put is durable.
    ///
    /// # Errors
    /// What ended the stream.
    pub fn wait_durable(&self) -> Result<(), RemoteError> {
        if self.shared.window.lock().unacknowledged_bytes > 0 {
            self.send(Command::Flush)?;
        }
        let mut window = self.shared.window.lock();
        // A refused message is settled with those beside it, and is not durable.
        while window.failed.is_none() && (window.unacknowledged_bytes > 0 || window.refused) {
            self.shared.changed.wait(&mut window);
        }
        window.failed.clone().map_or(Ok(()), Err)
    }

    /// What ended the stream, if something did.
    pub fn failure(&self) -> Option<RemoteError> {
        self.shared.window.lock().failed.clone()
    }

    fn send(&self, command: Command) -> Result<(), RemoteError> {
        self.commands.send(command).map_err(|_| RemoteError::Unreachable("the stream ended".into()))
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Stream {
    remote: Remote,
    open: OpenSession,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedReceiver<Command>,
    answers: Box<dyn Fn(Answer) + Send + Sync>,
    backoff: Backoff,
    /// Put messages that are not durable, oldest first.
    unacknowledged: VecDeque<Unacknowledged>,
    /// Probes without an answer.
    probes: Vec<Probe>,
    /// Why a Put was refused: nothing more is taken, and the stream ends when what was sent is settled.
    refusal: Option<Failure>,
}

/// One connected stream. Numbers of Put messages start again at 1 on each.
struct Connected {
    outgoing: Option<mpsc::Sender<v1::TransferRequest>>,
    incoming: Streaming<v1::TransferReply>,
    /// Put messages that an earlier stream did not bring to durability, oldest first.
    again: VecDeque<v1::Put>,
    /// What is to be sent before the next command is taken.
    backlog: VecDeque<v1::TransferRequest>,
    sent_puts: u64,
    durable_puts: u64,
    pace: Option<Arc<Pace>>,
}

impl Stream {
    async fn run(mut self) {
        let mut is_first = true;
        loop {
            // The stream opens with the first message: a backup that sends nothing never opens it.
            if self.unacknowledged.is_empty() && self.probes.is_empty() {
                match self.queue.recv().await {
                    Some(command) => drop(self.accept(command)),
                    None => return,
                }
            }
            let outcome = self.connection(is_first).await;
            is_first = false;
            let error = match outcome {
                Ok(()) => continue,
                Err(error) => error,
            };
            match self.backoff.after(&error) {
                Some(delay) => {
                    tracing::info!(%error, delay_ms = delay.as_millis(), "transfer was cut and goes on");
                    tokio::time::sleep(delay).await;
                }
                None => {
                    self.shared.window.lock().failed = Some(error);
                    self.shared.changed.notify_all();
                    return (self.answers)(Answer::Failed);
                }
            }
        }
    }

    /// Keeps what a command asks for until it is answered; its body on the wire.
    fn accept(&mut self, command: Command) -> transfer_request::Body {
        match command {
            Command::Put(put) => {
                let body = v1::Put { number: 0, frames: put.frames.clone() };
                self.unacknowledged.push_back(put);
                transfer_request::Body::Put(body)
            }
            Command::Probe(probe) => {
                let body = v1::Probe { number: probe.number, ids: probe.ids.clone() };
                self.probes.push(probe);
                transfer_request::Body::Probe(body)
            }
            Command::Flush => transfer_request::Body::Flush(v1::Flush {}),
        }
    }

    /// Serves one stream until it ends: `Ok` if it ended while nothing was owed.
    async fn connection(&mut self, is_first: bool) -> Result<(), RemoteError> {
        if !is_first {
            self.remote.open_session(&self.open).await?;
        }
        let mut connected = self.connect().await?;
        loop {
            if self.unacknowledged.is_empty()
                && let Some(refusal) = &self.refusal
            {
                return Err(RemoteError::Refused(refusal.clone()));
            }
            connected.send_again();
            match connected.next(&mut self.queue, self.refusal.is_none()).await {
                Event::Reply(reply) => match reply? {
                    Some(reply) => self.handle(reply, &mut connected)?,
                    None if self.unacknowledged.is_empty() && self.probes.is_empty() => return Ok(()),
                    None => return Err(RemoteError::Unreachable("the stream ended early".into())),
                },
                Event::Sent => {}
                Event::Command(Some(command)) => {
                    let body = self.accept(command);
                    connected.push(body);
                }
                Event::Closed | Event::Command(None) => connected.outgoing = None,
            }
        }
    }

    async fn connect(&mut self) -> Result<Connected, RemoteError> {
        let (outgoing, messages) = mpsc::channel(QUEUED_MESSAGES_MAX);
        let first = v1::TransferRequest {
            session: bytes_of(self.open.session.as_bytes()),
            body: Some(transfer_request::Body::Flush(v1::Flush {})),
        };
        // Before the call: a server may want the first message before it answers.
        outgoing.try_send(first).map_err(|_| RemoteError::Protocol("the stream has no room".into()))?;
        let request = self.remote.request(ReceiverStream::new(messages));
        let incoming = self.remote.backup_client().transfer(request).await?.into_inner();
        let outgoing = Some(outgoing);
        let pace = self.remote.pace();
        let again = self.unacknowledged.iter().map(|put| v1::Put { number: 0, frames: put.frames.clone() }).collect();
        let backlog = VecDeque::new();
        let mut connected = Connected { outgoing, incoming, again, backlog, sent_puts: 0, durable_puts: 0, pace };
        for probe in &self.probes {
            let body = v1::Probe { number: probe.number, ids: probe.ids.clone() };
            connected.push(transfer_request::Body::Probe(body));
        }
        Ok(connected)
    }

    fn handle(&mut self, reply: v1::TransferReply, connected: &mut Connected) -> Result<(), RemoteError> {
        let protocol = |what: &str| RemoteError::Protocol(what.to_owned());
        match reply.body.ok_or_else(|| protocol("an empty answer on the stream"))? {
            transfer_reply::Body::Durable(durable) => {
                if durable.number > connected.sent_puts {
                    return Err(protocol("an acknowledgement of what was never sent"));
                }
                while connected.durable_puts < durable.number {
                    connected.durable_puts += 1;
                    let put = self.unacknowledged.pop_front().ok_or_else(|| protocol("acknowledged twice"))?;
                    self.shared.acknowledge(put.bytes);
                }
            }
            transfer_reply::Body::Have(have) => {
                let at = self.probes.iter().position(|probe| probe.number == have.number);
                let probe = self.probes.swap_remove(at.ok_or_else(|| protocol("an answer to no probe"))?);
                let bit = |i: usize| have.bitmap.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
                let have = (0..probe.ids.len() / ChunkId::BYTES).map(bit).collect();
                (self.answers)(Answer::Have { number: probe.number, have });
            }
            transfer_reply::Body::Refused(refused) => {
                let detail = refused.error.ok_or_else(|| protocol("a refusal without a reason"))?;
                if self.refusal.is_none() {
                    self.refusal = Some(Failure::from(detail));
                    self.shared.window.lock().refused = true;
                    connected.push(transfer_request::Body::Flush(v1::Flush {}));
                }
            }
        }
        self.backoff.reset();
        Ok(())
    }
}

/// Room for a message, once its time has come.
async fn room<'a, T>(
    pace: Option<&Pace>,
    outgoing: &'a mpsc::Sender<T>,
) -> Result<mpsc::Permit<'a, T>, mpsc::error::SendError<()>> {
    if let Some(pace) = pace {
        pace.ready().await;
    }
    outgoing.reserve().await
}

/// Bytes of the frames in a message; the rest of it is small.
fn frame_bytes(message: &v1::TransferRequest) -> u64 {
    match &message.body {
        Some(transfer_request::Body::Put(put)) => put.frames.iter().map(|frame| frame.frame.len() as u64).sum(),
        _ => 0,
    }
}

enum Event {
    Reply(Result<Option<v1::TransferReply>, tonic::Status>),
    Sent,
    Command(Option<Command>),
    /// The server takes no more: its status comes as a reply.
    Closed,
}

impl Connected {
    fn push(&mut self, mut body: transfer_request::Body) {
        if let transfer_request::Body::Put(put) = &mut body {
            self.sent_puts += 1;
            put.number = self.sent_puts;
        }
        self.backlog.push_back(v1::TransferRequest { session: Bytes::new(), body: Some(body) });
    }

    /// Hands over what is sent a second time: one message, then two more for each that became durable. A line that is cut every few
    /// megabytes must bring some of them to the end each time, or it would carry the same ones for ever.
    fn send_again(&mut self) {
        while self.sent_puts - self.durable_puts < 1 + self.durable_puts
            && let Some(put) = self.again.pop_front()
        {
            self.push(transfer_request::Body::Put(put));
            self.push(transfer_request::Body::Flush(v1::Flush {}));
        }
    }

    /// Whatever happens first; a command is taken only when nothing waits to be sent, and only if `takes_more`.
    async fn next(&mut self, queue: &mut mpsc::UnboundedReceiver<Command>, takes_more: bool) -> Event {
        let Some(outgoing) = &self.outgoing else { return Event::Reply(self.incoming.message().await) };
        tokio::select! {
            reply = self.incoming.message() => Event::Reply(reply),
            permit = room(self.pace.as_deref(), outgoing), if !self.backlog.is_empty() => match permit {
                Ok(permit) => {
                    let message = self.backlog.pop_front().expect("the branch is only taken with a backlog");
                    if let Some(pace) = &self.pace {
                        pace.sent(frame_bytes(&message));
                    }
                    permit.send(message);
                    Event::Sent
                }
                Err(_) => Event::Closed,
            },
            command = queue.recv(), if takes_more && self.backlog.is_empty() && self.again.is_empty() => Event::Command(command),
        }
    }
}
