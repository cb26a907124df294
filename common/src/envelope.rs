//! Reading identities, recipients, and the envelope that carries a session key from an agent to the key holders.
//!
//! It does not decide who holds an identity: `keyring` does.
//!
//! Invariant: whoever has only recipients can seal an envelope and open none.

use std::fmt;
use std::io::{Read, Write};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::{Decryptor, Encryptor, x25519};
use zeroize::{Zeroize, Zeroizing};

use crate::keys::SessionKey;
use crate::limits::{ENVELOPE_BYTES_MAX, KEYRING_RECIPIENTS_MAX};

/// Why an envelope or a key text is refused. Never holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the text of an age X25519 recipient.
    #[error("not an age recipient")]
    Recipient,
    /// Not the text of an age X25519 identity.
    #[error("not an age identity")]
    Identity,
    /// None, or more than the limit.
    #[error("an envelope needs between 1 and {max} recipients")]
    Recipients {
        /// The limit.
        max: usize,
    },
    /// Damaged, too long, or not made for these identities.
    #[error("no reading identity at hand opens the envelope")]
    Closed,
}

/// The public part of a reading identity: seals, never opens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Recipient(x25519::Recipient);

/// The private part: opens every envelope that was sealed to its recipient.
#[derive(Clone)]
pub struct ReadingIdentity(x25519::Identity);

impl Recipient {
    pub(crate) fn as_age(&self) -> &dyn age::Recipient {
        &self.0
    }
}

impl FromStr for Recipient {
    type Err = EnvelopeError;
    fn from_str(text: &str) -> Result<Self, EnvelopeError> {
        text.parse().map(Self).map_err(|_| EnvelopeError::Recipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ReadingIdentity {
    /// A fresh identity, from the system's randomness (age offers no other).
    pub fn generate() -> Self {
        Self(x25519::Identity::generate())
    }

    /// Reads the text of [`Self::expose`].
    ///
    /// # Errors
    /// [`EnvelopeError::Identity`].
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        text.parse().map(Self).map_err(|_| EnvelopeError::Identity)
    }

    /// The secret text, to be wrapped for a holder. Never to be shown or logged.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string().expose_secret().to_owned())
    }

    /// The public part.
    pub fn recipient(&self) -> Recipient {
        Recipient(self.0.to_public())
    }

    pub(crate) fn as_age(&self) -> &dyn age::Identity {
        &self.0
    }
}

/// Seals a session key to the recipients; the bytes that travel with its frames.
///
/// # Errors
/// [`EnvelopeError::Recipients`].
pub fn seal(key: &SessionKey, recipients: &[Recipient]) -> Result<Vec<u8>, EnvelopeError> {
    let refused = EnvelopeError::Recipients { max: KEYRING_RECIPIENTS_MAX };
    if recipients.is_empty() || recipients.len() > KEYRING_RECIPIENTS_MAX {
        return Err(refused);
    }
    encrypt(recipients.iter().map(Recipient::as_age), key.expose()).ok_or(refused)
}

/// Opens an envelope with the first identity that fits.
///
/// # Errors
/// [`EnvelopeError::Closed`].
pub fn open(envelope: &[u8], identities: &[ReadingIdentity]) -> Result<SessionKey, EnvelopeError> {
    if envelope.len() > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::Closed);
    }
    let plain = decrypt(envelope, identities.iter().map(ReadingIdentity::as_age), 32).ok_or(EnvelopeError::Closed)?;
    let mut bytes: [u8; 32] = plain[..].try_into().map_err(|_| EnvelopeError::Closed)?;
    let key = SessionKey::new(bytes);
    bytes.zeroize();
    Ok(key)
}

/// An age file of `plain`; `None` if the recipients can't be mixed.
pub(crate) fn encrypt<'a>(recipients: impl Iterator<Item = &'a dyn age::Recipient>, plain: &[u8]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = Encryptor::with_recipients(recipients).ok()?.wrap_output(&mut file).ok()?;
    writer.write_all(plain).ok()?;
    writer.finish().ok()?;
    Some(file)
}

/// The plaintext of an age file, at most `bytes_max` long; `None` if anything is wrong with it.
pub(crate) fn decrypt<'a>(
    file: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
    bytes_max: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let reader = Decryptor::new_buffered(file).ok()?.decrypt(identities).ok()?;
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes_max + 1));
    reader.take(bytes_max as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= bytes_max).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_for_each_recipient_and_for_nobody_else() {
        let (a, b, other) = (ReadingIdentity::generate(), ReadingIdentity::generate(), ReadingIdentity::generate());
        let key = SessionKey::new([5; 32]);
        let envelope = seal(&key, &[a.recipient(), b.recipient()]).unwrap();
        for holder in [a, b] {
            assert_eq!(open(&envelope, &[other.clone(), holder]).unwrap().expose(), key.expose());
        }
        assert_eq!(open(&envelope, &[other]).err(), Some(EnvelopeError::Closed));
        assert_eq!(open(&envelope, &[]).err(), Some(EnvelopeError::Closed));
        assert!(seal(&key, &[]).is_err());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let identity = ReadingIdentity::generate();
        let envelope = seal(&SessionKey::new([5; 32]), &[identity.recipient()]).unwrap();
        for at in 0..envelope.len() {
            for bit in [0x01, 0x20, 0x80] {
                let mut wrong = envelope.clone();
                wrong[at] ^= bit;
                assert!(open(&wrong, std::slice::from_ref(&identity)).is_err(), "byte {at}");
            }
            assert!(open(&envelope[..at], std::slice::from_ref(&identity)).is_err(), "cut at {at}");
        }
        assert!(open(&[&envelope[..], b"x"].concat(), &[identity]).is_err());
    }

    #[test]
    fn texts_of_keys_come_back() {
        let identity = ReadingIdentity::generate();
        let again = ReadingIdentity::parse(&identity.expose()).unwrap();
        assert_eq!(again.recipient(), identity.recipient());
        assert_eq!(identity.recipient().to_string().parse(), Ok(identity.recipient()));
        assert_eq!("age1".parse::<Recipient>(), Err(EnvelopeError::Recipient));
        assert!(ReadingIdentity::parse("AGE-SECRET-KEY-1").is_err());
    }
}
