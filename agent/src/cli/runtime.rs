//! The threads of a command: one carries the network, one runs the command.

use std::thread::{Builder, JoinHandle};

use tokio::runtime::Runtime;

use super::failure::{CliError, Exit};

/// The runtime with its one thread.
///
/// # Errors
/// The system gives this process no thread, or no queue of events.
pub fn start() -> Result<Runtime, CliError> {
    // tokio panics where the system refuses a thread. One is asked for in a way that can be refused, and its stack is there for the next.
    let _ = thread("network", || ())?.join();
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Does `work` on a thread of this name.
///
/// # Errors
/// The system gives this process no thread.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, CliError> {
    let thread = Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| CliError::new(Exit::Failed, "no-thread").because(&error))
}
