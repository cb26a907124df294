//! Do 400 days of an image stay small through the real agent and server? Each day 0.2 % of its pages are overwritten anywhere, it is backed up, and the
//! clock of all programs goes on by a day, by faketime. The dates of the history that are restored at the end must be what the image was. Timers that wait in the
//! kernel do not follow that clock: the server's upkeep does not come round, so what leaves the history is not purged here.
//!
//! `cargo bench -p benches --bench image_days` runs 400 days of 512 MiB; without `--bench` 6 days of 16 MiB. The bytes of the change are those of the pages
//! that were overwritten, counted here. Needs the package faketime.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use benches::sample::{noise, text};
use benches::site::{Run, Site};

const PAGE: u64 = 4 << 10;
/// Days of the subscription's history; one in so many of them is restored at the end, and the last.
const HISTORY: u64 = 30;
const RESTORED_EVERY: u64 = 5;
/// Names the file that holds the clock's offset; set for a process whose clock it moves.
const CLOCK: &str = "FAKETIME_TIMESTAMP_FILE";

/// What the days came to.
#[derive(Default)]
struct Totals {
    overwritten_bytes: u64,
    changed_bytes: u64,
    laid_bytes: u64,
    sent_bytes: u64,
    worst_laid_bytes: u64,
}

impl Totals {
    fn add(&mut self, overwritten_bytes: u64, run: &Run) {
        self.overwritten_bytes += overwritten_bytes;
        self.changed_bytes += run.changed_bytes;
        self.laid_bytes += run.laid_bytes;
        self.sent_bytes += run.sent_bytes;
        self.worst_laid_bytes = self.worst_laid_bytes.max(run.laid_bytes);
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(ended) = benches::site::run_program(&arguments[1..]) {
        return Ok(ended);
    }
    let Some(clock) = std::env::var_os(CLOCK) else { return under_clock(&arguments) };
    let began = SystemTime::now();
    let full = arguments.iter().any(|argument| argument == "--bench");
    let (days, image_bytes) = if full { (400, 512 << 20) } else { (6, 16 << 20) };
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("source");
    std::fs::create_dir(&source)?;
    let path = source.join("image");
    let image = create(&path, image_bytes)?;
    let site = Site::set_up(scratch.path(), &source, &[])?;
    site.backup()?;
    let first_bytes = site.stored_bytes()?;
    let pages_a_day = (image_bytes / PAGE / 500).max(1);
    let (mut totals, mut kept) = (Totals::default(), Vec::new());
    for day in 1..=days {
        let overwritten = overwrite(&image, (day, pages_a_day), image_bytes / PAGE)?;
        let run = site.backup()?;
        totals.add(overwritten, &run);
        if day + HISTORY > days && (day % RESTORED_EVERY == 0 || day == days) {
            kept.push((day, run.snapshot, digest(&path)?));
        }
        if day < days {
            std::fs::write(&clock, format!("+{day}d"))?;
        }
    }
    let passed = SystemTime::now().duration_since(began)?;
    ensure!(passed >= Duration::from_secs(86_400 * (days - 1)), "the clock of the programs did not go on");
    let grown_bytes = site.stored_bytes()?.saturating_sub(first_bytes);
    for (day, snapshot, expected) in kept {
        let target = scratch.path().join("restored");
        let (secret, to) = (site.secret_file("password"), target.display().to_string());
        let person = ["--identifier", "anna", "--password-file", &secret, "--passphrase-file", &secret];
        let which = ["restore", "--at", &snapshot.to_string(), "--to", &to].map(str::to_owned);
        let mut command = site.agent_command(&which.iter().map(String::as_str).chain(person).collect::<Vec<_>>())?;
        let ended = command.output()?;
        ensure!(ended.status.success(), "day {day} is not restored: {}", String::from_utf8_lossy(&ended.stderr));
        ensure!(digest(&find(&target)?)? == expected, "day {day} comes back with other bytes");
        println!("day {day:>3}: restored, identical");
        std::fs::remove_dir_all(&target)?;
    }
    let ratio = |bytes: u64| bytes as f64 / totals.overwritten_bytes as f64;
    println!("{days} days of {} MiB, {pages_a_day} pages a day", image_bytes >> 20);
    println!("overwritten {:>14} bytes", totals.overwritten_bytes);
    println!("changed     {:>14} bytes, {:.3} of it", totals.changed_bytes, ratio(totals.changed_bytes));
    println!(
        "laid        {:>14} bytes, {:.3} of it; most in one day {}",
        totals.laid_bytes,
        ratio(totals.laid_bytes),
        totals.worst_laid_bytes
    );
    println!("sent        {:>14} bytes, {:.3} of it", totals.sent_bytes, ratio(totals.sent_bytes));
    println!("stored      {first_bytes:>14} bytes first, {grown_bytes} more since, {:.3} of it", ratio(grown_bytes));
    ensure!(ratio(totals.changed_bytes) <= 1.05, "more is counted as change than was changed");
    // Re-laid bytes are at most the change of their day.
    ensure!(ratio(totals.laid_bytes) <= 2.05, "more is laid than changes and as much again");
    Ok(ExitCode::SUCCESS)
}

/// This program again, with a clock that a file moves.
fn under_clock(arguments: &[OsString]) -> anyhow::Result<ExitCode> {
    let asked = Command::new("faketime").args(["-f", "+0d", "sh", "-c", "echo $LD_PRELOAD"]).output();
    let asked = asked.context("install the package faketime")?;
    let preload = String::from_utf8(asked.stdout)?;
    ensure!(asked.status.success() && !preload.trim().is_empty(), "faketime does not say what it preloads");
    let clock = tempfile::NamedTempFile::new()?;
    std::fs::write(clock.path(), "+0d")?;
    let mut command = Command::new(&arguments[0]);
    command.args(&arguments[1..]).env("LD_PRELOAD", preload.trim()).env(CLOCK, clock.path());
    // Files keep their true times; the programs' own reckoning of time goes with the clock, so that a certificate is renewed before it ends.
    command.env("FAKETIME_NO_CACHE", "1").env("NO_FAKE_STAT", "1");
    Ok(if command.status()?.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Half of it noise and half text, in turns of a megabyte, as old as an hour.
fn create(path: &Path, bytes: u64) -> anyhow::Result<File> {
    let image = OpenOptions::new().write(true).create_new(true).open(path)?;
    for at in 0..bytes >> 20 {
        let content = if at % 2 == 0 { noise(at, 1 << 20) } else { text(at, 1 << 20) };
        image.write_all_at(&content, at << 20)?;
    }
    age(&image, 0)?;
    Ok(image)
}

/// Writes so many pages, anywhere; the bytes of the pages that are now others.
fn overwrite(image: &File, (day, pages): (u64, u64), image_pages: u64) -> anyhow::Result<u64> {
    let dice = noise(day << 32, usize::try_from(pages * 8)?);
    let mut places: Vec<u64> =
        dice.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes) % image_pages).collect();
    places.sort_unstable();
    places.dedup();
    for page in &places {
        image.write_all_at(&noise(day << 32 | page, usize::try_from(PAGE)?), page * PAGE)?;
    }
    age(image, day)?;
    Ok(places.len() as u64 * PAGE)
}

/// A time of its own for each day, long enough ago that nothing is taken for fresh.
fn age(image: &File, day: u64) -> anyhow::Result<()> {
    Ok(image.set_modified(SystemTime::now() - Duration::from_secs(86_400 - day))?)
}

fn digest(path: &Path) -> anyhow::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    std::io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize())
}

/// The one file below a folder.
fn find(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let first = std::fs::read_dir(folder)?.next().with_context(|| format!("{} is empty", folder.display()))?;
    let path = first?.path();
    if path.is_dir() { find(&path) } else { Ok(path) }
}
