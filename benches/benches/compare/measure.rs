//! One run of a command: wall time, CPU of it and its children, most memory of one of them (by GNU time).

use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Seconds from start to end.
    pub wall_s: f64,
    /// Seconds of CPU, user and system.
    pub cpu_s: f64,
    /// Most resident memory of one process, in bytes.
    pub memory_bytes: u64,
}

/// Runs a command to its end.
///
/// # Errors
/// If it cannot be run, or says that it failed.
pub fn measure(command: &Command) -> anyhow::Result<Measured> {
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-q", "-f", "\n%e %U %S %M", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let ended = timed.stdin(Stdio::null()).stdout(Stdio::null()).output().context("GNU time is not installed")?;
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.success(), "{:?} failed: {said}", command.get_program());
    let line = said.lines().last().unwrap_or_default();
    let [wall, user, system, kib] = line.split(' ').collect::<Vec<_>>()[..] else { bail!("time says {said}") };
    let cpu_s = user.parse::<f64>()? + system.parse::<f64>()?;
    Ok(Measured { wall_s: wall.parse()?, cpu_s, memory_bytes: kib.parse::<u64>()? << 10 })
}
