//! What came of a restore or a verification: counters that a bar reads while it runs, and the items that had a problem.
//!
//! It prints nothing; texts are made from the stable words by the command line.
//!
//! Invariant: I12 — an item that is not back as the snapshot has it is listed or counted, whatever the reason.

use std::sync::atomic::{AtomicU64, Ordering};

use common::limits::LISTED_ITEMS_MAX;
use parking_lot::Mutex;

use super::unlock::ChunkFailure;

/// Counters of a run under way; read at any time.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries that were planned, of any kind.
    pub items_planned: AtomicU64,
    /// Entries that are done, of any kind.
    pub items_done: AtomicU64,
    /// Bytes of the files that were planned.
    pub bytes_planned: AtomicU64,
    /// Bytes of content written or checked.
    pub bytes_done: AtomicU64,
    /// Plain bytes of the chunks that were fetched and opened.
    pub fetched_bytes: AtomicU64,
    /// Chunks that were fetched and opened.
    pub fetched_chunks: AtomicU64,
}

impl Progress {
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// Worth knowing; the item is as well off as this system allows.
    Notice,
    /// Left out by a rule that the person can change.
    Skipped,
    /// Not restored.
    Failed,
}

/// What is wrong with one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A chunk of its content cannot be had.
    Content(ChunkFailure),
    /// Its bytes do not have the digest that the snapshot says.
    Digest,
    /// A node of the tree cannot be read: what it lists, from about this path on, is not known.
    Node,
    /// Something stands there and the overwrite rule keeps it.
    Exists,
    /// Something of another kind stands there, or where its directory should be.
    InTheWay,
    /// The tree contradicts itself: its directory is no directory, or its hard link leads nowhere.
    Tree,
    /// A device that was not asked for.
    Device,
    /// A socket: only the program that listens can make it.
    Socket,
    /// Set-user-id, set-group-id or capabilities that were not asked for.
    Privilege,
    /// Its owner could not be set.
    Owner,
    /// Some extended attribute could not be set.
    Attribute,
    /// A disk image whose format cannot be made here.
    DiskFormat,
    /// Its digest was not checked, only its chunks: the holes are larger than can be hashed.
    DigestNotChecked,
    /// The system refused a step.
    System {
        /// Which step: `create`, `write`, `rename`, `link`, `metadata`, `read`, `convert`.
        step: &'static str,
        /// What it said.
        said: String,
    },
}

impl Problem {
    /// How bad it is.
    pub const fn gravity(&self) -> Gravity {
        match self {
            Self::Socket | Self::Owner | Self::Attribute | Self::DigestNotChecked => Gravity::Notice,
            Self::Exists | Self::Device | Self::Privilege => Gravity::Skipped,
            Self::Content(_)
            | Self::Digest
            | Self::Node
            | Self::InTheWay
            | Self::Tree
            | Self::DiskFormat
            | Self::System { .. } => Gravity::Failed,
        }
    }

    /// Stable English word for JSON and texts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Content(ChunkFailure::Missing) => "content_missing",
            Self::Content(ChunkFailure::Damaged | ChunkFailure::Unfitting) => "content_damaged",
            Self::Content(ChunkFailure::KeyMissing) => "key_missing",
            Self::Digest => "digest_mismatch",
            Self::Node => "tree_damaged",
            Self::Exists => "exists",
            Self::InTheWay => "in_the_way",
            Self::Tree => "tree_inconsistent",
            Self::Device => "device_not_asked",
            Self::Socket => "socket",
            Self::Privilege => "privilege_not_asked",
            Self::Owner => "owner_not_set",
            Self::Attribute => "attribute_not_set",
            Self::DiskFormat => "disk_format",
            Self::DigestNotChecked => "digest_not_checked",
            Self::System { .. } => "io_error",
        }
    }

    /// A step that the system refused.
    pub fn system(step: &'static str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::AlreadyExists => Self::Exists,
            _ => Self::System { step, said: error.to_string() },
        }
    }
}

/// One listed item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemProblem {
    /// Its path in the snapshot, components joined by '/'.
    pub path: Vec<u8>,
    /// What is wrong.
    pub problem: Problem,
}

/// The end of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Files written (or, in a verification, read).
    pub files: u64,
    /// Directories made or given their metadata.
    pub directories: u64,
    /// Links, pipes and devices made.
    pub others: u64,
    /// Files that were there already, identical, and were not fetched.
    pub files_present: u64,
    /// Bytes of the files written or read.
    pub bytes: u64,
    /// Items not restored.
    pub failed: u64,
    /// Items left out by a rule.
    pub skipped: u64,
    /// Notices.
    pub notices: u64,
    /// The first of them, at most `limits::LISTED_ITEMS_MAX`, sorted by path.
    pub problems: Vec<ItemProblem>,
    /// Ended early because it was told to.
    pub interrupted: bool,
}

impl Outcome {
    /// True if every item is back as the snapshot has it: exit code 0, else 3.
    pub const fn is_complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && !self.interrupted
    }
}

/// An outcome under construction, shared between threads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    outcome: Mutex<Outcome>,
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Tally {
    pub(crate) fn problem(&self, path: Vec<u8>, problem: Problem) {
        let mut outcome = self.outcome.lock();
        match problem.gravity() {
            Gravity::Notice => outcome.notices += 1,
            Gravity::Skipped => outcome.skipped += 1,
            Gravity::Failed => outcome.failed += 1,
        }
        if outcome.problems.len() < LISTED_ITEMS_MAX {
            outcome.problems.push(ItemProblem { path, problem });
        }
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut Outcome)) {
        change(&mut self.outcome.lock());
    }

    pub(crate) fn finish(self, interrupted: bool) -> Outcome {
        let mut outcome = self.outcome.into_inner();
        outcome.files += self.files.into_inner();
        outcome.bytes += self.bytes.into_inner();
        outcome.interrupted = interrupted;
        outcome.problems.sort_by(|a, b| a.path.cmp(&b.path));
        outcome
    }
}
