//! How long does the whole job take: server, TLS, agent and fsync included, by the programs as people run them?
//!
//! `DOBAAS_BENCH_SOURCE` names a folder to back up (it is only read); without it a tree of 256 MB is made. Caches are warm: the source is read once
//! before.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::ensure;
use benches::limit::{Limits, measure};
use benches::sample::{noise, text};
use benches::site::{Site, run_program};
use benches::table::{Against, print_bytes, print_limits};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(exit) = run_program(&arguments[1..]) {
        std::process::exit(i32::from(exit != std::process::ExitCode::SUCCESS));
    }
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    let source = match std::env::var_os("DOBAAS_BENCH_SOURCE") {
        Some(given) => PathBuf::from(given),
        None => made(&scratch.path().join("source"))?,
    };
    let bytes = read_all(&source)?;
    println!("{} bytes in {}\n", bytes, source.display());
    print_limits(&limits);
    let site = Site::set_up(scratch.path(), &source, &[])?;
    let timed = |what: &str, arguments: &[&str]| {
        let (before, start) = (site.cpu_seconds()?, Instant::now());
        let ended = site.agent_command(arguments)?.output()?;
        ensure!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.stderr));
        report(what, bytes, start.elapsed().as_secs_f64(), site.cpu_seconds()? - before, &limits);
        Ok::<_, anyhow::Error>(())
    };
    for what in ["first backup", "backup right after (recent files are read again)", "unchanged backup"] {
        timed(what, &["backup"])?;
    }
    let (target, secret) = (scratch.path().join("target").display().to_string(), site.secret_file("password"));
    let person = ["--identifier", "anna", "--password-file", &secret, "--passphrase-file", &secret];
    timed("restore", &[&["restore", "--to", &target][..], &person].concat())?;
    println!("\nstored: {} bytes", site.stored_bytes()?);
    Ok(())
}

fn report(what: &str, bytes: u64, seconds: f64, server_cpu: f64, limits: &Limits) {
    let name = format!("{what}: {seconds:.2} s (server CPU {server_cpu:.2} s)");
    print_bytes(&name, bytes as f64 / seconds, Against::new("write and fdatasync", limits.durable_write));
}

fn made(root: &Path) -> anyhow::Result<PathBuf> {
    for folder in 0..128u64 {
        let path = root.join(format!("{folder}"));
        std::fs::create_dir_all(&path)?;
        for file in 0..32u64 {
            let seed = folder * 32 + file;
            let bytes = usize::try_from(4_000 + seed * 7_919 % 60_000)?;
            std::fs::write(path.join(format!("{file}.c")), text(seed, bytes))?;
        }
    }
    std::fs::write(root.join("noise"), noise(1, 128 << 20))?;
    Ok(root.to_owned())
}

fn read_all(path: &Path) -> anyhow::Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_dir() {
        return std::fs::read_dir(path)?.map(|entry| read_all(&entry?.path())).sum();
    }
    Ok(if meta.is_file() { std::fs::read(path)?.len() as u64 } else { 0 })
}
