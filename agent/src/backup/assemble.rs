//! The new tree, from the plan in key order and the results of the jobs.
//!
//! It seals and hands over the tree's nodes, and writes the agent's memory beside them. It reads no file.
//!
//! Invariant: a file that went away or could not be read has no entry; a further name of it then becomes its first.

use std::cell::RefCell;
use std::collections::HashMap;

use common::id::ChunkId;
use common::limits::XATTRS_INLINE_BYTES_MAX;
use common::tree::builder::{BuiltTree, TreeBuilder};
use common::tree::content::Content;
use common::tree::entry::{Entry, EntryKind, FileContent};
use common::tree::extents::ContentWriter;
use common::tree::node::{LeafReader, Node};
use common::tree::path::EntryKey;
use common::tree::xattrs::{Xattr, Xattrs, encode_xattrs};
use crossbeam_channel::Receiver;

use crate::backup::BackupError;
use crate::backup::carry::{Carried, Deferred, stored_part};
use crate::backup::content::malformed;
use crate::backup::desk::Laying;
use crate::backup::job::{
    Candidate, FileResult, Group, Increment, Job, JobResult, LaidChunk, Place, ReadFile, Segment, extents,
};
use crate::backup::out::Out;
use crate::backup::overlay::{Overlay, extents_of_parts};
use crate::backup::plan::{Planned, entry_of, row_of};
use crate::backup::previous::decode;
use crate::backup::progress::Progress;
use crate::backup::seal::Press;
use crate::backup::shared::Shared;
use crate::source::metadata::Owners;
use crate::source::{SkipReason, SkippedItem};
use crate::state::memory::Row;
use crate::state::recorder::Recorder;

/// Jobs made here, for further names whose first one went away; they do not collide with those of the comparison.
const FIRST_OWN_JOB: u32 = 1 << 31;

/// What was assembled.
#[derive(Debug)]
pub struct Assembled {
    /// The tree.
    pub tree: BuiltTree,
    /// Files that changed while they were read.
    pub files_fuzzy: u64,
    /// Files that went away after they were listed.
    pub files_vanished: u64,
    /// Files that were listed and have no entry, for any other reason.
    pub files_absent: u64,
    /// Files that wait for another day.
    pub deferred: Deferred,
    /// What could not be read, and what waits.
    pub skipped: Vec<SkippedItem>,
    /// Names of the page hashes that belong to the tree.
    pub pages: Vec<String>,
}

/// A finished job, kept for later files with the same content.
struct Finished {
    chunks: Vec<LaidChunk>,
    /// Emptied when the last one was taken: a run has many jobs.
    files: Vec<Option<FileResult>>,
    files_left: usize,
    /// Where each file's data starts in the stream, and its length; for files with equal content.
    laid: Vec<Option<(u64, u64)>>,
}

/// What the assembly takes in.
pub struct Inputs<'r, 'k> {
    /// Shared by all threads.
    pub shared: &'r Shared<'k>,
    /// The plan, in key order.
    pub plan: Receiver<Vec<Planned>>,
    /// Finished jobs.
    pub results: Receiver<Option<JobResult>>,
    /// Names of owners.
    pub owners: &'r Owners,
    /// The clock at the start of the run, less the time in which a change may go unseen.
    pub racy_from_ns: i64,
}

/// Builds the tree.
///
/// # Errors
/// [`BackupError::Stopped`] if another thread failed and said why; or what failed here.
pub fn assemble<'m>(
    inputs: Inputs<'_, '_>,
    press: Press,
    recorder: Recorder<'m>,
) -> Result<(Assembled, Recorder<'m>), BackupError> {
    let shared = inputs.shared;
    let out = Out { shared, press: RefCell::new(press), recorder: RefCell::new(recorder) };
    let builder = TreeBuilder::new(&shared.keys.id, &shared.keys.boundary, |node: Node| out.node(&node));
    let mut assembler = Assembler {
        inputs: &inputs,
        out: &out,
        finished: HashMap::new(),
        moved: HashMap::new(),
        next_job: FIRST_OWN_JOB,
        carried: Carried::default(),
        files_fuzzy: 0,
        files_vanished: 0,
        files_absent: 0,
        deferred: Deferred::default(),
        skipped: Vec::new(),
        pages: Vec::new(),
        unsettled: Vec::new(),
    };
    let tree = assembler.run(builder)?;
    let Assembler { files_fuzzy, files_vanished, files_absent, deferred, skipped, pages, .. } = assembler;
    let Out { recorder, .. } = out;
    let assembled = Assembled { tree, files_fuzzy, files_vanished, files_absent, deferred, skipped, pages };
    Ok((assembled, recorder.into_inner()))
}

