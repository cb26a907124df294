//! Files being written: whole when their content lies in one chunk, piece by piece when it comes in any order.
//!
//! Order per file: temporary name beside the final one → content → digest checked → metadata → rename. The final name shows a
//! complete and verified file or nothing. No fsync per file: one for all at the end.
//!
//! Invariant: a file whose content cannot be verified never gets its name (P2: the exact bytes or a named error).
//! Invariant: holes are never written, and no file grows beyond the size that the tree declares.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use common::keys::IdKey;
use common::limits::{HOLE_HASHED_BYTES_MAX, RESTORE_OPEN_FILES, WINDOW_BYTES};
use parking_lot::Mutex;

use super::disk::{DiskOutput, Making};
use super::folders::{Folder, Handles};
use super::meta::{Created, Meta, MetaRules};
use super::outcome::{Problem, Progress, Tally};
use super::target::{Directory, Target};
use super::unlock::ChunkFailure;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file to write.
pub struct FileJob {
    /// Where.
    pub folder: Arc<Folder>,
    /// Its name.
    pub name: Box<[u8]>,
    /// Its length, holes included.
    pub size: u64,
    /// Digest of its content.
    pub digest: [u8; 32],
    /// Its metadata.
    pub meta: Meta,
    /// What it is made into, if it is the disk of an image.
    pub disk: Option<Making>,
    /// What stands under its name is replaced.
    pub replace: bool,
    number: u64,
    left_bytes: AtomicU64,
    failure: OnceLock<Problem>,
    partial: Mutex<Option<Box<Partial>>>,
}

/// A range of a file that is done before what comes before it.
enum Done {
    Written(u64),
    Hole(u64),
}

/// A file that has some of its pieces.
struct Partial {
    file: Option<Arc<File>>,
    created: Created,
    hasher: Option<blake3::Hasher>,
    hashed_to: u64,
    hole_bytes: u64,
    done: BTreeMap<u64, Done>,
}

impl FileJob {
    /// `number` is unique in its restore.
    pub fn new(number: u64, folder: Arc<Folder>, name: &[u8], content: (u64, [u8; 32]), meta: Meta) -> Self {
        let (size, digest) = content;
        let (failure, partial) = (OnceLock::new(), Mutex::new(None));
        let left_bytes = AtomicU64::new(size);
        Self {
            folder,
            name: name.into(),
            size,
            digest,
            meta,
            disk: None,
            replace: false,
            number,
            left_bytes,
            failure,
            partial,
        }
    }

    fn path(&self) -> Vec<u8> {
        self.folder.path_of(&self.name)
    }

    /// Counts bytes as dealt with; true for who dealt with the last ones.
    fn release(&self, bytes: u64) -> bool {
        self.left_bytes.fetch_sub(bytes, Ordering::AcqRel) == bytes
    }
}

/// Where a piece of content goes.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// First byte in the file.
    pub at: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// What all threads of a restore share to write files.
pub struct FileWriter<'a> {
    /// Where files go.
    pub target: &'a Target,
    /// How metadata comes back.
    pub rules: &'a MetaRules,
    /// In which format disk images come back.
    pub disks: &'a DiskOutput,
    /// Keys the content digest.
    pub id_key: &'a IdKey,
    /// Marks this restore's temporary names.
    pub run: &'a str,
    /// What is reported.
    pub tally: &'a Tally,
    /// What a bar shows.
    pub progress: &'a Progress,
    /// Set to end the run early.
    pub stop: &'a AtomicBool,
    /// Files held open between two pieces.
    pub open_files: AtomicUsize,
    /// Files that have some of their pieces, by number.
    pub unfinished: Mutex<HashMap<u64, Arc<Folder>>>,
    /// An error of the file system that makes going on useless.
    pub fatal: Mutex<Option<io::Error>>,
}

