//! The snapshot object: what a committed backup is, in three parts of which the server can read one and a half.
//!
//! ```text
//! agent part   readable by the server, authenticated by the scope's mac key
//! sealed part  AES-256-GCM under the session key, additional data = agent part
//! server part  added at commit
//! ```
//! It does not decide when a snapshot is complete (the server's closure check) nor when it goes (retention).
//!
//! Invariant: I12 — a snapshot names its state; readers refuse a wrong mac.

use prost::Message;

use crate::id::{AgentId, ChunkId, ScopeId, SessionId, SourceId, SubscriptionId};
use crate::keys::{Purpose, SessionKey, SnapshotMacKey, aead_key, aead_open, aead_seal};
use crate::limits::{ENVELOPE_BYTES_MAX, RECORD_BYTES_MAX, SNAPSHOT_SEALED_BYTES_MAX};
use crate::stored::{
    AgentPart, Counts, RecordError, SealedPart, ServerPart, SnapshotKind, SnapshotObject, SnapshotState, check_version,
    decode_strict,
};

const VERSION: u32 = 1;
const SALT_BYTES: usize = 16;
const RECORD: &str = "snapshot";

/// The agent part with its fields checked.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotHead {
    /// Name of the snapshot.
    pub session: SessionId,
    /// Whose it is.
    pub subscription: SubscriptionId,
    /// Dedup domain of its chunks.
    pub scope: ScopeId,
    /// Who made it.
    pub agent: AgentId,
    /// What was backed up.
    pub source: SourceId,
    /// Version of the backup set that was followed.
    pub set_version: u64,
    /// Why it was made.
    pub kind: SnapshotKind,
    /// 1, 2, 3 … per source.
    pub sequence: u64,
    /// Root node of the tree.
    pub root: ChunkId,
    /// The snapshot that was compared with.
    pub parent: Option<SessionId>,
    /// Agent's clock, nanoseconds since 1970.
    pub started_at_ns: i64,
    /// Whether everything is in it.
    pub state: SnapshotState,
    /// What the run saw and did.
    pub counts: Counts,
    /// Bytes of all files in the tree.
    pub claimed_plain_bytes: u64,
    /// The snapshot that it replaces.
    pub replaces: Option<SessionId>,
}

impl SnapshotHead {
    /// The exact bytes to seal against, authenticate and send.
    pub fn encode(&self) -> Vec<u8> {
        let optional = |id: &Option<SessionId>| id.map_or(Vec::new(), |id| id.as_bytes().to_vec());
        AgentPart {
            version: VERSION,
            session: self.session.as_bytes().to_vec(),
            subscription: self.subscription.as_bytes().to_vec(),
            scope: self.scope.as_bytes().to_vec(),
            agent: self.agent.as_bytes().to_vec(),
            source: self.source.as_bytes().to_vec(),
            set_version: self.set_version,
            kind: self.kind.into(),
            sequence: self.sequence,
            root: self.root.as_bytes().to_vec(),
            parent: optional(&self.parent),
            started_at_ns: self.started_at_ns,
            state: self.state.into(),
            counts: Some(self.counts),
            claimed_plain_bytes: self.claimed_plain_bytes,
            replaces: optional(&self.replaces),
        }
        .encode_to_vec()
    }

