//! Counting what a command of this program does, by tools that count the same on every machine.

use std::process::{Command, Output};

use anyhow::{Context, ensure};
use tempfile::NamedTempFile;

/// Instructions of this program with these arguments, by callgrind.
///
/// # Errors
/// If valgrind is not installed, or the program fails.
pub fn instructions(arguments: &[&str]) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe()?).args(arguments);
    let said = ended(&mut command)?;
    let line = said.lines().rev().find_map(|line| line.split_once("Collected :"));
    Ok(line.context("callgrind counts")?.1.trim().parse()?)
}

/// Allocations of a command, in all its threads, by memcheck.
///
/// # Errors
/// If valgrind is not installed, or the command fails.
pub fn allocations(command: &Command) -> anyhow::Result<u64> {
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"]);
    let said = ended(same(&mut counted, command))?;
    let line = said.lines().find_map(|line| line.split_once("total heap usage:"));
    let allocations = line.and_then(|(_, rest)| rest.split_whitespace().next());
    Ok(allocations.context("memcheck counts")?.replace(',', "").parse()?)
}

/// Calls of these names that a command makes, in all its threads, by strace.
///
/// # Errors
/// If strace is not installed or not allowed, or the command fails.
pub fn system_calls(command: &Command, names: &[&str]) -> anyhow::Result<u64> {
    let log = NamedTempFile::new()?;
    let mut counted = Command::new("strace");
    counted.args(["-f", "-qq", "-c", "-o"]).arg(log.path()).arg(format!("--trace={}", names.join(",")));
    ended(same(&mut counted, command))?;
    let text = std::fs::read_to_string(log.path())?;
    let total = text.lines().rev().find(|line| line.trim_end().ends_with(" total")).context("strace sums up")?;
    // Share, seconds, microseconds a call, calls, and errors if there were some.
    Ok(total.split_whitespace().nth(3).context("calls")?.parse()?)
}

/// The counter with the command behind it.
fn same<'a>(counter: &'a mut Command, command: &Command) -> &'a mut Command {
    counter.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => counter.env(name, value),
            None => counter.env_remove(name),
        };
    }
    counter
}

fn ended(command: &mut Command) -> anyhow::Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stderr, .. } = command.output().with_context(|| format!("{program} is not installed"))?;
    let said = String::from_utf8_lossy(&stderr).into_owned();
    ensure!(status.success(), "{command:?}: {said}");
    Ok(said)
}
