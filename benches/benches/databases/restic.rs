//! restic on a repository of its own, where it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

use crate::pages;

pub struct Restic {
    repository: PathBuf,
}

impl Restic {
    /// An empty repository; `None` without the program.
    pub fn create(repository: &Path) -> anyhow::Result<Option<Self>> {
        if Command::new("restic").arg("version").output().is_err() {
            return Ok(None);
        }
        let restic = Self { repository: repository.to_owned() };
        restic.run(&["init"])?;
        Ok(Some(restic))
    }

    /// Backs a folder up; the bytes that the repository grew by.
    pub fn backup(&self, folder: &Path) -> anyhow::Result<u64> {
        let before = pages::bytes(&self.repository)?;
        self.run(&["backup", &folder.display().to_string()])?;
        Ok(pages::bytes(&self.repository)? - before)
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", "banc").args(["-q", "--no-cache", "-r"]).arg(&self.repository).args(arguments);
        let ended = command.output()?;
        ensure!(ended.status.success(), "restic {arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        Ok(())
    }
}
