//! The walk beside the last tree: what is unchanged, what is to be read, what is gone.
//!
//! It merges two sorted streams, opens no file, and hands over a plan in key order.
//!
//! Invariant: unchanged means: same kind, size, mtime, ctime, inode and device as when it was read, and that was at least two seconds
//! after its last change (others have no row in the memory); or it is in a directory that the change journal vouches for.
//! Invariant: no job stays open for longer than the plan's queue is, so the reader of the plan never waits for a job that was not
//! submitted.

use std::collections::HashMap;
use std::sync::Arc;

use common::limits::{PAGED_FILE_BYTES, SMALL_FILE_BYTES};
use common::tree::entry::{DeviceNumber, Entry, EntryKind};
use common::tree::path::EntryKey;
use crossbeam_channel::{Receiver, Sender};

use crate::backup::BackupError;
use crate::backup::buffers::BUFFER_BYTES;
use crate::backup::desk::Laying;
use crate::backup::job::{Candidate, Group, Job, Old};
use crate::backup::moved::Moved;
use crate::backup::plan::{Planned, Tally, directory_key, entry_key, entry_of, racy_from, row_of};
use crate::backup::previous::Previous;
use crate::backup::progress::Progress;
use crate::backup::shared::Shared;
use crate::source::files::{Found, Item, Kept, Listing, join};
use crate::source::handles::Handles;
use crate::source::journal::Journal;
use crate::source::metadata::{FileKind, Owners, Stat};
use crate::source::{SkipReason, SkippedItem, is_gone};
use crate::state::memory::Row;

/// Items of one batch of the plan.
const PLAN_BATCH_ITEMS: usize = 256;
/// Batches of the plan that wait to be assembled.
pub const PLAN_BATCHES_MAX: usize = 64;
/// Planned items after which an open group is submitted; well below what the plan's queue holds.
const GROUP_SPAN_ITEMS_MAX: usize = PLAN_BATCH_ITEMS * PLAN_BATCHES_MAX / 4;
/// Bytes from which a group may end at a directory.
const GROUP_BYTES_MIN: u64 = 3 << 20;
/// Bytes at which it must.
const GROUP_BYTES_MAX: u64 = BUFFER_BYTES as u64 - 2 * SMALL_FILE_BYTES;
/// One directory in this many may start a group.
const GROUP_BOUNDARY_ONE_IN: u32 = 4;
const GROUP_BOUNDARY_LEVEL: u8 = 0x40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    /// Nothing differs.
    Unchanged,
    /// Nothing differs, and it is one more name of a file.
    FurtherName,
    /// Something differs.
    Different,
}

/// Compares on its own thread.
pub struct Comparer<'r> {
    shared: &'r Shared<'r>,
    previous: Previous<'r>,
    moved: Moved<'r>,
    /// True while nothing of the current leaf was handed over: it may still go as a whole.
    leaf_is_clean: bool,
    plan: Sender<Vec<Planned>>,
    batch: Vec<Planned>,
    planned: usize,
    group: Group,
    group_bytes: u64,
    group_opened_at: usize,
    next_job: u32,
    links: HashMap<(u64, u64), EntryKey>,
    handles: Handles,
    owners: Arc<Owners>,
    racy_from_ns: i64,
    /// True if the walk passes by directories.
    follows: bool,
    /// The directory that is compared, and its keys' start, if the journal says that nothing in it changed.
    settled: Option<(Arc<[u8]>, Vec<u8>)>,
    compared: Compared,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub struct Compared {
    /// What could not be seen.
    pub skipped: Vec<SkippedItem>,
    /// The counts.
    pub tally: Tally,
    /// Directories in which something differs although the journal says that nothing does.
    pub suspects: Vec<Vec<u8>>,
}

