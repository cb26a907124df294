//! The keyring of a subscription: who can open it, generation after generation.
//!
//! ```text
//! generation n   public: recipients, holders' age files, BLAKE3 of generation n-1, verifying key; signed Ed25519
//! holder file    age file of {reading identities, newest first; writing secret}
//! ```
//! A change of passphrase or of holders is a new generation that wraps the same secrets again; data is never re-encrypted. It
//! does not store generations, ask for passphrases or choose secrets.
//!
//! Invariant: the writing secret never changes, so neither does the verifying key that is derived from it. Every generation is
//! signed by it, a chain in which it differs is refused, and so is one that opens to a secret it was not derived from: a server
//! that re-uses real holder files around recipients of its own cannot sign the result.
//! Invariant: nothing secret has `Debug`; no error holds what was typed.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use prost::Message;

use crate::envelope::{EnvelopeError, ReadingIdentity, Recipient};
use crate::keys::WritingSecret;
use crate::limits::{
    HOLDER_FILE_BYTES_MAX, HOLDER_LABEL_BYTES_MAX, KEYRING_BYTES_MAX, KEYRING_GENERATIONS_MAX, KEYRING_HOLDERS_MAX,
    KEYRING_RECIPIENTS_MAX,
};
use crate::stored::{
    HolderFile, HolderKind, KeyringGeneration, RecordError, SignedKeyring, check_version, decode_strict,
};
use holder::{NewHolder, Opener, ReadingKeys, read_secret, secret_bytes, unwrap, wrap};

pub mod holder;

const VERSION: u32 = 1;
const RECORD: &str = "keyring";
const CONTEXT: &[u8] = b"dobaas keyring v1";

/// Why a keyring is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Bytes that are not a generation.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A recipient or identity text that is not one.
    #[error(transparent)]
    Key(#[from] EnvelopeError),
    /// There is no generation at all.
    #[error("the keyring is empty")]
    Empty,
    /// A generation that does not follow the one before it.
    #[error("generation {number} of the keyring does not follow the one before it")]
    Broken {
        /// Its number.
        number: u64,
    },
    /// The keyring is not the one that was pinned, or is older.
    #[error("the keyring is not the one known here, or is an older state of it")]
    NotPinned,
    /// No holder file opens with this secret.
    #[error("no holder of the keyring opens with this secret")]
    WrongSecret,
    /// More than a limit allows.
    #[error("a keyring may have at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// Shorter than a passphrase must be.
    #[error("a passphrase needs at least {min} characters")]
    ShortPassphrase {
        /// The limit.
        min: usize,
    },
}

/// What an agent remembers of the keyring that it was enrolled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The newest generation that was authenticated.
    pub generation: u64,
    /// The key that signs all of them.
    pub verifying_key: [u8; 32],
}

/// Whether a new generation also replaces the identity that new sessions are sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The same identity.
    Keep,
    /// A fresh one in front; the earlier ones stay for what they sealed.
    NewIdentity,
}

/// A chain of generations that was checked from the first to the newest.
#[derive(Clone)]
pub struct Keyring {
    newest: KeyringGeneration,
    recipients: Vec<Recipient>,
    verifying_key: [u8; 32],
    newest_digest: [u8; 32],
}

/// Makes generation 0 around a random writing secret and a fresh reading identity.
///
/// # Errors
/// [`KeyringError::TooMany`], or [`KeyringError::Empty`] without a holder.
pub fn create(writing: WritingSecret, holders: &[NewHolder]) -> Result<(Vec<u8>, ReadingKeys), KeyringError> {
    let keys = ReadingKeys { identities: vec![ReadingIdentity::generate()], writing };
    Ok((write(0, Vec::new(), &keys, holders)?, keys))
}

impl Keyring {
    /// Checks a chain, oldest generation first, against what is known of it.
    ///
    /// # Errors
    /// [`KeyringError::Broken`], [`KeyringError::NotPinned`], or a malformed record.
    pub fn verify(generations: &[Vec<u8>], pin: Option<&Pin>) -> Result<Self, KeyringError> {
        if generations.len() > KEYRING_GENERATIONS_MAX {
            return Err(KeyringError::TooMany { what: "generations", max: KEYRING_GENERATIONS_MAX });
        }
        let mut chain: Option<Self> = None;
        for (number, signed) in (0..).zip(generations) {
            chain = Some(follow(chain.as_ref(), number, signed)?);
        }
        let keyring = chain.ok_or(KeyringError::Empty)?;
        match pin {
            Some(pin) if keyring.newest.number < pin.generation || keyring.verifying_key != pin.verifying_key => {
                Err(KeyringError::NotPinned)
            }
            _ => Ok(keyring),
        }
    }

    /// What to remember of it.
    pub fn pin(&self) -> Pin {
        Pin { generation: self.newest.number, verifying_key: self.verifying_key }
    }

    /// Whom the sessions' envelopes are sealed to.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Kind and label of each holder of the newest generation.
    pub fn holders(&self) -> impl Iterator<Item = (HolderKind, &str)> {
        self.newest.holders.iter().map(|holder| (holder.kind(), holder.label.as_str()))
    }

