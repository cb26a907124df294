//! The end of a run: the snapshot's two authenticated parts, and the receipt that proves it.
//!
//! It does not retry or decide what happens to missing chunks.
//!
//! Invariant: a receipt is accepted only if a certified key signed it, it names this session and the exact object that was
//! committed, and it follows the newest one that this agent holds.

use bytes::Bytes;
use common::id::{SourceId, SubscriptionId};
use common::keys::{ScopeKeys, SessionKey};
use common::limits::SNAPSHOT_SEALED_BYTES_MAX;
use common::receipt;
use common::snapshot::{SnapshotHead, StoredSnapshot, seal_part};
use common::stored::{Evidence, Receipt, SealedPart, ServerPart, Skipped, decode_strict};

use crate::backup::BackupError;
use crate::remote::backup::CommitParts;
use crate::source::SkippedItem;
use crate::state::identity::Signer;

/// The parts of a snapshot, ready to be sent, as often as needed.
pub fn parts(
    head: &SnapshotHead,
    sealed: &SealedPart,
    keys: &ScopeKeys,
    session_key: &SessionKey,
    salt: [u8; 16],
) -> CommitParts {
    let agent_part = head.encode();
    let sealed_part = seal_part(session_key, &head.subscription, salt, &agent_part, sealed);
    let mac = keys.snapshot_mac.mac(&agent_part, &sealed_part);
    CommitParts { session: head.session, agent_part: agent_part.into(), sealed_part: sealed_part.into(), mac }
}

/// The sealed part; evidence and skipped items are listed as far as they fit.
pub fn sealed_part(
    settings: String,
    host: String,
    skipped: &[SkippedItem],
    evidence: Vec<(String, String)>,
) -> SealedPart {
    let mut left = SNAPSHOT_SEALED_BYTES_MAX.saturating_sub(settings.len() + host.len()) / 2;
    let mut told = Vec::new();
    for (name, value) in evidence {
        let Some(rest) = left.checked_sub(name.len() + value.len() + 64) else { break };
        left = rest;
        told.push(Evidence { name, value });
    }
    let mut listed = Vec::new();
    for item in skipped {
        let bytes = item.path.len() + item.detail.len() + 64;
        let Some(rest) = left.checked_sub(bytes) else { break };
        left = rest;
        let (path, reason, detail) = (item.path.clone(), item.reason.word().to_owned(), item.detail.clone());
        listed.push(Skipped { path, reason, detail });
    }
    let skipped_not_listed = (skipped.len() - listed.len()) as u64;
    SealedPart { version: 1, settings, evidence: told, skipped: listed, skipped_not_listed, host }
}

/// What a receipt is checked against.
pub struct Expected<'a> {
    /// Whose.
    pub subscription: SubscriptionId,
    /// Of which source.
    pub source: SourceId,
    /// Certified keys.
    pub signers: &'a [Signer],
    /// What was committed.
    pub parts: &'a CommitParts,
    /// The session's envelope.
    pub envelope: &'a [u8],
    /// The signed receipt before it, as the server announced it or as this agent holds it.
    pub previous: Option<&'a [u8]>,
}

impl Expected<'_> {
    /// Checks a receipt and what the server added to the snapshot.
    ///
    /// # Errors
    /// [`BackupError::Receipt`] says what is wrong.
    pub fn check(&self, signed: &Bytes, server_part: &Bytes) -> Result<(Receipt, ServerPart), BackupError> {
        let wrong = |what| BackupError::Receipt { what, source: None };
        let receipt = verify(signed, self.signers)?;
        let server: ServerPart = decode_strict("server part", server_part, StoredSnapshot::BYTES_MAX)
            .map_err(|error| BackupError::Receipt { what: "its server part", source: Some(error) })?;
        let (agent_part, sealed_part) = (self.parts.agent_part.to_vec(), self.parts.sealed_part.to_vec());
        let object = StoredSnapshot::encode(agent_part, sealed_part, self.parts.mac, &server, self.envelope.to_vec());
        if receipt.snapshot != blake3::hash(&object).as_bytes() {
            return Err(wrong("it is for another object"));
        }
        let is_ours = receipt.session == self.parts.session.as_bytes()
            && receipt.source == self.source.as_bytes()
            && receipt.subscription == self.subscription.as_bytes();
        if !is_ours {
            return Err(wrong("it is for another session"));
        }
        let previous = self.previous.map_or(Vec::new(), |signed| receipt::digest(signed).to_vec());
        if receipt.previous != previous {
            return Err(wrong("it does not follow the receipt before it"));
        }
        Ok((receipt, server))
    }
}

/// Checks the signature of a receipt against every certified key.
///
/// # Errors
/// [`BackupError::Receipt`].
pub fn verify(signed: &[u8], signers: &[Signer]) -> Result<Receipt, BackupError> {
    let mut failed = None;
    for signer in signers {
        match receipt::verify(signed, &signer.public_key) {
            Ok(receipt) => return Ok(receipt),
            Err(error) => failed = Some(error),
        }
    }
    Err(BackupError::Receipt { what: "no certified key signed it", source: failed })
}
