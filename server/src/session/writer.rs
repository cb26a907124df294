//! The one thread that writes to a subscription's catalog.
//!
//! Work comes as closures through a bounded channel and runs in its order. Two requests for durability that wait behind each
//! other cost one: the first covers the frames of both, the second finds nothing left.
//!
//! Invariant: one writer per subscription.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use roaring::RoaringBitmap;

use crate::catalog::file::Catalog;
use crate::session::error::SessionError;
use crate::session::intake::Growing;
use crate::session::subscription::Shared;

/// Jobs that may wait.
const JOBS_MAX: usize = 256;

/// What the thread works with.
pub struct Writer {
    /// The connection that writes.
    pub catalog: Catalog,
    /// What other threads see too.
    pub shared: Arc<Shared>,
    /// Row number of the next chunk.
    pub next_chunk_row: u32,
    /// Packs whose frames are durable and that wait to be published.
    pub retired: VecDeque<Growing>,
    /// While mark looks for garbage: rows that something refers to since it began.
    pub referred: Option<RoaringBitmap>,
}

type Job = Box<dyn FnOnce(&mut Writer) + Send>;

/// Starts the thread, gives it work, and ends it when dropped, after the work that waits.
pub struct WriterThread {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`SessionError::Closing`] if the system has no thread to give.
    pub fn start(mut writer: Writer) -> Result<Self, SessionError> {
        let (jobs, waiting) = mpsc::sync_channel::<Job>(JOBS_MAX);
        let run = move || {
            while let Ok(job) = waiting.recv() {
                job(&mut writer);
            }
        };
        let thread = std::thread::Builder::new().name("catalog".into()).spawn(run);
        let thread = thread.map_err(|error| {
            tracing::error!(%error, "start a catalog thread");
            SessionError::Closing
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has a job done without waiting for its end; waits for a place in the queue.
    ///
    /// # Errors
    /// [`SessionError::Closing`].
    pub fn submit(&self, job: impl FnOnce(&mut Writer) + Send + 'static) -> Result<(), SessionError> {
        let jobs = self.jobs.as_ref().ok_or(SessionError::Closing)?;
        jobs.send(Box::new(job)).map_err(|_| SessionError::Closing)
    }

    /// Has a job done and gives its result.
    ///
    /// # Errors
    /// That of the job, or [`SessionError::Closing`].
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Writer) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        let (done, result) = mpsc::sync_channel(1);
        self.submit(move |writer| {
            // A caller that went away does not want the result.
            let _ = done.send(job(writer));
        })?;
        result.recv().map_err(|_| SessionError::Closing)?
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // A job that panicked was reported by the panic hook; there is nothing to add here.
            let _ = thread.join();
        }
    }
}
