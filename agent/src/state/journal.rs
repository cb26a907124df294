//! The session in progress of one source: written before it opens, removed after its receipt is kept; and the lock of a run.
//!
//! A killed agent finds it and goes on with the same session, so that nothing acknowledged is sent twice. It holds the session
//! key until then (mode 0600): the next run must seal with it.
//!
//! Invariant: one run per source at a time, by a lock that the system drops with the process.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use common::id::{SessionId, read_hex};
use common::keys::SessionKey;
use common::limits::RECORD_BYTES_MAX;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::durable::{self, DurableError};

/// A session that was opened, or was about to be.
#[derive(Clone)]
pub struct OpenedSession {
    /// Its name.
    pub session: SessionId,
    /// Seals its data.
    pub key: SessionKey,
    /// The key for the recipients, as the server has it.
    pub envelope: Vec<u8>,
    /// Version of the backup set that it follows.
    pub set_version: u64,
    /// Agent's clock at its start, nanoseconds since 1970.
    pub started_at_ns: i64,
    /// True if large files may be laid whole because their page hashes were lost.
    pub is_reseed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    session: String,
    key: String,
    envelope: String,
    set_version: u64,
    started_at_ns: i64,
    is_reseed: bool,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Keeps a session, durably, before it is opened.
///
/// # Errors
/// If the disk refuses it.
pub fn keep(folder: &Path, session: &OpenedSession) -> Result<(), DurableError> {
    let stored = Stored {
        version: 1,
        session: session.session.to_string(),
        key: hex(session.key.expose()),
        envelope: hex(&session.envelope),
        set_version: session.set_version,
        started_at_ns: session.started_at_ns,
        is_reseed: session.is_reseed,
    };
    let text = Zeroizing::new(toml::to_string(&stored).expect("numbers and texts"));
    durable::replace(&path(folder), text.as_bytes(), 0o600)
}

/// The session that was kept; `None` if there is none, or none that can be read.
///
/// # Errors
/// If the disk cannot be read.
pub fn kept(folder: &Path) -> Result<Option<OpenedSession>, DurableError> {
    let Some(bytes) = durable::read(&path(folder), RECORD_BYTES_MAX)? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str::<Stored>(text).ok()).and_then(|s| decode(&s)))
}

/// Ends a session: its key is not needed any more.
///
/// # Errors
/// If it may still be there after a power cut.
pub fn end(folder: &Path) -> Result<(), DurableError> {
    durable::remove(&path(folder))
}

fn decode(stored: &Stored) -> Option<OpenedSession> {
    let mut key = Zeroizing::new([0; 32]);
    let mut envelope = vec![0; stored.envelope.len() / 2];
    let is_whole = stored.version == 1 && read_hex(&stored.key, &mut *key) && read_hex(&stored.envelope, &mut envelope);
    is_whole.then_some(())?;
    Some(OpenedSession {
        session: stored.session.parse().ok()?,
        key: SessionKey::new(*key),
        envelope,
        set_version: stored.set_version,
        started_at_ns: stored.started_at_ns,
        is_reseed: stored.is_reseed,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).expect("four bits"));
        text.push(char::from_digit(u32::from(byte & 15), 16).expect("four bits"));
        text
    })
}

fn path(folder: &Path) -> PathBuf {
    folder.join("session.toml")
}

/// Held while a run goes on.
pub struct RunLock {
    _file: File,
}

/// Why a run may not start.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run of this source goes on.
    #[error("another run holds this source")]
    Busy,
    /// The lock file cannot be made.
    #[error("could not lock {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl RunLock {
    /// True while a run of another process or thread has the lock of a source's folder.
    pub fn is_held(folder: &Path) -> bool {
        // A shared lock, let go at once: a run that begins in that instant would be told that the source is busy.
        let Ok(file) = OpenOptions::new().read(true).open(folder.join("lock")) else { return false };
        matches!(rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK))
    }

    /// Takes the lock of a source's folder without waiting.
    ///
    /// # Errors
    /// [`LockError::Busy`] if another process or run has it.
    pub fn take(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let failed = |source| LockError::Disk { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(LockError::Busy),
            Err(error) => Err(failed(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_session_comes_back_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert!(kept(folder.path()).unwrap().is_none());
        let session = OpenedSession {
            session: SessionId::new([1; 16]),
            key: SessionKey::new([2; 32]),
            envelope: b"age".to_vec(),
            set_version: 3,
            is_reseed: true,
            started_at_ns: 4,
        };
        keep(folder.path(), &session).unwrap();
        let back = kept(folder.path()).unwrap().unwrap();
        assert_eq!((back.session, back.key.expose(), &back.envelope[..]), (session.session, &[2; 32], &b"age"[..]));
        durable::replace(&path(folder.path()), b"version = 1", 0o600).unwrap();
        assert!(kept(folder.path()).unwrap().is_none());
        end(folder.path()).unwrap();
        assert!(kept(folder.path()).unwrap().is_none());
    }

    #[test]
    fn two_runs_of_one_source_exclude_each_other() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!RunLock::is_held(folder.path()));
        let first = RunLock::take(folder.path()).unwrap();
        assert!(RunLock::is_held(folder.path()));
        assert!(matches!(RunLock::take(folder.path()), Err(LockError::Busy)));
        drop(first);
        assert!(RunLock::take(folder.path()).is_ok());
    }
}
