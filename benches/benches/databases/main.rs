//! What does a day of small updates cost, of the data folder of a real MariaDB and a real PostgreSQL at rest?
//!
//! Each server is started on a new folder, filled, stopped; first backup; some thousand rows are updated at random, stopped again;
//! second backup. What the disk says (4 KiB pages that differ from a copy) stands beside what was laid, sent, stored and counted by the
//! day's ledger, and beside restic on the same folders where it is installed.
//! Needs the Debian packages `mariadb-server` and `postgresql`; `DOBAAS_BENCH_ROWS` and `DOBAAS_BENCH_UPDATES` change the size.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

mod engine;
mod pages;
mod restic;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use benches::site::{Site, run_program};

use engine::{Engine, Kind};
use restic::Restic;

const ROWS: u64 = 1_000_000;
const UPDATES: u64 = 5_000;

/// The size of the work.
#[derive(Clone, Copy)]
struct Size {
    rows: u64,
    updates: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(exit) = run_program(&arguments[1..]) {
        std::process::exit(i32::from(exit != std::process::ExitCode::SUCCESS));
    }
    let number = |name: &str, usual| {
        std::env::var(name).map_or(Ok(usual), |text| text.parse::<u64>()).with_context(|| name.to_owned())
    };
    let is_test = !arguments.iter().any(|argument| argument == "--bench");
    let (rows, updates) = if is_test { (20_000, 200) } else { (ROWS, UPDATES) };
    let size = Size { rows: number("DOBAAS_BENCH_ROWS", rows)?, updates: number("DOBAAS_BENCH_UPDATES", updates)? };
    for kind in [Kind::MariaDb, Kind::PostgreSql] {
        one(kind, size)?;
    }
    Ok(())
}

fn one(kind: Kind, size: Size) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    // The database servers run as users of their own.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755))?;
    let engine = Engine::create(kind, &scratch.path().join("database"))?;
    engine.while_running(|sql| sql(&kind.fill(size.rows)))?;
    let data = engine.data();
    let site = Site::set_up(scratch.path(), &data, &[])?;
    let store = scratch.path().join("server/store");
    let restic = Restic::create(&scratch.path().join("restic"))?;
    let folder_bytes = pages::bytes(&data)?;
    let first = site.backup()?;
    let first_stored = pages::bytes(&store)?;
    let first_added = restic.as_ref().map(|restic| restic.backup(&data)).transpose()?;
    let kept = scratch.path().join("kept");
    copy(&data, &kept)?;
    engine.while_running(|sql| sql(&kind.updates(size.rows, size.updates)))?;
    let changed = pages::changed(&kept, &data)?;
    let second = site.backup()?;
    let second_stored = pages::bytes(&store)? - first_stored;
    let second_added = restic.as_ref().map(|restic| restic.backup(&data)).transpose()?;
    println!("{}: {} rows, {} updates", kind.name(), size.rows, size.updates);
    let mb = |bytes: u64| format!("{:.2} MB", bytes as f64 / 1e6);
    let other = |bytes: Option<u64>| bytes.map_or_else(|| "not installed".to_owned(), mb);
    for (what, figure) in [
        ("data folder", mb(folder_bytes)),
        ("first backup: laid", mb(first.laid_bytes)),
        ("first backup: stored", mb(first_stored)),
        ("first backup: stored by restic", other(first_added)),
        ("changed on disk, pages of 4 KiB", mb(changed.bytes)),
        ("  of them in files of the log", mb(changed.log_bytes)),
        ("second backup: laid", mb(second.laid_bytes)),
        ("second backup: counted as change", mb(second.changed_bytes)),
        ("second backup: sent", mb(second.sent_bytes)),
        ("second backup: stored", mb(second_stored)),
        ("second backup: stored by restic", other(second_added)),
    ] {
        println!("  {what:<40} {figure:>14}");
    }
    println!("  {:<40} {:>14.3}", "laid ÷ changed on disk", second.laid_bytes as f64 / changed.bytes as f64);
    ensure!(second.laid_bytes as f64 <= changed.bytes as f64 * 1.5, "more was laid than 1.5 times the change");
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success(), "the data folder cannot be copied");
    Ok(())
}
