//! `identity.toml`: who this machine is, what it may do, and what it holds the server to.
//!
//! It holds the agent's token and the secret of its scope, hence no reading key: with this file one can add backups and list
//! the names of this scope, and neither read content nor delete. It does not hold settings; those are in `config`.
//!
//! Invariant: the file is written with mode 0600, durably and whole, and is refused when others may read it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use common::envelope::Recipient;
use common::id::{AgentId, ScopeId, SignerId, SubscriptionId, read_hex};
use common::keyring::Pin;
use common::keys::ScopeSecret;
use common::limits::IDENTITY_BYTES_MAX;
use common::receipt::signer_id;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::identity_path;
use crate::durable::{self, DurableError};
use crate::remote::{Address, Token};

const VERSION: u32 = 1;
const OTHERS: u32 = 0o077;

/// An enrolled machine.
#[derive(Clone)]
pub struct Identity {
    /// The server and its root.
    pub address: Address,
    /// Whose backups.
    pub subscription: SubscriptionId,
    /// This agent.
    pub agent: AgentId,
    /// Dedup domain of its chunks.
    pub scope: ScopeId,
    /// The agent's credential.
    pub token: Token,
    /// Names chunks and seals the tree.
    pub scope_secret: ScopeSecret,
    /// Whom session keys are sealed to.
    pub recipients: Vec<Recipient>,
    /// The keyring that was authenticated last.
    pub pin: Pin,
    /// Country that the data may lie in, ISO 3166-1 alpha-2.
    pub location: String,
    /// Receipt keys that the provider's root certified.
    pub signers: Vec<Signer>,
}

/// A key that signs receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Ed25519 public key.
    pub public_key: [u8; 32],
}

impl Signer {
    /// How receipts name it.
    pub fn id(&self) -> SignerId {
        signer_id(&self.public_key)
    }
}

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// This machine was never set up.
    #[error("no identity at {}", .0.display())]
    Absent(PathBuf),
    /// Others could read the secrets in it.
    #[error("{} must be readable by its owner only (mode 0600)", .0.display())]
    Exposed(PathBuf),
    /// Not an identity of this version.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, without any value of it.
        reason: String,
    },
    /// The disk said no.
    #[error(transparent)]
    Disk(#[from] DurableError),
}

/// The file, field by field.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    server: String,
    root: String,
    subscription: String,
    agent: String,
    scope: String,
    token: String,
    scope_secret: String,
    recipients: Vec<String>,
    keyring_generation: u64,
    keyring_key: String,
    location: String,
    signers: Vec<String>,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.token.zeroize();
        self.scope_secret.zeroize();
    }
}

impl Identity {
    /// Reads the identity of a state folder.
    ///
    /// # Errors
    /// Any [`IdentityError`].
    pub fn load(state: &Path) -> Result<Self, IdentityError> {
        let path = identity_path(state);
        let absent = || IdentityError::Absent(path.clone());
        let metadata = std::fs::metadata(&path).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => absent(),
            _ => DurableError { step: "read", path: path.clone(), source }.into(),
        })?;
        if metadata.mode() & OTHERS != 0 {
            return Err(IdentityError::Exposed(path));
        }
        let bytes = Zeroizing::new(durable::read(&path, IDENTITY_BYTES_MAX)?.ok_or_else(absent)?);
        let damaged = |reason: &str| IdentityError::Damaged { path: path.clone(), reason: reason.to_owned() };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged("it is not UTF-8"))?;
        // The parser's message could quote a secret; its position is enough.
        let stored: Stored = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| text[..span.start.min(text.len())].lines().count());
            damaged(&format!("line {at} is not as it should be"))
        })?;
        read(&stored).ok_or_else(|| damaged("a field is not as it should be"))
    }

    /// Writes it durably, replacing any earlier one; makes the state folder if there is none.
    ///
    /// # Errors
    /// [`DurableError`], after which the earlier one is still there.
    pub fn store(&self, state: &Path) -> Result<(), DurableError> {
        durable::create_folder(state, 0o700)?;
        let stored = Stored {
            version: VERSION,
            server: self.address.url.clone(),
            root: self.address.root_pem.clone(),
            subscription: self.subscription.to_string(),
            agent: self.agent.to_string(),
            scope: self.scope.to_string(),
            token: self.token.expose().to_owned(),
            scope_secret: hex(self.scope_secret.expose()),
            recipients: self.recipients.iter().map(ToString::to_string).collect(),
            keyring_generation: self.pin.generation,
            keyring_key: hex(&self.pin.verifying_key),
            location: self.location.clone(),
            signers: self.signers.iter().map(|signer| hex(&signer.public_key)).collect(),
        };
        let text = Zeroizing::new(toml::to_string(&stored).expect("strings and numbers have a TOML form"));
        durable::replace(&identity_path(state), text.as_bytes(), 0o600)
    }
}

