//! Buffers for content: a fixed number of them, used again and again, shared by the chunks that were cut from them.
//!
//! Their number is what bounds the memory of the pipeline before sealing; who finds none does other work first (`desk`).
//!
//! Invariant: I9 — no more than the pool's buffers exist; one comes back when the last chunk cut from it is gone.

use std::ops::{Deref, Range};
use std::sync::Arc;

use parking_lot::Mutex;

/// Bytes of one buffer: the most that one solid group holds, and one piece of a large file.
pub const BUFFER_BYTES: usize = 8 << 20;

type Returned = Box<dyn Fn() + Send + Sync>;

/// The pool.
pub struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    on_return: Returned,
}

impl Buffers {
    /// A pool of `count` buffers, allocated as they are used. `on_return` is called after one came back.
    pub fn new(count: usize, on_return: impl Fn() + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { free: Mutex::new(vec![Vec::new(); count]), on_return: Box::new(on_return) })
    }

    /// An empty buffer, if one is free.
    pub fn take(self: &Arc<Self>) -> Option<Buffer> {
        let mut bytes = self.free.lock().pop()?;
        bytes.clear();
        bytes.reserve_exact(BUFFER_BYTES);
        Some(Buffer { bytes, pool: self.clone() })
    }
}

/// One buffer being filled.
pub struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Buffers>,
}

impl Buffer {
    /// The bytes so far; at most [`BUFFER_BYTES`] by who fills it.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Ends the filling: chunks are cut from it from here on.
    pub fn share(self) -> Arc<Self> {
        Arc::new(self)
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.free.lock().push(std::mem::take(&mut self.bytes));
        (self.pool.on_return)();
    }
}

/// A range of a shared buffer: the plaintext of one chunk.
#[derive(Clone)]
pub struct Piece {
    buffer: Arc<Buffer>,
    range: Range<usize>,
}

impl Piece {
    /// `range` lies inside the buffer.
    pub fn new(buffer: &Arc<Buffer>, range: Range<usize>) -> Self {
        Self { buffer: buffer.clone(), range }
    }
}

impl Deref for Piece {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.buffer.bytes[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_buffer_comes_back_when_its_last_piece_is_gone() {
        let returned = Arc::new(AtomicUsize::new(0));
        let count = returned.clone();
        let pool = Buffers::new(1, move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let mut buffer = pool.take().unwrap();
        assert!(pool.take().is_none());
        buffer.bytes().extend_from_slice(b"abcdef");
        let buffer = buffer.share();
        let piece = Piece::new(&buffer, 2..4);
        drop(buffer);
        assert_eq!((&*piece, returned.load(Ordering::SeqCst)), (&b"cd"[..], 0));
        drop(piece);
        assert_eq!(returned.load(Ordering::SeqCst), 1);
        assert!(pool.take().unwrap().is_empty());
    }
}
