//! From bytes in a buffer to chunks on their way: cutting, naming, asking the server, sealing what it lacks.
//!
//! A [`Stream`] is what one job lays: segments that are cut each for itself, in as many buffers as they take. It reads no file.
//!
//! Invariant: a chunk of the last tree is never asked for, compressed or sent; any other only after the server said that it lacks it.

use std::ops::Range;
use std::sync::Arc;

use common::frame::Chunk;
use common::keys::ChunkKind;
use common::limits::IDS_PER_MESSAGE_MAX;

use crate::backup::BackupError;
use crate::backup::buffers::{BUFFER_BYTES, Buffer, Piece};
use crate::backup::desk::PendingChunk;
use crate::backup::job::LaidChunk;
use crate::backup::progress::Progress;
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::remote::transfer::FrameClass;

/// Why laying ended before its end.
pub enum Stop {
    /// One file cannot be read; the run goes on.
    File(std::io::Error),
    /// The run.
    Run(BackupError),
    /// The run, and who stopped it said why.
    Quiet,
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::File(error)
    }
}

/// A failure of the run, apart from those of one file.
pub struct StopRun(pub BackupError);

impl<E: Into<BackupError>> From<E> for StopRun {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<StopRun> for Stop {
    fn from(stop: StopRun) -> Self {
        Self::Run(stop.0)
    }
}

/// What one job lays.
pub struct Stream<'a, 'r> {
    shared: &'a Shared<'r>,
    press: &'a mut Press,
    buffer: Buffer,
    /// Bytes of the stream before this buffer.
    before: u64,
    /// Chunks cut from this buffer.
    cut: Vec<(Range<usize>, FrameClass)>,
    /// Where the open segment, or what is left of it, starts.
    open_from: usize,
    /// How the open segment is counted.
    class: FrameClass,
    chunks: Vec<LaidChunk>,
}

impl<'a, 'r> Stream<'a, 'r> {
    /// Starts in an empty buffer; what is laid counts as `class`.
    pub fn new(shared: &'a Shared<'r>, press: &'a mut Press, buffer: Buffer, class: FrameClass) -> Self {
        Self { shared, press, buffer, before: 0, cut: Vec::new(), open_from: 0, class, chunks: Vec::new() }
    }

    /// Position of the next byte in the stream.
    pub fn position(&self) -> u64 {
        self.before + self.buffer.len() as u64
    }

    /// The buffer, with room for `bytes` more of the open segment.
    ///
    /// # Errors
    /// [`Stop`] of the run.
    pub fn room(&mut self, bytes: usize) -> Result<&mut Vec<u8>, Stop> {
        if self.buffer.len() + bytes > BUFFER_BYTES {
            self.turn_over()?;
        }
        Ok(self.buffer.bytes())
    }

    /// The buffer as it is.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.bytes()
    }

    /// Ends the open segment: its last chunk ends here.
    pub fn end_segment(&mut self) {
        while self.open_from < self.buffer.len() {
            self.cut_one();
        }
    }

    /// Ends the open segment; what follows counts as `class`.
    pub fn begin(&mut self, class: FrameClass) {
        self.end_segment();
        self.class = class;
    }

    /// Ends the stream; its chunks, in order.
    ///
    /// # Errors
    /// [`Stop`] of the run.
    pub fn finish(mut self) -> Result<Vec<LaidChunk>, Stop> {
        self.end_segment();
        let whole = self.buffer.share();
        self.chunks.extend(deliver(self.shared, &whole, &self.cut)?);
        Ok(self.chunks)
    }

    fn cut_one(&mut self) {
        let bytes = self.shared.cut(&self.buffer[self.open_from..]);
        self.cut.push((self.open_from..self.open_from + bytes, self.class));
        self.open_from += bytes;
    }

    /// Cuts what can be cut of a segment that goes on, and starts another buffer with the rest.
    fn turn_over(&mut self) -> Result<(), Stop> {
        while self.buffer.len() - self.open_from >= self.shared.splitter.lookahead_bytes() {
            self.cut_one();
        }
        let (shared, press) = (self.shared, &mut *self.press);
        let next = shared.desk.another_buffer(|chunk| seal(shared, press, chunk))?.ok_or(Stop::Quiet)?;
        let full = std::mem::replace(&mut self.buffer, next).share();
        self.before += self.open_from as u64;
        self.buffer.bytes().extend_from_slice(&full[self.open_from..]);
        self.open_from = 0;
        self.chunks.extend(deliver(shared, &full, &std::mem::take(&mut self.cut))?);
        Ok(())
    }
}

/// Cuts a whole buffer to its end; its chunks.
///
/// # Errors
/// [`StopRun`].
pub fn lay_whole(shared: &Shared<'_>, buffer: Buffer) -> Result<Vec<LaidChunk>, StopRun> {
    let whole = buffer.share();
    let (mut ranges, mut at) = (Vec::new(), 0);
    while at < whole.len() {
        let bytes = shared.cut(&whole[at..]);
        ranges.push((at..at + bytes, FrameClass::Changed));
        at += bytes;
    }
    deliver(shared, &whole, &ranges)
}

/// Seals one chunk and hands it over.
///
/// # Errors
/// [`StopRun`].
pub fn seal(shared: &Shared<'_>, press: &mut Press, chunk: PendingChunk) -> Result<(), StopRun> {
    let plain_bytes = chunk.piece.len() as u64;
    let frame = press.seal(&Chunk { kind: ChunkKind::Data, id: chunk.id, children: &[], plaintext: &chunk.piece })?;
    // The buffer is free before this thread may have to wait for the way out.
    let (id, class) = (chunk.id, chunk.class);
    drop(chunk);
    Progress::add(&shared.progress.bytes_laid, plain_bytes);
    Progress::add(&shared.progress.data_frames_sent, 1);
    Ok(shared.upload.put(&id, frame, class)?)
}

/// Names chunks, and asks the server about those that are new to this agent.
fn deliver(
    shared: &Shared<'_>,
    buffer: &Arc<Buffer>,
    ranges: &[(Range<usize>, FrameClass)],
) -> Result<Vec<LaidChunk>, StopRun> {
    let (mut chunks, mut pending) = (Vec::with_capacity(ranges.len()), Vec::new());
    for (range, class) in ranges {
        let id = shared.keys.id.chunk_id(ChunkKind::Data, &[], &buffer[range.clone()]);
        chunks.push((id, u32::try_from(range.len()).unwrap_or(u32::MAX)));
        if !shared.known.is_stored(&id)? && shared.upload.claim(&id) {
            pending.push(PendingChunk { id, piece: Piece::new(buffer, range.clone()), class: *class });
        }
    }
    while !pending.is_empty() {
        let rest = pending.split_off(pending.len().min(IDS_PER_MESSAGE_MAX));
        let ids: Vec<_> = pending.iter().map(|chunk| chunk.id).collect();
        let number = shared.desk.keep_for_probe(pending);
        shared.transfer.probe(number, &ids)?;
        pending = rest;
    }
    Ok(chunks)
}
