//! The walk of a restore: from the snapshot's tree to folders, files to write, and what comes late.
//!
//! It runs on one thread, makes directories as it meets them, decides about what stands in the target, and cuts the content
//! into windows. It writes no content but that of empty files.
//!
//! Invariant: a damaged node costs what it lists, not the rest of the tree.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::id::ChunkId;
use common::limits::{
    HOLE_HASHED_BYTES_MAX, RESTORE_FIRST_WINDOW_FILES, RESTORE_WINDOW_FILES, WINDOW_BYTES, XATTRS_BYTES_MAX,
};
use common::tree::TreeError;
use common::tree::content::Extent;
use common::tree::cursor::find;
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::layers::ExtentReader;
use common::tree::path::{EntryKey, KeyRange};
use common::tree::xattrs::{Xattr, Xattrs, decode_xattrs};

use super::disk::{Making, RAW_ENDING};
use super::fetch::{FetchError, Fetcher, Submit};
use super::folders::{Folder, Handles};
use super::late::{Late, LateKind};
use super::meta::Meta;
use super::nodes::{NodeError, Nodes};
use super::outcome::{Problem, Progress};
use super::select::{Decision, Overwrite, decide};
use super::unlock::ChunkFailure;
use super::walk::{Met, walk};
use super::window::{Window, WindowBuilder};
use super::write::{FileJob, FileWriter, Place};
use super::{RestoreError, RestoreOptions};
use crate::source::disk::label::Label;
use crate::source::disk::tools::Tools;

/// The state of the walk.
pub(super) struct Planner<'a> {
    pub(super) root: ChunkId,
    pub(super) options: &'a RestoreOptions,
    pub(super) fetcher: &'a Fetcher<'a>,
    pub(super) writer: &'a FileWriter<'a>,
    /// The target of a dry run is not there.
    pub(super) nothing_stands: bool,
    nodes: RefCell<Nodes<'a>>,
    handles: Handles,
    top: Arc<Folder>,
    folders: HashMap<Vec<u8>, Arc<Folder>>,
    owner: Arc<Owner>,
    window: WindowBuilder,
    window_files_max: usize,
    numbers: u64,
    /// Whether images can be made here, once one has to be.
    has_tools: OnceCell<bool>,
    /// Directories in the order in which they were met: parents first.
    pub(super) made: Vec<Arc<Folder>>,
    /// Links and nodes, for when all files stand.
    pub(super) late: Vec<Late>,
}

/// Why one entry is not planned.
enum Refusal {
    /// This entry only.
    Item(Problem),
    /// The restore ends.
    Fatal(RestoreError),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Item(problem)
    }
}

impl From<TreeError<NodeError>> for Refusal {
    fn from(error: TreeError<NodeError>) -> Self {
        match error {
            TreeError::Fetch { source: NodeError::Fetch(error), .. } => Self::Fatal(error.into()),
            TreeError::Fetch { source: NodeError::Chunk(_), .. } | TreeError::Malformed { .. } => {
                Self::Item(Problem::Node)
            }
        }
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        Self::Fatal(error.into())
    }
}

impl<'a> Planner<'a> {
    pub(super) fn new(
        root: ChunkId,
        options: &'a RestoreOptions,
        fetcher: &'a Fetcher<'a>,
        writer: &'a FileWriter<'a>,
    ) -> Self {
        Self {
            root,
            options,
            fetcher,
            writer,
            nothing_stands: false,
            nodes: RefCell::new(Nodes::for_walk(fetcher)),
            handles: Handles::default(),
            top: Folder::root(),
            folders: HashMap::new(),
            owner: Arc::new(Owner::default()),
            window: WindowBuilder::default(),
            window_files_max: RESTORE_FIRST_WINDOW_FILES,
            numbers: 0,
            has_tools: OnceCell::new(),
            made: Vec::new(),
            late: Vec::new(),
        }
    }

    /// Walks everything that is selected.
    pub(super) fn walk(&mut self, submit: &mut Submit<'_, Arc<Window>>) -> Result<(), RestoreError> {
        for range in self.options.selection.ranges() {
            if self.walk_range(range, submit)?.is_break() {
                return Ok(());
            }
        }
        let _ = self.submit_window(submit);
        Ok(())
    }

