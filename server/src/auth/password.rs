//! Passwords: hashing within bounds, and default passwords.
//!
//! Which passwords are allowed is `policy`; how often one may try is `attempts`.
//!
//! Invariant: at most [`PASSWORD_HASHES_MAX`] hashes (19 MiB each) are computed at once, never on an async worker.
//! Invariant: an unknown identifier costs the same hash as a known one.
//! Invariant: their memory is kept and used again, the last used first: freed on many threads, it would stay with the allocator,
//! once per thread.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use common::limits::{DEFAULT_PASSWORD_CHARS, PASSWORD_BYTES_MAX, PASSWORD_HASHES_MAX, PASSWORD_WAITERS_MAX};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

use crate::clock::Random;

/// Letters and digits that cannot be taken for one another.
const ALPHABET: &[u8; 55] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ2345678";

/// Why a hash could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many callers wait already.
    #[error("too many passwords wait to be checked")]
    Overloaded,
    /// The password is longer than anything that is hashed.
    #[error("the password is too long")]
    TooLong,
    /// The hash function refused its parameters, or a stored hash cannot be read.
    #[error("hash or check a password")]
    Hash,
}

/// What one hash is computed in.
type Memory = Vec<Block>;

/// Computes and checks password hashes.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    waiters: Arc<Semaphore>,
    memories: Arc<Mutex<Vec<Memory>>>,
    random: Random,
    dummy: Arc<str>,
}

impl Passwords {
    /// Makes one; hashes once, for the answer to unknown identifiers.
    ///
    /// # Errors
    /// [`PasswordError::Hash`] if the parameters are refused.
    pub fn new(random: Random) -> Result<Self, PasswordError> {
        let dummy = hash(b"no account has this password", &random.bytes())?;
        Ok(Self {
            slots: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX)),
            waiters: Arc::new(Semaphore::new(PASSWORD_HASHES_MAX + PASSWORD_WAITERS_MAX)),
            memories: Arc::default(),
            random,
            dummy: dummy.into(),
        })
    }

    /// Hashes a password with a fresh salt, in the PHC string format.
    ///
    /// # Errors
    /// As [`PasswordError`].
    pub async fn hash(&self, password: &Zeroizing<String>) -> Result<String, PasswordError> {
        let (password, salt) = (password.clone(), self.random.bytes());
        self.compute(password.len(), move |memory| hash_in(memory, password.as_bytes(), &salt)).await
    }

    /// True if `password` is the one that `stored` was made from; without a stored one it takes as long and is false.
    ///
    /// # Errors
    /// As [`PasswordError`]; a password that is too long is simply wrong.
    pub async fn verify(&self, password: &Zeroizing<String>, stored: Option<&str>) -> Result<bool, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let password = password.clone();
        match self.compute(password.len(), move |memory| verify(memory, password.as_bytes(), &stored)).await {
            Ok(right) => Ok(right && known),
            Err(PasswordError::TooLong) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A random default password.
    pub fn make_default(&self) -> Zeroizing<String> {
        make_default(&self.random)
    }

    async fn compute<T: Send + 'static>(
        &self,
        password_bytes: usize,
        work: impl FnOnce(&mut Memory) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        if password_bytes > PASSWORD_BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        let waiter = self.waiters.clone().try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| PasswordError::Overloaded)?;
        let held: [OwnedSemaphorePermit; 2] = [waiter, slot];
        let memories = self.memories.clone();
        // The permits travel with the work: a caller that gives up does not free the slot that its hash still uses.
        let done = tokio::task::spawn_blocking(move || {
            let mut memory = memories.lock().pop().unwrap_or_default();
            let result = work(&mut memory);
            memories.lock().push(memory);
            drop(held);
            result
        });
        done.await.map_err(|_| PasswordError::Hash)?
    }
}

/// Hashes a password; blocks for some 20 ms.
///
/// # Errors
/// [`PasswordError::Hash`] if the parameters are refused.
pub fn hash(password: &[u8], salt: &[u8; 16]) -> Result<String, PasswordError> {
    hash_in(&mut Memory::new(), password, salt)
}