    /// Opens the newest generation.
    ///
    /// # Errors
    /// [`KeyringError::WrongSecret`] if no holder fits or what opens is not what signed the keyring.
    pub fn open(&self, opener: &Opener<'_>) -> Result<ReadingKeys, KeyringError> {
        let wanted = match opener {
            Opener::Passphrase(_) => HolderKind::Passphrase,
            Opener::Recovery(_) => HolderKind::RecoveryKey,
            Opener::Provider(_) => HolderKind::Provider,
        };
        let files = self.newest.holders.iter().filter(|holder| holder.kind() == wanted);
        let plain = files.filter_map(|holder| unwrap(&holder.age_file, opener)).next();
        let keys = read_secret(&plain.ok_or(KeyringError::WrongSecret)?)?;
        let ours = verifying_key(&keys.writing) == self.verifying_key
            && self.recipients.contains(&keys.identities[0].recipient());
        if ours { Ok(keys) } else { Err(KeyringError::WrongSecret) }
    }

    /// The next generation, for these holders; the keys that it wraps.
    ///
    /// # Errors
    /// [`KeyringError::WrongSecret`] if `keys` are not this keyring's, or as [`create`].
    pub fn change(
        &self,
        keys: &ReadingKeys,
        holders: &[NewHolder],
        rotation: Rotation,
    ) -> Result<(Vec<u8>, ReadingKeys), KeyringError> {
        if verifying_key(&keys.writing) != self.verifying_key {
            return Err(KeyringError::WrongSecret);
        }
        let fresh = (rotation == Rotation::NewIdentity).then(ReadingIdentity::generate);
        let identities = fresh.into_iter().chain(keys.identities.iter().cloned()).collect();
        let keys = ReadingKeys { identities, writing: keys.writing.clone() };
        Ok((write(self.newest.number + 1, self.newest_digest.to_vec(), &keys, holders)?, keys))
    }
}

/// Checks one generation against the one before it.
fn follow(previous: Option<&Keyring>, number: u64, signed: &[u8]) -> Result<Keyring, KeyringError> {
    let outer: SignedKeyring = decode_strict(RECORD, signed, KEYRING_BYTES_MAX)?;
    let newest: KeyringGeneration = decode_strict(RECORD, &outer.generation, KEYRING_BYTES_MAX)?;
    check_version(RECORD, newest.version, VERSION)?;
    let invalid = |field| RecordError::InvalidField { record: RECORD, field };
    let verifying_key: [u8; 32] = newest.verifying_key[..].try_into().map_err(|_| invalid("verifying key"))?;
    let follows = newest.number == number
        && previous.map_or(newest.previous.is_empty(), |previous| {
            newest.previous == previous.newest_digest && verifying_key == previous.verifying_key
        });
    if !follows {
        return Err(KeyringError::Broken { number });
    }
    UnparsedPublicKey::new(&ED25519, verifying_key)
        .verify(&message(&outer.generation), &outer.signature)
        .map_err(|_| RecordError::NotAuthentic { record: RECORD })?;
    if newest.recipients.is_empty() || newest.recipients.len() > KEYRING_RECIPIENTS_MAX {
        return Err(invalid("recipients").into());
    }
    check_holders(&newest.holders)?;
    let recipients = newest.recipients.iter().map(|text| text.parse()).collect::<Result<_, EnvelopeError>>()?;
    Ok(Keyring { recipients, verifying_key, newest_digest: *blake3::hash(signed).as_bytes(), newest })
}

fn check_holders(holders: &[HolderFile]) -> Result<(), KeyringError> {
    if holders.is_empty() {
        return Err(KeyringError::Empty);
    }
    if holders.len() > KEYRING_HOLDERS_MAX {
        return Err(KeyringError::TooMany { what: "holders", max: KEYRING_HOLDERS_MAX });
    }
    let good = holders.iter().all(|holder| {
        holder.kind() != HolderKind::Unspecified
            && holder.label.len() <= HOLDER_LABEL_BYTES_MAX
            && holder.age_file.len() <= HOLDER_FILE_BYTES_MAX
    });
    if good { Ok(()) } else { Err(RecordError::InvalidField { record: RECORD, field: "holder" }.into()) }
}

/// Wraps `keys` for the holders and signs the generation.
fn write(number: u64, previous: Vec<u8>, keys: &ReadingKeys, holders: &[NewHolder]) -> Result<Vec<u8>, KeyringError> {
    let plain = secret_bytes(keys)?;
    let holders = holders.iter().map(|holder| wrap(holder, &plain)).collect::<Result<Vec<_>, _>>()?;
    check_holders(&holders)?;
    let signer = signing_key(&keys.writing);
    let generation = KeyringGeneration {
        version: VERSION,
        number,
        recipients: vec![keys.identities[0].recipient().to_string()],
        holders,
        previous,
        verifying_key: signer.public_key().as_ref().to_vec(),
    }
    .encode_to_vec();
    let signature = signer.sign(&message(&generation)).as_ref().to_vec();
    let signed = SignedKeyring { generation, signature }.encode_to_vec();
    if signed.len() > KEYRING_BYTES_MAX {
        return Err(RecordError::TooLong { record: RECORD }.into());
    }
    Ok(signed)
}

fn signing_key(writing: &WritingSecret) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(writing.keyring_seed().as_ref()).expect("any 32 bytes are an Ed25519 seed")
}

fn verifying_key(writing: &WritingSecret) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(signing_key(writing).public_key().as_ref());
    key
}

fn message(generation: &[u8]) -> Vec<u8> {
    [CONTEXT, generation].concat()
}

#[cfg(test)]
mod tests;