    fn walk_range(
        &mut self,
        range: KeyRange,
        submit: &mut Submit<'_, Arc<Window>>,
    ) -> Result<ControlFlow<()>, RestoreError> {
        walk(self.fetcher, self.root, range, |met| {
            let (path, planned) = match met {
                Met::Lost(path) => (path, Err(Problem::Node.into())),
                Met::Entry(key, entry) => match self.plan(&key, &entry) {
                    Ok(()) => (Vec::new(), Ok(())),
                    refused => (key.path(), refused),
                },
            };
            match planned {
                Ok(()) => {}
                Err(Refusal::Item(problem)) => self.writer.tally.problem(path, problem),
                Err(Refusal::Fatal(error)) => return Err(error),
            }
            let full = self.window.is_full(self.window_files_max);
            let ends = self.stopped() || (full && self.submit_window(submit).is_break());
            Ok(if ends { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
    }

    fn stopped(&self) -> bool {
        self.writer.stop.load(Ordering::Relaxed)
    }

    fn submit_window(&mut self, submit: &mut Submit<'_, Arc<Window>>) -> ControlFlow<()> {
        self.window_files_max = RESTORE_WINDOW_FILES;
        std::mem::take(&mut self.window).finish().into_iter().try_for_each(submit)
    }

    fn plan(&mut self, key: &EntryKey, entry: &Entry) -> Result<(), Refusal> {
        let wanted = self.options.selection.wants(key, entry.kind == EntryKind::Directory);
        if entry.kind == EntryKind::Directory {
            return self.plan_directory(key, entry, wanted);
        }
        if !wanted {
            return Ok(());
        }
        Progress::add(&self.writer.progress.items_planned, 1);
        Progress::add(&self.writer.progress.bytes_planned, entry.size());
        let folder = self.folder_of(key)?;
        self.make(&folder)?;
        let meta = self.meta(entry)?;
        let kind = match &entry.kind {
            EntryKind::File(file) => return self.plan_file(folder, key, file, meta),
            EntryKind::HardLink { to } => return self.plan_hard_link(folder, key, to),
            EntryKind::Directory => return Ok(()),
            EntryKind::Socket => return Err(Problem::Socket.into()),
            EntryKind::Symlink { target } => LateKind::Symlink(target.clone()),
            EntryKind::Fifo => LateKind::Fifo,
            EntryKind::CharDevice(_) | EntryKind::BlockDevice(_) if !self.options.devices => {
                return Err(Problem::Device.into());
            }
            EntryKind::CharDevice(number) => LateKind::CharDevice(*number),
            EntryKind::BlockDevice(number) => LateKind::BlockDevice(*number),
        };
        self.add_late(folder, key.name(), Some(meta), kind);
        Ok(())
    }

    /// Makes a folder, and removes from one that stood what a restore of this snapshot left when it was cut.
    fn make(&mut self, folder: &Folder) -> Result<(), Problem> {
        if self.options.dry_run {
            return Ok(());
        }
        let made = folder.make(self.writer.target, &mut self.handles);
        let cleared = made.and_then(|()| match folder.needs_clearing() {
            true => {
                let directory = self.handles.open(self.writer.target, folder)?;
                directory.remove_prefixed(self.writer.temporary_prefix().as_bytes())
            }
            false => Ok(()),
        });
        cleared.map_err(|error| self.not_made(&error))
    }

    fn not_made(&self, error: &std::io::Error) -> Problem {
        match error.kind() {
            std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::NotADirectory => Problem::InTheWay,
            _ => self.writer.refused("create", error),
        }
    }

    fn plan_directory(&mut self, key: &EntryKey, entry: &Entry, wanted: bool) -> Result<(), Refusal> {
        if self.options.strip.as_ref() == Some(key) {
            return Ok(());
        }
        let parent = self.folder_of(key)?;
        let meta = self.meta(entry)?;
        let folder = self.new_folder(key, &parent, Some(meta));
        if wanted {
            Progress::add(&self.writer.progress.items_planned, 1);
            self.make(&folder)?;
        }
        Ok(())
    }

    fn new_folder(&mut self, key: &EntryKey, parent: &Arc<Folder>, meta: Option<Meta>) -> Arc<Folder> {
        let number = u32::try_from(self.made.len() + 1).unwrap_or(u32::MAX);
        let folder = Folder::new(number, parent, key.name(), meta);
        self.folders.insert(key.as_bytes().to_vec(), folder.clone());
        self.made.push(folder.clone());
        folder
    }

    /// The folder that an entry goes into.
    fn folder_of(&mut self, key: &EntryKey) -> Result<Arc<Folder>, Refusal> {
        let mut unknown = Vec::new();
        let mut at = key.parent();
        let mut folder = loop {
            match at {
                None => break self.top.clone(),
                Some(key) if self.options.strip.as_ref() == Some(&key) => break self.top.clone(),
                Some(key) => match self.folders.get(key.as_bytes()) {
                    Some(folder) => break folder.clone(),
                    None => {
                        at = key.parent();
                        unknown.push(key);
                    }
                },
            }
        };
        // Ancestors of what was selected; in a hostile tree, also directories that are none.
        for key in unknown.into_iter().rev() {
            let found = find(self.root, &key, |id| self.nodes.borrow_mut().get(id)).map_err(Refusal::from);
            let meta = match found {
                Ok(Some(entry)) if entry.kind == EntryKind::Directory => Some(self.meta(&entry)?),
                Ok(_) => return Err(Problem::Tree.into()),
                // What is known of the directory is lost; what is in it need not be.
                Err(Refusal::Item(problem)) => {
                    self.writer.tally.problem(key.path(), problem);
                    None
                }
                Err(fatal) => return Err(fatal),
            };
            folder = self.new_folder(&key, &folder, meta);
        }
        Ok(folder)
    }

    fn meta(&mut self, entry: &Entry) -> Result<Meta, Refusal> {
        if *self.owner != entry.owner {
            self.owner = Arc::new(entry.owner.clone());
        }
        let xattrs = match &entry.xattrs {
            Xattrs::Inline(xattrs) => xattrs.clone(),
            Xattrs::Extents(extents) => self.large_xattrs(extents)?,
        };
        Ok(Meta { mode: entry.mode, owner: self.owner.clone(), mtime_ns: entry.mtime_ns, xattrs })
    }

    fn large_xattrs(&self, extents: &[Extent]) -> Result<Vec<Xattr>, Refusal> {
        let damaged = || Refusal::Item(Problem::Content(ChunkFailure::Unfitting));
        let total = extents.iter().try_fold(0u64, |sum, extent| sum.checked_add(extent.bytes)).ok_or_else(damaged)?;
        if total > XATTRS_BYTES_MAX as u64 || extents.iter().any(|extent| extent.chunk.is_none()) {
            return Err(damaged());
        }
        let ids: Vec<ChunkId> = extents.iter().filter_map(|extent| extent.chunk).collect();
        let chunks: HashMap<_, _> = self.fetcher.fetch_few(&ids)?.into_iter().collect();
        let mut bytes = Vec::new();
        for (id, extent) in ids.iter().zip(extents) {
            let plain = chunks.get(id).ok_or_else(damaged)?.as_ref().map_err(|failure| Problem::Content(*failure))?;
            let (from, count) = (extent.offset as usize, usize::try_from(extent.bytes).unwrap_or(usize::MAX));
            let content = plain.content().map_err(Problem::Content)?;
            bytes.extend_from_slice(content.get(from..from.saturating_add(count)).ok_or_else(damaged)?);
        }
        decode_xattrs(&bytes).map_err(|_| damaged())
    }

    fn plan_file(
        &mut self,
        folder: Arc<Folder>,
        key: &EntryKey,
        file: &FileContent,
        mut meta: Meta,
    ) -> Result<(), Refusal> {
        let disk = self.making(&mut meta)?;
        let name = match disk {
            Some(Making::Raw) => &[key.name(), RAW_ENDING].concat()[..],
            _ => key.name(),
        };
        let mut job = FileJob::new(self.next_number(), folder, name, (file.size, file.digest), meta);
        job.disk = disk;
        if !job.folder.is_fresh() && !self.nothing_stands {
            match self.decide(&job)? {
                Some(Decision::Write { replace }) => job.replace = replace,
                Some(Decision::Leave(problem)) => return Err(problem.into()),
                Some(Decision::Compare(_)) | None => return Ok(()),
            }
        }
        if self.options.dry_run {
            Progress::add(&self.writer.tally.files, 1);
            Progress::add(&self.writer.tally.bytes, file.size);
            return Ok(());
        }
        if file.size == 0 {
            self.writer.whole(&mut self.handles, &job, &[]);
            return Ok(());
        }
        self.plan_content(&Arc::new(job), file)
    }

    /// What becomes of a file, if it is the disk of an image.
    fn making(&self, meta: &mut Meta) -> Result<Option<Making>, Problem> {
        let has_tools = |tools: &Tools| *self.has_tools.get_or_init(|| tools.version().is_ok());
        self.options.disks.plan(Label::take(&mut meta.xattrs).map_err(|_| ()), has_tools)
    }

    fn plan_content(&mut self, job: &Arc<FileJob>, file: &FileContent) -> Result<(), Refusal> {
        let nodes = RefCell::new(Nodes::for_walk(self.fetcher));
        let mut extents = ExtentReader::new(&file.content, file.size, 0, |id| nodes.borrow_mut().get(id));
        loop {
            let at = extents.position();
            match extents.next_extent() {
                Ok(None) => return Ok(()),
                Ok(Some(Extent { chunk: None, bytes, .. })) => {
                    self.writer.hole(&mut self.handles, job, Place { at, bytes });
                }
                Ok(Some(extent)) => {
                    if let Some(id) = extent.chunk {
                        self.window.add(job, id, &extent, at);
                    }
                }
                Err(error) => {
                    // The rest of the file is not to be had; whoever writes its last piece reports it.
                    let rest = Place { at, bytes: file.size - at };
                    self.writer.piece(&mut self.handles, job, rest, Err(ChunkFailure::Damaged));
                    return match Refusal::from(error) {
                        Refusal::Item(_) => Ok(()),
                        fatal @ Refusal::Fatal(_) => Err(fatal),
                    };
                }
            }
        }
    }

    /// What to do about what stands under the name of `job`; `None` if it is the wanted file already.
    fn decide(&mut self, job: &FileJob) -> Result<Option<Decision>, Refusal> {
        let directory = match self.handles.open(self.writer.target, &job.folder) {
            Ok(directory) => directory,
            Err(error) if self.options.dry_run && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Some(Decision::Write { replace: false }));
            }
            Err(error) => return Err(self.not_made(&error).into()),
        };
        let standing = directory.standing(&job.name).map_err(|error| self.writer.refused("read", &error))?;
        let decision = decide(self.options.overwrite, standing.as_ref(), job.size, job.meta.mtime_ns);
        let Decision::Compare(otherwise) = decision else { return Ok(Some(decision)) };
        let same = directory.open_file(&job.name, false).and_then(|file| self.has_digest(&file, job));
        if !same.unwrap_or(false) {
            return Ok(Some(*otherwise));
        }
        self.already_there(&directory, job)?;
        Ok(None)
    }

    fn already_there(&self, directory: &super::target::Directory, job: &FileJob) -> Result<(), Refusal> {
        let overwrites = matches!(self.options.overwrite, Overwrite::Changed | Overwrite::Always);
        if overwrites && !self.options.dry_run {
            use std::os::fd::AsFd;
            let created = super::meta::Created { mode_is_right: false, inherits: true };
            let file = directory.open_file(&job.name, false).map_err(|error| self.writer.refused("read", &error))?;
            let applied = self.writer.rules.apply(file.as_fd(), &job.meta, created);
            let notices = applied.map_err(|error| self.writer.refused("metadata", &error))?;
            notices.into_iter().for_each(|notice| self.writer.tally.problem(job.folder.path_of(&job.name), notice));
        }
        Progress::add(&self.writer.progress.items_done, 1);
        Progress::add(&self.writer.progress.bytes_done, job.size);
        self.writer.tally.update(|outcome| outcome.files_present += 1);
        Ok(())
    }

    fn has_digest(&self, file: &std::fs::File, job: &FileJob) -> std::io::Result<bool> {
        use std::io::Read;
        use std::os::unix::fs::MetadataExt;
        // Reading the holes of a hostile file would take for ever.
        if file.metadata()?.blocks().saturating_mul(512).saturating_add(HOLE_HASHED_BYTES_MAX) < job.size {
            return Ok(false);
        }
        let mut hasher = self.writer.id_key.content_hasher();
        let mut buffer = vec![0; WINDOW_BYTES];
        let mut file = file;
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finalize() == job.digest),
                bytes => hasher.update(&buffer[..bytes]),
            };
            if self.stopped() {
                return Ok(false);
            }
        }
    }

    /// A link to a file that is restored too becomes a link; to one that is not, the file itself, once.
    fn plan_hard_link(&mut self, folder: Arc<Folder>, key: &EntryKey, to: &EntryKey) -> Result<(), Refusal> {
        let target = find(self.root, to, |id| self.nodes.borrow_mut().get(id))?;
        let Some(Entry { kind: EntryKind::File(file), .. }) = &target else { return Err(Problem::Tree.into()) };
        let below_top = self.options.strip.as_ref().is_none_or(|strip| KeyRange::below(strip).contains(to.as_bytes()));
        if below_top && self.options.selection.holds(to, false) {
            let from = self.folder_of(to)?;
            let kind = LateKind::HardLink { folder: from, name: to.name().to_vec(), size: file.size };
            self.add_late(folder, key.name(), None, kind);
            return Ok(());
        }
        let meta = target.as_ref().map(|entry| self.meta(entry)).transpose()?.ok_or(Problem::Tree)?;
        self.plan_file(folder, key, file, meta)
    }

    fn add_late(&mut self, folder: Arc<Folder>, name: &[u8], meta: Option<Meta>, kind: LateKind) {
        let number = self.next_number();
        self.late.push(Late { number, folder, name: name.into(), meta, kind });
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
