//! Ours: agent, server, TLS and fsync in the path, CPU of both.

use std::path::Path;

use benches::site::Site;

use crate::Tool;
use crate::measure::{Measured, measure};

/// A site with its agent.
pub struct Dobaas {
    site: Site,
}

impl Dobaas {
    /// A server and an agent in `folder`, for `source`.
    pub fn set_up(folder: &Path, source: &Path) -> anyhow::Result<Self> {
        let site = Site::set_up(folder, source, &[])?;
        Ok(Self { site })
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Measured> {
        let before = self.site.cpu_seconds()?;
        let mut measured = measure(&self.site.agent_command(arguments)?)?;
        measured.cpu_s += self.site.cpu_seconds()? - before;
        Ok(measured)
    }
}

impl Tool for Dobaas {
    fn name(&self) -> String {
        "dobaas".to_owned()
    }

    fn backup(&mut self) -> anyhow::Result<Measured> {
        self.run(&["backup"])
    }

    fn restore(&mut self, target: &Path) -> anyhow::Result<Measured> {
        let (to, secret) = (target.display().to_string(), self.site.secret_file("password"));
        let person = ["--identifier", "anna", "--password-file", &secret, "--passphrase-file", &secret];
        self.run(&[&["restore", "--to", &to][..], &person].concat())
    }

    fn stored_bytes(&self) -> anyhow::Result<u64> {
        self.site.stored_bytes()
    }
}
