//! How much of a slow line do a backup and a restore use?
//!
//! A proxy between agent and server lets so many bits a second through each way and delays them by 25 ms, so that a round trip takes 50 ms. The
//! source does not compress. Each figure is the bytes that the proxy carried the busier way, in proportion to what it could have in that time; connecting,
//! walking and the last durability are inside. What a plain connection gets of each line is printed first.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

mod proxy;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::ensure;
use benches::sample::noise;
use benches::site::{Site, run_program};

use crate::proxy::Proxy;

const DELAY: Duration = Duration::from_millis(25);

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(ended) = run_program(&arguments[1..]) {
        return Ok(ended);
    }
    // As a test, a little of it; as a bench, ten seconds of each line.
    let seconds = if arguments.iter().any(|argument| argument == "--bench") { 10 } else { 1 };
    println!("{:<34} {:>8} {:>8} {:>12}", "line", "seconds", "MB", "used");
    for mbits in [20, 100] {
        line(mbits, seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn line(mbits: u64, seconds: u64) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("source");
    std::fs::create_dir(&source)?;
    let bytes = usize::try_from(mbits * 125_000 * seconds)?;
    std::fs::write(source.join("noise"), noise(mbits, bytes))?;
    let site = Site::set_up(scratch.path(), &source, &[])?;
    let proxy = Proxy::start(site.address()?, mbits * 125_000, DELAY)?;
    site.reach_through(proxy.address())?;
    plain(mbits, seconds)?;
    let measured = |what: &str, arguments: &[&str]| {
        let (before, begun) = (proxy.carried(), Instant::now());
        let ended = site.agent_command(arguments)?.output()?;
        let took = begun.elapsed().as_secs_f64();
        ensure!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.stderr));
        let after = proxy.carried();
        let carried = (after[0] - before[0]).max(after[1] - before[1]);
        let used = 100.0 * carried as f64 / (took * (mbits * 125_000) as f64);
        println!("{:<34} {took:>8.2} {:>8.1} {used:>10.1} %", format!("{mbits} Mbit/s, {what}"), carried as f64 / 1e6);
        Ok::<_, anyhow::Error>(())
    };
    measured("backup", &["backup"])?;
    let (target, secret) = (scratch.path().join("target").display().to_string(), site.secret_file("password"));
    let person = ["--identifier", "anna", "--password-file", &secret, "--passphrase-file", &secret];
    measured("restore", &[&["restore", "--to", &target][..], &person].concat())
}

/// As many bytes over a plain connection: what the line gives at most.
fn plain(mbits: u64, seconds: u64) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let proxy = Proxy::start(listener.local_addr()?, mbits * 125_000, DELAY)?;
    let bytes = mbits * 125_000 * seconds;
    let begun = Instant::now();
    let mut client = TcpStream::connect(proxy.address())?;
    let (mut server, _) = listener.accept()?;
    let sender = std::thread::spawn(move || client.write_all(&noise(0, usize::try_from(bytes).unwrap_or(usize::MAX))));
    let mut received = 0;
    let mut buffer = vec![0; 64 << 10];
    while received < bytes {
        let got = server.read(&mut buffer)?;
        ensure!(got > 0, "the plain connection ended early");
        received += got as u64;
    }
    let took = begun.elapsed().as_secs_f64();
    ensure!(sender.join().is_ok_and(|sent| sent.is_ok()), "the plain connection broke");
    let used = 100.0 * bytes as f64 / (took * (mbits * 125_000) as f64);
    println!("{:<34} {took:>8.2} {:>8.1} {used:>10.1} %", format!("{mbits} Mbit/s, plain"), bytes as f64 / 1e6);
    Ok(())
}