    /// Reads and checks an agent part.
    ///
    /// # Errors
    /// Any [`RecordError`]: the bytes come from an agent or from a disk.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let part: AgentPart = decode_strict(RECORD, bytes, RECORD_BYTES_MAX)?;
        check_version(RECORD, part.version, VERSION)?;
        let invalid = |field| RecordError::InvalidField { record: RECORD, field };
        let optional = |bytes: &[u8], field| match bytes {
            [] => Ok(None),
            bytes => SessionId::try_from(bytes).map(Some).map_err(|_| invalid(field)),
        };
        let (kind, state) = (part.kind(), part.state());
        if kind == SnapshotKind::Unspecified {
            return Err(invalid("kind"));
        }
        if state == SnapshotState::Unspecified {
            return Err(invalid("state"));
        }
        Ok(Self {
            session: part.session[..].try_into().map_err(|_| invalid("session"))?,
            subscription: part.subscription[..].try_into().map_err(|_| invalid("subscription"))?,
            scope: part.scope[..].try_into().map_err(|_| invalid("scope"))?,
            agent: part.agent[..].try_into().map_err(|_| invalid("agent"))?,
            source: part.source[..].try_into().map_err(|_| invalid("source"))?,
            set_version: part.set_version,
            kind,
            sequence: part.sequence,
            root: part.root[..].try_into().map_err(|_| invalid("root"))?,
            parent: optional(&part.parent, "parent")?,
            started_at_ns: part.started_at_ns,
            state,
            counts: part.counts.ok_or(invalid("counts"))?,
            claimed_plain_bytes: part.claimed_plain_bytes,
            replaces: optional(&part.replaces, "replaces")?,
        })
    }
}

/// Seals the part that only key holders read: `salt ‖ ciphertext ‖ tag`. `salt` is fresh random bytes.
pub fn seal_part(
    key: &SessionKey,
    subscription: &SubscriptionId,
    salt: [u8; SALT_BYTES],
    agent_part: &[u8],
    part: &SealedPart,
) -> Vec<u8> {
    let mut sealed = salt.to_vec();
    part.encode(&mut sealed).expect("a vector grows as needed");
    let aead = aead_key(key.expose(), &salt, Purpose::Snapshot { subscription });
    let tag = aead_seal(&aead, agent_part, &mut sealed[SALT_BYTES..]);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens what [`seal_part`] made.
///
/// # Errors
/// [`RecordError::NotAuthentic`] if one bit of either part is wrong, or as [`decode_strict`].
pub fn open_part(
    key: &SessionKey,
    subscription: &SubscriptionId,
    agent_part: &[u8],
    sealed: &[u8],
) -> Result<SealedPart, RecordError> {
    const SEALED: &str = "sealed part of a snapshot";
    let (salt, body) = sealed.split_first_chunk::<SALT_BYTES>().ok_or(RecordError::Malformed { record: SEALED })?;
    let aead = aead_key(key.expose(), salt, Purpose::Snapshot { subscription });
    let mut body = body.to_vec();
    let plain = aead_open(&aead, agent_part, &mut body).ok_or(RecordError::NotAuthentic { record: SEALED })?;
    let part: SealedPart = decode_strict(SEALED, plain, SNAPSHOT_SEALED_BYTES_MAX)?;
    check_version(SEALED, part.version, VERSION)?;
    Ok(part)
}

/// A stored snapshot, read and checked as far as that goes without a key.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSnapshot {
    /// The agent part, checked.
    pub head: SnapshotHead,
    /// What the server added.
    pub server: ServerPart,
    /// The exact stored parts.
    pub object: SnapshotObject,
}

impl StoredSnapshot {
    /// Longest stored object, in bytes.
    pub const BYTES_MAX: usize = SNAPSHOT_SEALED_BYTES_MAX + 2 * RECORD_BYTES_MAX + ENVELOPE_BYTES_MAX + 1_024;

    /// The bytes to store; their BLAKE3 goes into the receipt.
    pub fn encode(
        agent_part: Vec<u8>,
        sealed_part: Vec<u8>,
        mac: [u8; 32],
        server: &ServerPart,
        envelope: Vec<u8>,
    ) -> Vec<u8> {
        let server_part = server.encode_to_vec();
        SnapshotObject { version: VERSION, agent_part, sealed_part, mac: mac.to_vec(), server_part, envelope }
            .encode_to_vec()
    }

