//! What fires when a tree is encrypted, and what fires on ordinary days? The real agent backs up to a real server; the holds are read
//! from the store.
//!
//! `cargo bench -p benches --bench ransomware` takes 20,000 files; without `--bench` (as `cargo test --benches` does) 1,000. It ends
//! with an error if a day that must fire does not, or a quiet one does.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

mod day;
mod tree;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::ensure;
use benches::site::{Run, Site, run_program};
use common::stored::HoldSignal;

use day::{Day, Expected};
use tree::Tree;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(ended) = run_program(&arguments) {
        return Ok(ended);
    }
    let full = arguments.iter().any(|argument| argument == "--bench");
    let files = if full { 20_000 } else { 1_000 };
    let mut wrong = Vec::new();
    for (name, text_percent) in [("office share, three quarters of its files are text", 75), ("photo library", 4)] {
        wrong.extend(one_share(name, files, text_percent)?);
    }
    ensure!(wrong.is_empty(), "not as it must be: {}", wrong.join("; "));
    Ok(ExitCode::SUCCESS)
}

/// Every day on one kind of share; the days that did not go as they must.
fn one_share(name: &str, files: u64, text_percent: u64) -> anyhow::Result<Vec<String>> {
    let scratch = tempfile::tempdir()?;
    let tree = Tree { root: scratch.path().join("source"), files, text_percent };
    tree.make()?;
    let site = Site::set_up(scratch.path(), &tree.root, &[])?;
    let first = site.backup()?;
    println!(
        "\n{name}: {files} files, {} bytes, stored {} %",
        first.laid_bytes,
        percent(first.sent_bytes, first.laid_bytes)
    );
    println!(
        "{:<44} {:>12} {:>9} {:>9} {:>8} {:>6}  fired",
        "day", "changed", "× allowed", "of volume", "sent", "gone"
    );
    let is_office = text_percent > 50;
    let mut wrong = Vec::new();
    for (number, day) in (0..).zip(Day::all(is_office)) {
        tree.apply(number, day.change)?;
        let run = site.backup()?;
        let fired = site.signals(&run.snapshot)?;
        print(&day, &run, (first.laid_bytes, files), &fired);
        if !day.expected.holds(&fired) {
            wrong.push(format!("{name}, {}: {fired:?}", day.name));
        }
        tree.restore(day.change)?;
        site.backup()?;
    }
    Ok(wrong)
}

fn print(day: &Day, run: &Run, (volume_bytes, files): (u64, u64), fired: &[HoldSignal]) {
    let words: Vec<&str> = fired.iter().map(|signal| signal.as_str_name().trim_start_matches("HOLD_SIGNAL_")).collect();
    let over = if run.changed_bytes * 1_000 > volume_bytes * 2 { ", day over 0.2 %" } else { "" };
    println!(
        "{:<44} {:>12} {:>9.1} {:>7.1} % {:>6} % {:>4} %  {}{over}",
        day.name,
        run.changed_bytes,
        run.changed_bytes as f64 * 500.0 / volume_bytes as f64,
        run.changed_bytes as f64 * 100.0 / volume_bytes as f64,
        percent(run.sent_bytes, run.laid_bytes),
        percent(run.files_deleted, files),
        if words.is_empty() { "nothing".to_owned() } else { words.join(" + ").to_lowercase() },
    );
}

fn percent(part: u64, whole: u64) -> u64 {
    (part * 100).checked_div(whole).unwrap_or(0)
}

impl Expected {
    /// True if what fired is what must.
    fn holds(self, fired: &[HoldSignal]) -> bool {
        match self {
            Self::Anything => true,
            Self::Nothing => fired.is_empty(),
            Self::Among(signal) => fired.contains(&signal),
            Self::Without(signal) => !fired.contains(&signal),
        }
    }
}
