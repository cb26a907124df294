//! Files of the agent's state, replaced so that a crash or a power cut leaves the old content or the new one, never a mixture.
//!
//! Order: temporary file in the same folder → write → fsync → rename → fsync the folder. A failed fsync is never retried: the
//! temporary file is dropped and the old content stays. It does not lock: two writers of one path are kept apart by their
//! callers (one run per source).
//!
//! Invariant: what [`replace`] or [`Writer::finish`] returned `Ok` for survives a power cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A step on a state file that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {step} {}", path.display())]
pub struct DurableError {
    /// What was attempted: `create`, `write`, `sync`, `rename`, `remove`, `read`.
    pub step: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    let path = path.to_owned();
    move |source| DurableError { step, path, source }
}

/// Replaces the content of `path` with `bytes`; `mode` is that of the new file (`0o600` for secrets).
///
/// # Errors
/// The first step that failed; `path` then has its old content.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    let mut writer = Writer::create(path, mode)?;
    writer.write_all(bytes).map_err(failed("write", path))?;
    writer.finish()
}

/// Removes a file durably; absent already is fine.
///
/// # Errors
/// If it is still there, or its absence may not survive a power cut.
pub fn remove(path: &Path) -> Result<(), DurableError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => sync_folder_of(path),
    }
}

/// Reads a whole file of at most `bytes_max` bytes; `None` if there is none.
///
/// # Errors
/// If it cannot be read or is longer.
pub fn read(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, DurableError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(failed("read", path))?;
    if bytes.len() > bytes_max {
        return Err(failed("read", path)(io::Error::new(io::ErrorKind::FileTooLarge, "longer than its limit")));
    }
    Ok(Some(bytes))
}

/// Creates a folder and its parents, durably, with `mode` for those that are made.
///
/// # Errors
/// The first step that failed.
pub fn create_folder(path: &Path, mode: u32) -> Result<(), DurableError> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<&Path> =
        path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        match std::fs::DirBuilder::new().mode(mode).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", folder)(error)),
            _ => sync_folder_of(folder)?,
        }
    }
    Ok(())
}

/// A file being written beside the one that it will replace; dropped unfinished, it leaves no trace.
pub struct Writer {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    finished: bool,
}

impl Writer {
    /// Starts the new content of `path`.
    ///
    /// # Errors
    /// If the temporary file cannot be made.
    pub fn create(path: &Path, mode: u32) -> Result<Self, DurableError> {
        let temporary = temporary_of(path);
        // What a crash left is removed, not truncated: it may have other permissions.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &temporary)(error)),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)
            .map_err(failed("create", &temporary))?;
        Ok(Self { file, temporary, path: path.to_owned(), finished: false })
    }

    /// Makes the content durable under its name.
    ///
    /// # Errors
    /// The first step that failed; `path` then has its old content, or, if only the folder's fsync failed, either.
    pub fn finish(mut self) -> Result<(), DurableError> {
        self.file.sync_all().map_err(failed("sync", &self.temporary))?;
        rustix::fs::rename(&self.temporary, &self.path).map_err(|error| failed("rename", &self.path)(error.into()))?;
        self.finished = true;
        sync_folder_of(&self.path)
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the next writer of this path removes what stays.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn temporary_of(path: &Path) -> PathBuf {
    let mut name = b".".to_vec();
    name.extend_from_slice(path.file_name().map_or(b"file", |name| name.as_bytes()));
    name.extend_from_slice(b".partial");
    path.with_file_name(std::ffi::OsStr::from_bytes(&name))
}

fn sync_folder_of(path: &Path) -> Result<(), DurableError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn content_is_replaced_whole_and_an_abandoned_writer_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.toml");
        assert_eq!(read(&path, 10).unwrap(), None);
        replace(&path, b"one", 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut abandoned = Writer::create(&path, 0o600).unwrap();
        abandoned.write_all(b"half").unwrap();
        drop(abandoned);
        assert_eq!(read(&path, 10).unwrap().unwrap(), b"one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_left_does_not_stop_the_next_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("memory");
        std::mem::forget(Writer::create(&path, 0o644).unwrap());
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert!(read(&path, 2).is_err());
    }

    #[test]
    fn folders_are_made_with_their_parents_and_removal_is_idempotent() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_folder(&deep, 0o700).unwrap();
        create_folder(&deep, 0o700).unwrap();
        replace(&deep.join("x"), b"", 0o600).unwrap();
        remove(&deep.join("x")).unwrap();
        remove(&deep.join("x")).unwrap();
        assert!(!deep.join("x").exists());
    }
}