fn read(stored: &Stored) -> Option<Identity> {
    let mut secret = bytes32(&stored.scope_secret)?;
    let scope_secret = ScopeSecret::new(secret);
    secret.zeroize();
    Some(Identity {
        address: (stored.version == VERSION)
            .then(|| Address { url: stored.server.clone(), root_pem: stored.root.clone() })?,
        subscription: stored.subscription.parse().ok()?,
        agent: stored.agent.parse().ok()?,
        scope: stored.scope.parse().ok()?,
        token: Token::new(stored.token.clone()),
        scope_secret,
        recipients: stored.recipients.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?,
        pin: Pin { generation: stored.keyring_generation, verifying_key: bytes32(&stored.keyring_key)? },
        location: stored.location.clone(),
        signers: stored
            .signers
            .iter()
            .map(|text| bytes32(text).map(|public_key| Signer { public_key }))
            .collect::<Option<_>>()?,
    })
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    read_hex(text, &mut bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use common::envelope::ReadingIdentity;

    use super::*;

    fn identity() -> Identity {
        Identity {
            address: Address { url: "https://sauvegarde.example.fr:7443".into(), root_pem: "PEM\nPEM\n".into() },
            subscription: SubscriptionId::new([1; 16]),
            agent: AgentId::new([2; 16]),
            scope: ScopeId::new([3; 16]),
            token: Token::new("jeton".into()),
            scope_secret: ScopeSecret::new([4; 32]),
            recipients: vec![ReadingIdentity::generate().recipient()],
            pin: Pin { generation: 2, verifying_key: [5; 32] },
            location: "FR".into(),
            signers: vec![Signer { public_key: [6; 32] }],
        }
    }

    fn refused(state: &Path) -> IdentityError {
        Identity::load(state).err().unwrap()
    }

    #[test]
    fn an_identity_comes_back_and_its_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert!(matches!(refused(&state), IdentityError::Absent(_)));
        let written = identity();
        written.store(&state).unwrap();
        let read = Identity::load(&state).unwrap();
        assert_eq!(read.address, written.address);
        assert_eq!(read.pin, written.pin);
        assert_eq!(read.recipients, written.recipients);
        assert_eq!(read.token.expose(), "jeton");
        assert_eq!(read.scope_secret.expose(), &[4; 32]);
        assert_eq!(read.signers, written.signers);
        let mode = std::fs::metadata(identity_path(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        identity().store(folder.path()).unwrap();
        let path = identity_path(folder.path());
        for mode in [0o640, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(refused(folder.path()), IdentityError::Exposed(_)), "{mode:o}");
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_that_quotes_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        identity().store(folder.path()).unwrap();
        let path = identity_path(folder.path());
        let text = std::fs::read_to_string(&path).unwrap();
        for (from, to) in [
            ("version = 1", "version = 2"),
            ("token = ", "token = x"),
            ("location = ", "unknown = 1\nlocation = "),
            ("0404", "04"),
            ("keyring_generation", "keyring_generatio"),
        ] {
            assert!(text.contains(from), "{from}");
            durable::replace(&path, text.replacen(from, to, 1).as_bytes(), 0o600).unwrap();
            let error = refused(folder.path());
            assert!(matches!(error, IdentityError::Damaged { .. }), "{to}");
            assert!(!error.to_string().contains("jeton") && !error.to_string().contains("0404"), "{error}");
        }
    }
}
