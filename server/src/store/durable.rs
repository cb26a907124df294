//! Files that survive a power cut: the few system calls, in the one order that makes them do so.
//!
//! ```text
//! temporary file in the same folder → write → fsync → rename without replacing → fsync of the folder
//! new folder → fsync of its parent
//! remove → fsync of the folder
//! ```
//! It does not know what the files are.
//!
//! Invariant: nothing is ever replaced; a name that is taken is an error.
//! Invariant: a failed fsync makes the store suspect ([`Health::failed`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};

use crate::store::error::StoreError;
use crate::store::health::Health;

/// How the name of a temporary file begins; listings skip such names, recovery removes such files.
pub const TEMPORARY_PREFIX: &str = ".tmp-";

static TEMPORARY_NUMBER: AtomicU64 = AtomicU64::new(0);

/// Makes a file that is either absent or whole, whatever happens.
///
/// # Errors
/// [`StoreError::AlreadyExists`] if the name is taken.
pub fn publish(health: &Health, folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    health.check()?;
    make_folder(health, folder)?;
    let number = TEMPORARY_NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!("{TEMPORARY_PREFIX}{}-{number}", std::process::id()));
    let written = write_temporary(health, &temporary, bytes).and_then(|()| move_new(&temporary, &folder.join(name)));
    if written.is_err() {
        // A leftover is removed at the next opening too; this only tidies up early.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(health, folder)
}

fn write_temporary(health: &Health, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = |attempt, error| StoreError::from_io(attempt, path.display(), error);
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| failed("create", e))?;
    file.write_all(bytes).map_err(|error| failed("write", error))?;
    let synced = health.activity().fsync(|| file.sync_all());
    synced.map_err(|error| health.failed("fsync", path.display(), error))
}

/// Gives a file that is already durable its final name, on the same file system.
///
/// # Errors
/// [`StoreError::AlreadyExists`] if the name is taken; both files are then as they were.
pub fn move_new(from: &Path, to: &Path) -> Result<(), StoreError> {
    rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)
        .map_err(|error| StoreError::from_io("rename to", to.display(), error.into()))
}

/// Makes a folder and every missing one above it, each durable in its parent.
///
/// # Errors
/// As the operating system says.
pub fn make_folder(health: &Health, folder: &Path) -> Result<(), StoreError> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(health, parent)?;
    }
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(StoreError::from_io("create folder", folder.display(), error));
        }
        // Somebody else made it: it may not be durable yet, so the parent is synced in any case.
        _ => {}
    }
    parent.map_or(Ok(()), |parent| sync_folder(health, parent))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// A failure makes the store suspect.
pub fn sync_folder(health: &Health, folder: &Path) -> Result<(), StoreError> {
    let opened = File::open(folder).map_err(|error| StoreError::from_io("open folder", folder.display(), error))?;
    let synced = health.activity().fsync(|| opened.sync_all());
    synced.map_err(|error| health.failed("fsync folder", folder.display(), error))
}

/// Removes a file for good.
///
/// # Errors
/// [`StoreError::NotFound`] if there is none.
pub fn remove(health: &Health, folder: &Path, name: &str) -> Result<(), StoreError> {
    health.check()?;
    let path = folder.join(name);
    fs::remove_file(&path).map_err(|error| StoreError::from_io("remove", path.display(), error))?;
    sync_folder(health, folder)
}

/// Names in a folder, temporary files left out; none if the folder was never made.
///
/// # Errors
/// Any error while reading is an error: it never shortens the answer.
pub fn list(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |error| StoreError::from_io("list", folder.display(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.into_string().map_err(|name| StoreError::Foreign(name.to_string_lossy().into_owned()))?;
        if !name.starts_with(TEMPORARY_PREFIX) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes the temporary files that a crash left in a folder.
///
/// # Errors
/// As the operating system says.
pub fn sweep_temporaries(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::from_io("sweep", folder.display(), error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX) {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_is_whole_and_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let health = Health::new(root.path().into(), 0);
        let folder = root.path().join("a/b");
        publish(&health, &folder, "x", b"one").unwrap();
        assert!(matches!(publish(&health, &folder, "x", b"two"), Err(StoreError::AlreadyExists(_))));
        assert_eq!(fs::read(folder.join("x")).unwrap(), b"one");
        assert_eq!(list(&folder).unwrap(), ["x"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        remove(&health, &folder, "x").unwrap();
        assert!(matches!(remove(&health, &folder, "x"), Err(StoreError::NotFound(_))));
    }

    #[test]
    fn a_suspect_store_publishes_and_removes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let health = Health::new(root.path().into(), 0);
        publish(&health, root.path(), "x", b"one").unwrap();
        health.suspect("a test says so");
        assert!(matches!(publish(&health, root.path(), "y", b""), Err(StoreError::Suspect(_))));
        assert!(matches!(remove(&health, root.path(), "x"), Err(StoreError::Suspect(_))));
        assert_eq!(list(root.path()).unwrap(), ["x"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_an_error_and_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        fs::File::create(root.path().join("file")).unwrap();
        assert!(list(&root.path().join("file")).is_err());
        assert!(list(&root.path().join("never made")).unwrap().is_empty());
    }
}
