//! How long does mark take over a catalog of ten million chunks, and how much memory?
//!
//! `cargo bench -p benches --bench gc` takes 10,000,000 chunks, or as many as `DOBAAS_BENCH_CHUNKS` says; without `--bench` (as
//! `cargo test --benches` does) 50,000. It ends with an error if mark does not find exactly what is garbage, or, at full size, not
//! within the figures of the issue: 10 s and 256 MB. Mark runs in a process of its own, whose peak of memory is the whole process's.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

mod growth;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use aws_lc_rs::signature::Ed25519KeyPair;
use common::id::SubscriptionId;
use growth::{Grown, grow, newest};
use jiff::Timestamp;
use server::clock::{Clock, Random};
use server::contract::hold::Thresholds;
use server::contract::location::Location;
use server::store::name::ObjectName;
use server::store::objects::Objects;
use server::subscriptions::{Settings, Subscriptions};
use server::upkeep::mark::{MarkSettings, mark};
use server::upkeep::token::Token;

const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const FULL_CHUNKS: u64 = 10_000_000;
const SMALL_CHUNKS: u64 = 50_000;
const SECONDS_MAX: f64 = 10.0;
const MEMORY_BYTES_MAX: u64 = 256_000_000;
/// 2026-11-22: long after the synthetic snapshots.
const NOW_NS: i64 = 1_795_345_200_000_000_000;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, folder] = &arguments[..]
        && word == "mark"
    {
        return measured(Path::new(folder));
    }
    let full = arguments.iter().any(|argument| argument == "--bench");
    let asked = std::env::var("DOBAAS_BENCH_CHUNKS").ok().map(|text| text.parse()).transpose()?;
    let chunks = asked.unwrap_or(if full { FULL_CHUNKS } else { SMALL_CHUNKS });
    let scratch = tempfile::tempdir()?;
    let file = catalog_file(scratch.path());
    std::fs::create_dir_all(file.parent().context("a file has a folder")?)?;
    let start = Instant::now();
    let grown = grow(&file, chunks)?;
    println!(
        "{} chunks, {} nodes among them, 30 snapshots, 9 expired; catalog of {} MB, made in {:.0} s",
        grown.chunks,
        grown.nodes,
        std::fs::metadata(&file)?.len() / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    // One object, so that the store is not taken for one that is not mounted. Mark reads none.
    let objects = Objects::open(&scratch.path().join("store"), 0)?;
    objects.publish(&SUBSCRIPTION, &ObjectName::Snapshot(newest()), b"synthetic")?;
    let first = run(scratch.path())?;
    first.check(grown, grown.chunks - grown.reached)?;
    run(scratch.path())?.check(grown, 0)?;
    if full && chunks >= FULL_CHUNKS {
        ensure!(first.seconds <= SECONDS_MAX, "mark took {:.1} s", first.seconds);
        ensure!(first.peak_bytes <= MEMORY_BYTES_MAX, "mark took {} bytes of memory", first.peak_bytes);
    }
    Ok(())
}

/// What a run of mark said.
struct Marked {
    seconds: f64,
    peak_bytes: u64,
    reached: u64,
    trashed: u64,
}

impl Marked {
    fn check(&self, grown: Grown, garbage: u64) -> anyhow::Result<()> {
        ensure!(self.reached == grown.reached, "{} reached, not {}", self.reached, grown.reached);
        ensure!(self.trashed == garbage, "{} moved to trash, not {garbage}", self.trashed);
        Ok(())
    }
}

/// Runs mark in a process of its own.
fn run(folder: &Path) -> anyhow::Result<Marked> {
    let ended = Command::new(std::env::current_exe()?).arg("mark").arg(folder).output()?;
    ensure!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = String::from_utf8(ended.stdout)?;
    let (seconds, counts) = text.split_once(' ').context("a time, then counts")?;
    let seconds: f64 = seconds.parse()?;
    let counts: Vec<u64> = counts.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [before, peak_bytes, reached, trashed] = counts[..] else { anyhow::bail!("four counts, not {text}") };
    println!(
        "mark: {seconds:>6.2} s, peak of the process {:>5.1} MB (of which {:.1} before), {reached} reached, {trashed} to trash",
        peak_bytes as f64 / 1e6,
        before as f64 / 1e6
    );
    Ok(Marked { seconds, peak_bytes, reached, trashed })
}

/// The process of its own: opens the subscription, marks, and prints five numbers.
fn measured(folder: &Path) -> anyhow::Result<()> {
    let subscriptions = Subscriptions::new(settings(folder)?, Objects::open(&folder.join("store"), 0)?)?;
    let open = subscriptions.get(&SUBSCRIPTION)?;
    let before = peak_bytes()?;
    let start = Instant::now();
    let settings = MarkSettings { now_ns: NOW_NS, memory_bytes_max: MEMORY_BYTES_MAX };
    let counts = mark(&open, settings, &Token::default())?;
    let seconds = start.elapsed().as_secs_f64();
    let count = |name: &str| counts.iter().find(|(known, _)| *known == name).map_or(0, |(_, count)| *count);
    println!("{seconds} {before} {} {} {}", peak_bytes()?, count("reached"), count("trashed"));
    Ok(())
}

/// The most memory that this process ever held.
fn peak_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells the peak")?;
    Ok(line.split_whitespace().next().context("a number")?.parse::<u64>()? << 10)
}

fn catalog_file(folder: &Path) -> PathBuf {
    folder.join("catalogs").join(SUBSCRIPTION.to_string()).join("catalog.db")
}

fn settings(folder: &Path) -> anyhow::Result<Settings> {
    let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).map_err(|_| anyhow::anyhow!("a key"))?;
    Ok(Settings {
        catalogs: folder.join("catalogs"),
        staging: folder.join("staging"),
        location: Location { site: "Banc".into(), country: "FR".into(), owner: "provider".into() },
        key: Arc::new(key),
        terms: Arc::new(|_| Ok(None)),
        sources: Arc::new(|_| Ok(Vec::new())),
        refusals: Arc::new(|_, _| Ok(())),
        hold: Thresholds::default(),
        clock: Clock::new(|| Timestamp::from_nanosecond(NOW_NS.into()).unwrap_or_default()),
        random: Random::new(|bytes| bytes.fill(1)),
    })
}