impl FileWriter<'_> {
    /// Temporary name of item `number`.
    pub fn temporary_name(&self, number: u64) -> Vec<u8> {
        format!("{}{number}", self.temporary_prefix()).into_bytes()
    }

    /// What all temporary names of restores of this snapshot start with.
    pub fn temporary_prefix(&self) -> String {
        format!(".dobaas-partial-{}-", self.run)
    }

    /// Writes a file of which `content` is everything.
    pub fn whole(&self, handles: &mut Handles, job: &FileJob, content: &[u8]) {
        let result = self.try_whole(handles, job, content);
        self.ended(job, result);
    }

    fn try_whole(&self, handles: &mut Handles, job: &FileJob, content: &[u8]) -> Result<Vec<Problem>, Problem> {
        let mut hasher = self.id_key.content_hasher();
        if hasher.update(content).finalize() != job.digest {
            return Err(Problem::Digest);
        }
        let folder = self.open_folder(handles, job)?;
        let temporary = self.temporary_name(job.number);
        let (file, created) = self.create(&folder, &temporary, &job.meta)?;
        let finished = file
            .write_all_at(content, 0)
            .map_err(|error| self.refused("write", &error))
            .and_then(|()| self.finish(&folder, &temporary, job, (&file, created)));
        if finished.is_err() {
            // Best effort: the next restore of this snapshot removes what stays.
            let _ = folder.remove(&temporary);
        }
        finished
    }

    /// Writes a piece of a larger file, or notes that it cannot be had.
    pub fn piece(&self, handles: &mut Handles, job: &FileJob, place: Place, content: Result<&[u8], ChunkFailure>) {
        if job.failure.get().is_none() {
            let written = match content {
                Ok(bytes) => self.try_piece(handles, job, place.at, bytes),
                Err(failure) => Err(Problem::Content(failure)),
            };
            if let Err(problem) = written {
                let _ = job.failure.set(problem);
            }
        }
        if job.release(place.bytes) {
            self.complete(handles, job);
        }
    }

    /// Takes note of a hole, which is not written.
    pub fn hole(&self, handles: &mut Handles, job: &FileJob, place: Place) {
        if job.failure.get().is_none() {
            let noted = self.with_partial(handles, job, |partial, file| {
                partial.done.insert(place.at, Done::Hole(place.bytes));
                partial.hash_what_follows(file)
            });
            if let Err(problem) = noted {
                let _ = job.failure.set(problem);
            }
        }
        if job.release(place.bytes) {
            self.complete(handles, job);
        }
    }

    fn try_piece(&self, handles: &mut Handles, job: &FileJob, at: u64, bytes: &[u8]) -> Result<(), Problem> {
        let file = self.with_partial(handles, job, |_, file| Ok(file.clone()))?;
        // Not under the lock: pieces of one file are written in parallel.
        file.write_all_at(bytes, at).map_err(|error| self.refused("write", &error))?;
        let mut partial = job.partial.lock();
        let partial = partial.as_mut().ok_or(Problem::Tree)?;
        partial.written(&file, at, bytes).map_err(|error| self.refused("read", &error))
    }

    /// Opens or creates the temporary file and lets `use_it` at its state.
    fn with_partial<T>(
        &self,
        handles: &mut Handles,
        job: &FileJob,
        use_it: impl FnOnce(&mut Partial, &Arc<File>) -> io::Result<T>,
    ) -> Result<T, Problem> {
        let mut slot = job.partial.lock();
        let file = match slot.as_ref().and_then(|partial| partial.file.clone()) {
            Some(file) => file,
            None => self.open_partial(handles, job, &mut slot)?,
        };
        let partial = slot.as_mut().ok_or(Problem::Tree)?;
        use_it(partial, &file).map_err(|error| self.refused("read", &error))
    }

    fn open_partial(
        &self,
        handles: &mut Handles,
        job: &FileJob,
        slot: &mut Option<Box<Partial>>,
    ) -> Result<Arc<File>, Problem> {
        let folder = self.open_folder(handles, job)?;
        let temporary = self.temporary_name(job.number);
        let file = match slot {
            Some(_) => folder.open_file(&temporary, true).map_err(|error| self.refused("write", &error))?,
            None => {
                let (file, created) = self.create(&folder, &temporary, &job.meta)?;
                *slot = Some(Box::new(Partial::new(created, self.id_key.content_hasher())));
                self.unfinished.lock().insert(job.number, job.folder.clone());
                file.set_len(job.size).map_err(|error| self.refused("write", &error))?;
                file
            }
        };
        let file = Arc::new(file);
        let room = self.open_files.fetch_add(1, Ordering::Relaxed) < RESTORE_OPEN_FILES;
        match slot.as_mut() {
            Some(partial) if room => partial.file = Some(file.clone()),
            _ => drop(self.open_files.fetch_sub(1, Ordering::Relaxed)),
        }
        Ok(file)
    }

    /// The last piece is done: verify, give the name, or clear away.
    fn complete(&self, handles: &mut Handles, job: &FileJob) {
        let result = match job.failure.get() {
            Some(problem) => Err(problem.clone()),
            None => self.try_complete(handles, job),
        };
        let partial = job.partial.lock().take();
        self.unfinished.lock().remove(&job.number);
        if partial.as_ref().is_some_and(|partial| partial.file.is_some()) {
            self.open_files.fetch_sub(1, Ordering::Relaxed);
        }
        if let (Err(_), Some(_)) = (&result, &partial)
            && let Ok(folder) = handles.open(self.target, &job.folder)
        {
            let _ = folder.remove(&self.temporary_name(job.number));
        }
        self.ended(job, result);
    }

    fn try_complete(&self, handles: &mut Handles, job: &FileJob) -> Result<Vec<Problem>, Problem> {
        let (file, created) = self.with_partial(handles, job, |partial, file| Ok((file.clone(), partial.created)))?;
        let checked = {
            let partial = job.partial.lock();
            let partial = partial.as_ref().ok_or(Problem::Tree)?;
            match &partial.hasher {
                Some(hasher) if partial.hashed_to == job.size && hasher.finalize() == job.digest => true,
                Some(_) => return Err(Problem::Digest),
                None => false,
            }
        };
        let folder = self.open_folder(handles, job)?;
        let mut problems = self.finish(&folder, &self.temporary_name(job.number), job, (&file, created))?;
        if !checked {
            problems.push(Problem::DigestNotChecked);
        }
        Ok(problems)
    }

    /// Metadata, then the name; of an image, its format first.
    fn finish(
        &self,
        folder: &Directory,
        temporary: &[u8],
        job: &FileJob,
        (file, created): (&File, Created),
    ) -> Result<Vec<Problem>, Problem> {
        if let Some(Making::Image(label)) = &job.disk {
            return self.finish_image(folder, temporary, job, (file, label));
        }
        let applied = self.rules.apply(file.as_fd(), &job.meta, created);
        let problems = applied.map_err(|error| self.refused("metadata", &error))?;
        folder.rename(temporary, &job.name, job.replace).map_err(|error| match error.kind() {
            io::ErrorKind::IsADirectory => Problem::InTheWay,
            _ => self.refused("rename", &error),
        })?;
        Ok(problems)
    }

    fn ended(&self, job: &FileJob, result: Result<Vec<Problem>, Problem>) {
        Progress::add(&self.progress.items_done, 1);
        Progress::add(&self.progress.bytes_done, job.size);
        match result {
            Ok(notices) => {
                Progress::add(&self.tally.files, 1);
                Progress::add(&self.tally.bytes, job.size);
                notices.into_iter().for_each(|notice| self.tally.problem(job.path(), notice));
            }
            Err(problem) => self.tally.problem(job.path(), problem),
        }
    }

    fn open_folder(&self, handles: &mut Handles, job: &FileJob) -> Result<Arc<Directory>, Problem> {
        handles.open(self.target, &job.folder).map_err(|error| self.refused("create", &error))
    }

    /// Creates a temporary file with its final permission bits where that spares a system call.
    fn create(&self, folder: &Directory, temporary: &[u8], meta: &Meta) -> Result<(File, Created), Problem> {
        let mode_is_right = self.target.umask_keeps(meta.mode) && !folder.inherits;
        let mode = if mode_is_right { meta.mode } else { 0o600 };
        let create = || folder.create_file(temporary, mode);
        let created = match create() {
            // Left by a restore of the same snapshot that was cut.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder.remove(temporary).and_then(|()| create())
            }
            created => created,
        };
        let file = created.map_err(|error| self.refused("create", &error))?;
        Ok((file, Created { mode_is_right, inherits: folder.inherits }))
    }

    /// Removes what a run that ended early leaves under temporary names.
    pub fn clear_away(&self, handles: &mut Handles) {
        for (number, folder) in self.unfinished.lock().drain() {
            if let Ok(folder) = handles.open(self.target, &folder) {
                let _ = folder.remove(&self.temporary_name(number));
            }
        }
    }

    /// Notes an error of the system; one that will meet every other file too ends the restore.
    pub fn refused(&self, step: &'static str, error: &io::Error) -> Problem {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) {
            self.fatal.lock().get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            self.stop.store(true, Ordering::Relaxed);
        }
        Problem::system(step, error)
    }
}

