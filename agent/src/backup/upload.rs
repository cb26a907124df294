//! What was handed over for sending, and in which order: chunks once, children before their parents.
//!
//! It batches frames into messages and knows which chunks need not be sent; the stream itself is `remote::transfer`.
//!
//! Invariant: a chunk is claimed by one thread only, so it is sealed and sent at most once in a run.
//! Invariant: a node is handed over after everything that it refers to.
//! Invariant: of a chunk that is absent no frame was handed over, and none will be.

use std::sync::Arc;

use bytes::Bytes;
use common::frame::checksum;
use common::id::ChunkId;
use parking_lot::{Condvar, Mutex};

use crate::backup::progress::Progress;
use crate::remote::RemoteError;
use crate::remote::transfer::{FrameClass, OutgoingFrame, Transfer};
use crate::state::by_id::ById;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Some thread has it in hand.
    Claimed,
    /// In the outbox, on its way, or stored.
    Handed,
    /// Neither stored nor to be sent: the contract leaves no room for it.
    Absent,
}

#[derive(Default)]
struct Ledger {
    chunks: ById<State>,
    failed: bool,
}

#[derive(Default)]
struct Outbox {
    frames: Vec<OutgoingFrame>,
    bytes: usize,
}

/// How much goes into one message, and into one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portions {
    /// Bytes of frames from which on a message is sent.
    pub message_bytes: usize,
    /// Longest chunk of data.
    pub chunk_bytes: usize,
}

/// The way out of the pipeline.
pub struct Upload {
    message_bytes: usize,
    transfer: Arc<Transfer>,
    progress: Arc<Progress>,
    ledger: Mutex<Ledger>,
    handed: Condvar,
    outbox: Mutex<Outbox>,
}

impl Upload {
    /// Starts with nothing known.
    pub fn new(transfer: Arc<Transfer>, progress: Arc<Progress>, portions: Portions) -> Self {
        let (ledger, handed, outbox) = (Mutex::default(), Condvar::new(), Mutex::default());
        Self { message_bytes: portions.message_bytes, transfer, progress, ledger, handed, outbox }
    }

    /// True if the caller is the one that must bring this chunk.
    pub fn claim(&self, id: &ChunkId) -> bool {
        let mut ledger = self.ledger.lock();
        let is_new = !ledger.chunks.contains_key(id);
        if is_new {
            ledger.chunks.insert(*id, State::Claimed);
        }
        is_new
    }

    /// Notes that a claimed chunk is stored already.
    pub fn is_stored(&self, id: &ChunkId) {
        self.ledger.lock().chunks.insert(*id, State::Handed);
        self.handed.notify_all();
    }

    /// Notes that a claimed chunk is not stored and is not going to be.
    pub fn is_absent(&self, id: &ChunkId) {
        self.ledger.lock().chunks.insert(*id, State::Absent);
        self.handed.notify_all();
    }

    /// Waits until it is known whether a chunk that somebody claimed is stored or on its way; false if it is absent.
    ///
    /// # Errors
    /// [`RemoteError`] if the run failed meanwhile.
    pub fn wait_known(&self, id: &ChunkId) -> Result<bool, RemoteError> {
        let mut ledger = self.ledger.lock();
        loop {
            match ledger.chunks.get(id) {
                Some(State::Handed) => return Ok(true),
                Some(State::Absent) | None => return Ok(false),
                Some(State::Claimed) if ledger.failed => {
                    return Err(RemoteError::Unreachable("the transfer ended".into()));
                }
                Some(State::Claimed) => self.handed.wait(&mut ledger),
            }
        }
    }

    /// Hands over the frame of a claimed chunk; waits while the way out is full.
    ///
    /// # Errors
    /// What ended the stream.
    pub fn put(&self, id: &ChunkId, frame: Bytes, class: FrameClass) -> Result<(), RemoteError> {
        let checksum = checksum(&frame);
        let mut outbox = self.outbox.lock();
        outbox.bytes += frame.len();
        outbox.frames.push(OutgoingFrame { frame, checksum, class });
        self.is_stored(id);
        // Sent under the lock: messages leave in the order in which they were filled.
        if outbox.bytes >= self.message_bytes { self.send(&mut outbox) } else { Ok(()) }
    }

    /// Waits until every one of `children` that is not in `stored` was handed over.
    ///
    /// # Errors
    /// [`RemoteError`] if the run failed meanwhile.
    pub fn wait_handed(&self, children: &[ChunkId], stored: impl Fn(&ChunkId) -> bool) -> Result<(), RemoteError> {
        let mut ledger = self.ledger.lock();
        for child in children {
            while ledger.chunks.get(child) != Some(&State::Handed) && !stored(child) {
                if ledger.failed {
                    return Err(RemoteError::Unreachable("the transfer ended".into()));
                }
                self.handed.wait(&mut ledger);
            }
        }
        Ok(())
    }

    /// Sends what is left and waits until all of it is durable.
    ///
    /// # Errors
    /// What ended the stream.
    pub fn finish(&self) -> Result<(), RemoteError> {
        let mut outbox = self.outbox.lock();
        if !outbox.frames.is_empty() {
            self.send(&mut outbox)?;
        }
        self.transfer.wait_durable()
    }

    /// Lets everybody who waits go.
    pub fn fail(&self) {
        self.ledger.lock().failed = true;
        self.handed.notify_all();
    }

    fn send(&self, outbox: &mut Outbox) -> Result<(), RemoteError> {
        let frames = std::mem::take(&mut outbox.frames);
        self.progress.add_sent(frames.len() as u64, outbox.bytes as u64);
        outbox.bytes = 0;
        self.transfer.put(frames)
    }
}