fn hash_in(memory: &mut Memory, password: &[u8], salt: &[u8; 16]) -> Result<String, PasswordError> {
    let output = output(memory, password, salt, Params::DEFAULT)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&Params::DEFAULT).map_err(|_| PasswordError::Hash)?,
        salt: Some(Salt::new(salt).map_err(|_| PasswordError::Hash)?),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

fn verify(memory: &mut Memory, password: &[u8], stored: &str) -> Result<bool, PasswordError> {
    let stored = PasswordHash::new(stored).map_err(|_| PasswordError::Hash)?;
    let params = Params::try_from(&stored).map_err(|_| PasswordError::Hash)?;
    let ours = stored.algorithm == Algorithm::Argon2id.ident() && stored.version == Some(Version::V0x13.into());
    let (true, Some(salt), Some(hash)) = (ours, &stored.salt, &stored.hash) else { return Err(PasswordError::Hash) };
    // `Output` compares in constant time.
    Ok(output(memory, password, salt, params)? == *hash)
}

fn output(memory: &mut Memory, password: &[u8], salt: &[u8], params: Params) -> Result<Output, PasswordError> {
    let mut bytes = Zeroizing::new([0; Output::MAX_LENGTH]);
    let bytes = bytes.get_mut(..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN));
    let bytes = bytes.ok_or(PasswordError::Hash)?;
    memory.resize(memory.len().max(params.block_count()), Block::new());
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    hasher.hash_password_into_with_memory(password, salt, bytes, memory).map_err(|_| PasswordError::Hash)?;
    Output::new(bytes).map_err(|_| PasswordError::Hash)
}

/// A random default password of [`DEFAULT_PASSWORD_CHARS`] characters, easy to read out.
pub fn make_default(random: &Random) -> Zeroizing<String> {
    let mut password = Zeroizing::new(String::with_capacity(DEFAULT_PASSWORD_CHARS));
    while password.len() < DEFAULT_PASSWORD_CHARS {
        let bytes = Zeroizing::new(random.bytes::<32>());
        // Values past the last whole multiple of the alphabet would favour its first letters.
        let fair = bytes.iter().filter(|byte| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len());
        let letters = fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        let missing = DEFAULT_PASSWORD_CHARS - password.len();
        password.extend(letters.take(missing));
    }
    password
}

/// What is kept of a default password so that it is not chosen again.
pub fn default_digest(password: &str) -> [u8; 32] {
    *blake3::hash(password.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn counting() -> Random {
        let next = AtomicU64::new(0);
        Random::new(move |bytes| {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(bytes);
        })
    }

    #[tokio::test]
    async fn a_password_is_checked_against_its_own_hash_only() {
        let passwords = Passwords::new(counting()).unwrap();
        let right = Zeroizing::new("correct cheval pile".to_owned());
        let hash = passwords.hash(&right).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify(&right, Some(&hash)).await, Ok(true));
        let wrong = Zeroizing::new("correct cheval pil".to_owned());
        assert_eq!(passwords.verify(&wrong, Some(&hash)).await, Ok(false));
        assert_eq!(passwords.verify(&right, None).await, Ok(false));
        assert_eq!(passwords.verify(&right, Some("damaged")).await, Err(PasswordError::Hash));
        let long = Zeroizing::new("x".repeat(PASSWORD_BYTES_MAX + 1));
        assert_eq!(passwords.verify(&long, Some(&hash)).await, Ok(false));
        assert_eq!(passwords.hash(&long).await, Err(PasswordError::TooLong));
    }

    #[test]
    fn default_passwords_are_long_readable_and_differ() {
        let random = counting();
        let (one, other) = (make_default(&random), make_default(&random));
        assert_eq!(one.len(), DEFAULT_PASSWORD_CHARS);
        assert_ne!(*one, *other);
        assert!(one.bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
