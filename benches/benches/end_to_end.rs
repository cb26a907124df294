//! How long does the whole job take: server, TLS, agent and fsync included, by the programs as people run them?
//!
//! `DOBAAS_BENCH_SOURCE` names a folder to back up (it is only read); without it a tree of 256 MB is made. The programs must be built
//! in the same profile: `cargo build --release --bins`. Caches are warm: the source is read once before.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use benches::limit::{Limits, measure};
use benches::sample::{noise, text};
use benches::table::{Against, print_bytes, print_limits};

const PASSWORD: &str = "une longue phrase de passe";

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    let source = match std::env::var_os("DOBAAS_BENCH_SOURCE") {
        Some(given) => PathBuf::from(given),
        None => made(&scratch.path().join("source"))?,
    };
    let bytes = read_all(&source)?;
    println!("{} bytes in {}\n", bytes, source.display());
    print_limits(&limits);
    let job = Job { folder: scratch.path().to_owned(), source };
    let server = job.set_up()?;
    for what in ["first backup", "backup right after (recent files are read again)", "unchanged backup"] {
        let before = cpu_seconds(&server)?;
        report(what, bytes, job.timed(&["backup"])?, cpu_seconds(&server)? - before, &limits);
    }
    let target = scratch.path().join("target").display().to_string();
    let (person, phrase) = (job.secret("person"), job.secret("passphrase"));
    let restore =
        ["restore", "--to", &target, "--identifier", "anna", "--password-file", &person, "--passphrase-file", &phrase];
    let before = cpu_seconds(&server)?;
    report("restore", bytes, job.timed(&restore)?, cpu_seconds(&server)? - before, &limits);
    println!("\nstored: {} bytes", stored_bytes(&job.folder.join("server/store"))?);
    Ok(())
}

struct Job {
    folder: PathBuf,
    source: PathBuf,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Job {
    fn secret(&self, name: &str) -> String {
        self.folder.join(format!("secret-{name}")).display().to_string()
    }

    fn keep(&self, name: &str, secret: &str) -> anyhow::Result<String> {
        std::fs::write(self.secret(name), secret)?;
        Ok(self.secret(name))
    }

    fn set_up(&self) -> anyhow::Result<Server> {
        let folder = self.folder.join("server").display().to_string();
        let init = ["--json", "init", &folder, "--site", "Banc", "--operator", "op", "--listen", "127.0.0.1:0"];
        let made = output("dobaas-server", &init)?;
        let mut server = Command::new(program("dobaas-server")?);
        let mut server = Server(server.args(["--json", "serve", &folder]).stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().context("the output was asked for")?).read_line(&mut line)?;
        let url = format!("https://{}", value(&line, "address")?);
        let fingerprint = value(&made, "fingerprint")?;
        let (op, new, phrase) = (
            self.keep("op", value(&made, "default_password")?)?,
            self.keep("new", PASSWORD)?,
            self.keep("passphrase", PASSWORD)?,
        );
        let login = ["login", "--server", &url, "--fingerprint", fingerprint, "--identifier", "op"];
        self.admin(&[&login[..], &["--password-file", &op, "--new-password-file", &new]].concat())?;
        self.admin(&["customer", "create", "C1", "Banc"])?;
        self.admin(&[
            "subscription",
            "create",
            "BC1",
            "--customer=C1",
            "--volume=10To",
            "--history=30",
            "--source=files:s",
        ])?;
        let account = self.admin(&["account", "create", "anna", "--subscription=BC1", "--role=admin"])?;
        let default = self.keep("default", value(&account, "default_password")?)?;
        self.keep("person", PASSWORD)?;
        let (source, recovery) = (self.source.display().to_string(), self.secret("recovery"));
        let setup = ["setup", "--server", &url, "--fingerprint", fingerprint, "--identifier", "anna", "--source", "s"];
        let files = ["--password-file", &default, "--new-password-file", &new, "--passphrase-file", &phrase];
        self.agent(&[&setup[..], &files, &["--recovery-key-out", &recovery, "--path", &source]].concat())?;
        Ok(server)
    }

    fn admin(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let state = self.folder.join("admin").display().to_string();
        output("dobaas-admin", &[&["--json", "--state", &state], arguments].concat())
    }

    fn agent(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let state = self.folder.join("agent").display().to_string();
        output("dobaas", &[&["--quiet", "--state", &state], arguments].concat())
    }

    /// Seconds that a command of the agent takes.
    fn timed(&self, arguments: &[&str]) -> anyhow::Result<f64> {
        let start = Instant::now();
        self.agent(arguments)?;
        Ok(start.elapsed().as_secs_f64())
    }
}

fn report(what: &str, bytes: u64, seconds: f64, server_cpu: f64, limits: &Limits) {
    let name = format!("{what}: {seconds:.2} s (server CPU {server_cpu:.2} s)");
    print_bytes(&name, bytes as f64 / seconds, Against::new("write and fdatasync", limits.durable_write));
}

/// A program that stands beside this bench.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let bench = std::env::current_exe()?;
    let path = bench.ancestors().nth(2).context("a bench lies in deps")?.join(name);
    ensure!(path.exists(), "{} is not built: cargo build --release --bins", path.display());
    Ok(path)
}

fn output(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let ended = Command::new(program(name)?).args(arguments).output()?;
    ensure!(ended.status.success(), "{name} {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(String::from_utf8(ended.stdout)?)
}

/// The text of a key in a document of one line.
fn value<'a>(document: &'a str, key: &str) -> anyhow::Result<&'a str> {
    let (_, rest) = document.split_once(&format!("\"{key}\":\"")).with_context(|| format!("no {key} in {document}"))?;
    Ok(rest.split('"').next().unwrap_or_default())
}

/// User and system time of the server so far.
fn cpu_seconds(server: &Server) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.0.id()))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a field of stat");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
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

fn stored_bytes(path: &Path) -> anyhow::Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    if meta.is_dir() {
        std::fs::read_dir(path)?.map(|entry| stored_bytes(&entry?.path())).sum()
    } else {
        Ok(meta.len())
    }
}
