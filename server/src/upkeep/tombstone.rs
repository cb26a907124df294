//! Tombstones: what is left of a snapshot that left the history, so that counters, receipts and ids go on.
//!
//! It does not decide what expires (`upkeep::expire`).
//!
//! Invariant: what a tombstone says is enough to make the snapshot's row again, but for its root.

use common::id::{SessionId, SubscriptionId};
use common::limits::{RECORD_BYTES_MAX, TOMBSTONE_BYTES_MAX};
use common::snapshot::{SnapshotHead, StoredSnapshot};
use common::stored::{Receipt, ServerPart, SignedReceipt, Tombstone, check_version, decode_strict};
use prost::Message;

use crate::catalog::snapshots::SnapshotFacts;
use crate::session::error::SessionError;
use crate::store::error::StoreError;
use crate::store::name::ObjectName;
use crate::store::objects::Objects;

const VERSION: u32 = 2;
/// Of records without a checksum.
const UNCHECKED_VERSION: u32 = 1;

/// An expired snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Buried {
    /// What its agent said.
    pub head: SnapshotHead,
    /// What the server added.
    pub server: ServerPart,
    /// BLAKE3 of the object that is gone.
    pub digest: [u8; 32],
    /// The signed receipt, exact bytes.
    pub receipt: Vec<u8>,
    /// When it left the history.
    pub expired_at_ns: i64,
}

/// Stores what is left of a snapshot, durable when this returns; what an earlier run stored stays.
///
/// # Errors
/// [`SessionError::Damaged`] if the snapshot is not what its row says: then it must not go.
pub fn bury(
    objects: &Objects,
    subscription: &SubscriptionId,
    row: &SnapshotFacts,
    now_ns: i64,
) -> Result<(), SessionError> {
    let name = ObjectName::Snapshot(row.session);
    let damaged = || SessionError::Damaged(name.to_string());
    let bytes = objects.read(subscription, &name, StoredSnapshot::BYTES_MAX)?;
    if *blake3::hash(&bytes).as_bytes() != row.digest {
        return Err(damaged());
    }
    let snapshot = StoredSnapshot::decode(&bytes).map_err(|_| damaged())?;
    let tombstone = Tombstone {
        version: VERSION,
        agent_part: snapshot.object.agent_part,
        server_part: snapshot.object.server_part,
        signed_receipt: row.receipt.clone(),
        reason: "expired".to_owned(),
        expired_at_ns: now_ns,
        checksum: Vec::new(),
    };
    let tombstone = Tombstone { checksum: checksum(&tombstone), ..tombstone };
    match objects.publish(subscription, &ObjectName::Tombstone(row.session), &tombstone.encode_to_vec()) {
        Ok(()) | Err(StoreError::AlreadyExists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads a tombstone; none if there is none.
///
/// # Errors
/// [`SessionError::Damaged`], or what the store says.
pub fn read(
    objects: &Objects,
    subscription: &SubscriptionId,
    session: &SessionId,
) -> Result<Option<Buried>, SessionError> {
    let name = ObjectName::Tombstone(*session);
    let bytes = match objects.read(subscription, &name, TOMBSTONE_BYTES_MAX) {
        Err(StoreError::NotFound(_)) => return Ok(None),
        bytes => bytes?,
    };
    decode(&bytes, session).map(Some).ok_or_else(|| SessionError::Damaged(name.to_string()))
}

/// The BLAKE3 of everything else: nothing but the tombstone says what is in it, so it has to show that by itself.
fn checksum(tombstone: &Tombstone) -> Vec<u8> {
    let rest = Tombstone { checksum: Vec::new(), ..tombstone.clone() };
    common::frame::checksum(&rest.encode_to_vec()).to_vec()
}

/// What the bytes of a session's tombstone say; none if they are not as they were written.
pub fn decode(bytes: &[u8], session: &SessionId) -> Option<Buried> {
    let tombstone: Tombstone = decode_strict("tombstone", bytes, TOMBSTONE_BYTES_MAX).ok()?;
    if tombstone.version != UNCHECKED_VERSION {
        check_version("tombstone", tombstone.version, VERSION).ok()?;
        (tombstone.checksum == checksum(&tombstone)).then_some(())?;
    }
    let server: ServerPart = decode_strict("server part", &tombstone.server_part, RECORD_BYTES_MAX).ok()?;
    let outer: SignedReceipt = decode_strict("receipt", &tombstone.signed_receipt, RECORD_BYTES_MAX).ok()?;
    let receipt: Receipt = decode_strict("receipt", &outer.receipt, RECORD_BYTES_MAX).ok()?;
    Some(Buried {
        head: SnapshotHead::decode(&tombstone.agent_part).ok()?,
        server,
        digest: receipt.snapshot.try_into().ok()?,
        receipt: tombstone.signed_receipt,
        expired_at_ns: tombstone.expired_at_ns,
    })
    .filter(|buried| buried.head.session == *session)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::new([0x22; 16]);

    #[test]
    fn tombstones_of_both_versions_are_read_and_the_second_shows_every_changed_byte() {
        let first = include_bytes!("../../../common/tests/golden/tombstone-v1.bin");
        let second = include_bytes!("../../../common/tests/golden/tombstone-v2.bin");
        assert_eq!(decode(first, &SESSION), decode(second, &SESSION));
        assert!(decode(second, &SESSION).is_some_and(|buried| buried.head.session == SESSION));
        assert_eq!(decode(second, &SessionId::new([1; 16])), None, "under another name");
        for at in 0..second.len() {
            let mut wrong = second.to_vec();
            wrong[at] ^= 0x10;
            assert_eq!(decode(&wrong, &SESSION), None, "byte {at}");
        }
    }
}
