//! The threads that carry the network, of the server and of `dobaas-admin`.

use std::io;
use std::thread::{Builder, park};

use tokio::runtime::Runtime;

/// What kept the runtime from starting.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The system gives this process no thread.
    #[error("no thread")]
    NoThread(#[source] io::Error),
    /// The system gives this process no queue of events.
    #[error("no queue of events")]
    Events(#[source] io::Error),
}

/// A runtime with this many threads.
///
/// # Errors
/// [`RuntimeError`].
pub fn start(threads: usize) -> Result<Runtime, RuntimeError> {
    // tokio panics where the system refuses a thread. As many are asked for in a way that can be refused, and their stacks are there for the next.
    let asked: io::Result<Vec<_>> = (0..threads).map(|_| Builder::new().spawn(park)).collect();
    for thread in asked.map_err(RuntimeError::NoThread)? {
        thread.thread().unpark();
        let _ = thread.join();
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name("network").enable_all().build().map_err(RuntimeError::Events)
}
