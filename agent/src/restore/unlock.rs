//! What opens the frames of one scope: the tree key for nodes, session keys from their envelopes for data.
//!
//! It fetches nothing. Without a reading identity it opens nodes only: names and dates, no content.
//!
//! Invariant: what it gives out was decrypted, decompressed to its declared length, and has the id that it was asked under.

use std::collections::HashMap;

use common::envelope::{self, ReadingIdentity};
use common::frame::{FrameError, FrameHeader, Opener};
use common::id::{ChunkId, SessionId, SubscriptionId};
use common::keys::{ScopeKeys, SessionKey};
use common::limits::READER_SESSIONS_MAX;
use parking_lot::Mutex;

use crate::remote::restore::Absence;

/// Why a chunk cannot be had. Never wrong bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ChunkFailure {
    /// The server does not have it.
    #[error("chunk is missing on the server")]
    Missing,
    /// It came damaged, or is damaged in the store.
    #[error("chunk is damaged")]
    Damaged,
    /// No reading identity at hand opens the session that sealed it.
    #[error("no key at hand opens the chunk")]
    KeyMissing,
    /// It is a node where content is expected, or shorter than the tree says.
    #[error("chunk is not what the tree says")]
    Unfitting,
}

impl From<Absence> for ChunkFailure {
    fn from(absence: Absence) -> Self {
        match absence {
            Absence::NotFound => Self::Missing,
            Absence::Damaged => Self::Damaged,
        }
    }
}

/// The keys of one scope and the session keys met so far.
pub struct Unlock {
    subscription: SubscriptionId,
    keys: ScopeKeys,
    identities: Vec<ReadingIdentity>,
    sessions: Mutex<HashMap<SessionId, SessionKey>>,
}

impl Unlock {
    /// `identities` is empty for who may read names but no content.
    pub fn new(subscription: SubscriptionId, keys: ScopeKeys, identities: Vec<ReadingIdentity>) -> Self {
        Self { subscription, keys, identities, sessions: Mutex::new(HashMap::new()) }
    }

    /// The keys of the scope.
    pub fn keys(&self) -> &ScopeKeys {
        &self.keys
    }

    /// Whose frames these are.
    pub fn subscription(&self) -> &SubscriptionId {
        &self.subscription
    }

    /// Opens an envelope; false if no identity fits.
    pub fn learn(&self, session: SessionId, sealed: &[u8]) -> bool {
        let Ok(key) = envelope::open(sealed, &self.identities) else {
            return self.sessions.lock().contains_key(&session);
        };
        let mut sessions = self.sessions.lock();
        if sessions.len() >= READER_SESSIONS_MAX {
            sessions.clear();
        }
        sessions.insert(session, key);
        true
    }

    /// The key of a session whose envelope was met.
    pub fn session_key(&self, session: &SessionId) -> Option<SessionKey> {
        self.sessions.lock().get(session).cloned()
    }

    /// A context that opens frames; one per thread.
    ///
    /// # Errors
    /// If zstd cannot make a context (out of memory).
    pub fn opener(&self) -> std::io::Result<FrameOpener<'_>> {
        Ok(FrameOpener { unlock: self, opener: Opener::new(self.subscription, self.keys.id.clone())?, last: None })
    }
}

/// Opens frames on one thread.
pub struct FrameOpener<'a> {
    unlock: &'a Unlock,
    opener: Opener,
    last: Option<(SessionId, SessionKey)>,
}

impl FrameOpener<'_> {
    /// The verified plaintext of the chunk that `header` names.
    ///
    /// # Errors
    /// [`ChunkFailure::Damaged`] or [`ChunkFailure::KeyMissing`].
    pub fn open(&mut self, header: &FrameHeader, frame: &[u8]) -> Result<Vec<u8>, ChunkFailure> {
        let opened = if header.kind.is_node() {
            self.opener.open(header, frame, self.unlock.keys.tree.expose())
        } else {
            let key = self.key_of(&header.session).ok_or(ChunkFailure::KeyMissing)?;
            self.opener.open(header, frame, key.expose())
        };
        opened.map_err(|error| match error {
            FrameError::KeyMissing { .. } => ChunkFailure::KeyMissing,
            FrameError::Damaged(_) | FrameError::Malformed(_) | FrameError::UnknownVersion(_) => ChunkFailure::Damaged,
        })
    }

    /// Neighbours in a pack are of one session: the shared map is asked once for many frames.
    fn key_of(&mut self, session: &SessionId) -> Option<SessionKey> {
        if self.last.as_ref().is_none_or(|(last, _)| last != session) {
            self.last = self.unlock.session_key(session).map(|key| (*session, key));
        }
        self.last.as_ref().map(|(_, key)| key.clone())
    }
}

/// A chunk's plaintext with what a node refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plain {
    /// Its name, recomputed.
    pub id: ChunkId,
    /// What it holds.
    pub kind: common::keys::ChunkKind,
    /// For nodes, what it refers to.
    pub children: Vec<ChunkId>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}
