//! The days of a store in a process of its own, so that it can be killed, starved or lied to by its disk at any moment; and the promises that it made,
//! kept outside the store.
//!
//! A day is a backup (some content new, some known, some of old days again), then what a server's night does: expiry, mark, purge, compaction, scrub.
//! History is three days and the grace of trash seven, so from the eleventh day on every step has something to do. Each day goes on where the one before
//! ended, however that was.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use common::id::{ChunkId, SessionId};
use serde_json::{Value, json};
use server::contract::retention::History;
use server::session::commit::CommitAnswer;
use server::upkeep::jobs::JobError;
use server::upkeep::scrub_round::{Pace, round};
use server::upkeep::token::Token;
use tempfile::TempDir;

use crate::engine::{Agent, DAY_NS, Made, NOON_NS, copy_folder};
use crate::site::{Site, World};

/// Days of history that the subscription keeps.
const HISTORY_DAYS: u32 = 3;
/// Parts of a day between which the clock ticks, as a running server's does.
const TICKS: i64 = 4;
/// Exit code of a process that was refused something and said so.
const REFUSED: i32 = 3;

/// A store under test and its ledger.
pub struct Scenario {
    /// The server's folder.
    pub root: PathBuf,
    ledger: PathBuf,
    content_bytes: usize,
    _scratch: Option<TempDir>,
}

/// What the ledger says.
#[derive(Debug, Default)]
pub struct Promises {
    /// The store's clock.
    now_ns: i64,
    /// Sessions begun, whether they got a receipt or not.
    begun: u32,
    /// Snapshots with a receipt: when they were received, and what they reach.
    receipts: BTreeMap<SessionId, (i64, Vec<ChunkId>)>,
}

/// How a process of days ended.
#[derive(Debug)]
pub struct Days {
    pub code: Option<i32>,
    pub stderr: String,
}

impl Scenario {
    /// An empty store in a scratch folder.
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        Self::on(root, scratch)
    }

    /// An empty store in `root`; the ledger stays in a scratch folder.
    pub fn in_folder(root: &Path) -> Self {
        Self::on(root.to_owned(), tempfile::tempdir().unwrap())
    }

    fn on(root: PathBuf, scratch: TempDir) -> Self {
        std::fs::create_dir_all(&root).unwrap();
        let ledger = scratch.path().join("ledger.jsonl");
        Self { root, ledger, content_bytes: 3_000, _scratch: Some(scratch) }
    }

    /// With contents of about so many bytes a day.
    pub fn with_content(mut self, bytes: usize) -> Self {
        self.content_bytes = bytes / 3;
        self
    }

    /// The same store and ledger once more, elsewhere.
    pub fn copied(&self) -> Self {
        let copy = Self { content_bytes: self.content_bytes, ..Self::new() };
        copy_folder(&self.root, &copy.root);
        std::fs::copy(&self.ledger, &copy.ledger).unwrap();
        copy
    }

    /// A process that lives through so many days, run by `tracer` if that is not empty (`strace -f …`).
    pub fn process(&self, days: u32, tracer: &[&str]) -> Command {
        let test = std::env::current_exe().unwrap();
        let mut command = match tracer {
            [] => Command::new(test),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(test);
                command
            }
        };
        command.args(["--exact", "scenario::the_days_of_a_store_pass", "--nocapture", "--test-threads=1"]);
        command.env("DOBAAS_SCENARIO_ROOT", &self.root).env("DOBAAS_SCENARIO_LEDGER", &self.ledger);
        command.env("DOBAAS_SCENARIO_DAYS", days.to_string());
        command.env("DOBAAS_SCENARIO_BYTES", self.content_bytes.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs such a process to its end; it may be refused things, and must neither panic nor hang.
    pub fn run(&self, days: u32, tracer: &[&str]) -> Days {
        let ended = self.process(days, &[&["timeout", "60"], tracer].concat()).output().unwrap();
        Days::of(ended.status.code(), &ended.stderr)
    }

    /// Lives through so many days undisturbed, which needs nobody's help.
    #[track_caller]
    pub fn goes_on(&self, days: u32) {
        let ended = self.run(days, &[]);
        assert_eq!(ended.code, Some(0), "needs help: {}", ended.stderr);
    }

    /// Opens the store and holds it to its promises; how many receipts were looked at.
    ///
    /// Within the history each snapshot with a receipt is there. Whatever snapshot is there, all that it reaches can be read.
    #[track_caller]
    pub fn keeps_its_promises(&self) -> u64 {
        let promises = Promises::read(&self.ledger).unwrap();
        let site = self.open(promises.now_ns).unwrap();
        let there = site.sessions();
        // Half a day less than the history, whose days end at midnight.
        let kept_since = promises.now_ns - i64::from(HISTORY_DAYS) * DAY_NS + DAY_NS / 2;
        for (session, (received_at_ns, reached)) in &promises.receipts {
            let is_there = there.contains(session);
            assert!(is_there || *received_at_ns < kept_since, "snapshot {session} is lost");
            if is_there {
                let readable = site.readable(&scope(), reached);
                assert_eq!(readable, reached.len(), "snapshot {session} lost content");
            }
        }
        promises.receipts.len() as u64
    }

    /// How many receipts the ledger holds.
    pub fn receipts(&self) -> u64 {
        Promises::read(&self.ledger).unwrap().receipts.len() as u64
    }

    fn open(&self, now_ns: i64) -> anyhow::Result<Site> {
        let world = World::new();
        world.now_ns.store(now_ns, Ordering::SeqCst);
        let site = Site::open(&self.root, &world)?;
        site.change_terms(|terms| terms.history = History { days: HISTORY_DAYS, thinning: Vec::new() });
        Ok(site)
    }
}

