//! A provider and a machine of a customer, by the programs as people run them; the holds, by the store.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use common::id::SessionId;
use common::limits::RECORD_BYTES_MAX;
use common::stored::{HoldBody, HoldSignal, decode_strict};
use server::store::fact;
use server::store::name::FactKind;
use server::store::objects::Objects;

const PASSWORD: &str = "une longue phrase de passe";

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
    _server: Server,
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
    /// Starts a server in `folder`, and sets a machine up for `source`.
    ///
    /// # Errors
    /// What a program says.
    pub fn set_up(folder: &Path, source: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| folder.join(name).display().to_string();
        let keep = |name: &str, secret: &str| std::fs::write(folder.join(name), secret).map(|()| text(name));
        let home = text("server");
        let init = ["--json", "init", &home, "--site", "Banc", "--operator", "op", "--listen", "127.0.0.1:0"];
        let made = output("dobaas-server", &init)?;
        let mut server = program("dobaas-server")?;
        let mut server =
            Server(server.args(["--json", "serve", &home]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().context("the output was asked for")?).read_line(&mut line)?;
        let (url, fingerprint) = (format!("https://{}", value(&line, "address")?), value(&made, "fingerprint")?);
        let (default, password) = (keep("op", value(&made, "default_password")?)?, keep("password", PASSWORD)?);
        let state = text("admin");
        let admin = |arguments: &[&str]| output("dobaas-admin", &[&["--json", "--state", &state], arguments].concat());
        let login = ["login", "--server", &url, "--fingerprint", fingerprint, "--identifier", "op"];
        admin(&[&login[..], &["--password-file", &default, "--new-password-file", &password]].concat())?;
        admin(&["customer", "create", "C1", "Banc"])?;
        let order = ["--customer=C1", "--volume=1To", "--history=30", "--source=files:s"];
        admin(&[&["subscription", "create", "BC1"][..], &order].concat())?;
        let account = admin(&["account", "create", "anna", "--subscription=BC1", "--role=admin"])?;
        let default = keep("anna", value(&account, "default_password")?)?;
        let (path, recovery) = (source.display().to_string(), text("recovery"));
        let setup = ["setup", "--server", &url, "--fingerprint", fingerprint, "--identifier", "anna", "--source", "s"];
        let files = ["--password-file", &default, "--new-password-file", &password, "--passphrase-file", &password];
        let site = Self { folder: folder.to_owned(), _server: server };
        site.agent(&[&setup[..], &files, &["--recovery-key-out", &recovery, "--path", &path]].concat())?;
        Ok(site)
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

    fn agent(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let state = self.folder.join("agent").display().to_string();
        output("dobaas", &[&["--quiet", "--state", &state], arguments].concat())
    }
}

/// A program of the product: this one, called by its name.
fn program(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_remove("DOBAAS_CONFIG").env("LANG", "C.UTF-8").arg(name);
    Ok(command)
}

fn output(name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let ended = program(name)?.args(arguments).output()?;
    let said = || String::from_utf8_lossy(&ended.stderr).into_owned();
    ensure!(ended.status.success(), "{name} {arguments:?}: {} {}", said(), String::from_utf8_lossy(&ended.stdout));
    Ok(String::from_utf8(ended.stdout)?)
}

/// The text of a key in a document of one line.
fn value<'a>(document: &'a str, key: &str) -> anyhow::Result<&'a str> {
    let (_, rest) = document.split_once(&format!("\"{key}\":\"")).with_context(|| format!("no {key} in {document}"))?;
    Ok(rest.split('"').next().unwrap_or_default())
}
