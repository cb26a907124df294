//! Sources: what can be backed up. One module per kind; `files` walks a tree, `disk` reads the disk images in it.
//!
//! Nothing here decides what is sent: a source lists and reads, `backup` compares, splits and sends.

pub mod disk;
pub mod excludes;
pub mod files;
pub mod handles;
pub mod journal;
mod kept;
pub mod metadata;
pub mod mounts;
pub mod paths;

use std::path::PathBuf;

/// What a source of kind `files` reads and leaves out, as its backup set says.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct FileSet {
    /// Folders and files, absolute.
    pub paths: Vec<PathBuf>,
    /// Left out, in gitignore syntax, relative to each of `paths`.
    pub excludes: Vec<String>,
    /// A directory that holds one of these names keeps only that file.
    pub exclude_if_present: Vec<String>,
    /// A directory with a valid `CACHEDIR.TAG` keeps only that file.
    pub exclude_caches: bool,
    /// Directories of other file systems are kept empty.
    pub one_file_system: bool,
    /// In gitignore syntax: unreadable here does not make the snapshot partial.
    pub accept_unreadable: Vec<String>,
}

/// Something that should be in the snapshot and is not, with the reason that people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedItem {
    /// Components joined by `/`, bytes as on disk, without a leading `/`.
    pub path: Vec<u8>,
    /// Why.
    pub reason: SkipReason,
    /// The system's own words, or empty.
    pub detail: String,
    /// True if the set accepts it: the snapshot stays complete.
    pub accepted: bool,
}

/// Why an item is not in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// The system refused to open or list it.
    PermissionDenied,
    /// Reading failed.
    IoError,
    /// Its path or name is longer than a snapshot can hold.
    PathTooLong,
    /// Of a type that a snapshot cannot hold.
    Unsupported,
    /// A disk image that a running machine holds.
    InUse,
    /// The contract leaves no room for its content: a later run brings it.
    Deferred,
    /// A file system was mounted there in the last run, and is not any more.
    NotMounted,
}

impl SkipReason {
    /// The stable English word that is stored.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PermissionDenied => "permission_denied",
            Self::IoError => "io_error",
            Self::PathTooLong => "path_too_long",
            Self::Unsupported => "unsupported",
            Self::InUse => "in_use",
            Self::Deferred => "deferred",
            Self::NotMounted => "not_mounted",
        }
    }

    /// The reason that stands for a failed system call.
    pub fn of(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            std::io::ErrorKind::InvalidFilename => Self::PathTooLong,
            std::io::ErrorKind::ResourceBusy => Self::InUse,
            _ => Self::IoError,
        }
    }
}

/// True if the error only says that the item is gone.
pub fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}