impl Days {
    /// Judges how a process ended.
    #[track_caller]
    pub fn of(code: Option<i32>, stderr: &[u8]) -> Self {
        let stderr = String::from_utf8_lossy(stderr).into_owned();
        assert!(!stderr.contains("panicked at"), "a panic: {stderr}");
        // A fault may meet the loader of programs, or what the test runner itself prints.
        let met_the_runner = match code {
            Some(101) => stderr.is_empty() || stderr.contains("io error when"),
            code => code == Some(127),
        };
        assert!(met_the_runner || matches!(code, None | Some(0 | REFUSED | 137)), "ends with {code:?}: {stderr}");
        Self { code, stderr }
    }

    /// True if something was refused.
    pub fn was_refused(&self) -> bool {
        self.code == Some(REFUSED)
    }
}

impl Promises {
    fn read(ledger: &Path) -> std::io::Result<Self> {
        let mut promises = Self { now_ns: NOON_NS, ..Self::default() };
        let text = match std::fs::read_to_string(ledger) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            text => text.unwrap_or_default(),
        };
        // The last line may be cut short by a kill: it is then no promise yet.
        for line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if let Some(now_ns) = line["now_ns"].as_i64() {
                promises.now_ns = now_ns;
            }
            if let Some(number) = line["begun"].as_u64() {
                promises.begun = u32::try_from(number).unwrap();
            }
            if let Some(reached) = line["reached"].as_array() {
                let reached = reached.iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect();
                promises.receipts.insert(session(promises.begun), (line["at_ns"].as_i64().unwrap(), reached));
            }
        }
        Ok(promises)
    }
}

fn session(number: u32) -> SessionId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    SessionId::new(id)
}

fn scope() -> common::id::ScopeId {
    Agent::new(1, 1).who.scope
}

