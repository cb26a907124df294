//! Who does what next: files to read, chunks to seal, free buffers, the order of decisions.
//!
//! Workers prefer sealing, which frees buffers, to reading, which takes them. It knows nothing of files or frames.
//!
//! Invariant: a job is started only with a buffer in hand, and who waits for another buffer seals meanwhile: no worker waits for
//! something that only itself could do.
//! Invariant: groups decide about their contents in the order in which they were submitted, so equal runs lay equal chunks.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use common::id::ChunkId;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::backup::buffers::{Buffer, Buffers, Piece};
use crate::backup::job::Job;
use crate::remote::transfer::FrameClass;

/// A chunk of which the server may know nothing yet.
pub struct PendingChunk {
    /// Its name.
    pub id: ChunkId,
    /// Its plaintext.
    pub piece: Piece,
    /// How it is counted.
    pub class: FrameClass,
}

/// What a worker does next.
pub enum Task {
    /// Compress, seal and hand over.
    Seal(PendingChunk),
    /// Read files into this buffer.
    Read(Job, Buffer),
    /// Nothing is left, or the run failed.
    End,
}

/// Whether a run sends chunks that the server lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Laying {
    /// It does.
    AsNeeded,
    /// It makes do with what is stored: the contract leaves no room for more.
    Nothing,
}

/// What became of the chunks of a probe that are not to be sealed.
#[derive(Debug, PartialEq, Eq)]
pub struct Answered {
    /// The server has them.
    pub stored: Vec<ChunkId>,
    /// It lacks them, and they are not sent.
    pub absent: Vec<ChunkId>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    to_seal: VecDeque<PendingChunk>,
    probes: HashMap<u64, Vec<PendingChunk>>,
    probe_number: u64,
    /// Tasks in the hands of workers.
    at_work: usize,
    /// Groups submitted, and the one whose turn it is to decide.
    groups_submitted: u64,
    turn: u64,
    closed: bool,
    failed: bool,
}

/// Shared by all threads of a run.
pub struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    buffers: Mutex<Option<Arc<Buffers>>>,
    jobs_max: usize,
    laying: Laying,
}

impl Desk {
    /// A desk where at most `jobs_max` jobs wait, with `buffer_count` buffers.
    pub fn new(jobs_max: usize, buffer_count: usize, laying: Laying) -> Arc<Self> {
        let (state, changed, buffers) = (Mutex::default(), Condvar::new(), Mutex::default());
        let desk = Arc::new(Self { state, changed, buffers, jobs_max, laying });
        let waker = Arc::downgrade(&desk);
        let wake = move || {
            if let Some(desk) = waker.upgrade() {
                // Under the lock: a worker that has just found no buffer is either before its look or already waiting.
                drop(desk.state.lock());
                desk.changed.notify_all();
            }
        };
        *desk.buffers.lock() = Some(Buffers::new(buffer_count, wake));
        desk
    }

    /// Adds a job; waits while enough of them wait. False if the run failed.
    pub fn submit(&self, mut job: Job) -> bool {
        let mut state = self.state.lock();
        while state.jobs.len() >= self.jobs_max && !state.failed {
            self.changed.wait(&mut state);
        }
        if let Job::Group(group) = &mut job {
            group.turn = state.groups_submitted;
            state.groups_submitted += 1;
        }
        state.jobs.push_back(job);
        self.changed.notify_all();
        !state.failed
    }

    /// Says that no job follows: workers end when everything is done.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// Ends all work.
    pub fn fail(&self) {
        self.state.lock().failed = true;
        self.changed.notify_all();
    }