    /// Reads an object. The mac is checked apart, by who holds the key: [`Self::is_authentic`].
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let object: SnapshotObject = decode_strict(RECORD, bytes, Self::BYTES_MAX)?;
        check_version(RECORD, object.version, VERSION)?;
        let head = SnapshotHead::decode(&object.agent_part)?;
        let server: ServerPart = decode_strict(RECORD, &object.server_part, RECORD_BYTES_MAX)?;
        check_version(RECORD, server.version, VERSION)?;
        Ok(Self { head, server, object })
    }

    /// True if the agent and sealed parts are those that a holder of the scope's secret wrote.
    pub fn is_authentic(&self, key: &SnapshotMacKey) -> bool {
        key.verify(&self.object.agent_part, &self.object.sealed_part, &self.object.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::Skipped;

    fn head() -> SnapshotHead {
        SnapshotHead {
            session: SessionId::new([1; 16]),
            subscription: SubscriptionId::new([2; 16]),
            scope: ScopeId::new([3; 16]),
            agent: AgentId::new([4; 16]),
            source: SourceId::new([5; 16]),
            set_version: 1,
            kind: SnapshotKind::Regular,
            sequence: 7,
            root: ChunkId::new([6; 32]),
            parent: Some(SessionId::new([9; 16])),
            started_at_ns: 1_700_000_000_000_000_000,
            state: SnapshotState::Partial,
            counts: Counts { files: 3, ..Counts::default() },
            claimed_plain_bytes: 12,
            replaces: None,
        }
    }

    #[test]
    fn a_snapshot_comes_back_and_each_wrong_bit_of_its_customer_parts_shows() {
        let (key, mac_key) = (SessionKey::new([7; 32]), SnapshotMacKey::new([8; 32]));
        let agent_part = head().encode();
        let plain = SealedPart {
            version: 1,
            skipped: vec![Skipped { path: b"a/b".to_vec(), reason: "io_error".into(), detail: String::new() }],
            ..SealedPart::default()
        };
        let sealed = seal_part(&key, &head().subscription, [1; 16], &agent_part, &plain);
        let mac = mac_key.mac(&agent_part, &sealed);
        let server = ServerPart { version: 1, day: "2026-11-22".into(), ..ServerPart::default() };
        let bytes = StoredSnapshot::encode(agent_part.clone(), sealed.clone(), mac, &server, vec![1, 2]);
        let stored = StoredSnapshot::decode(&bytes).unwrap();
        assert_eq!(stored.head, head());
        assert!(stored.is_authentic(&mac_key));
        assert_eq!(open_part(&key, &head().subscription, &agent_part, &sealed), Ok(plain));
        for at in 0..sealed.len() {
            let mut wrong = sealed.clone();
            wrong[at] ^= 1;
            assert!(open_part(&key, &head().subscription, &agent_part, &wrong).is_err(), "byte {at}");
        }
        for at in 0..bytes.len() {
            let mut wrong = bytes.clone();
            wrong[at] ^= 1;
            let unchanged_customer_parts = StoredSnapshot::decode(&wrong).is_ok_and(|s| {
                s.is_authentic(&mac_key) && s.object.agent_part == agent_part && s.object.sealed_part == sealed
            });
            let outside =
                StoredSnapshot::decode(&wrong).is_ok_and(|s| s.server != server || s.object.envelope != [1, 2]);
            assert!(!unchanged_customer_parts || outside, "byte {at}");
        }
    }

    #[test]
    fn a_head_with_a_short_id_or_no_state_is_refused() {
        let mut part: AgentPart = decode_strict(RECORD, &head().encode(), 1_000).unwrap();
        part.state = 0;
        assert!(SnapshotHead::decode(&part.encode_to_vec()).is_err());
        part.state = 1;
        part.root.pop();
        let error = SnapshotHead::decode(&part.encode_to_vec()).unwrap_err();
        assert_eq!(error, RecordError::InvalidField { record: RECORD, field: "root" });
    }
}
