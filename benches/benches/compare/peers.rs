//! The peers with a local repository, each with its own defaults.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use benches::site::tree_bytes;

use crate::Tool;
use crate::measure::{Measured, measure};

const PASSWORD: &str = "une longue phrase de passe";

/// One peer with its repository.
pub struct Peer {
    kind: Kind,
    version: String,
    folder: PathBuf,
    source: PathBuf,
    snapshots: u32,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bupstash,
    Restic,
    Rustic,
    Borg,
}

/// An empty repository of the peer of that name.
///
/// # Errors
/// If it is not installed.
pub fn set_up(name: &str, folder: &Path, source: &Path) -> anyhow::Result<Peer> {
    let (kind, asked) = match name {
        "bupstash" => (Kind::Bupstash, "version"),
        "restic" => (Kind::Restic, "version"),
        "rustic" => (Kind::Rustic, "--version"),
        "borg" => (Kind::Borg, "--version"),
        _ => bail!("there is no peer {name}"),
    };
    let output = Command::new(name).arg(asked).output().with_context(|| format!("{name} is not installed"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_version = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
    let version = said.split_whitespace().map(|word| word.trim_start_matches("bupstash-")).find(is_version);
    let version = format!("{name} {}", version.unwrap_or("?"));
    std::fs::write(folder.join("password"), PASSWORD)?;
    let peer = Peer { kind, version, folder: folder.to_owned(), source: source.to_owned(), snapshots: 0 };
    for command in peer.init() {
        measure(&command)?;
    }
    Ok(peer)
}

impl Peer {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        // Nothing of the user's own settings, and caches beside the repository.
        command.env("HOME", &self.folder).env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    /// The peer's program, with the options that name repository and secret.
    fn program(&self) -> Command {
        let repository = self.path("repository");
        match self.kind {
            Kind::Bupstash => {
                let mut command = self.command("bupstash");
                command.env("BUPSTASH_REPOSITORY", repository).env("BUPSTASH_KEY", self.path("key"));
                command
            }
            Kind::Restic => {
                let mut command = self.command("restic");
                command.arg("-q").arg("-r").arg(repository).arg("--password-file").arg(self.path("password"));
                command
            }
            Kind::Rustic => {
                let mut command = self.command("rustic");
                command.arg("--no-progress").arg("--log-level=error");
                command.arg("-r").arg(repository).arg("--password-file").arg(self.path("password"));
                command
            }
            Kind::Borg => {
                let mut command = self.command("borg");
                command.env("BORG_PASSPHRASE", PASSWORD).env("BORG_REPO", repository);
                command
            }
        }
    }

    fn init(&self) -> Vec<Command> {
        let with = |arguments: &[&str]| {
            let mut command = self.program();
            command.args(arguments);
            command
        };
        match self.kind {
            Kind::Bupstash => {
                let key = self.path("key").display().to_string();
                let mut make = self.command("bupstash");
                make.args(["new-key", "-o", &key]);
                vec![make, with(&["init"])]
            }
            Kind::Restic | Kind::Rustic => vec![with(&["init"])],
            Kind::Borg => vec![with(&["init", "-e", "repokey-blake2"])],
        }
    }
}

impl Tool for Peer {
    fn name(&self) -> String {
        self.version.clone()
    }

    fn backup(&mut self) -> anyhow::Result<Measured> {
        self.snapshots += 1;
        let mut command = self.program();
        match self.kind {
            Kind::Bupstash => {
                command.args(["put", "-q", "--send-log"]).arg(self.path("send-log"));
                command.arg(format!("name={}", self.snapshots)).arg(&self.source)
            }
            Kind::Restic | Kind::Rustic => command.arg("backup").arg(&self.source),
            Kind::Borg => command.arg("create").arg(format!("::{}", self.snapshots)).arg(&self.source),
        };
        measure(&command)
    }

    fn restore(&mut self, target: &Path) -> anyhow::Result<Measured> {
        std::fs::create_dir(target)?;
        let mut command = self.program();
        match self.kind {
            Kind::Bupstash => {
                command.args(["restore", "-q", "--into"]).arg(target).arg(format!("name={}", self.snapshots))
            }
            Kind::Restic => command.args(["restore", "latest", "--target"]).arg(target),
            Kind::Rustic => command.args(["restore", "latest"]).arg(target),
            Kind::Borg => command.current_dir(target).arg("extract").arg(format!("::{}", self.snapshots)),
        };
        let measured = measure(&command)?;
        ensure!(tree_bytes(target)? > 0, "nothing was restored");
        Ok(measured)
    }

    fn stored_bytes(&self) -> anyhow::Result<u64> {
        tree_bytes(&self.path("repository"))
    }
}
