//! Does the time of an answer tell whether something exists?
//!
//! Whoever asks for what is not theirs gets the answer of what does not exist; here both are asked for in turn, in random order, and how well the time
//! tells one from the other is the area under the ROC curve: 0.5 is a coin, 1 is certainty. Its standard error follows from the number of samples (Hanley and
//! McNeil 1982). Sought: at most 0.55 either way.
//!
//! `cargo bench -p benches --bench timing` takes minutes, since requests of a subscription are limited; without `--bench` a few of each.
#![allow(missing_docs, clippy::print_stdout, clippy::disallowed_methods, reason = "a program that measures")]

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use agent::remote::{Address, Remote, RemoteError};
use anyhow::{Context, ensure};
use benches::sample::noise;
use benches::site::{Site, run_program};
use common::id::{ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use common::limits::{LOGIN_FREE_FAILURES, REQUESTS_PER_SECOND_MAX};
use common::pack;

/// Chunks of the neighbour that are asked for in one request.
const IDS: usize = 32;

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if let Some(ended) = run_program(&arguments) {
        return Ok(ended);
    }
    let full = arguments.iter().any(|argument| argument == "--bench");
    let (pairs, accounts) = if full { (10_000, 200) } else { (100, 4) };
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("source");
    std::fs::create_dir(&source)?;
    std::fs::write(source.join("noise"), noise(0, 32 << 20))?;
    let site = Site::set_up(scratch.path(), &source, &[])?;
    ensure!(site.backup()?.sent_bytes > 0, "the first backup sends something");
    site.neighbour(&source)?;
    let known: Vec<String> = (0..accounts).map(|number| format!("personne-{number}")).collect();
    known.iter().try_for_each(|person| site.account(person, "BC1").map(drop))?;
    tokio::runtime::Runtime::new()?.block_on(measure(&site, scratch.path(), pairs, &known))?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(site: &Site, folder: &Path, pairs: u64, known: &[String]) -> anyhow::Result<()> {
    let address = Address {
        url: format!("https://{}", site.address()?),
        root_pem: std::fs::read_to_string(folder.join("server/identity/root.pem"))?,
    };
    let password = std::fs::read_to_string(site.secret_file("password"))?;
    let stranger = Remote::connect(&address, None).await?;
    let login = |person: &'static str| stranger.login(person, &password);
    let own = stranger.with_credential(login("anna").await?.token)?;
    let other = stranger.with_credential(login("berta").await?.token)?;
    let own_scope = own.sources().await?.first().context("a source")?.scope;
    let theirs = other.sources().await?.first().context("a source")?.clone();
    let session = other.all_snapshots(None).await?.snapshots.first().context("a snapshot")?.stored.head.session;
    let chunks = chunks_of(&folder.join("server/store"), &other.whoami().await?.subscription)?;
    ensure!(chunks.len() >= IDS, "the neighbour has {} chunks", chunks.len());

    println!("{:<58} {:>8} {:>12} {:>12} {:>16}", "what is told apart", "samples", "median µs", "and µs", "AUC");
    let mut dice = Dice(1);
    let foreign = &chunks[..IDS];
    report("Fetch: a neighbour's chunks, and none", &fetches(&own, &own_scope, foreign, pairs, &mut dice).await?);
    report("Fetch: a neighbour's scope, and none", &scopes(&own, &theirs.scope, pairs, &mut dice).await?);
    let mut dates = Samples::default();
    let mut verified = Samples::default();
    for _ in 0..pairs {
        for is_foreign in dice.both() {
            let source = if is_foreign { theirs.source } else { SourceId::new(dice.id()) };
            dates.add(is_foreign, timed(own.dates(Some(&source))).await?);
        }
        for is_foreign in dice.both() {
            let asked = if is_foreign { session } else { SessionId::new(dice.id()) };
            verified.add(is_foreign, timed(own.report_verified(&asked, true)).await?);
        }
    }
    report("Dates: a neighbour's source, and none", &dates);
    report("ReportVerified: a neighbour's snapshot, and none", &verified);
    report("Login: a wrong password, and an unknown identifier", &logins(&stranger, known, &mut dice).await?);
    Ok(())
}

async fn fetches(
    own: &Remote,
    scope: &ScopeId,
    foreign: &[ChunkId],
    pairs: u64,
    dice: &mut Dice,
) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..pairs {
        for is_foreign in dice.both() {
            // Ids in order cost less to look up, so both are as random.
            let ids: Vec<ChunkId> = match is_foreign {
                true => foreign.to_vec(),
                false => foreign.iter().map(|_| ChunkId::new(dice.wide())).collect(),
            };
            samples.add(is_foreign, timed(drain(own, scope, &ids)).await?);
        }
    }
    Ok(samples)
}

