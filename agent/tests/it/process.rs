//! The real programs as child processes: found, started, watched, killed.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

/// Longest time that a program may take to start or to end.
const TIME_MAX: Duration = Duration::from_secs(600);

/// A program of this workspace, built from the sources as they are.
///
/// `dobaas` is built with these tests. The server's programs stand beside it and are built by whoever runs the tests of the
/// whole workspace, or `cargo build --workspace --bins`; stale ones are refused.
pub fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_dobaas")).with_file_name(name);
    if name != "dobaas" {
        let built = std::fs::metadata(&path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let changed = ["server/src", "common/src", "proto"].map(|folder| newest_change(&root.join(folder)));
        assert!(changed.into_iter().max() <= Some(built), "{name} is missing or stale: cargo build --workspace --bins");
    }
    path
}

fn newest_change(folder: &Path) -> SystemTime {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Unit tests are no part of a program: it is not built again for them.
    let paths = paths.filter(|path| !path.ends_with("tests.rs") && !path.ends_with("tests"));
    let changes = paths.map(|path| {
        if path.is_dir() { newest_change(&path) } else { std::fs::metadata(&path).unwrap().modified().unwrap() }
    });
    changes.max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Runs a program to its end.
    pub fn of(command: &mut Command) -> Self {
        Running::start(command).wait()
    }

    /// The one document that `--json` prints.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }

    /// The events that `--json` prints, one per line.
    pub fn events(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The exit code, 128 + 9 for a killed program.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(137)
    }

    /// Ends the test unless the exit code is one of `codes`.
    #[track_caller]
    pub fn expect(self, codes: &[i32]) -> Self {
        let Self { stdout, stderr, .. } = &self;
        assert!(codes.contains(&self.code()), "exit code {}\n-- stdout\n{stdout}\n-- stderr\n{stderr}", self.code());
        assert!(!stderr.contains("panicked at"), "a panic\n{stderr}");
        self
    }
}

/// A program at work. Killed when dropped.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    lines: Receiver<String>,
}

impl Running {
    /// Starts a program with its output watched.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let mut stdout = child.stdout.take().unwrap();
        let stdout = spawn(move || {
            let mut text = Vec::new();
            stdout.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        });
        let (sender, lines) = channel();
        let stderr = child.stderr.take().unwrap();
        let stderr = spawn(move || follow(stderr, |line| drop(sender.send(line.to_owned()))));
        Self { child, stdout: Some(stdout), stderr: Some(stderr), lines }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until a line of standard error contains `part`, and gives that line; `None` if the program ends first.
    pub fn line_with(&self, part: &str) -> Option<String> {
        let until = Instant::now() + TIME_MAX;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(part) => return Some(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("no line with {part:?} in time"),
            }
        }
    }

    /// Waits for its end at most `time`; true if it has ended.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                // Standard error is closed: it has ended or is about to.
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// `kill -9`, as a crash of the program would be.
    pub fn kill(mut self) -> Ended {
        // It may have ended by itself: that is no failure.
        let _ = self.child.kill();
        self.end()
    }

    /// Asks it to stop, as a service manager does, and waits.
    pub fn stop(mut self) -> Ended {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.end()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Ended {
        assert!(self.ends_within(TIME_MAX), "does not end");
        self.end()
    }

    fn end(&mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ended { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stream: ChildStderr, mut each: impl FnMut(&str)) -> String {
    let mut all = String::new();
    for line in BufReader::new(stream).split(b'\n') {
        let line = String::from_utf8_lossy(&line.unwrap()).into_owned();
        each(&line);
        all.push_str(&line);
        all.push('\n');
    }
    all
}
