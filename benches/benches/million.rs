//! How long does a backup of very many small files take, and how much memory, with and without the change journal?
//!
//! `DOBAAS_BENCH_FILES` files of 100 bytes (2,000 unless said) in `DOBAAS_BENCH_FOLDERS` directories (20), made in a temporary folder
//! below `DOBAAS_BENCH_SCRATCH`. Server, TLS and fsync are in the path; caches are warm: the files were just made. Runs without the
//! journal are processes of their own, as a command is; those with it are one process, as a service is. Memory is the highest resident
//! set of each process.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Instant;

use agent::backup::progress::Progress;
use agent::backup::run::{Fresh, Outcome, Request, run};
use agent::backup::seal::SealOptions;
use agent::remote::Remote;
use agent::source::journal::Journal;
use agent::state::identity::Identity;
use agent::state::source_folder;
use anyhow::Context;
use aws_lc_rs::rand::fill;
use benches::site::{Site, run_program};
use common::id::SessionId;
use common::keys::SessionKey;
use jiff::Timestamp;

const FILE_BYTES: usize = 100;
const CHANGED_FILES: usize = 100;
/// The clock of the runs is ahead, so that files that were just made do not count as freshly changed and are not read twice.
const AHEAD_NS: i64 = 3_000_000_000;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(code) = run_program(&arguments) {
        return Ok(code);
    }
    match arguments.first().and_then(|first| first.to_str()) {
        Some("agent") => serve(Path::new(&arguments[1]), arguments.get(2).is_some_and(|listens| listens == "listen"))?,
        _ => measure()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn measure() -> anyhow::Result<()> {
    let number = |name: &str, usual: usize| match std::env::var(name) {
        Ok(text) => text.parse().context("a number"),
        Err(_) => Ok(usual),
    };
    let (files, folders) = (number("DOBAAS_BENCH_FILES", 2_000)?, number("DOBAAS_BENCH_FOLDERS", 20)?);
    let scratch = match std::env::var_os("DOBAAS_BENCH_SCRATCH") {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let tree = Tree { root: scratch.path().join("tree"), files, folders };
    tree.make()?;
    let home = scratch.path().join("site");
    std::fs::create_dir(&home)?;
    let site = Site::set_up(&home, &tree.root, &[])?;
    println!("{files} files of {FILE_BYTES} bytes in {folders} directories");
    println!("{:<42} {:>8} {:>10} {:>10} {:>9} {:>8}", "run", "seconds", "agent MB", "server MB", "changed", "walk");
    let state = home.join("agent");
    let by_command = |what: &str| Agent::start(&state, false)?.report(what, &site);
    by_command("first")?;
    by_command("right after (recent files are read again)")?;
    by_command("unchanged, full walk")?;
    tree.change(1)?;
    by_command("100 changed, full walk")?;
    let mut service = Agent::start(&state, true)?;
    service.report("service, its first run (sets the watches)", &site)?;
    service.report("service, its second run (proves them)", &site)?;
    service.report("unchanged, by the journal", &site)?;
    for round in 2..5 {
        tree.change(round)?;
        service.report("100 changed, by the journal", &site)?;
    }
    Ok(())
}

struct Tree {
    root: PathBuf,
    files: usize,
    folders: usize,
}

impl Tree {
    fn path(&self, file: usize) -> PathBuf {
        self.root.join(format!("d{:05}", file % self.folders)).join(format!("f{file:07}"))
    }

    fn make(&self) -> anyhow::Result<()> {
        (0..self.folders).try_for_each(|at| std::fs::create_dir_all(self.root.join(format!("d{at:05}"))))?;
        Ok((0..self.files).try_for_each(|file| std::fs::write(self.path(file), content(file, 0)))?)
    }

    /// Changes files that lie far from each other.
    fn change(&self, round: usize) -> anyhow::Result<()> {
        let step = (self.files / CHANGED_FILES).max(1);
        // A step of its own, so that directories differ as well.
        let chosen = (0..CHANGED_FILES.min(self.files)).map(|at| (at * step + at * 7 + round) % self.files);
        Ok(chosen.into_iter().try_for_each(|file| std::fs::write(self.path(file), content(file, round)))?)
    }
}

fn content(file: usize, round: usize) -> Vec<u8> {
    let mut bytes = vec![0; FILE_BYTES];
    blake3::Hasher::new().update(format!("{file} {round}").as_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// An agent in a process of its own.
struct Agent {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    fn start(state: &Path, listens: bool) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("agent").arg(state).arg(if listens { "listen" } else { "walk" });
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().context("the input was asked for")?;
        let answers = BufReader::new(child.stdout.take().context("the output was asked for")?);
        Ok(Self { child, orders, answers })
    }

    /// One backup, printed as a line.
    fn report(&mut self, what: &str, site: &Site) -> anyhow::Result<()> {
        site.forget_peak()?;
        writeln!(self.orders, "run")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut fields = answer.split_whitespace();
        let mut field = || fields.next().context("the agent answers in four fields");
        let (seconds, peak, changed, walk) = (field()?, field()?, field()?, field()?);
        let server = site.peak_bytes()? as f64 / 1e6;
        println!("{what:<42} {seconds:>8} {peak:>10} {server:>10.0} {changed:>9} {walk:>8}");
        Ok(())
    }
}

/// The agent: a backup for each line that comes in.
fn serve(state: &Path, listens: bool) -> anyhow::Result<()> {
    let identity = Identity::load(state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let remote = runtime.block_on(Remote::connect(&identity.address, Some(identity.token.clone())))?;
    let set = runtime.block_on(remote.sets())?.sets.into_iter().next().context("the site has a set")?;
    let folder = source_folder(state, &set.source);
    let journal = listens.then(|| Journal::new(&folder));
    for line in std::io::stdin().lines() {
        line?;
        std::fs::write("/proc/self/clear_refs", "5")?;
        let start = Instant::now();
        let request = Request {
            identity: &identity,
            folder: folder.clone(),
            source: set.source,
            set_version: set.version,
            set: set.files.clone(),
            disks: None,
            settings: String::new(),
            host: "bench".into(),
            started_at_ns: i64::try_from(Timestamp::now().as_nanosecond())? + AHEAD_NS,
            options: SealOptions { level: 1, check_all: false },
            journal: journal.as_ref(),
        };
        let outcome = run(runtime.handle(), &remote, &request, fresh()?, &Arc::new(Progress::default()))?;
        answer(&outcome, start.elapsed().as_secs_f64())?;
    }
    Ok(())
}

fn answer(outcome: &Outcome, seconds: f64) -> anyhow::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells the peak")?;
    let kib: f64 = line.split_whitespace().next().context("a number")?.parse()?;
    let changed = outcome.counts.files_new + outcome.counts.files_changed;
    println!("{seconds:.3} {:.0} {changed} {}", kib * 1_024.0 / 1e6, outcome.walk.word());
    Ok(())
}

fn fresh() -> anyhow::Result<Fresh> {
    let (mut session, mut key, mut salt_seed, mut seed) = ([0; 16], [0; 32], [0; 32], [0; 8]);
    for bytes in [&mut session[..], &mut key, &mut salt_seed, &mut seed] {
        fill(bytes).context("the system gives random bytes")?;
    }
    Ok(Fresh {
        session: SessionId::new(session),
        session_key: SessionKey::new(key),
        salt_seed,
        retry_seed: u64::from_le_bytes(seed),
    })
}
