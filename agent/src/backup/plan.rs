//! What the comparison hands to the assembly, and how items become keys, rows and entries.
//!
//! Values only.

use common::tree::entry::{Entry, EntryKind, Owner};
use common::tree::path::EntryKey;
use common::tree::xattrs::{Xattr, Xattrs};

use crate::backup::job::Candidate;
use crate::source::metadata::{Owners, Stat};
use crate::state::memory::Row;

/// How long before a run a change may have happened that times do not show: they are as coarse as that on some file systems.
const RACY_NS: i64 = 2_000_000_000;

/// What stands next in the new tree.
#[derive(Debug)]
pub enum Planned {
    /// A leaf of the last tree, whole.
    Leaf(usize),
    /// An entry that is known already.
    Entry(EntryKey, Box<Entry>, Row),
    /// Attributes too large for an entry come with it, to be laid.
    EntryWithXattrs(EntryKey, Box<Entry>, Row, Vec<Xattr>),
    /// A file that a job reads.
    File {
        /// Where it stands.
        key: EntryKey,
        /// The job.
        job: u32,
        /// Which of its files.
        file: u32,
        /// True if it has other names.
        has_links: bool,
        /// What the last tree has here, if that may have to stay.
        previous: Option<Box<Entry>>,
    },
    /// One more name of a file.
    HardLink {
        /// Where it stands.
        key: EntryKey,
        /// The first name.
        to: EntryKey,
        /// What the walk saw, in case the first name went away.
        candidate: Box<Candidate>,
    },
}

/// What the comparison counted.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    /// Regular files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Anything else.
    pub others: u64,
    /// Files that the last tree did not have.
    pub files_new: u64,
    /// Files that are not as they were.
    pub files_changed: u64,
    /// Files that are as they were.
    pub files_unchanged: u64,
    /// Files that are not there any more.
    pub files_deleted: u64,
}

/// What every key in a directory starts with.
pub fn directory_key(directory: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(directory.len() + 64);
    for component in directory.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        key.extend_from_slice(component);
        key.push(0);
    }
    key.push(0);
    key
}

/// The key of an item that the walk handed over.
pub fn entry_key(key: &[u8]) -> EntryKey {
    EntryKey::from_encoded(key).expect("the walk skips names and paths that a key cannot hold")
}

/// From which time on a change may have gone unseen in a run that started at `started_at_ns`.
pub fn racy_from(started_at_ns: i64) -> i64 {
    started_at_ns.saturating_sub(RACY_NS)
}

/// The row that makes an item comparable next time, or none if it changed too recently to trust its times.
pub fn row_of(stat: &Stat, racy_from_ns: i64) -> Row {
    if stat.mtime_ns >= racy_from_ns || stat.ctime_ns >= racy_from_ns {
        Row::UNKNOWN
    } else {
        Row { ctime_ns: stat.ctime_ns, inode: stat.inode, device: stat.device }
    }
}

/// An entry without attributes.
pub fn entry_of(stat: &Stat, kind: EntryKind, owners: &Owners) -> Entry {
    let owner = Owner {
        uid: stat.uid,
        gid: stat.gid,
        user: owners.user(stat.uid).to_vec(),
        group: owners.group(stat.gid).to_vec(),
    };
    let mode = u16::try_from(stat.mode & 0o7777).expect("twelve bits");
    Entry { kind, mode, owner, mtime_ns: stat.mtime_ns, xattrs: Xattrs::none() }
}