async fn scopes(own: &Remote, foreign: &ScopeId, pairs: u64, dice: &mut Dice) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..pairs {
        for is_foreign in dice.both() {
            let scope = if is_foreign { *foreign } else { ScopeId::new(dice.id()) };
            samples.add(is_foreign, timed(drain(own, &scope, &[ChunkId::new(dice.wide())])).await?);
        }
    }
    Ok(samples)
}

/// As many failures as each account has without a delay, and as many identifiers that nobody has.
async fn logins(stranger: &Remote, known: &[String], dice: &mut Dice) -> anyhow::Result<Samples> {
    let mut samples = Samples::default();
    for _ in 0..LOGIN_FREE_FAILURES - 1 {
        for person in known {
            for is_known in dice.both() {
                let unknown = format!("personne-{:08}", dice.roll() >> 40);
                let identifier = if is_known { person } else { &unknown };
                samples.add(is_known, timed(stranger.login(identifier, "ce n'est pas le bon")).await?);
            }
        }
    }
    Ok(samples)
}

async fn drain(own: &Remote, scope: &ScopeId, ids: &[ChunkId]) -> Result<(), RemoteError> {
    let mut answer = own.fetch(scope, ids).await?;
    while answer.next().await?.is_some() {}
    Ok(())
}

/// Microseconds until the answer, whatever it is; asked as often as the server lets a subscription ask.
async fn timed<T>(call: impl Future<Output = Result<T, RemoteError>>) -> anyhow::Result<f64> {
    tokio::time::sleep(Duration::from_secs(1) / REQUESTS_PER_SECOND_MAX).await;
    let begun = Instant::now();
    let answer = call.await;
    let took = begun.elapsed().as_secs_f64() * 1e6;
    match answer {
        Err(error) if error.is_transient() => Err(error).context("no answer that counts"),
        _ => Ok(took),
    }
}

/// The chunks of a neighbour, from the directories of the store's packs.
fn chunks_of(folder: &Path, subscription: &SubscriptionId) -> anyhow::Result<Vec<ChunkId>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(chunks_of(&path, subscription)?);
        } else if let Ok((header, tail)) = pack::parse(&std::fs::read(&path)?)
            && header.subscription == *subscription
        {
            found.extend(tail.entries.iter().map(|entry| entry.id));
        }
    }
    Ok(found)
}

/// Times of two kinds of answers, in microseconds.
#[derive(Default)]
struct Samples {
    existing: Vec<f64>,
    absent: Vec<f64>,
}

impl Samples {
    fn add(&mut self, exists: bool, took_us: f64) {
        if exists { self.existing.push(took_us) } else { self.absent.push(took_us) }
    }

    /// Chance that an answer about what exists took longer than one about what does not, and its standard error.
    fn auc(&self) -> (f64, f64) {
        let (ones, others) = (self.existing.len() as f64, self.absent.len() as f64);
        let mut all: Vec<(f64, bool)> = self.existing.iter().map(|took| (*took, true)).collect();
        all.extend(self.absent.iter().map(|took| (*took, false)));
        all.sort_by(|one, other| one.0.total_cmp(&other.0));
        let ranks: f64 = (1_u32..).zip(&all).filter(|(_, (_, exists))| *exists).map(|(rank, _)| f64::from(rank)).sum();
        let auc = (ranks - ones * (ones + 1.0) / 2.0) / (ones * others);
        (auc, ((ones + others + 1.0) / (12.0 * ones * others)).sqrt())
    }
}

fn report(what: &str, samples: &Samples) {
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    };
    let (auc, error) = samples.auc();
    let (one, other) = (median(&samples.existing), median(&samples.absent));
    let count = samples.existing.len() + samples.absent.len();
    println!("{what:<58} {count:>8} {one:>12.0} {other:>12.0} {:>16}", format!("{auc:.3} ± {:.3}", 2.0 * error));
}

/// Random numbers that are the same in each run (SplitMix64, Steele and others 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn both(&mut self) -> [bool; 2] {
        if self.roll() & 1 == 0 { [true, false] } else { [false, true] }
    }

    fn id(&mut self) -> [u8; 16] {
        (u128::from(self.roll()) << 64 | u128::from(self.roll())).to_le_bytes()
    }

    fn wide(&mut self) -> [u8; 32] {
        let (one, other) = (self.id(), self.id());
        std::array::from_fn(|at| if at < 16 { one[at] } else { other[at - 16] })
    }
}
