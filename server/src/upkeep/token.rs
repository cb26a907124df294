//! The leash of a running job: pause, resume, stop, and how far it got.
//!
//! Cooperative: a job asks between two steps, and each step leaves everything as a crash may leave it.
//!
//! Invariant: a job that asked [`Token::go_on`] and was told to stop does nothing more.

use parking_lot::{Condvar, Mutex};

/// The job was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job was stopped")]
pub struct Stopped;

/// How far a job got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// Of how much; 0 if that is not known.
    pub total: u64,
    /// What is counted: `snapshots`, `chunks`, `packs`, `bytes`.
    pub unit: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Run,
    Pause,
    Stop,
}

/// Shared by a job and those who watch it.
#[derive(Debug)]
pub struct Token {
    wish: Mutex<Wish>,
    changed: Condvar,
    progress: Mutex<Progress>,
}

impl Default for Token {
    fn default() -> Self {
        Self { wish: Mutex::new(Wish::Run), changed: Condvar::new(), progress: Mutex::default() }
    }
}

impl Token {
    /// Waits while paused.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn go_on(&self) -> Result<(), Stopped> {
        let mut wish = self.wish.lock();
        while *wish == Wish::Pause {
            self.changed.wait(&mut wish);
        }
        if *wish == Wish::Stop { Err(Stopped) } else { Ok(()) }
    }

    /// Passes while the job runs: for a step that holds something others need, and therefore ends instead of waiting.
    ///
    /// # Errors
    /// [`Stopped`], also while paused.
    pub fn check_running(&self) -> Result<(), Stopped> {
        if *self.wish.lock() == Wish::Run { Ok(()) } else { Err(Stopped) }
    }

    /// Waits for a time, and longer while paused.
    ///
    /// # Errors
    /// [`Stopped`], at once.
    pub fn rest(&self, time: std::time::Duration) -> Result<(), Stopped> {
        let mut wish = self.wish.lock();
        let waits = |wish: &mut Wish| *wish == Wish::Run;
        self.changed.wait_while_for(&mut wish, waits, time);
        drop(wish);
        self.go_on()
    }

    /// Says how far the job got.
    pub fn report(&self, progress: Progress) {
        *self.progress.lock() = progress;
    }

    /// How far the job got.
    pub fn progress(&self) -> Progress {
        *self.progress.lock()
    }

    /// Lets the job wait at its next step; a stopped one stays stopped.
    pub fn pause(&self) {
        self.wish(Wish::Pause);
    }

    /// Lets the job go on.
    pub fn resume(&self) {
        self.wish(Wish::Run);
    }

    /// Ends the job at its next step.
    pub fn stop(&self) {
        self.wish(Wish::Stop);
    }

    fn wish(&self, wanted: Wish) {
        let mut wish = self.wish.lock();
        if *wish != Wish::Stop {
            *wish = wanted;
        }
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_paused_job_waits_and_a_stopped_one_ends() {
        let token = Arc::new(Token::default());
        token.go_on().unwrap();
        token.pause();
        let waiting = {
            std::thread::spawn({
                let token = token.clone();
                move || token.go_on()
            })
        };
        assert_eq!(token.check_running(), Err(Stopped), "it does not wait");
        token.resume();
        token.check_running().unwrap();
        waiting.join().unwrap().unwrap();
        token.rest(std::time::Duration::from_millis(1)).unwrap();
        token.pause();
        token.stop();
        token.resume();
        assert_eq!(token.go_on(), Err(Stopped));
        assert_eq!(token.rest(std::time::Duration::MAX), Err(Stopped));
    }
}
