//! JSON on the standard input of the configured program.
//!
//! No shell is involved. The program gets an empty environment, its output is dropped, an exit status of 0 is an acceptance.
//!
//! Invariant: a program that does not end in time is killed, and so is the delivery.

use std::io::{Read, Write};
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::limits::{ALARM_DELIVERY_MS, ALARM_ERROR_BYTES_MAX};

use super::DeliveryError;
use crate::monitor::settings::CommandSettings;

/// The command channel.
#[derive(Debug)]
pub struct Command {
    settings: CommandSettings,
}

impl Command {
    /// Runs as configured.
    pub fn new(settings: CommandSettings) -> Self {
        Self { settings }
    }

    /// Hands a document over.
    ///
    /// # Errors
    /// [`DeliveryError`].
    pub fn deliver(&self, body: &[u8]) -> Result<(), DeliveryError> {
        self.deliver_within(body, Duration::from_millis(ALARM_DELIVERY_MS))
    }

    fn deliver_within(&self, body: &[u8], limit: Duration) -> Result<(), DeliveryError> {
        let failed = |error: std::io::Error| DeliveryError::Command(error.to_string());
        let Some((program, arguments)) = self.settings.program.split_first() else { return Ok(()) };
        let mut process = Process::new(program);
        process.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = process.spawn().map_err(failed)?;
        let (complaint, status) = feed(child, body.to_vec(), limit).map_err(failed)?;
        if status.success() {
            return Ok(());
        }
        Err(DeliveryError::Command(format!("{status} {complaint}").trim_end().to_owned()))
    }
}

/// Writes to a program and waits for its end; kills it after `limit`. What it complained of, and how it ended.
fn feed(mut child: Child, body: Vec<u8>, limit: Duration) -> std::io::Result<(String, std::process::ExitStatus)> {
    let (mut input, errors) = (child.stdin.take(), child.stderr.take());
    // A program that does not read must not hold the delivery: writing and reading have threads of their own.
    let writer = std::thread::spawn(move || input.as_mut().map(|input| input.write_all(&body)));
    let (sender, receiver) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut errors) = errors {
            // Only the beginning is kept; the rest is read so that the program can go on.
            let _ = errors.by_ref().take(ALARM_ERROR_BYTES_MAX as u64).read_to_end(&mut text);
            let _ = std::io::copy(&mut errors, &mut std::io::sink());
        }
        // The end of its errors is the end of the program.
        let _ = sender.send(());
        text
    });
    let in_time = receiver.recv_timeout(limit).is_ok();
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    if !in_time {
        // A grandchild may hold the pipes open: the threads end with it, and nobody waits for them.
        return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "it did not end in time and was killed"));
    }
    // A program may end well without reading all of its input.
    let _ = writer.join();
    let complaint = String::from_utf8_lossy(&reader.join().unwrap_or_default()).trim().to_owned();
    Ok((complaint, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, limit: Duration) -> Result<(), String> {
        let program = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        let command = Command::new(CommandSettings { program });
        command.deliver_within(&vec![b'x'; 1 << 20], limit).map_err(|error| error.to_string())
    }

    #[test]
    fn success_failure_and_slowness_are_told_apart() {
        let long = Duration::from_secs(60);
        run("test $(wc -c) = 1048576", long).unwrap();
        run("exit 0", long).unwrap();
        let failed = run("echo no route >&2; exit 3", long).unwrap_err();
        assert!(failed.contains("no route") && failed.contains('3'), "{failed}");
        let slow = run("exec sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(slow.contains("killed"), "{slow}");
    }
}
