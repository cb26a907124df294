//! The QEMU tools: whether they are there, what they say of an image, and running one within its limits.
//!
//! An image is given to them as an open file, never by its name: what they look at is what was opened.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use common::limits::{TOOL_ANSWER_BYTES_MAX, TOOL_COMPLAINT_BYTES_MAX, TOOL_LOOK_MS, TOOL_MS};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::format::Format;
use super::info::Info;

/// What the tools say when a running machine holds an image.
const LOCKED: &str = "Is another process using the image";

/// Where the tools are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// `qemu-img`.
    pub image: PathBuf,
    /// `qemu-nbd`.
    pub server: PathBuf,
}

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("{} is not installed", .0.display())]
    Absent(PathBuf),
    /// It cannot be run or watched.
    #[error("run {}", .0.display())]
    Io(PathBuf, #[source] std::io::Error),
    /// It takes too long.
    #[error("{} does not end", .0.display())]
    Slow(PathBuf),
    /// A running machine holds the image.
    #[error("the image is in use: {0}")]
    InUse(String),
    /// It failed, and said why.
    #[error("{0}")]
    Failed(String),
    /// Its answer is none.
    #[error("an answer that cannot be read")]
    Answer(#[source] serde_json::Error),
}

impl Default for Tools {
    /// Wherever the system looks for programs.
    fn default() -> Self {
        Self { image: "qemu-img".into(), server: "qemu-nbd".into() }
    }
}

impl Tools {
    /// The version of both, if both are there: what one of them says in its first line.
    ///
    /// # Errors
    /// [`ToolError::Absent`] names the one that is missing.
    pub fn version(&self) -> Result<String, ToolError> {
        run(Command::new(&self.server).arg("--version"))?;
        let said = run(Command::new(&self.image).arg("--version"))?;
        let line = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned();
        Ok(line.chars().filter(|letter| !letter.is_control()).take(80).collect())
    }

    /// Describes an image that is of this format.
    ///
    /// # Errors
    /// [`ToolError`].
    pub fn info(&self, file: &File, format: Format) -> Result<Info, ToolError> {
        let mut command = Command::new(&self.image);
        command.args(["info", "--output=json", "-f", format.name()]).arg(path_of(file));
        Info::parse(&run(&mut command)?).map_err(ToolError::Answer)
    }
}

/// A path under which another process of this user opens exactly this file.
pub fn path_of(file: impl AsFd) -> PathBuf {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_fd().as_raw_fd()).into()
}

/// Runs a command that is soon at its end, with nothing to read; its answer.
///
/// # Errors
/// [`ToolError`].
pub fn run(command: &mut Command) -> Result<Vec<u8>, ToolError> {
    let mut looks = TOOL_MS / TOOL_LOOK_MS;
    run_while(command, || {
        looks = looks.saturating_sub(1);
        looks > 0
    })
}

/// Runs a command as long as `goes_on` says, which is asked now and then; its answer.
///
/// # Errors
/// [`ToolError`]; [`ToolError::Slow`] if it was ended.
pub fn run_while(command: &mut Command, mut goes_on: impl FnMut() -> bool) -> Result<Vec<u8>, ToolError> {
    let name = PathBuf::from(command.get_program());
    let io = |error| ToolError::Io(name.clone(), error);
    let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (answer, complaint) = (child.stdout.take(), child.stderr.take());
    let (ended, answer, complaint) = std::thread::scope(|scope| {
        let answer = scope.spawn(|| read_some(answer, TOOL_ANSWER_BYTES_MAX));
        let complaint = scope.spawn(|| read_some(complaint, TOOL_COMPLAINT_BYTES_MAX));
        let ended = loop {
            match wait(&mut child, TOOL_LOOK_MS) {
                Ok(None) if goes_on() => {}
                ended => break ended,
            }
        };
        if !matches!(ended, Ok(Some(_))) {
            let _ = child.kill().and_then(|()| child.wait());
        }
        (ended, answer.join().unwrap_or_default(), complaint.join().unwrap_or_default())
    });
    match ended.map_err(io)? {
        Some(status) if status.success() => Ok(answer),
        Some(_) => Err(refusal(&complaint)),
        None => Err(ToolError::Slow(name)),
    }
}

/// Starts a command with nothing to read.
fn start(command: &mut Command) -> Result<Child, ToolError> {
    let name = PathBuf::from(command.get_program());
    // Its words are looked at, so they are not to be in another language.
    command.stdin(Stdio::null()).env("LC_ALL", "C").spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ToolError::Absent(name),
        _ => ToolError::Io(name, error),
    })
}

/// What a tool that failed said of it.
fn refusal(complaint: &[u8]) -> ToolError {
    let said: String = String::from_utf8_lossy(complaint)
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let said = said.trim().to_owned();
    if said.contains(LOCKED) { ToolError::InUse(said) } else { ToolError::Failed(said) }
}

/// Waits for a child; `None` if it does not end in time.
fn wait(child: &mut Child, limit_ms: u64) -> std::io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(std::io::ErrorKind::InvalidData)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    if ends(handle.as_fd(), limit_ms)? { child.wait().map(Some) } else { Ok(None) }
}

/// True if the process of this handle ends in time.
///
/// # Errors
/// Those of `poll`.
pub fn ends(process: BorrowedFd<'_>, limit_ms: u64) -> std::io::Result<bool> {
    let seconds = i64::try_from(limit_ms / 1_000).unwrap_or(i64::MAX);
    let limit = Timespec { tv_sec: seconds, tv_nsec: i64::try_from(limit_ms % 1_000 * 1_000_000).unwrap_or(0) };
    loop {
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return Ok(ready? > 0),
        }
    }
}

/// Reads at most `most` bytes; closed early, the pipe ends a program that says more.
fn read_some(pipe: Option<impl Read>, most: usize) -> Vec<u8> {
    let mut said = Vec::new();
    if let Some(pipe) = pipe {
        let _ = pipe.take(most as u64).read_to_end(&mut said);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Result<Vec<u8>, ToolError> {
        run(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_tool_answers_fails_in_its_own_words_or_is_absent() {
        assert_eq!(shell("echo good; echo noise >&2").unwrap(), b"good\n");
        assert!(matches!(shell("echo bad >&2; exit 1"), Err(ToolError::Failed(said)) if said == "bad"));
        let locked = "echo 'Is another process using the image [x]?' >&2; exit 1";
        assert!(matches!(shell(locked), Err(ToolError::InUse(_))));
        assert!(matches!(run(&mut Command::new("/absent/tool")), Err(ToolError::Absent(_))));
        let absent = Tools { image: "/absent/tool".into(), server: "true".into() };
        assert!(matches!(absent.version(), Err(ToolError::Absent(_))));
    }

    #[test]
    fn a_tool_that_never_stops_talking_is_ended() {
        assert!(shell("yes").is_err());
    }
}
