//! Every second window of a large file, read and hashed on a thread of its own while the reading works on the one before.
//!
//! Each page has a hash of its own, which takes several times as long as one hash over all of them: it is most of what an unchanged file costs, and one file
//! is read by one worker. It decides nothing.
//!
//! Invariant: I9 — one window waits, one is being made.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::thread::Scope;

use common::keys::IdKey;
use common::limits::WINDOW_BYTES;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::backup::digest::{ChainingValue, hash_window};
use crate::backup::large::covers;
use crate::backup::read::read_exact_at;

const WINDOW: u64 = WINDOW_BYTES as u64;

/// What is read.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The file.
    pub file: &'a File,
    /// Its length.
    pub bytes: u64,
    /// Windows in them are left out.
    pub holes: &'a [Range<u64>],
    /// Keys the hashes.
    pub key: &'a IdKey,
}

/// A window that was read and hashed.
pub struct Window {
    /// What was there; shorter than asked for only at the end of the file.
    pub bytes: Vec<u8>,
    /// Its chaining value.
    pub value: ChainingValue,
    /// Those of its pages.
    pub pages: Vec<ChainingValue>,
}

/// The thread, as its reader sees it. It ends when this is dropped.
pub struct Ahead {
    windows: Receiver<io::Result<Window>>,
    spent: Sender<Window>,
}

impl Ahead {
    /// Starts to read.
    pub fn start<'scope>(scope: &'scope Scope<'scope, '_>, source: Source<'scope>) -> Self {
        let (made, windows) = bounded(1);
        let (spent, reused) = bounded(2);
        scope.spawn(move || read(source, &made, &reused));
        Self { windows, spent }
    }

    /// True for the windows that are read ahead: every second one that is no hole.
    pub fn has(at: u64, end: u64, holes: &[Range<u64>]) -> bool {
        !(at / WINDOW).is_multiple_of(2) && !covers(holes, &(at..end))
    }

    /// The next of them, in order.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next(&self) -> io::Result<Window> {
        self.windows.recv().unwrap_or_else(|_| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Gives a window back, for its room.
    pub fn give_back(&self, window: Window) {
        let _ = self.spent.try_send(window);
    }
}

fn read(source: Source<'_>, made: &Sender<io::Result<Window>>, reused: &Receiver<Window>) {
    let mut at = WINDOW;
    while at < source.bytes {
        let end = source.bytes.min(at + WINDOW);
        if Ahead::has(at, end, source.holes) {
            let window = reused.try_recv().unwrap_or_else(|_| Window {
                bytes: Vec::new(),
                value: ChainingValue::default(),
                pages: Vec::new(),
            });
            let window = fill(source, (at, end), window);
            let is_last = window.is_err();
            if made.send(window).is_err() || is_last {
                return;
            }
        }
        at = end;
    }
}

fn fill(source: Source<'_>, (at, end): (u64, u64), mut window: Window) -> io::Result<Window> {
    window.bytes.resize(usize::try_from(end - at).unwrap_or(WINDOW_BYTES), 0);
    let read = read_exact_at(source.file, at, &mut window.bytes)?;
    window.bytes.truncate(read);
    window.pages.clear();
    if read > 0 {
        window.value = hash_window(source.key, at, &window.bytes, &mut window.pages);
    }
    Ok(window)
}
