//! Small files of the server's own (identity, configuration), replaced so that a power cut leaves the old content or the new.
//!
//! Packs and objects of the store are published by `store`, never replaced.
//!
//! Invariant: order is temporary file → write → fsync → rename → fsync of the folder; a failed fsync is never retried.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A step on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("{step} {}", path.display())]
pub struct DurableError {
    /// What was attempted.
    pub step: &'static str,
    /// On what.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Replaces, or makes, the file at `path`; `mode` is that of the file (`0o600` for secrets).
///
/// # Errors
/// The first step that failed; the old content is then still there.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), DurableError> {
    let failed = |step, path: &Path| {
        let path = path.to_owned();
        move |source| DurableError { step, path, source }
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let open = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    let file = open().map_err(failed("write", &temporary))?;
    file.sync_all().map_err(failed("sync", &temporary))?;
    rustix::fs::rename(&temporary, path).map_err(|error| failed("rename", path)(error.into()))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a folder that only its owner can enter; it must not exist.
///
/// # Errors
/// If it exists, or cannot be made durable.
pub fn create_folder(path: &Path) -> Result<(), DurableError> {
    let failed = |step| move |source| DurableError { step, path: path.to_owned(), source };
    DirBuilder::new().mode(0o700).create(path).map_err(failed("create"))?;
    sync_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If it cannot be opened or synced.
pub fn sync_folder(path: &Path) -> Result<(), DurableError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| DurableError {
        step: "sync",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        replace(&path, b"one", 0o600).unwrap();
        replace(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(create_folder(folder.path()).is_err());
    }
}
