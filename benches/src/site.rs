//! A provider and a machine of a customer, by the programs as people run them; the holds, by the store.
//!
//! The programs are the bench itself, called by their names ([`run_program`]): nothing else needs to be built.

#![allow(clippy::disallowed_methods, reason = "a program that measures")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use common::id::SessionId;
use common::limits::RECORD_BYTES_MAX;
use common::stored::{HoldBody, HoldSignal, decode_strict};
use server::store::fact;
use server::store::name::FactKind;
use server::store::objects::Objects;

/// The agent's settings in the folder of a site, if it has some.
const AGENT_SETTINGS: &str = "agent.toml";
const PASSWORD: &str = "une longue phrase de passe";

/// Runs the program of the product that the first argument names; `None` if it names none.
pub fn run_program(arguments: &[OsString]) -> Option<ExitCode> {
    match arguments.first()?.to_str()? {
        "dobaas" => Some(agent::cli::run(arguments.to_vec(), &agent::cli::Environment::read())),
        "dobaas-server" => Some(server::cli::run(arguments).into()),
        "dobaas-admin" => Some(server::admin::command::run(arguments).into()),
        _ => None,
    }
}

/// What one backup says of itself.
#[derive(Debug, Clone)]
pub struct Run {
    /// The snapshot.
    pub snapshot: SessionId,
    /// Plain bytes of change.
    pub changed_bytes: u64,
    /// Plain bytes of the data that was sent.
    pub laid_bytes: u64,
    /// Frames that were sent.
    pub sent_bytes: u64,
    /// Files that are gone.
    pub files_deleted: u64,
}