struct Assembler<'a, 'r, 'k, 'm> {
    inputs: &'a Inputs<'r, 'k>,
    out: &'a Out<'r, 'k, 'm>,
    finished: HashMap<u32, Finished>,
    /// First names of files with several that have no entry, and the name that took their place.
    moved: HashMap<EntryKey, Option<EntryKey>>,
    next_job: u32,
    carried: Carried,
    files_fuzzy: u64,
    files_vanished: u64,
    files_absent: u64,
    deferred: Deferred,
    skipped: Vec<SkippedItem>,
    pages: Vec<String>,
    /// The directory that was distrusted last.
    unsettled: Vec<u8>,
}

impl Assembler<'_, '_, '_, '_> {
    fn run<S>(&mut self, mut builder: TreeBuilder<'_, S>) -> Result<BuiltTree, BackupError>
    where
        S: FnMut(Node) -> Result<(), BackupError>,
    {
        let inputs = self.inputs;
        for batch in &inputs.plan {
            for planned in batch {
                self.planned(planned, &mut builder)?;
            }
        }
        // The plan also ends when its writer failed: nothing may then look like a whole tree.
        if inputs.shared.failure.lock().is_some() {
            return Err(BackupError::Stopped);
        }
        self.push_carried(None, &mut builder)?;
        Ok(builder.finish()?)
    }

    fn push<S>(
        &mut self,
        key: &EntryKey,
        made: (Entry, Row),
        builder: &mut TreeBuilder<'_, S>,
    ) -> Result<(), BackupError>
    where
        S: FnMut(Node) -> Result<(), BackupError>,
    {
        self.push_carried(Some(key), builder)?;
        self.note_row(key, made.1);
        if let EntryKind::File(FileContent { content: Content::Layers(layers), .. }) = &made.0.kind {
            let roots: Vec<ChunkId> = layers.iter().map(|layer| layer.root).collect();
            self.out.keep_below(&roots)?;
        }
        self.out.recorder.borrow_mut().row(made.1);
        Ok(builder.push(key, &made.0)?)
    }

    /// Gives the carried entries before `key` their places.
    fn push_carried<S>(&mut self, key: Option<&EntryKey>, builder: &mut TreeBuilder<'_, S>) -> Result<(), BackupError>
    where
        S: FnMut(Node) -> Result<(), BackupError>,
    {
        while let Some((key, mut entry)) = self.carried.before(key) {
            if let EntryKind::File(file) = &mut entry.kind {
                file.content = self.content(file.content.clone())?;
            }
            self.note_row(&key, Row::UNKNOWN);
            self.out.recorder.borrow_mut().row(Row::UNKNOWN);
            builder.push(&key, &entry)?;
        }
        Ok(())
    }

    /// An entry that cannot be compared is looked at by the next run, whatever the journal says.
    fn note_row(&mut self, key: &EntryKey, row: Row) {
        if let Some(journal) = self.inputs.shared.journal.filter(|_| row == Row::UNKNOWN) {
            let path = key.path();
            let directory = path.iter().rposition(|byte| *byte == b'/').map_or(&[][..], |at| &path[..at]);
            if self.unsettled != directory {
                journal.distrust(directory);
                self.unsettled = directory.to_vec();
            }
        }
    }

    fn planned<S>(&mut self, planned: Planned, builder: &mut TreeBuilder<'_, S>) -> Result<(), BackupError>
    where
        S: FnMut(Node) -> Result<(), BackupError>,
    {
        let (key, entry, row) = match planned {
            Planned::Leaf(at) => return self.leaf(at, builder),
            Planned::Entry(key, entry, row) => (key, *entry, row),
            Planned::EntryWithXattrs(key, mut entry, row, xattrs) => match self.xattrs(xattrs)? {
                Some(xattrs) => {
                    entry.xattrs = xattrs;
                    (key, *entry, row)
                }
                None => {
                    self.skipped.push(deferred_item(&key));
                    (key, *entry, Row::UNKNOWN)
                }
            },
            Planned::File { key, job, file, has_links, previous } => match self.file(&key, (job, file), previous)? {
                Some((entry, row)) => (key, entry, row),
                None if has_links => {
                    self.moved.insert(key, None);
                    return Ok(());
                }
                None => return Ok(()),
            },
            Planned::HardLink { key, to, candidate } => match self.hard_link(&key, to, *candidate)? {
                Some((entry, row)) => (key, entry, row),
                None => return Ok(()),
            },
        };
        self.push(&key, (entry, row), builder)
    }

    /// Takes over a leaf of the last tree, whole if the new tree has a boundary there too.
    fn leaf<S>(&mut self, at: usize, builder: &mut TreeBuilder<'_, S>) -> Result<(), BackupError>
    where
        S: FnMut(Node) -> Result<(), BackupError>,
    {
        let memory = self.inputs.shared.known.memory().ok_or(BackupError::Stopped)?;
        let leaf = memory.leaf(at)?;
        if self.carried.is_empty() && builder.at_leaf_boundary() {
            let mut reader = LeafReader::open(&leaf).map_err(malformed)?;
            while reader.advance().map_err(malformed)?.is_some() {}
            if builder.push_unchanged_leaf(&leaf, &reader.summary())? {
                self.out.keep_below(&leaf.children)?;
                return Ok(self.out.recorder.borrow_mut().keep_leaf(memory, at, &leaf)?);
            }
        }
        for (key, entry, row) in decode(&leaf, memory.rows(at))? {
            let key = EntryKey::from_encoded(&key).map_err(|_| BackupError::Stopped)?;
            self.push(&key, (entry, row), builder)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        key: &EntryKey,
        (job, file): (u32, u32),
        previous: Option<Box<Entry>>,
    ) -> Result<Option<(Entry, Row)>, BackupError> {
        let finished = self.finished(job)?;
        let result = finished.files.get_mut(file as usize).and_then(Option::take);
        finished.files_left = finished.files_left.saturating_sub(1);
        if finished.files_left == 0 {
            finished.files = Vec::new();
        }
        let progress = &self.inputs.shared.progress;
        Progress::add(&progress.files_done, 1);
        match result {
            Some(FileResult::Read(read)) => {
                Progress::add(&progress.bytes_done, read.stat.size);
                self.read_file(key, (job, *read), previous)
            }
            Some(FileResult::Skipped(item)) => {
                self.files_absent += 1;
                self.skipped.push(item);
                Ok(None)
            }
            Some(FileResult::Gone) => {
                self.files_vanished += 1;
                Ok(None)
            }
            None => {
                tracing::error!("a job gave no result for a file");
                tracing::debug!(path = %String::from_utf8_lossy(&key.path()), "it is this one");
                Err(BackupError::Stopped)
            }
        }
    }

    /// Where the content of a file that was read is; of one that was compared with the last tree, what was laid of it.
    fn laid(&mut self, job: u32, read: &ReadFile) -> Result<Content, BackupError> {
        let size = read.stat.size;
        Ok(match &read.place {
            Place::Known(content) => content.clone(),
            Place::SameAs { job, file } => {
                let other = self.finished(*job)?;
                let laid = other.laid.get(*file as usize).copied().flatten();
                let (start, bytes) = laid.filter(|(_, bytes)| *bytes == size).ok_or(BackupError::Stopped)?;
                Content::Inline(extents(&other.chunks, start, &[Segment { bytes, is_hole: false }]))
            }
            Place::Laid { start, segments } => {
                let dense = [Segment { bytes: size, is_hole: false }];
                let segments = segments.as_deref().unwrap_or(if size > 0 { &dense } else { &[] });
                Content::Inline(extents(&self.finished(job)?.chunks, *start, segments))
            }
            Place::Increment(increment) => {
                Content::Inline(extents_of_parts(&self.finished(job)?.chunks, &increment.parts))
            }
        })
    }

    /// The entry of a file that was read; the one of the last tree, or none, if its content has to wait.
    fn read_file(
        &mut self,
        key: &EntryKey,
        (job, read): (u32, ReadFile),
        previous: Option<Box<Entry>>,
    ) -> Result<Option<(Entry, Row)>, BackupError> {
        let laid = self.laid(job, &read)?;
        let content = Content::Inline(Vec::new());
        let file = FileContent { size: read.stat.size, digest: read.digest, fuzzy: read.fuzzy, content };
        let mut entry = entry_of(&read.stat, EntryKind::File(file), self.inputs.owners);
        let xattrs = self.xattrs(read.xattrs)?;
        if self.inputs.shared.laying == Laying::Nothing
            && let Content::Inline(extents) = &laid
        {
            let stored = self.out.stored(extents)?;
            if xattrs.is_none() || stored.contains(&false) {
                let part = stored_part(extents.clone(), &stored);
                self.carried.add(key, &entry, part);
                return Ok(self.deferred(key, entry.size(), previous));
            }
        }
        let content = match read.place {
            Place::Increment(increment) => self.increment(job, *increment, laid)?,
            Place::Laid { .. } | Place::Known(_) | Place::SameAs { .. } => self.content(laid)?,
        };
        let EntryKind::File(file) = &mut entry.kind else { return Err(BackupError::Stopped) };
        file.content = content;
        entry.xattrs = xattrs.ok_or(BackupError::Stopped)?;
        self.files_fuzzy += u64::from(read.fuzzy);
        let row = if read.fuzzy { Row::UNKNOWN } else { row_of(&read.stat, self.inputs.racy_from_ns) };
        Ok(Some((entry, row)))
    }

    /// The content of a large file; its page hashes are the next run's once the snapshot has a receipt.
    fn increment(&mut self, job: u32, increment: Increment, laid: Content) -> Result<Content, BackupError> {
        let Increment { parts, old, pages } = increment;
        let content = match old.filter(|_| parts.has_kept()) {
            None => self.content(laid)?,
            Some(old) => {
                let memory = self.inputs.shared.known.memory().ok_or(BackupError::Stopped)?;
                let (shared, out) = (self.inputs.shared, self.out);
                let (keys, known) = (shared.keys, &shared.known);
                let overlay = Overlay { keys, memory, known, sink: |node: Node| out.node(&node) };
                overlay.content(&old, (&self.finished(job)?.chunks, &parts))?
            }
        };
        self.pages.extend(pages);
        Ok(content)
    }

    fn deferred(&mut self, key: &EntryKey, bytes: u64, previous: Option<Box<Entry>>) -> Option<(Entry, Row)> {
        self.deferred.files += 1;
        self.deferred.bytes += bytes;
        self.files_absent += u64::from(previous.is_none());
        self.skipped.push(deferred_item(key));
        // Without a row it counts as changed the next time.
        previous.map(|entry| (*entry, Row::UNKNOWN))
    }

    /// Extents as an entry can hold them: many go into nodes of their own.
    fn content(&self, content: Content) -> Result<Content, BackupError> {
        let Content::Inline(extents) = content else { return Ok(content) };
        let keys = self.inputs.shared.keys;
        let mut writer = ContentWriter::new(&keys.id, &keys.boundary, |node: Node| self.out.node(&node));
        for extent in extents {
            writer.push(extent)?;
        }
        Ok(writer.finish()?)
    }

    fn xattrs(&self, xattrs: Vec<Xattr>) -> Result<Option<Xattrs>, BackupError> {
        let encoded = encode_xattrs(&xattrs);
        if encoded.len() <= XATTRS_INLINE_BYTES_MAX {
            return Ok(Some(Xattrs::Inline(xattrs)));
        }
        Ok(self.out.lay(&encoded)?.map(Xattrs::Extents))
    }

    /// One more name; if the first name has no entry, this one is read and takes its place.
    fn hard_link(
        &mut self,
        key: &EntryKey,
        to: EntryKey,
        candidate: Candidate,
    ) -> Result<Option<(Entry, Row)>, BackupError> {
        let to = match self.moved.get(&to) {
            None => to,
            Some(Some(instead)) => instead.clone(),
            Some(None) => {
                self.next_job += 1;
                let job = self.next_job;
                let group = Group { number: job, turn: 0, files: vec![candidate] };
                self.inputs.shared.desk.submit(Job::Group(group));
                let entry = self.file(key, (job, 0), None)?;
                if entry.is_some() {
                    self.moved.insert(to, Some(key.clone()));
                }
                return Ok(entry);
            }
        };
        let entry = entry_of(&candidate.stat, EntryKind::HardLink { to }, self.inputs.owners);
        Ok(Some((entry, row_of(&candidate.stat, self.inputs.racy_from_ns))))
    }

    /// A finished job; waits for it.
    fn finished(&mut self, job: u32) -> Result<&mut Finished, BackupError> {
        while !self.finished.contains_key(&job) {
            let Ok(Some(result)) = self.inputs.results.recv() else { return Err(BackupError::Stopped) };
            let laid = result.files.iter().map(laid_dense).collect();
            let files_left = result.files.len();
            let files = result.files.into_iter().map(Some).collect();
            self.finished.insert(result.number, Finished { chunks: result.chunks, files, files_left, laid });
        }
        self.finished.get_mut(&job).ok_or(BackupError::Stopped)
    }
}

fn deferred_item(key: &EntryKey) -> SkippedItem {
    SkippedItem { path: key.path(), reason: SkipReason::Deferred, detail: String::new(), accepted: false }
}

/// Where a file without holes stands in its stream.
fn laid_dense(result: &FileResult) -> Option<(u64, u64)> {
    match result {
        FileResult::Read(read) => match &read.place {
            Place::Laid { start, segments: None } => Some((*start, read.stat.size)),
            _ => None,
        },
        _ => None,
    }
}