    /// The next task; waits for one. After it, [`Self::done`].
    pub fn next(&self) -> Task {
        let mut state = self.state.lock();
        loop {
            if state.failed {
                return Task::End;
            }
            if let Some(chunk) = state.to_seal.pop_front() {
                state.at_work += 1;
                return Task::Seal(chunk);
            }
            if !state.jobs.is_empty()
                && let Some(buffer) = self.free_buffer()
                && let Some(job) = state.jobs.pop_front()
            {
                state.at_work += 1;
                self.changed.notify_all();
                return Task::Read(job, buffer);
            }
            if state.closed && state.jobs.is_empty() && state.probes.is_empty() && state.at_work == 0 {
                self.changed.notify_all();
                return Task::End;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Ends a task that [`Self::next`] gave.
    pub fn done(&self) {
        let mut state = self.state.lock();
        state.at_work -= 1;
        if state.at_work == 0 {
            self.changed.notify_all();
        }
    }

    /// One more buffer in the middle of a job; `seal` is called for chunks that wait meanwhile. `None` if the run failed.
    pub fn another_buffer<E>(&self, mut seal: impl FnMut(PendingChunk) -> Result<(), E>) -> Result<Option<Buffer>, E> {
        let mut state = self.state.lock();
        loop {
            if state.failed {
                return Ok(None);
            }
            if let Some(buffer) = self.free_buffer() {
                return Ok(Some(buffer));
            }
            match state.to_seal.pop_front() {
                Some(chunk) => MutexGuard::unlocked(&mut state, || seal(chunk))?,
                None => self.changed.wait(&mut state),
            }
        }
    }

    /// Waits for the turn of a group, lets `decide` run alone, and passes the turn on. `None` if the run failed.
    pub fn in_turn<T>(&self, turn: u64, decide: impl FnOnce() -> T) -> Option<T> {
        let mut state = self.state.lock();
        while state.turn != turn {
            if state.failed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let decided = MutexGuard::unlocked(&mut state, decide);
        state.turn += 1;
        self.changed.notify_all();
        Some(decided)
    }

    /// Keeps chunks until the server said which of them it has; the number of the probe to send.
    pub fn keep_for_probe(&self, chunks: Vec<PendingChunk>) -> u64 {
        let mut state = self.state.lock();
        state.probe_number += 1;
        let number = state.probe_number;
        state.probes.insert(number, chunks);
        number
    }

    /// Puts the chunks of a probe that are not stored up for sealing, if the run lays any; the ids of the others.
    pub fn answer(&self, number: u64, have: &[bool]) -> Answered {
        let mut state = self.state.lock();
        let (mut stored, mut absent) = (Vec::new(), Vec::new());
        for (at, chunk) in state.probes.remove(&number).unwrap_or_default().into_iter().enumerate() {
            match (have.get(at).copied().unwrap_or(false), self.laying) {
                (true, _) => stored.push(chunk),
                (false, Laying::AsNeeded) => state.to_seal.push_back(chunk),
                (false, Laying::Nothing) => absent.push(chunk),
            }
        }
        drop(state);
        self.changed.notify_all();
        // Their buffers go back outside of the lock, which returning them takes.
        let ids = |chunks: Vec<PendingChunk>| chunks.into_iter().map(|chunk| chunk.id).collect();
        Answered { stored: ids(stored), absent: ids(absent) }
    }

    fn free_buffer(&self) -> Option<Buffer> {
        self.buffers.lock().as_ref().and_then(Buffers::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::job::Group;

    fn group(number: u32) -> Job {
        Job::Group(Group { number, turn: 0, files: Vec::new() })
    }

    fn pending(id: u8, buffer: &Arc<Buffer>) -> PendingChunk {
        PendingChunk { id: ChunkId::new([id; 32]), piece: Piece::new(buffer, 0..0), class: FrameClass::Changed }
    }

    #[test]
    fn groups_decide_in_the_order_of_submission_whoever_reads_faster() {
        let desk = Desk::new(10, 4, Laying::AsNeeded);
        let decided = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Task::Read(Job::Group(group), buffer) = desk.next() {
                        // Odd ones are slow: they come to their decision only after another thread ran.
                        (0..group.number % 2 * 50).for_each(|_| std::thread::yield_now());
                        desk.in_turn(group.turn, || decided.lock().push(group.number)).unwrap();
                        drop(buffer);
                        desk.done();
                    }
                });
            }
            (0..40).for_each(|number| assert!(desk.submit(group(number))));
            desk.close();
        });
        assert_eq!(*decided.lock(), (0..40).collect::<Vec<_>>());
    }

    #[test]
    fn who_waits_for_a_buffer_seals_meanwhile() {
        let desk = Desk::new(1, 1, Laying::AsNeeded);
        desk.submit(group(1));
        let Task::Read(_, mut buffer) = desk.next() else { panic!("a job waits") };
        buffer.bytes().extend_from_slice(b"content");
        let shared = buffer.share();
        let chunk =
            PendingChunk { id: ChunkId::new([1; 32]), piece: Piece::new(&shared, 0..7), class: FrameClass::Changed };
        drop(shared);
        let number = desk.keep_for_probe(vec![chunk]);
        assert!(desk.answer(number, &[false]).stored.is_empty());
        let mut sealed = 0;
        let buffer = desk.another_buffer(|chunk| {
            sealed += chunk.piece.len();
            Ok::<_, ()>(())
        });
        assert!(buffer.unwrap().is_some_and(|buffer| buffer.is_empty()));
        assert_eq!(sealed, 7);
    }

    #[test]
    fn chunks_that_the_server_has_are_not_sealed() {
        let desk = Desk::new(1, 2, Laying::AsNeeded);
        let buffer = desk.free_buffer().unwrap().share();
        let chunks = (0..3).map(|at| pending(at, &buffer));
        let number = desk.keep_for_probe(chunks.collect());
        let stored = vec![ChunkId::new([0; 32]), ChunkId::new([2; 32])];
        assert_eq!(desk.answer(number, &[true, false, true]), Answered { stored, absent: Vec::new() });
        let Task::Seal(chunk) = desk.next() else { panic!("one is left") };
        assert_eq!(chunk.id, ChunkId::new([1; 32]));
    }

    #[test]
    fn a_run_that_lays_nothing_seals_nothing() {
        let desk = Desk::new(1, 2, Laying::Nothing);
        let buffer = desk.free_buffer().unwrap().share();
        let chunks = (0..2).map(|at| pending(at, &buffer));
        let number = desk.keep_for_probe(chunks.collect());
        let (stored, absent) = (vec![ChunkId::new([1; 32])], vec![ChunkId::new([0; 32])]);
        assert_eq!(desk.answer(number, &[false, true]), Answered { stored, absent });
        desk.close();
        assert!(matches!(desk.next(), Task::End));
    }

    #[test]
    fn a_failure_lets_everybody_go() {
        let desk = Desk::new(1, 1, Laying::AsNeeded);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| matches!(desk.next(), Task::End));
            let turn = scope.spawn(|| desk.in_turn(7, || ()).is_none());
            desk.fail();
            assert!(waiting.join().unwrap() && turn.join().unwrap());
        });
        assert!(!desk.submit(group(1)));
    }
}