/// The site. The server ends with it.
pub struct Site {
    folder: PathBuf,
    server: Server,
    address: String,
    fingerprint: String,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Site {
    /// Starts a server in `folder` with these settings changed, each by the name of its line, and sets a machine up for `source`.
    ///
    /// # Errors
    /// What a program says.
    pub fn set_up(folder: &Path, source: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let text = |name: &str| folder.join(name).display().to_string();
        let keep = |name: &str, secret: &str| std::fs::write(folder.join(name), secret).map(|()| text(name));
        let home = text("server");
        let init = ["--json", "init", &home, "--site", "Banc", "--operator", "op", "--listen", "127.0.0.1:0"];
        let made = output("dobaas-server", &init)?;
        let file = folder.join("server/server.toml");
        let mut configuration = std::fs::read_to_string(&file)?;
        for (name, value) in settings {
            let line = configuration.lines().find(|line| line.starts_with(&format!("{name} =")));
            let line = line.with_context(|| format!("no setting {name}"))?.to_owned();
            configuration = configuration.replace(&line, &format!("{name} = {value}"));
        }
        std::fs::write(&file, configuration)?;
        let mut server = program("dobaas-server")?;
        let mut server =
            Server(server.args(["--json", "serve", &home]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().context("the output was asked for")?).read_line(&mut line)?;
        let (url, fingerprint) = (format!("https://{}", value(&line, "address")?), value(&made, "fingerprint")?);
        let (default, password) = (keep("op", value(&made, "default_password")?)?, keep("password", PASSWORD)?);
        let login = ["login", "--server", &url, "--fingerprint", fingerprint, "--identifier", "op"];
        admin(folder, &[&login[..], &["--password-file", &default, "--new-password-file", &password]].concat())?;
        let address = value(&line, "address")?.to_owned();
        let site = Self { folder: folder.to_owned(), server, address, fingerprint: fingerprint.to_owned() };
        site.customer(1, "anna", "agent", source)?;
        Ok(site)
    }

    /// One more customer, whose machine backed `source` up once; log in as `berta`.
    ///
    /// # Errors
    /// What a program says.
    pub fn neighbour(&self, source: &Path) -> anyhow::Result<()> {
        self.customer(2, "berta", "neighbour", source)?;
        output_of(self.agent_of("neighbour", &["backup"])?).map(drop)
    }

    /// A subscription, its person, and a machine with its state in the folder `state`.
    fn customer(&self, number: u8, person: &str, state: &str, source: &Path) -> anyhow::Result<()> {
        let (reference, order_form) = (format!("C{number}"), format!("BC{number}"));
        self.admin(&["customer", "create", &reference, "Banc"])?;
        let order = [&format!("--customer={reference}"), "--volume=1To", "--history=30", "--source=files:s"];
        self.admin(&[&["subscription", "create", &order_form][..], &order].concat())?;
        let default = self.account(person, &order_form)?;
        let (path, recovery) = (source.display().to_string(), self.secret_file(&format!("{state}.recovery")));
        let (url, password) = (format!("https://{}", self.address), self.secret_file("password"));
        let server = ["setup", "--server", &url, "--fingerprint", &self.fingerprint, "--identifier", person];
        let files = ["--password-file", &default, "--new-password-file", &password, "--passphrase-file", &password];
        let rest = ["--source", "s", "--recovery-key-out", &recovery, "--path", &path];
        output_of(self.agent_of(state, &[&server[..], &files, &rest].concat())?).map(drop)
    }

    /// One more person of a subscription; the path of the file with the default password.
    ///
    /// # Errors
    /// What a program says.
    pub fn account(&self, person: &str, order_form: &str) -> anyhow::Result<String> {
        let made =
            self.admin(&["account", "create", person, &format!("--subscription={order_form}"), "--role=admin"])?;
        std::fs::write(self.folder.join(person), value(&made, "default_password")?)?;
        Ok(self.secret_file(person))
    }

    /// One backup.
    ///
    /// # Errors
    /// What the agent says.
    pub fn backup(&self) -> anyhow::Result<Run> {
        let printed = self.agent(&["--json", "backup"])?;
        let summary = printed.lines().last().context("a backup ends with a summary")?;
        let number = |key: &str| {
            let (_, rest) = summary.split_once(&format!("\"{key}\":")).with_context(|| format!("no {key}"))?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            Ok::<u64, anyhow::Error>(digits.parse()?)
        };
        Ok(Run {
            snapshot: value(summary, "snapshot")?.parse()?,
            changed_bytes: number("changed_bytes")?,
            laid_bytes: number("laid_bytes")?,
            sent_bytes: number("sent_bytes")?,
            files_deleted: number("files_deleted")?,
        })
    }

    /// What fired for a snapshot.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn signals(&self, snapshot: &SessionId) -> anyhow::Result<Vec<HoldSignal>> {
        let objects = Objects::open(&self.folder.join("server/store"), 0)?;
        let subscriptions = objects.subscriptions()?;
        ensure!(subscriptions.len() == 1, "there is one subscription");
        for known in fact::load(&objects, &subscriptions[0], FactKind::Hold)? {
            let fact = known.decode()?;
            if fact.id == snapshot.as_bytes() {
                let body: HoldBody = decode_strict("hold", &fact.body, RECORD_BYTES_MAX)?;
                return Ok(body.signals().collect());
            }
        }
        Ok(Vec::new())
    }

    /// A command of the operator; what it prints.
    ///
    /// # Errors
    /// What the program says.
    pub fn admin(&self, arguments: &[&str]) -> anyhow::Result<String> {
        admin(&self.folder, arguments)
    }

    /// Forgets the most memory that the server ever held.
    ///
    /// # Errors
    /// Those of the system.
    pub fn forget_peak(&self) -> anyhow::Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.server.0.id()), "5")?)
    }

    /// The most memory that the server held since then, in bytes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("the system tells the peak")?;
        Ok(line.split_whitespace().next().context("a number")?.parse::<u64>()? << 10)
    }

    /// Where the server listens.
    ///
    /// # Errors
    /// If it did not say so.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.address.parse()?)
    }

    /// From now on the agent reaches the server through whatever listens there.
    ///
    /// # Errors
    /// If the settings cannot be written.
    pub fn reach_through(&self, address: SocketAddr) -> anyhow::Result<()> {
        let settings = format!("server = 'https://127.0.0.1:{}'\n", address.port());
        Ok(std::fs::write(self.folder.join(AGENT_SETTINGS), settings)?)
    }

    /// A command of the agent, to be run and measured.
    ///
    /// # Errors
    /// If this program does not know where it is.
    pub fn agent_command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        self.agent_of("agent", arguments)
    }

    fn agent_of(&self, state: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = program("dobaas")?;
        command.env("DOBAAS_CONFIG", self.folder.join(AGENT_SETTINGS));
        command.arg("--quiet").arg("--state").arg(self.folder.join(state)).args(arguments);
        Ok(command)
    }

    /// Path of the file of that name in the site's folder; `password` has that of every person, and the passphrase.
    pub fn secret_file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Bytes of all files of the store.
    ///
    /// # Errors
    /// Those of the system.
    pub fn stored_bytes(&self) -> anyhow::Result<u64> {
        tree_bytes(&self.folder.join("server/store"))
    }

    /// User and system time of the server so far, in seconds.
    ///
    /// # Errors
    /// Those of the system.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.0.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("a field of stat");
        Ok((ticks(11)? + ticks(12)?) / 100.0)
    }

    fn agent(&self, arguments: &[&str]) -> anyhow::Result<String> {
        output_of(self.agent_command(arguments)?)
    }
}

/// Bytes of all files below a folder.
///
/// # Errors
/// Those of the system.
pub fn tree_bytes(path: &Path) -> anyhow::Result<u64> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        std::fs::read_dir(path)?.map(|entry| tree_bytes(&entry?.path())).sum()
    } else {
        Ok(if metadata.is_file() { metadata.len() } else { 0 })
    }
}

fn admin(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let state = folder.join("admin").display().to_string();
    output("dobaas-admin", &[&["--json", "--state", &state], arguments].concat())
}

/// A program of the product: this one, called by its name.
fn program(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("DOBAAS_CONFIG").env("LANG", "C.UTF-8").arg(name);
    Ok(command)
}

fn output(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = program(name)?;
    command.args(arguments);
    output_of(command)
}

fn output_of(mut command: Command) -> anyhow::Result<String> {
    let ended = command.output()?;
    let said = || String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.success(), "{command:?}: {} {}", said(), String::from_utf8_lossy(&ended.stdout));
    Ok(String::from_utf8(ended.stdout)?)
}

/// The text of a key in a document of one line.
fn value<'a>(document: &'a str, key: &str) -> anyhow::Result<&'a str> {
    let (_, rest) = document.split_once(&format!("\"{key}\":\"")).with_context(|| format!("no {key} in {document}"))?;
    Ok(rest.split('"').next().unwrap_or_default())
}
