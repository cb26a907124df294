//! Records that outlive a process, as generated from `stored.proto`, and their strict reading.
//!
//! It does not check what the fields mean: `snapshot`, `receipt`, `keyring` and `pack` do.
//!
//! Invariant: I10 — unknown versions and unknown fields are errors; what is hashed, sealed or signed is the exact stored bytes.

use prost::Message;

/// Generated types; `proto/proto/dobaas/v1/stored.proto` documents each field.
#[allow(missing_docs, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/dobaas.v1.stored.rs"));
}

pub use generated::{
    AgentPart, Counts, Evidence, Fact, HoldBody, HoldSeen, HoldSignal, HolderFile, HolderKind, HolderSecret,
    KeyringGeneration, LiftBody, PackSession, PasswordEpochBody, ProtectionBody, Receipt, SealedPart, ServerPart,
    SignedKeyring, SignedReceipt, Skipped, SnapshotKind, SnapshotObject, SnapshotState, Tombstone,
};

/// Why stored bytes are not the record that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not Protocol Buffers, or not as this program writes them (unknown fields among them).
    #[error("{record} is malformed")]
    Malformed {
        /// Which record.
        record: &'static str,
    },
    /// Longer than its limit.
    #[error("{record} is too long")]
    TooLong {
        /// Which record.
        record: &'static str,
    },
    /// Written by a version that this program does not know.
    #[error("{record} has unknown version {version}")]
    UnknownVersion {
        /// Which record.
        record: &'static str,
        /// The version that it names.
        version: u32,
    },
    /// A field has a value that the record may not have.
    #[error("{record} has an invalid {field}")]
    InvalidField {
        /// Which record.
        record: &'static str,
        /// Which field.
        field: &'static str,
    },
    /// A mac or signature that does not match.
    #[error("{record} is not authentic")]
    NotAuthentic {
        /// Which record.
        record: &'static str,
    },
}

/// Reads a record of at most `bytes_max` bytes and refuses everything that writing it again would not give back.
///
/// # Errors
/// [`RecordError::TooLong`] or [`RecordError::Malformed`].
pub fn decode_strict<T: Message + Default>(
    record: &'static str,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<T, RecordError> {
    if bytes.len() > bytes_max {
        return Err(RecordError::TooLong { record });
    }
    let value = T::decode(bytes).map_err(|_| RecordError::Malformed { record })?;
    if value.encode_to_vec() == bytes { Ok(value) } else { Err(RecordError::Malformed { record }) }
}

/// Refuses any version but `known`.
///
/// # Errors
/// [`RecordError::UnknownVersion`].
pub fn check_version(record: &'static str, version: u32, known: u32) -> Result<(), RecordError> {
    if version == known { Ok(()) } else { Err(RecordError::UnknownVersion { record, version }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_unusual_encodings_are_refused() {
        let good = Evidence { name: "tool".into(), value: "1".into() }.encode_to_vec();
        assert!(decode_strict::<Evidence>("evidence", &good, 100).is_ok());
        let mut unknown = good.clone();
        unknown.extend([0x78, 1]);
        assert!(decode_strict::<Evidence>("evidence", &unknown, 100).is_err());
        let mut twice = good.clone();
        twice.extend(&good);
        assert!(decode_strict::<Evidence>("evidence", &twice, 100).is_err());
        assert!(decode_strict::<Evidence>("evidence", &good, 3).is_err());
    }
}
