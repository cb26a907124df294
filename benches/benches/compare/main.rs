//! How do the peers fare on the same work? Each tool backs up the same sources in turn, round after round, and restores one.
//!
//! `compare` beside this crate's manifest installs the peers, builds and calls it: `compare CORPUS [ROUNDS]`. `DOBAAS_COMPARE_ONLY` names some tools
//! (`dobaas,restic`). Ours runs with server, TLS and every fsync, and its CPU counts agent and server; peers write to a local repository. Caches are
//! warm: everything is read once before each turn. Nothing large should have been removed from the disk in the six minutes before, see `stage`. The corpus needs
//! `k61`, `k612` (two versions of a source tree), `img/vm.img`, `img2/vm.img` (an image before and after some pages changed) and `random.bin`; what is
//! missing is left out.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

mod chart;
mod dobaas;
mod measure;
mod peers;
mod report;
mod stage;

use std::path::PathBuf;

use anyhow::{Context, ensure};

use crate::report::Report;
use crate::stage::{Stage, Work};

/// One tool with one repository.
pub trait Tool {
    /// Its name and version.
    fn name(&self) -> String;
    /// Backs the source up.
    fn backup(&mut self) -> anyhow::Result<measure::Measured>;
    /// Restores the newest snapshot to a folder that does not exist.
    fn restore(&mut self, target: &std::path::Path) -> anyhow::Result<measure::Measured>;
    /// Bytes that the repository takes on disk.
    fn stored_bytes(&self) -> anyhow::Result<u64>;
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(exit) = benches::site::run_program(&arguments[1..]) {
        std::process::exit(i32::from(exit != std::process::ExitCode::SUCCESS));
    }
    let given: Vec<String> = std::env::args().skip(1).filter(|given| !given.starts_with("--")).collect();
    let Some(corpus) = given.first() else {
        // As a test it only shows that it is there: the peers are not installed then.
        println!("compare CORPUS [ROUNDS]: see its first lines");
        return Ok(());
    };
    let corpus = PathBuf::from(corpus);
    ensure!(corpus.is_dir(), "{} is no folder", corpus.display());
    let rounds: usize = given.get(1).map_or(Ok(3), |rounds| rounds.parse()).context("ROUNDS is a number")?;
    let only = std::env::var("DOBAAS_COMPARE_ONLY").unwrap_or_default();
    let tools: Vec<&str> =
        stage::TOOLS.into_iter().filter(|tool| only.is_empty() || only.split(',').any(|one| one == *tool)).collect();
    let mut report = Report::default();
    let mut kept = Vec::new();
    for work in Work::of(&corpus) {
        for round in 1..=rounds {
            for tool in &tools {
                eprintln!("{} {tool}, round {round} of {rounds}", work.name);
                // Borg has the system forget what it read: whoever came after it would read from the disk.
                work.warm()?;
                let stage = Stage::new(&corpus, &work)?;
                match stage.run(tool) {
                    Ok(steps) => steps.into_iter().for_each(|step| report.add(step)),
                    Err(error) => eprintln!("{tool}: left out: {error:#}"),
                }
                kept.extend(stage.end());
            }
        }
    }
    print!("{}", report.table());
    std::fs::write(corpus.join("compare.json"), report.json())?;
    std::fs::write(corpus.join("compare.svg"), chart::draw(&report))?;
    println!("\nwritten: {}", corpus.join("compare.{json,svg}").display());
    Ok(())
}
