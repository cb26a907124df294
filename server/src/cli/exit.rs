//! Exit codes of interfaces.md.

use std::process::ExitCode;

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// The command line was wrong.
    Usage,
    /// Done, but something was found or left out; it is listed.
    Incomplete,
    /// Not set up.
    NotSetUp,
    /// Another process is at work.
    Busy,
    /// Wrong credentials.
    WrongCredentials,
    /// Interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Incomplete => 3,
            Exit::NotSetUp => 10,
            Exit::Busy => 11,
            Exit::WrongCredentials => 12,
            Exit::Interrupted => 130,
        })
    }
}
