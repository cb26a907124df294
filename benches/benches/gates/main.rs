//! Deterministic counts that fail when they grow: instructions of the hot kernels, system calls and allocations of a backup, bytes stored of a
//! seeded corpus.
//!
//! The limits hold for the development profile: `cargo test -p benches --bench gates`. Nothing here is timed, so a busy machine changes nothing. Instructions and
//! allocations are counted by valgrind, system calls by strace; both run this program again by another name. Cut points have golden values in the agent's own tests.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

mod count;
mod kernels;
mod runs;

use std::process::ExitCode;

use crate::count::instructions;

/// A count that must stay at or below its limit. Limits are what was counted when they were set, and about a seventh.
struct Gate {
    name: String,
    counted: f64,
    limit: f64,
}

/// Instructions for each byte or entry of a kernel.
const KERNELS: &[(&str, f64)] = &[
    ("split", 5.5),
    ("chunk id", 3.0),
    ("page hashes", 4.7),
    ("seal noise", 49.0),
    ("seal text", 83.0),
    ("open text", 21.0),
    ("tree write", 15_500.0),
];

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(ended) = benches::site::run_program(&arguments[1..]) {
        return Ok(ended);
    }
    let words: Vec<String> = std::env::args().collect();
    if let [_, what, kernel, rounds] = &words[..]
        && what == "kernel"
    {
        kernels::run(kernel, rounds.parse()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut gates = Vec::new();
    for (kernel, limit) in KERNELS {
        let (one, three) = (instructions(&["kernel", kernel, "1"])?, instructions(&["kernel", kernel, "3"])?);
        let counted = (three - one) as f64 / 2.0 / kernels::units(kernel) as f64;
        gates.push(Gate { name: format!("{kernel}, instructions each"), counted, limit: *limit });
    }
    gates.extend(runs::gates()?);
    println!("{:<58} {:>12} {:>12}", "count", "now", "limit");
    let mut kept = true;
    for Gate { name, counted, limit } in &gates {
        let mark = if counted <= limit { "" } else { "   TOO MANY" };
        kept &= counted <= limit;
        println!("{name:<58} {counted:>12.3} {limit:>12.3}{mark}");
    }
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
