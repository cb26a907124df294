//! Holders of a keyring: what locks and opens their age files, and what the files say.
//!
//! It does not sign or chain generations: the parent module does.
//!
//! Invariant: the work that a file asks for is bounded before it is done.

use age::scrypt;
use age::secrecy::SecretString;
use prost::Message;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::KeyringError;
use crate::envelope::{ReadingIdentity, Recipient, decrypt, encrypt};
use crate::keys::WritingSecret;
use crate::limits::{
    HOLDER_FILE_BYTES_MAX, KEYRING_IDENTITIES_MAX, PASSPHRASE_BYTES_MAX, PASSPHRASE_CHARS_MIN, RECOVERY_LOG_N,
    SCRYPT_LOG_N_MAX,
};
use crate::recovery::RecoveryKey;
use crate::stored::{HolderFile, HolderKind, HolderSecret, RecordError, check_version, decode_strict};

const VERSION: u32 = 1;
const RECORD: &str = "holder";

/// A passphrase as typed; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Passphrase(String);

impl Passphrase {
    /// Takes what a person typed to open a keyring; ends of line at its end do not count.
    ///
    /// # Errors
    /// [`KeyringError::TooMany`] above the longest length.
    pub fn typed(text: &str) -> Result<Self, KeyringError> {
        let text = text.trim_end_matches(['\r', '\n']);
        if text.len() > PASSPHRASE_BYTES_MAX {
            return Err(KeyringError::TooMany { what: "bytes in its passphrase", max: PASSPHRASE_BYTES_MAX });
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a passphrase that a person chooses for a holder.
    ///
    /// # Errors
    /// [`KeyringError::ShortPassphrase`], or as [`Self::typed`].
    pub fn chosen(text: &str) -> Result<Self, KeyringError> {
        let passphrase = Self::typed(text)?;
        if passphrase.0.trim().chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(KeyringError::ShortPassphrase { min: PASSPHRASE_CHARS_MIN });
        }
        Ok(passphrase)
    }
}

/// A holder to be written into a generation.
pub struct NewHolder {
    /// Shown to people.
    pub label: String,
    /// What opens it.
    pub lock: Lock,
}

/// What opens a holder's file.
pub enum Lock {
    /// A passphrase, with the binary logarithm of scrypt's N (normally [`crate::limits::PASSPHRASE_LOG_N`]).
    Passphrase(Passphrase, u8),
    /// A recovery key.
    Recovery(RecoveryKey),
    /// The provider's own identity, of which this is the public part (key mode `provider_held`).
    Provider(Recipient),
}

/// What somebody brings to open a keyring.
pub enum Opener<'a> {
    /// A passphrase.
    Passphrase(&'a Passphrase),
    /// A recovery key.
    Recovery(&'a RecoveryKey),
    /// The provider's identity.
    Provider(&'a ReadingIdentity),
}

/// The secrets of a keyring: everything that a holder can do follows from them.
pub struct ReadingKeys {
    /// Open session envelopes; newest first, never empty.
    pub identities: Vec<ReadingIdentity>,
    /// Gives every scope secret and signs generations.
    pub writing: WritingSecret,
}

/// The age file of a holder.
pub(super) fn wrap(holder: &NewHolder, plain: &[u8]) -> Result<HolderFile, KeyringError> {
    let scrypt = |text: &str, log_n: u8| {
        let mut recipient = scrypt::Recipient::new(SecretString::from(text.to_owned()));
        recipient.set_work_factor(log_n.clamp(1, SCRYPT_LOG_N_MAX));
        encrypt([&recipient as &dyn age::Recipient].into_iter(), plain)
    };
    let (kind, file) = match &holder.lock {
        Lock::Passphrase(passphrase, log_n) => (HolderKind::Passphrase, scrypt(&passphrase.0, *log_n)),
        Lock::Recovery(key) => (HolderKind::RecoveryKey, scrypt(&key.to_text(), RECOVERY_LOG_N)),
        Lock::Provider(recipient) => (HolderKind::Provider, encrypt([recipient.as_age()].into_iter(), plain)),
    };
    let age_file = file.ok_or(RecordError::InvalidField { record: RECORD, field: "holder" })?;
    Ok(HolderFile { kind: kind.into(), label: holder.label.clone(), age_file })
}

/// What a holder's file says to somebody who brings `opener`; `None` if it does not open.
pub(super) fn unwrap(file: &[u8], opener: &Opener<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let scrypt = |text: &str| {
        let mut identity = scrypt::Identity::new(SecretString::from(text.to_owned()));
        identity.set_max_work_factor(SCRYPT_LOG_N_MAX);
        decrypt(file, [&identity as &dyn age::Identity].into_iter(), HOLDER_FILE_BYTES_MAX)
    };
    match opener {
        Opener::Passphrase(passphrase) => scrypt(&passphrase.0),
        Opener::Recovery(key) => scrypt(&key.to_text()),
        Opener::Provider(identity) => decrypt(file, [identity.as_age()].into_iter(), HOLDER_FILE_BYTES_MAX),
    }
}

/// The plaintext of every holder's file.
pub(super) fn secret_bytes(keys: &ReadingKeys) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    if keys.identities.len() > KEYRING_IDENTITIES_MAX {
        return Err(KeyringError::TooMany { what: "reading identities", max: KEYRING_IDENTITIES_MAX });
    }
    let mut secret = HolderSecret {
        version: VERSION,
        identities: keys.identities.iter().map(|identity| identity.expose().as_str().to_owned()).collect(),
        writing_secret: keys.writing.expose().to_vec(),
    };
    let bytes = Zeroizing::new(secret.encode_to_vec());
    secret.identities.zeroize();
    secret.writing_secret.zeroize();
    Ok(bytes)
}

/// Reads the plaintext of a holder's file.
pub(super) fn read_secret(plain: &[u8]) -> Result<ReadingKeys, KeyringError> {
    let mut secret: HolderSecret = decode_strict(RECORD, plain, HOLDER_FILE_BYTES_MAX)?;
    let keys = read_secret_fields(&secret);
    secret.identities.zeroize();
    secret.writing_secret.zeroize();
    keys
}

fn read_secret_fields(secret: &HolderSecret) -> Result<ReadingKeys, KeyringError> {
    check_version(RECORD, secret.version, VERSION)?;
    let invalid = |field| RecordError::InvalidField { record: RECORD, field };
    if secret.identities.is_empty() || secret.identities.len() > KEYRING_IDENTITIES_MAX {
        return Err(invalid("identities").into());
    }
    let identities = secret.identities.iter().map(|text| ReadingIdentity::parse(text)).collect::<Result<_, _>>()?;
    let mut writing: [u8; 32] = secret.writing_secret[..].try_into().map_err(|_| invalid("writing secret"))?;
    let keys = ReadingKeys { identities, writing: WritingSecret::new(writing) };
    writing.zeroize();
    Ok(keys)
}