impl<'r> Comparer<'r> {
    /// A comparison that hands its plan to `plan`. `started_at_ns` is the clock at the start of the run.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn new(
        shared: &'r Shared<'r>,
        plan: Sender<Vec<Planned>>,
        owners: Arc<Owners>,
        started_at_ns: i64,
    ) -> Result<Self, BackupError> {
        Ok(Self {
            previous: Previous::new(&shared.known)?,
            moved: Moved::new(shared.known.memory()),
            shared,
            leaf_is_clean: true,
            plan,
            batch: Vec::new(),
            planned: 0,
            group: Group { number: 0, turn: 0, files: Vec::new() },
            group_bytes: 0,
            group_opened_at: 0,
            next_job: 0,
            links: HashMap::new(),
            handles: Handles::default(),
            owners,
            racy_from_ns: racy_from(started_at_ns),
            follows: shared.journal.is_some_and(Journal::is_followed),
            settled: None,
            compared: Compared::default(),
        })
    }

    /// Compares everything that the walk hands over.
    ///
    /// # Errors
    /// If the memory cannot be read.
    pub fn run(mut self, batches: &Receiver<Vec<Found>>) -> Result<Compared, BackupError> {
        for batch in batches {
            if self.shared.failure.lock().is_some() {
                break;
            }
            if self.shared.progress.is_cancelled() {
                return Err(BackupError::Cancelled);
            }
            for found in batch {
                match found {
                    Found::Listing(mut listing) => {
                        self.compared.skipped.append(&mut listing.skipped);
                        self.listing(&listing)?;
                    }
                    Found::Kept(kept) => self.kept(&kept)?,
                }
            }
        }
        while self.previous.peek().is_some() {
            self.pass_deleted()?;
        }
        self.submit_group();
        self.hand_over();
        Ok(self.compared)
    }

    fn listing(&mut self, listing: &Listing) -> Result<(), BackupError> {
        let mut key = directory_key(&listing.directory);
        let prefix_bytes = key.len();
        if listing.is_settled || self.settled.is_some() {
            self.pass_deleted_before(&key)?;
            self.settled = listing.is_settled.then(|| (listing.directory.clone(), key.clone()));
        }
        for item in &listing.items {
            key.truncate(prefix_bytes);
            key.extend_from_slice(listing.name(item));
            self.pass_deleted_before(&key)?;
            self.count(item.stat.kind);
            let is_old = self.previous.peek().is_some_and(|(old, _)| old == key.as_slice());
            let likeness = if is_old { self.likeness(&key, &item.stat) } else { Likeness::Different };
            if likeness == Likeness::Unchanged {
                self.pass_unchanged(item.stat.kind, item.stat.size)?;
                continue;
            }
            self.disturb()?;
            match item.stat.kind == FileKind::File && item.stat.links > 1 {
                // Its other names may be where the walk passed by, and one of them has to become a further name.
                true if self.follows && likeness == Likeness::Different => return Err(BackupError::FurtherName),
                true => {}
                false => self.suspect(&key),
            }
            if item.stat.kind == FileKind::File {
                *match (is_old, likeness) {
                    (false, _) => &mut self.compared.tally.files_new,
                    (true, Likeness::FurtherName) => &mut self.compared.tally.files_unchanged,
                    (true, _) => &mut self.compared.tally.files_changed,
                } += 1;
            }
            let previous = if is_old { self.old_file(&item.stat)? } else { None };
            if is_old {
                self.pass()?;
            }
            self.changed(listing, item, (&key, previous))?;
        }
        Ok(())
    }

    /// Takes over entries of the last tree that the walk passed by.
    fn kept(&mut self, kept: &Kept) -> Result<(), BackupError> {
        let mut prefix = directory_key(&kept.directory);
        if kept.whole {
            prefix.pop();
        }
        self.pass_deleted_before(&prefix)?;
        while let Some((key, old)) = self.previous.peek()
            && key.starts_with(&prefix)
        {
            let (kind, size) = match (old.is_directory, old.is_file) {
                (true, _) => (FileKind::Directory, 0),
                (false, true) => (FileKind::File, old.size),
                // Further names of a file are never taken over unseen: what is left is no file.
                (false, false) => (FileKind::Symlink, 0),
            };
            self.count(kind);
            Progress::add(&self.shared.progress.items_seen, 1);
            Progress::add(&self.shared.progress.bytes_seen, size);
            self.pass_unchanged(kind, size)?;
        }
        Ok(())
    }

    /// Notes that something differs where the journal says that nothing does.
    fn suspect(&mut self, key: &[u8]) {
        if let Some((directory, prefix)) = &self.settled
            && key.starts_with(prefix)
            && self.compared.suspects.last().is_none_or(|last| **last != **directory)
        {
            self.compared.suspects.push(directory.to_vec());
        }
    }

    /// The file that the cursor stands at, if its content is compared or may have to stay as it was.
    fn old_file(&mut self, stat: &Stat) -> Result<Option<Box<Entry>>, BackupError> {
        let is_compared = stat.kind == FileKind::File && stat.size > PAGED_FILE_BYTES;
        let was_file = self.previous.peek().is_some_and(|(_, old)| old.is_file && !old.is_carried);
        if !was_file || !(is_compared || self.may_stay()) {
            return Ok(None);
        }
        let at = self.previous.position();
        let (_, entry, _) = self.previous.decode_one(at)?;
        Ok(Some(Box::new(entry)))
    }

    /// True if the content of a file may have to stay as it was; where the server lost something, it may be what it lost.
    fn may_stay(&self) -> bool {
        self.shared.laying == Laying::Nothing && !self.shared.known.has_missing()
    }

    fn count(&mut self, kind: FileKind) {
        let tally = &mut self.compared.tally;
        *match kind {
            FileKind::File => &mut tally.files,
            FileKind::Directory => &mut tally.directories,
            _ => &mut tally.others,
        } += 1;
    }

    /// How the entry that the cursor stands at compares with what the walk saw.
    fn likeness(&mut self, key: &[u8], stat: &Stat) -> Likeness {
        let is_file = stat.kind == FileKind::File;
        let is_further_name = is_file && stat.links > 1 && self.first_name(key, stat).is_some();
        let Some((_, old)) = self.previous.peek() else { return Likeness::Different };
        let row = self.previous.row();
        let same = row.ctime_ns == stat.ctime_ns
            && row.inode == stat.inode
            && row.device == stat.device
            && old.mtime_ns == stat.mtime_ns
            && old.is_directory == (stat.kind == FileKind::Directory)
            && old.is_file == (is_file && !is_further_name)
            && (!old.is_file || old.size == stat.size);
        match (same, is_further_name) {
            (false, _) => Likeness::Different,
            // Which name comes first may be another one: its entry is made again, from what is known.
            (true, true) => Likeness::FurtherName,
            (true, false) => Likeness::Unchanged,
        }
    }

    /// The first name of a file with several, if it is not this one.
    fn first_name(&mut self, key: &[u8], stat: &Stat) -> Option<EntryKey> {
        let first = self.links.entry((stat.device, stat.inode)).or_insert_with(|| entry_key(key));
        (first.as_bytes() != key).then(|| first.clone())
    }

    fn pass_unchanged(&mut self, kind: FileKind, size: u64) -> Result<(), BackupError> {
        if kind == FileKind::File {
            self.compared.tally.files_unchanged += 1;
            Progress::add(&self.shared.progress.files_done, 1);
            Progress::add(&self.shared.progress.bytes_done, size);
        }
        if !self.leaf_is_clean {
            let at = self.previous.position();
            let (key, entry, row) = self.previous.decode_one(at)?;
            self.push(Planned::Entry(entry_key(&key), Box::new(entry), row));
        }
        self.pass()
    }

    fn pass_deleted_before(&mut self, key: &[u8]) -> Result<(), BackupError> {
        while self.previous.peek().is_some_and(|(old, _)| old < key) {
            self.pass_deleted()?;
        }
        Ok(())
    }

    fn pass_deleted(&mut self) -> Result<(), BackupError> {
        self.disturb()?;
        if let Some(old) = self.previous.peek().map(|(old, _)| old.to_vec()).filter(|_| self.settled.is_some()) {
            self.suspect(&old);
        }
        self.compared.tally.files_deleted +=
            u64::from(self.previous.peek().is_some_and(|(_, old)| old.is_file && !old.is_carried));
        self.pass()
    }

    /// Goes past the entry of the last tree; at the end of its leaf, hands the leaf over if it is still clean.
    fn pass(&mut self) -> Result<(), BackupError> {
        let leaf = self.previous.leaf();
        if self.previous.advance() {
            if self.leaf_is_clean {
                self.push(Planned::Leaf(leaf));
            }
            self.previous.enter_leaf(&self.shared.known)?;
            self.leaf_is_clean = true;
        }
        Ok(())
    }

    /// Something differs here: the entries passed so far go one by one, and so do those that follow in this leaf.
    fn disturb(&mut self) -> Result<(), BackupError> {
        let passed = self.previous.position();
        if !self.leaf_is_clean || passed == 0 && self.previous.peek().is_none() {
            return Ok(());
        }
        self.leaf_is_clean = false;
        for at in 0..passed {
            let (key, entry, row) = self.previous.decode_one(at)?;
            self.push(Planned::Entry(entry_key(&key), Box::new(entry), row));
        }
        Ok(())
    }

    fn changed(
        &mut self,
        listing: &Listing,
        item: &Item,
        (key, previous): (&[u8], Option<Box<Entry>>),
    ) -> Result<(), BackupError> {
        let name = listing.name(item);
        let entry_key = entry_key(key);
        if item.stat.kind != FileKind::File {
            self.not_a_file(listing, item, entry_key);
            return Ok(());
        }
        let candidate = Candidate { directory: listing.directory.clone(), name: name.into(), stat: item.stat };
        if item.stat.links > 1
            && let Some(to) = self.first_name(key, &item.stat)
        {
            self.push(Planned::HardLink { key: entry_key, to, candidate: Box::new(candidate) });
            return Ok(());
        }
        let has_links = item.stat.links > 1;
        if item.stat.size >= SMALL_FILE_BYTES {
            let job = self.new_job();
            let old = match previous.as_deref().map(|entry| &entry.kind) {
                _ if item.stat.size <= PAGED_FILE_BYTES => None,
                Some(EntryKind::File(file)) => Some(Old { key: entry_key.clone(), file: file.clone() }),
                _ => self.moved.find(&item.stat)?,
            };
            let old = old.map(Box::new);
            let previous = previous.filter(|_| self.may_stay());
            self.push(Planned::File { key: entry_key, job, file: 0, has_links, previous });
            self.shared.desk.submit(Job::Large { number: job, file: candidate, old });
            return Ok(());
        }
        self.prepare_group(&candidate);
        let (job, file) = (self.group.number, u32::try_from(self.group.files.len()).unwrap_or(u32::MAX));
        self.group_bytes += item.stat.size;
        self.group.files.push(candidate);
        self.push(Planned::File { key: entry_key, job, file, has_links, previous });
        Ok(())
    }

    /// Opens a group if none is, after ending one that is full or reached a boundary.
    fn prepare_group(&mut self, next: &Candidate) {
        if let Some(last) = self.group.files.last() {
            let enters_directory = last.directory != next.directory;
            let is_boundary = enters_directory
                && self.group_bytes >= GROUP_BYTES_MIN
                && self.shared.keys.boundary.hash(GROUP_BOUNDARY_LEVEL, &[&next.directory])
                    < u32::MAX / GROUP_BOUNDARY_ONE_IN;
            if is_boundary || self.group_bytes + next.stat.size > GROUP_BYTES_MAX {
                self.submit_group();
            }
        }
        if self.group.files.is_empty() {
            self.group.number = self.new_job();
            self.group_opened_at = self.planned;
        }
    }

    fn submit_group(&mut self) {
        if self.group.files.is_empty() {
            return;
        }
        let files = std::mem::take(&mut self.group.files);
        self.group_bytes = 0;
        self.shared.desk.submit(Job::Group(Group { number: self.group.number, turn: 0, files }));
    }

    fn new_job(&mut self) -> u32 {
        self.next_job += 1;
        self.next_job
    }

    fn not_a_file(&mut self, listing: &Listing, item: &Item, key: EntryKey) {
        let (directory, name) = (&listing.directory, listing.name(item));
        let stat = &item.stat;
        let number = || DeviceNumber { major: stat.rdev.0, minor: stat.rdev.1 };
        let kind = match stat.kind {
            FileKind::Symlink => match self.handles.link_target(directory, name) {
                Ok(target) => EntryKind::Symlink { target },
                Err(error) => return self.skip(directory, name, &error),
            },
            FileKind::Fifo => EntryKind::Fifo,
            FileKind::Socket => EntryKind::Socket,
            FileKind::CharDevice => EntryKind::CharDevice(number()),
            FileKind::BlockDevice => EntryKind::BlockDevice(number()),
            FileKind::Directory | FileKind::File => EntryKind::Directory,
        };
        let xattrs = match self.handles.xattrs(directory, name) {
            Ok(xattrs) => xattrs,
            Err(error) if is_gone(&error) && kind != EntryKind::Directory => return,
            // The item itself is kept: a directory carries what is below it.
            Err(error) => {
                if !is_gone(&error) {
                    self.skip(directory, name, &error);
                }
                Vec::new()
            }
        };
        let entry = Box::new(entry_of(stat, kind, &self.owners));
        let row = self.row_of(stat);
        self.push(if xattrs.is_empty() {
            Planned::Entry(key, entry, row)
        } else {
            Planned::EntryWithXattrs(key, entry, row, xattrs)
        });
    }

    fn row_of(&self, stat: &Stat) -> Row {
        row_of(stat, self.racy_from_ns)
    }

    fn skip(&mut self, directory: &[u8], name: &[u8], error: &std::io::Error) {
        if !is_gone(error) {
            let (path, reason) = (join(directory, name), SkipReason::of(error));
            self.compared.skipped.push(SkippedItem { path, reason, detail: error.to_string(), accepted: false });
        }
    }

    fn push(&mut self, planned: Planned) {
        self.batch.push(planned);
        self.planned += 1;
        if self.planned - self.group_opened_at >= GROUP_SPAN_ITEMS_MAX {
            self.submit_group();
        }
        if self.batch.len() >= PLAN_BATCH_ITEMS {
            self.hand_over();
        }
    }

    /// A plan that nobody reads any more belongs to a run that failed; who failed said why.
    fn hand_over(&mut self) {
        let _ = self.plan.send(std::mem::take(&mut self.batch));
    }
}
