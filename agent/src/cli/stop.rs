//! Asking a command to stop: what Ctrl-C and a service manager do, and what long work listens to.
//!
//! The first request lets a backup end at the next chunk: its threads join, what the server acknowledged stays, the session is kept for
//! the next run. It kills nothing; whoever asks twice ends the program (`cli::run`).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::backup::progress::Progress;

#[derive(Default)]
struct State {
    requested: bool,
    /// The run at work.
    run: Option<Arc<Progress>>,
}

/// Shared by the thread that hears the request and the one that works.
#[derive(Default)]
pub struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

impl Stop {
    /// Asks for it.
    pub fn request(&self) {
        let mut state = self.state.lock();
        state.requested = true;
        if let Some(run) = &state.run {
            run.cancel();
        }
        self.changed.notify_all();
    }

    /// True if it was asked for.
    pub fn is_requested(&self) -> bool {
        self.state.lock().requested
    }

    /// Counters of a run that is canceled when stopping is asked for, or was already.
    pub fn watched_run(&self) -> Arc<Progress> {
        let progress = Arc::new(Progress::default());
        let mut state = self.state.lock();
        if state.requested {
            progress.cancel();
        }
        state.run = Some(progress.clone());
        progress
    }

    /// Waits at most `time`; true if stopping was asked for.
    pub fn wait(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.requested {
            let _ = self.changed.wait_for(&mut state, time);
        }
        state.requested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_runs_begun_before_and_after_it() {
        let stop = Stop::default();
        let before = stop.watched_run();
        assert!(!stop.is_requested() && !before.is_cancelled());
        stop.request();
        assert!(before.is_cancelled() && stop.watched_run().is_cancelled());
        assert!(stop.wait(Duration::from_secs(3_600)), "no wait after the request");
    }
}
