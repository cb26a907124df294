//! One process at a time works on a server's folder: the server, or a command that needs it stopped.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Why the folder is not this process's.
#[derive(Debug, thiserror::Error)]
pub enum FolderLockError {
    /// Another process works on it.
    #[error("another process works on {0}")]
    Busy(PathBuf),
    /// The lock cannot be taken.
    #[error("lock {path}")]
    Failed {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The right to work on a server's folder, until this goes or the process ends, however it ends.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes it, without waiting.
    ///
    /// # Errors
    /// [`FolderLockError`].
    pub fn take(folder: &Path) -> Result<Self, FolderLockError> {
        let path = folder.join("lock");
        let failed = |source| FolderLockError::Failed { path: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderLockError::Busy(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_goes() {
        let folder = tempfile::tempdir().unwrap();
        let first = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(FolderLockError::Busy(_))));
        drop(first);
        FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(&folder.path().join("absent")), Err(FolderLockError::Failed { .. })));
    }
}
