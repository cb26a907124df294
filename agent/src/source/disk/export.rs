//! One image served by `qemu-nbd`, read-only, on a socket in a folder of the agent's own, for as long as it is read.
//!
//! The server ends by itself when its only client goes, however the agent ends. What may outlive the agent, a server that nobody
//! has connected to yet, leaves its socket in that folder: the folder is the journal of these effects, and [`clear`] undoes what
//! it finds there.
//!
//! Invariant: nothing of an image is written, and its backing file, if it pretends to have one, is not opened.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use common::limits::{NBD_IDLE_MS, TOOL_END_MS};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::format::Format;
use super::nbd::NbdError;
use super::nbd::client::Client;
use super::tools::{ToolError, Tools, ends, path_of, run};
use crate::durable;

/// Why an image cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The tool.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// What it serves.
    #[error(transparent)]
    Nbd(#[from] NbdError),
    /// The folder of the sockets.
    #[error(transparent)]
    Disk(#[from] durable::DurableError),
}

/// A disk that can be read.
pub struct Export {
    client: Option<Client<UnixStream>>,
    server: Option<OwnedFd>,
    files: Files,
}

/// Names in the folder.
struct Files {
    socket: PathBuf,
    pid: PathBuf,
}

impl Files {
    fn new(folder: &Path, number: u64) -> Self {
        Self { socket: folder.join(format!("{number}.sock")), pid: folder.join(format!("{number}.pid")) }
    }

    fn remove(&self) {
        // Absent is fine, and what cannot be removed is found at the next start.
        let _ = std::fs::remove_file(&self.socket);
        let _ = std::fs::remove_file(&self.pid);
    }

    fn connect(&self, bitmap: Option<&str>, limit_ms: u64) -> Result<Client<UnixStream>, NbdError> {
        let stream = UnixStream::connect(&self.socket)?;
        let limit = Some(Duration::from_millis(limit_ms));
        stream.set_read_timeout(limit).and_then(|()| stream.set_write_timeout(limit))?;
        Client::connect(stream, bitmap)
    }

    /// The server's process, for as long as it is the one that has this socket.
    fn server(&self) -> Option<OwnedFd> {
        let number = std::fs::read_to_string(&self.pid).ok()?.trim().parse().ok()?;
        let process = pidfd_open(Pid::from_raw(number)?, PidfdFlags::empty()).ok()?;
        let line = std::fs::read(format!("/proc/{number}/cmdline")).ok()?;
        let socket = self.socket.as_os_str().as_encoded_bytes();
        line.windows(socket.len()).any(|part| part == socket).then_some(process)
    }
}

impl Export {
    /// Serves an open image under `number`, which no other one in `folder` has; shows `bitmap` if it is named.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn start(
        tools: &Tools,
        (folder, number): (&Path, u64),
        (file, format): (&File, Format),
        bitmap: Option<&str>,
    ) -> Result<Self, ExportError> {
        durable::create_folder(folder, 0o700)?;
        let files = Files::new(folder, number);
        files.remove();
        let mut command = Command::new(&tools.server);
        command.args(["--fork", "--read-only", "--shared=1"]);
        command.arg("--socket").arg(&files.socket).arg("--pid-file").arg(&files.pid);
        if let Some(bitmap) = bitmap {
            command.arg("--bitmap").arg(bitmap);
        }
        command.arg(image(file, format));
        // From here on the folder says what may have to be undone.
        let mut export = Self { client: None, server: None, files };
        run(&mut command)?;
        export.server = export.files.server();
        export.client = Some(export.files.connect(bitmap, NBD_IDLE_MS)?);
        Ok(export)
    }

    /// The connection.
    ///
    /// # Errors
    /// If it was never made.
    pub fn client(&mut self) -> Result<&mut Client<UnixStream>, NbdError> {
        self.client.as_mut().ok_or(NbdError::Protocol("there is no connection"))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = client.disconnect();
        }
        end(self.server.as_ref());
        self.files.remove();
    }
}

/// What the tools take for an open image of which only the format is known: no guess, no backing file.
fn image(file: &File, format: Format) -> String {
    let mut image = serde_json::json!({
        "driver": format.name(),
        "file": { "driver": "file", "filename": path_of(file.as_fd()) },
    });
    if matches!(format, Format::Qcow2 | Format::Vmdk) {
        image["backing"] = serde_json::Value::Null;
    }
    format!("json:{image}")
}

/// Lets a server end, then ends it.
fn end(server: Option<&OwnedFd>) {
    let Some(server) = server else { return };
    if !ends(server.as_fd(), TOOL_END_MS).unwrap_or(false) {
        tracing::warn!("a server of a disk image does not end by itself");
        let _ = pidfd_send_signal(server, Signal::KILL);
    }
}

/// Ends what a run that was cut left in `folder`; how many servers that were.
///
/// # Errors
/// If the folder cannot be read.
pub fn clear(folder: &Path) -> std::io::Result<usize> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut ended = 0;
    for entry in entries {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let Some(files) = number.map(|number| Files::new(folder, number)) else { continue };
        let server = files.server();
        // A server that nobody came to ends when its first client goes.
        let waiting = files.connect(None, TOOL_END_MS).map(Client::disconnect);
        if waiting.is_ok() || server.is_some() {
            ended += 1;
            end(server.as_ref());
        }
        files.remove();
    }
    Ok(ended)
}
