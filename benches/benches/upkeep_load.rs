//! How much slower is a backup while mark, purge, compaction and scrub run one after the other in the same server, without a pause?
//!
//! `DOBAAS_BENCH_SOURCE` names a folder (it is only read); without it a small tree is made. Each run adds a copy of it whose bytes are
//! all changed alike, so that each backup sends everything and compresses as the original does. Runs alone and runs under upkeep
//! alternate; the ratio is that of the medians. `DOBAAS_BENCH_PAIRS` says how many pairs (3).
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use benches::sample::text;
use benches::site::{Site, run_program};

/// A copy of everything is no attack here, and pruning must go on.
const SETTINGS: [(&str, &str); 3] =
    [("allowance_times", "1000000"), ("changed_percent", "1000000"), ("gone_percent", "1000000")];
const JOBS: [&str; 4] = ["mark", "purge", "compact", "scrub"];

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(ended) = run_program(&arguments) {
        return Ok(ended);
    }
    let scratch = tempfile::tempdir()?;
    let original = match std::env::var_os("DOBAAS_BENCH_SOURCE") {
        Some(given) => PathBuf::from(given),
        None => made(&scratch.path().join("original"))?,
    };
    let pairs: u8 = std::env::var("DOBAAS_BENCH_PAIRS").ok().map(|text| text.parse()).transpose()?.unwrap_or(3);
    let source = scratch.path().join("source");
    let bytes = copy(&original, &source.join("0"), 0)?;
    let site = Site::set_up(scratch.path(), &source, &SETTINGS)?;
    site.backup()?;
    println!("{bytes} bytes in each run");
    let (mut alone, mut busy) = (Vec::new(), Vec::new());
    for number in 1..=pairs * 2 {
        copy(&original, &source.join(number.to_string()), number)?;
        let under_upkeep = number % 2 == 0;
        site.forget_peak()?;
        let (seconds, jobs) = if under_upkeep { beside_upkeep(&site)? } else { (timed(&site)?, 0) };
        let name = if under_upkeep { "under upkeep" } else { "alone" };
        let (rate, peak) = (bytes as f64 / seconds / 1e6, site.peak_bytes()? as f64 / 1e6);
        println!("{name:<14} {seconds:>7.2} s {rate:>7.1} MB/s, peak of the server {peak:>6.1} MB, {jobs} jobs");
        if under_upkeep { busy.push(seconds) } else { alone.push(seconds) }
    }
    let (alone, busy) = (median(&mut alone), median(&mut busy));
    println!("median {alone:.2} s alone, {busy:.2} s under upkeep: {:.2} times as long", busy / alone);
    Ok(ExitCode::SUCCESS)
}

fn timed(site: &Site) -> anyhow::Result<f64> {
    let start = Instant::now();
    site.backup()?;
    Ok(start.elapsed().as_secs_f64())
}

/// A backup while jobs are asked for without a pause; its seconds, and how many jobs were asked for.
fn beside_upkeep(site: &Site) -> anyhow::Result<(f64, u64)> {
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let seconds = std::thread::scope(|scope| {
        scope.spawn(|| {
            for job in JOBS.iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if site.admin(&["upkeep", "run", job, "BC1"]).is_ok() {
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let seconds = timed(site);
        over.store(true, Ordering::Relaxed);
        seconds
    });
    Ok((seconds?, asked.into_inner()))
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}

/// Copies a tree, each byte changed by the same bits; the bytes of its files.
fn copy(from: &Path, to: &Path, change: u8) -> anyhow::Result<u64> {
    std::fs::create_dir_all(to)?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            bytes += copy(&entry.path(), &target, change)?;
        } else if kind.is_file() {
            let content: Vec<u8> = std::fs::read(entry.path())?.into_iter().map(|byte| byte ^ change).collect();
            bytes += content.len() as u64;
            std::fs::write(target, content)?;
        }
    }
    Ok(bytes)
}

fn made(root: &Path) -> anyhow::Result<PathBuf> {
    for folder in 0..8u64 {
        let path = root.join(folder.to_string());
        std::fs::create_dir_all(&path)?;
        for file in 0..32u64 {
            let seed = folder * 32 + file;
            std::fs::write(
                path.join(format!("{file}.c")),
                text(seed, usize::try_from(4_000 + seed * 7_919 % 60_000)?),
            )?;
        }
    }
    Ok(root.to_owned())
}
