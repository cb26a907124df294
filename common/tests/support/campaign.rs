//! A proof that is repeated: its seed, its size, and what it counted, on record.
//!
//! `DOBAAS_TEST_SEED` repeats a run, `DOBAAS_TEST_ROUNDS` makes it longer than what `deploy/check` runs. With `DOBAAS_CAMPAIGNS=FOLDER` each run
//! appends one line of JSON to `FOLDER/<campaign>.jsonl`, a failed one too, so that runs add up. `deploy/reliability` makes pages of these lines.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

/// One run of a proof. Dropped without [`Self::pass`], it is on record as failed.
pub struct Campaign {
    id: &'static str,
    proof: &'static str,
    seed: u64,
    rounds: u64,
    started: Instant,
    counts: BTreeMap<&'static str, u64>,
    passed: bool,
}

impl Campaign {
    /// Begins a run of `proof`, which belongs to the campaign `id` (`C01`), of `usual` rounds.
    pub fn begin(id: &'static str, proof: &'static str, usual: u64) -> Self {
        let time = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = variable("DOBAAS_TEST_SEED").unwrap_or_else(time);
        let rounds = variable("DOBAAS_TEST_ROUNDS").unwrap_or(usual);
        eprintln!("{id} {proof}: DOBAAS_TEST_SEED={seed} DOBAAS_TEST_ROUNDS={rounds}");
        Self { id, proof, seed, rounds, started: Instant::now(), counts: BTreeMap::new(), passed: false }
    }

    /// What its numbers follow from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How often it repeats.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Numbers from its seed.
    pub fn dice(&self) -> Dice {
        self.dice_of(0)
    }

    /// Numbers of one round, whatever the rounds before it used.
    pub fn dice_of(&self, round: u64) -> Dice {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.proof.as_bytes()).update(&self.seed.to_le_bytes()).update(&round.to_le_bytes());
        Dice(hasher.finalize_xof())
    }

    /// Adds to what it counts under a name; a name that is never counted is not on record.
    pub fn count(&mut self, what: &'static str, more: u64) {
        *self.counts.entry(what).or_insert(0) += more;
    }

    /// What was counted under a name.
    pub fn counted(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Ends it: everything that it asserts was so.
    pub fn pass(mut self) {
        self.passed = true;
    }
}

impl Drop for Campaign {
    fn drop(&mut self) {
        let line = json!({
            "campaign": self.id,
            "proof": self.proof,
            "seed": self.seed,
            "rounds": self.rounds,
            "counts": self.counts,
            "failures": u64::from(!self.passed),
            "seconds": self.started.elapsed().as_secs(),
            "revision": std::env::var("DOBAAS_REVISION").unwrap_or_default(),
        });
        eprintln!("{line}");
        let Some(folder) = std::env::var_os("DOBAAS_CAMPAIGNS") else { return };
        let path = Path::new(&folder).join(format!("{}.jsonl", self.id));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{line}")) {
            eprintln!("{} is not on record: {error}", path.display());
        }
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Numbers from a seed.
pub struct Dice(blake3::OutputReader);

impl Dice {
    /// 0 to `sides - 1`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes) % sides
    }

    /// An index of a list of so many.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(len as u64)).unwrap()
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// Bytes that nobody expects.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    /// A moment up to `longest`, early ones as likely as late ones on a logarithmic scale from 1 ms.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        let share = self.roll(1_000_000) as f64 / 1e6;
        Duration::from_secs_f64(0.001 * (longest.as_secs_f64() / 0.001).powf(share))
    }
}