/// What a child does with its environment; without one, an undisturbed run of its own.
#[test]
fn the_days_of_a_store_pass() {
    let Some(root) = std::env::var_os("DOBAAS_SCENARIO_ROOT") else {
        let scenario = Scenario::new();
        scenario.goes_on(13);
        assert_eq!(scenario.keeps_its_promises(), 13);
        return;
    };
    let variable = |name: &str| std::env::var(name).unwrap();
    let ledger = PathBuf::from(variable("DOBAAS_SCENARIO_LEDGER"));
    let content_bytes = variable("DOBAAS_SCENARIO_BYTES").parse().unwrap();
    let scenario = Scenario { root: root.into(), ledger, content_bytes, _scratch: None };
    let mut refused = false;
    // A day on which something is refused ends; the next one tries again, as a server does.
    for _ in 0..variable("DOBAAS_SCENARIO_DAYS").parse::<u32>().unwrap() {
        if let Err(error) = scenario.day() {
            // Printing may be what fails.
            let _ = writeln!(std::io::stderr(), "refused: {error:#}");
            refused = true;
        }
    }
    // Not by the test runner's own end, which prints: an injected fault may be meant for that call.
    std::process::exit(if refused { REFUSED } else { 0 });
}

impl Scenario {
    fn day(&self) -> anyhow::Result<()> {
        let promises = Promises::read(&self.ledger)?;
        let mut ledger = OpenOptions::new().create(true).append(true).open(&self.ledger)?;
        // A line that a kill cut short is ended.
        writeln!(ledger)?;
        let site = self.open(promises.now_ns)?;
        // Ticks are never further apart than the ledger's lines, or pruning would wait for an operator.
        site.guards.tick(site.now())?;
        let backup = self.back_up(&site, promises.begun + 1, &mut ledger);
        let mut now_ns = promises.now_ns;
        for _ in 0..TICKS {
            now_ns += DAY_NS / TICKS;
            writeln!(ledger, "{}", json!({ "now_ns": now_ns }))?;
            site.jump(DAY_NS / TICKS);
            site.guards.tick(site.now())?;
        }
        // The jobs of a night do not depend on each other's success.
        let jobs: [Result<(), JobError>; 5] = [
            site.expire().map(drop),
            site.mark().map(drop),
            site.purge().map(drop),
            site.compact().map(drop),
            round(&site.open, site.now_ns(), Pace { bytes_per_second: 0 }, &Token::default()).map(drop),
        ];
        backup?;
        jobs.into_iter().try_for_each(|job| Ok(job?))
    }

    fn back_up(&self, site: &Site, number: u32, ledger: &mut File) -> anyhow::Result<()> {
        writeln!(ledger, "{}", json!({ "begun": number }))?;
        let mut agent = site.agent(number);
        agent.parent = site.open.read(|catalog| Ok(catalog.snapshots()?))?.last().map(|row| row.session);
        let (open, opened) = agent.open(&site.server)?;
        let content = |day: u32| -> Vec<u8> {
            let mut bytes = vec![0; self.content_bytes];
            blake3::Hasher::new().update(&day.to_le_bytes()).finalize_xof().fill(&mut bytes);
            bytes
        };
        // New today, of yesterday, and of a day whose chunks may be in trash by now.
        let days = BTreeSet::from([number, number - 1, number / 5]);
        let made: Vec<Made> = days.into_iter().map(|day| agent.data(&content(day))).collect();
        for made in &made {
            agent.put(&open, &[made])?;
        }
        let leaf = agent.leaf(&made.iter().collect::<Vec<_>>(), &number.to_le_bytes());
        agent.put(&open, &[&leaf])?;
        match agent.commit(&open, &opened, &leaf)? {
            CommitAnswer::Missing(ids) => anyhow::bail!("{} chunks are missing", ids.len()),
            CommitAnswer::Committed { .. } => {}
        }
        let reached: Vec<String> = made.iter().chain([&leaf]).map(|made| made.id.to_string()).collect();
        writeln!(ledger, "{}", json!({ "at_ns": site.now_ns(), "reached": reached }))?;
        Ok(ledger.sync_data()?)
    }
}
