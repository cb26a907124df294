//! The hash chain of the audit log: `h = H(previous ‖ record)`, and its signed checkpoints.
//!
//! It does not store records, and does not know what is in them.
//!
//! Invariant: changing, removing, inserting or swapping any record before a checkpoint shows.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

const CONTEXT: &[u8] = b"dobaas audit checkpoint v1";

/// Hash of a log: of its last record and all before it.
pub type Link = [u8; 32];

/// The hash of a log without records.
pub const EMPTY: Link = [0; 32];

/// The hash of the log that ends in `record` and whose hash before it was `previous`.
pub fn link(previous: &Link, record: &[u8]) -> Link {
    let mut hasher = blake3::Hasher::new_derive_key("dobaas v1 audit record");
    hasher.update(previous);
    hasher.update(record);
    *hasher.finalize().as_bytes()
}

/// A signed statement that the log had this many records and this hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of records.
    pub records: u64,
    /// Hash of the log.
    pub link: Link,
    /// Server's clock, nanoseconds since 1970.
    pub at_ns: i64,
    /// Ed25519 over the three.
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// Signs the state of a log.
    pub fn sign(records: u64, link: Link, at_ns: i64, key: &Ed25519KeyPair) -> Self {
        let signature = key.sign(&message(records, &link, at_ns)).as_ref().to_vec();
        Self { records, link, at_ns, signature }
    }

    /// True if the holder of the key said so.
    pub fn is_authentic(&self, key: &Ed25519KeyPair) -> bool {
        let message = message(self.records, &self.link, self.at_ns);
        UnparsedPublicKey::new(&ED25519, key.public_key().as_ref()).verify(&message, &self.signature).is_ok()
    }
}

fn message(records: u64, link: &Link, at_ns: i64) -> Vec<u8> {
    [CONTEXT, &records.to_le_bytes(), link, &at_ns.to_le_bytes()].concat()
}

/// What is wrong with a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    /// The stored hash of a record is not the one that follows from the records before it.
    #[error("record {0} of the audit log was altered, or one before it")]
    Record(u64),
    /// The log is shorter than a checkpoint says.
    #[error("the audit log has {found} records, a checkpoint says {signed}")]
    Truncated {
        /// Records found.
        found: u64,
        /// Records signed.
        signed: u64,
    },
    /// The log's hash at a checkpoint is not the signed one.
    #[error("the audit log differs from the checkpoint of record {0}")]
    Checkpoint(u64),
    /// A checkpoint was not signed by this server.
    #[error("the checkpoint of record {0} is not authentic")]
    Signature(u64),
}

/// Follows a whole log, records with their stored hashes in order, against its checkpoints; the number of records.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    log: impl Iterator<Item = (Vec<u8>, Link)>,
    checkpoints: &[Checkpoint],
    key: &Ed25519KeyPair,
) -> Result<u64, Tampered> {
    if let Some(forged) = checkpoints.iter().find(|checkpoint| !checkpoint.is_authentic(key)) {
        return Err(Tampered::Signature(forged.records));
    }
    let mut signed: Vec<&Checkpoint> = checkpoints.iter().collect();
    signed.sort_by_key(|checkpoint| checkpoint.records);
    let mut signed = signed.into_iter().peekable();
    let mut check = |records: u64, link: &Link| {
        while let Some(checkpoint) = signed.next_if(|checkpoint| checkpoint.records == records) {
            if checkpoint.link != *link {
                return Err(Tampered::Checkpoint(records));
            }
        }
        Ok(())
    };
    let (mut found, mut last) = (0, EMPTY);
    check(found, &last)?;
    for (record, stored) in log {
        found += 1;
        last = link(&last, &record);
        if last != stored {
            return Err(Tampered::Record(found));
        }
        check(found, &last)?;
    }
    match checkpoints.iter().map(|checkpoint| checkpoint.records).max() {
        Some(signed) if signed > found => Err(Tampered::Truncated { found, signed }),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(records: &[&str]) -> Vec<(Vec<u8>, Link)> {
        let mut last = EMPTY;
        let chain = |record: &&str| {
            last = link(&last, record.as_bytes());
            (record.as_bytes().to_vec(), last)
        };
        records.iter().map(chain).collect()
    }

    // That every alteration is found is C25's: `server/tests/it/trail_altered.rs`.
    #[test]
    fn the_error_says_where_it_was_altered() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let good = log(&["one", "two", "three", "four"]);
        let checkpoints = [Checkpoint::sign(2, good[1].1, 5, &key), Checkpoint::sign(4, good[3].1, 6, &key)];
        let run = |log: Vec<(Vec<u8>, Link)>| verify(log.into_iter(), &checkpoints, &key);
        assert_eq!(run(good.clone()), Ok(4));
        let mut edited = good.clone();
        edited[2].0.push(b'!');
        assert_eq!(run(edited), Err(Tampered::Record(3)));
        assert_eq!(run(good[..3].to_vec()), Err(Tampered::Truncated { found: 3, signed: 4 }));
        assert_eq!(run(log(&["one", "2", "three", "four"])), Err(Tampered::Checkpoint(2)), "a chain made again");
        let other = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
        assert_eq!(verify(good.into_iter(), &checkpoints, &other), Err(Tampered::Signature(2)));
    }
}