impl Partial {
    fn new(created: Created, hasher: blake3::Hasher) -> Self {
        Self { file: None, created, hasher: Some(hasher), hashed_to: 0, hole_bytes: 0, done: BTreeMap::new() }
    }

    /// Hashes what was just written if its turn has come; what came too early is read back when its turn comes.
    fn written(&mut self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at == self.hashed_to {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(bytes);
            }
            self.hashed_to += bytes.len() as u64;
        } else {
            self.done.insert(at, Done::Written(bytes.len() as u64));
        }
        self.hash_what_follows(file)
    }

    fn hash_what_follows(&mut self, file: &File) -> io::Result<()> {
        while let Some(done) = self.done.remove(&self.hashed_to) {
            match done {
                Done::Written(bytes) => {
                    self.read_back(file, bytes)?;
                    self.hashed_to += bytes;
                }
                Done::Hole(bytes) => {
                    self.hole_bytes = self.hole_bytes.saturating_add(bytes);
                    self.hash_zeros(bytes);
                    self.hashed_to += bytes;
                }
            }
        }
        Ok(())
    }

    fn read_back(&mut self, file: &File, bytes: u64) -> io::Result<()> {
        let Some(hasher) = &mut self.hasher else { return Ok(()) };
        let mut buffer = vec![0; WINDOW_BYTES.min(usize::try_from(bytes).unwrap_or(WINDOW_BYTES))];
        let (mut at, end) = (self.hashed_to, self.hashed_to + bytes);
        while at < end {
            let piece = buffer.len().min(usize::try_from(end - at).unwrap_or(buffer.len()));
            file.read_exact_at(&mut buffer[..piece], at)?;
            hasher.update(&buffer[..piece]);
            at += piece as u64;
        }
        Ok(())
    }

    /// A hole of an exabyte costs a varint in a tree and weeks of hashing: beyond a limit the digest is given up, and said so.
    fn hash_zeros(&mut self, mut bytes: u64) {
        if self.hole_bytes > HOLE_HASHED_BYTES_MAX {
            self.hasher = None;
        }
        let Some(hasher) = &mut self.hasher else { return };
        while bytes > 0 {
            let piece = ZEROS.len().min(usize::try_from(bytes).unwrap_or(ZEROS.len()));
            hasher.update(&ZEROS[..piece]);
            bytes -= piece as u64;
        }
    }
}
