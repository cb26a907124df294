//! A session as the server holds it in memory while it takes frames.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::catalog::sessions::{SessionFacts, SessionState};
use crate::session::error::SessionError;

/// A session that takes frames, or just ceased to.
#[derive(Debug)]
pub struct LiveSession {
    /// What its row said when it was opened.
    pub facts: SessionFacts,
    state: AtomicU8,
}

impl LiveSession {
    /// An open session.
    pub fn new(facts: SessionFacts) -> Self {
        Self { facts, state: AtomicU8::new(SessionState::Open.code()) }
    }

    /// Ends it: streams that still use it learn so with their next frame.
    pub fn end(&self, state: SessionState) {
        self.state.store(state.code(), Ordering::Release);
    }

    /// Passes while it takes frames.
    ///
    /// # Errors
    /// [`SessionError::Superseded`] or [`SessionError::Unknown`].
    pub fn check_open(&self) -> Result<(), SessionError> {
        match SessionState::from_code(self.state.load(Ordering::Acquire)) {
            Some(SessionState::Open) => Ok(()),
            Some(SessionState::Superseded) => Err(SessionError::Superseded),
            _ => Err(SessionError::Unknown),
        }
    }
}
