//! Copies of the control store beside the packs: `control/<time in ns, 20 digits>-<BLAKE3>.db`, plain SQLite files.
//!
//! The name holds the digest of the bytes, so that a copy is checked before it is used, with `b3sum` alone if need be.
//!
//! Invariant: a copy is absent or whole and durable, and is never replaced.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::FlockOperation;

use crate::store::durable;
use crate::store::error::StoreError;
use crate::store::health::Health;

/// A stored copy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyName {
    /// When it was taken, in nanoseconds since 1970.
    pub taken_at_ns: i64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub digest: String,
}

impl CopyName {
    /// Its file name.
    pub fn file(&self) -> String {
        format!("{:020}-{}.db", self.taken_at_ns, self.digest)
    }

    /// The copy of a file name.
    pub fn named(file: &str) -> Option<Self> {
        let (time, digest) = file.strip_suffix(".db")?.split_once('-')?;
        let name = Self { taken_at_ns: time.parse().ok()?, digest: digest.to_owned() };
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_digest && name.file() == file).then_some(name)
    }
}

/// A copy that is being made; nobody else makes one as long as it lives.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    _lock: File,
}

impl Draft {
    /// Where it is made.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder of the copies; cheap to clone.
#[derive(Debug, Clone)]
pub struct ControlCopies {
    health: Arc<Health>,
    folder: PathBuf,
}

impl ControlCopies {
    /// The copies in `folder`.
    pub fn new(health: Arc<Health>, folder: PathBuf) -> Self {
        Self { health, folder }
    }

    /// A place to make a copy at before it has its name. Waits until nobody else makes one: the server and the command may both. What an
    /// earlier attempt left there is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self) -> Result<Draft, StoreError> {
        self.health.check()?;
        durable::make_folder(&self.health, &self.folder)?;
        let failed = |error| StoreError::from_io("lock", self.folder.display(), error);
        let lock = File::open(&self.folder).map_err(failed)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
        durable::sweep_temporaries(&self.folder)?;
        Ok(Draft { path: self.folder.join(format!("{}control", durable::TEMPORARY_PREFIX)), _lock: lock })
    }

    /// Makes a finished copy durable and gives it its name.
    ///
    /// # Errors
    /// What the system says; a failed fsync makes the store suspect.
    pub fn publish(&self, draft: &Draft, taken_at_ns: i64) -> Result<CopyName, StoreError> {
        let temporary = draft.path();
        let failed = |attempt, error| StoreError::from_io(attempt, temporary.display(), error);
        let file = File::open(temporary).map_err(|error| failed("open", error))?;
        let synced = self.health.activity().fsync(|| file.sync_all());
        synced.map_err(|error| self.health.failed("fsync", temporary.display(), error))?;
        let name = CopyName { taken_at_ns, digest: digest(&file).map_err(|error| failed("read", error))? };
        durable::move_new(temporary, &self.folder.join(name.file()))?;
        durable::sync_folder(&self.health, &self.folder)?;
        Ok(name)
    }

    /// Every copy, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a file that is none.
    pub fn list(&self) -> Result<Vec<CopyName>, StoreError> {
        let files = durable::list(&self.folder)?;
        files.into_iter().map(|file| CopyName::named(&file).ok_or(StoreError::Foreign(file))).collect()
    }

    /// Where a copy is, if its bytes are those of its name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or [`StoreError::Damaged`].
    pub fn check(&self, name: &CopyName) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(name.file());
        let failed = |error| StoreError::from_io("read", path.display(), error);
        let found = File::open(&path).and_then(|file| digest(&file)).map_err(failed)?;
        if found == name.digest { Ok(path) } else { Err(StoreError::Damaged(name.file())) }
    }

    /// Puts the bytes of a checked copy at `target`, which must be free: absent or whole, whatever happens.
    ///
    /// # Errors
    /// What the system says.
    pub fn install(&self, copy: &Path, target: &Path) -> Result<(), StoreError> {
        let folder = target.parent().unwrap_or(Path::new("."));
        let temporary = folder.join(format!("{}restored", durable::TEMPORARY_PREFIX));
        let failed = |error| StoreError::from_io("write", temporary.display(), error);
        let mut from = File::open(copy).map_err(|error| StoreError::from_io("open", copy.display(), error))?;
        let made = File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary);
        let mut file = made.map_err(failed)?;
        std::io::copy(&mut from, &mut file).map_err(failed)?;
        let synced = self.health.activity().fsync(|| file.sync_all());
        synced.map_err(|error| self.health.failed("fsync", temporary.display(), error))?;
        durable::move_new(&temporary, target)?;
        durable::sync_folder(&self.health, folder)
    }

    /// Removes a copy that newer ones made needless.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &CopyName) -> Result<(), StoreError> {
        durable::remove(&self.health, &self.folder, &name.file())
    }
}

fn digest(file: &File) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn write(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_copy_is_listed_by_time_checked_by_its_name_and_never_taken_for_another_file() {
        let root = tempfile::tempdir().unwrap();
        let copies = ControlCopies::new(Arc::new(Health::new(root.path().into(), 0)), root.path().join("control"));
        for taken_at_ns in [20, 3] {
            let draft = copies.begin().unwrap();
            write(draft.path(), &format!("copy {taken_at_ns}"));
            copies.publish(&draft, taken_at_ns).unwrap();
        }
        let all = copies.list().unwrap();
        assert_eq!(all.iter().map(|name| name.taken_at_ns).collect::<Vec<_>>(), [3, 20]);
        let path = copies.check(&all[0]).unwrap();
        write(&path, "copy 4");
        assert!(matches!(copies.check(&all[0]), Err(StoreError::Damaged(_))));
        copies.remove(&all[0]).unwrap();
        assert_eq!(copies.list().unwrap(), all[1..]);
        assert_eq!(CopyName::named("3-abc.db"), None);
        write(&root.path().join("control/readme"), "");
        assert!(copies.list().is_err());
    }
}
