//! The works, and the place of one run: a folder for the repository, and the source at one path in its versions.
//!
//! Before a tool's turn the machine comes to rest: what the one before left to be written is not paid by the next. What a work with restores has made
//! stays until the end: ext4 does not give the number of a file removed within the last minutes to a new one, and looks past each such number
//! (`recently_deleted` in fs/ext4/ialloc.c, up to six minutes), which made the restore after a removed tree up to ten times as slow, of every tool.
//!
//! Invariant: whatever happens, the corpus is as it was: a version that was moved to the stage goes back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::Tool;
use crate::dobaas::Dobaas;
use crate::measure::Measured;
use crate::peers;

/// The tools, ours first.
pub const TOOLS: [&str; 5] = ["dobaas", "bupstash", "restic", "rustic", "borg"];

/// What is backed up: one source in one or two versions.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its name in the table.
    pub name: &'static str,
    /// Files or folders of the corpus that take turns as the source.
    versions: Vec<PathBuf>,
    /// The first version is backed up a second time.
    again: bool,
    /// The newest version is restored at the end.
    restores: bool,
}

/// One step of one tool.
#[derive(Debug, Clone)]
pub struct Step {
    /// What was done.
    pub step: String,
    /// By whom, with version.
    pub tool: String,
    /// What it took.
    pub measured: Measured,
    /// Bytes that the repository grew by.
    pub stored_bytes: u64,
}

impl Work {
    /// The works that the corpus has the data for.
    pub fn of(corpus: &Path) -> Vec<Self> {
        let work = |name, versions: &[&str], again, restores| Self {
            name,
            versions: versions.iter().map(|version| corpus.join(version)).collect(),
            again,
            restores,
        };
        let all = [
            work("source tree", &["k61", "k612"], true, true),
            work("disk image", &["img", "img2"], false, false),
            work("incompressible", &["random"], false, false),
        ];
        all.into_iter().filter(|work| work.versions.iter().all(|version| version.exists())).collect()
    }

    /// Reads everything once.
    pub fn warm(&self) -> anyhow::Result<()> {
        self.versions.iter().try_for_each(|version| read(version))
    }
}

fn read(path: &Path) -> anyhow::Result<()> {
    let metadata = path.symlink_metadata()?;
    if metadata.is_dir() {
        std::fs::read_dir(path)?.try_for_each(|entry| read(&entry?.path()))
    } else if metadata.is_file() {
        std::io::copy(&mut std::fs::File::open(path)?, &mut std::io::sink())
            .map(|_| ())
            .context(path.display().to_string())
    } else {
        Ok(())
    }
}

/// Seconds that a rest is waited for; a machine with other work never has one.
const REST_S: u32 = 60;
/// Share of a second in which no processor works, from which on the machine rests.
const IDLE: f64 = 0.97;

/// Writes everything back, then waits until the machine rests.
fn settle() -> anyhow::Result<()> {
    Command::new("sync").status().context("sync")?;
    for _ in 0..REST_S {
        let before = processor_time()?;
        std::thread::sleep(Duration::from_secs(1));
        let after = processor_time()?;
        let (all, idle) = (after.0 - before.0, after.1 - before.1);
        if idle as f64 >= IDLE * all as f64 {
            return Ok(());
        }
    }
    eprintln!("the machine does not rest: figures of this turn are disturbed");
    Ok(())
}

/// Ticks of all processors since the start of the system, and those in which nothing ran.
fn processor_time() -> anyhow::Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat has a line for all processors")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let idle = ticks.get(3).context("the fourth figure is idle time")?;
    Ok((ticks.iter().take(8).sum(), *idle))
}

/// The place of one run.
pub struct Stage<'a> {
    work: &'a Work,
    scratch: TempDir,
    source: PathBuf,
}

impl<'a> Stage<'a> {
    /// An empty one on the disk of the corpus.
    pub fn new(corpus: &Path, work: &'a Work) -> anyhow::Result<Self> {
        settle()?;
        let scratch = tempfile::Builder::new().prefix("stage-").tempdir_in(corpus)?;
        let source = corpus.join("stage-source");
        Ok(Self { work, scratch, source })
    }

    /// All steps of the work by one tool.
    ///
    /// # Errors
    /// If the tool is not there, or fails.
    pub fn run(&self, name: &str) -> anyhow::Result<Vec<Step>> {
        let first = OnStage::put(&self.work.versions[0], &self.source)?;
        let mut tool = self.tool(name)?;
        let mut steps = vec![self.step(tool.as_mut(), "first", |tool| tool.backup())?];
        if self.work.again {
            // What was read again because it was fresh is so no more.
            self.step(tool.as_mut(), "warm-up", |tool| tool.backup())?;
            steps.push(self.step(tool.as_mut(), "unchanged", |tool| tool.backup())?);
        }
        drop(first);
        for version in &self.work.versions[1..] {
            let _next = OnStage::put(version, &self.source)?;
            steps.push(self.step(tool.as_mut(), "next version", |tool| tool.backup())?);
        }
        if self.work.restores {
            let target = self.scratch.path().join("restored");
            steps.push(self.step(tool.as_mut(), "restore", |tool| tool.restore(&target))?);
        }
        Ok(steps)
    }

    /// What must stay until no tool is measured any more.
    pub fn end(self) -> Option<TempDir> {
        self.work.restores.then_some(self.scratch)
    }

    fn tool(&self, name: &str) -> anyhow::Result<Box<dyn Tool>> {
        let folder = self.scratch.path();
        Ok(if name == "dobaas" {
            Box::new(Dobaas::set_up(folder, &self.source)?)
        } else {
            Box::new(peers::set_up(name, folder, &self.source)?)
        })
    }

    fn step(
        &self,
        tool: &mut dyn Tool,
        step: &str,
        work: impl FnOnce(&mut dyn Tool) -> anyhow::Result<Measured>,
    ) -> anyhow::Result<Step> {
        let before = tool.stored_bytes()?;
        let measured = work(tool)?;
        let stored_bytes = tool.stored_bytes()?.saturating_sub(before);
        Ok(Step { step: format!("{}, {step}", self.work.name), tool: tool.name(), measured, stored_bytes })
    }
}

/// A version of the source that stands at the stage's path until this is dropped.
struct OnStage<'a> {
    home: &'a Path,
    stage: &'a Path,
}

impl<'a> OnStage<'a> {
    fn put(home: &'a Path, stage: &'a Path) -> anyhow::Result<Self> {
        std::fs::rename(home, stage).with_context(|| format!("move {} to the stage", home.display()))?;
        Ok(Self { home, stage })
    }
}

impl Drop for OnStage<'_> {
    fn drop(&mut self) {
        if let Err(error) = std::fs::rename(self.stage, self.home) {
            eprintln!("{} stays at {}: {error}", self.home.display(), self.stage.display());
        }
    }
}
