//! Why the catalog did not do what it was asked.

/// A failed operation of a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The disk is full; the transaction left no trace.
    #[error("the disk is full")]
    Full,
    /// Written by a version that this program does not know.
    #[error("the catalog has unknown version {0}")]
    UnknownVersion(i64),
    /// A row says what no row may say.
    #[error("the catalog is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// More rows than row numbers.
    #[error("the catalog has no row numbers left")]
    Exhausted,
    /// SQLite failed.
    #[error("the catalog failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for CatalogError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Sqlite(error),
        }
    }
}

impl CatalogError {
    /// True if what was written may not be on disk although SQLite was told so.
    pub fn is_io(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure))
    }
}
