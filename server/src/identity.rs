//! The server's identity on disk: the provider's root, the leaf certificate that renews by itself, the receipt key.
//!
//! It makes and reads keys and certificates; serving them is `tls`.
//!
//! Files of the folder, all mode 0600: `root.pem`, `root.key`, `leaf.pem` (key then certificate, replaced as one),
//! `receipt.key` (Ed25519, PKCS #8), `receipt.sig` (the root's signature of it).
//!
//! Invariant: the root key signs leaf certificates and receipt keys, nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use common::receipt::signer_message;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber, SigningKey,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Random;
use crate::durable::{self, DurableError};

/// Life of a leaf certificate.
const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Life of a root certificate.
const ROOT_LIFE: SignedDuration = SignedDuration::from_hours(30 * 365 * 24);
/// The root, and with it each leaf, begins this long before the root is made, for clients whose clock is late.
const BEFORE: SignedDuration = SignedDuration::from_hours(1);

/// Why the identity cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be written.
    #[error("write the server's identity")]
    Write(#[from] DurableError),
    /// A file cannot be read.
    #[error("read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} does not hold a valid {what}")]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// A certificate cannot be made.
    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// A key cannot be made.
    #[error("make a receipt key")]
    Key,
}

/// The provider's root and the receipt key.
pub struct Identity {
    folder: PathBuf,
    root: CertificateDer<'static>,
    root_key: KeyPair,
    receipt: Arc<Ed25519KeyPair>,
    receipt_certificate: Vec<u8>,
}

/// A leaf certificate with its key and its root.
pub struct Leaf {
    /// The leaf, then the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
    /// From when on it should be replaced: two thirds of its life from when it was made.
    pub renew_at: Timestamp,
    /// Host names and addresses that it is good for.
    pub names: BTreeSet<String>,
}

impl Identity {
    /// Makes root, receipt key and a first leaf in `folder`, which must be empty.
    ///
    /// # Errors
    /// As [`IdentityError`].
    pub fn create(folder: &Path, provider: &str, random: &Random, now: Timestamp) -> Result<Self, IdentityError> {
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let root = root_params(provider, random, now).self_signed(&root_key)?;
        let receipt = Ed25519KeyPair::from_seed_unchecked(&random.bytes::<32>()).map_err(|_| IdentityError::Key)?;
        let pkcs8 = receipt.to_pkcs8().map_err(|_| IdentityError::Key)?;
        let receipt_certificate = root_key.sign(&signer_message(receipt.public_key().as_ref()))?;
        let (root_key_pem, root_pem) = (zeroize::Zeroizing::new(root_key.serialize_pem()), root.pem());
        let files: [(&str, &[u8]); 4] = [
            ("root.key", root_key_pem.as_bytes()),
            ("receipt.key", pkcs8.as_ref()),
            ("receipt.sig", &receipt_certificate),
            ("root.pem", root_pem.as_bytes()),
        ];
        for (name, bytes) in files {
            durable::replace(&folder.join(name), bytes, 0o600)?;
        }
        let root = root.der().clone();
        Ok(Self { folder: folder.to_owned(), root, root_key, receipt: Arc::new(receipt), receipt_certificate })
    }

    /// Reads the identity in `folder`.
    ///
    /// # Errors
    /// As [`IdentityError`].
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let invalid = |name: &str, what| IdentityError::Invalid { path: folder.join(name), what };
        let root = CertificateDer::from_pem_slice(&read(folder, "root.pem")?)
            .map_err(|_| invalid("root.pem", "certificate"))?;
        let root_key = String::from_utf8(read(folder, "root.key")?)
            .ok()
            .and_then(|pem| KeyPair::from_pem(&pem).ok())
            .ok_or_else(|| invalid("root.key", "key"))?;
        let receipt = Ed25519KeyPair::from_pkcs8(&read(folder, "receipt.key")?)
            .map_err(|_| invalid("receipt.key", "Ed25519 key"))?;
        let receipt_certificate = read(folder, "receipt.sig")?;
        if !common::receipt::is_certified(
            receipt.public_key().as_ref(),
            &receipt_certificate,
            root_key.public_key_raw(),
        ) {
            return Err(invalid("receipt.sig", "signature of the receipt key"));
        }
        Ok(Self { folder: folder.to_owned(), root, root_key, receipt: Arc::new(receipt), receipt_certificate })
    }

    /// SHA-256 of the root certificate, 64 hexadecimal digits: what people compare.
    pub fn fingerprint(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.root);
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key that signs receipts.
    pub fn receipt_key(&self) -> Arc<Ed25519KeyPair> {
        self.receipt.clone()
    }

    /// The root's signature of the receipt key.
    pub fn receipt_certificate(&self) -> &[u8] {
        &self.receipt_certificate
    }

    /// The leaf on disk if it is good for exactly `names` and not due; otherwise a further one.
    ///
    /// # Errors
    /// As [`IdentityError`].
    pub fn leaf(&self, names: &[String], random: &Random, now: Timestamp) -> Result<Leaf, IdentityError> {
        let wanted: BTreeSet<String> = names.iter().map(|name| normal(name)).collect();
        match self.stored_leaf() {
            Ok(leaf) if leaf.renew_at > now && leaf.names == wanted => Ok(leaf),
            _ => self.make_leaf(wanted, random, now),
        }
    }

    fn stored_leaf(&self) -> Result<Leaf, IdentityError> {
        let invalid = |what| self.invalid("leaf.pem", what);
        let pem = read(&self.folder, "leaf.pem")?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| invalid("key"))?;
        let leaf = CertificateDer::from_pem_slice(&pem).map_err(|_| invalid("certificate"))?;
        self.describe(leaf, key).ok_or_else(|| invalid("certificate"))
    }

    fn make_leaf(&self, names: BTreeSet<String>, random: &Random, now: Timestamp) -> Result<Leaf, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(Vec::from_iter(names))?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Do'BaaS server");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(serial(random));
        // Good from when the root is, not from now: a clock that was once ahead must not leave a certificate that nobody accepts until then.
        let from = self.root_from().ok_or_else(|| self.invalid("root.pem", "certificate"))?;
        (params.not_before, params.not_after) = (date(from), date(now.max(from) + LEAF_LIFE));
        let issuer = Issuer::from_ca_cert_der(&self.root, &self.root_key)?;
        let leaf = params.signed_by(&key, &issuer)?;
        let pem = zeroize::Zeroizing::new(format!("{}{}", key.serialize_pem(), leaf.pem()));
        durable::replace(&self.folder.join("leaf.pem"), pem.as_bytes(), 0o600)?;
        self.stored_leaf()
    }

    fn invalid(&self, name: &str, what: &'static str) -> IdentityError {
        IdentityError::Invalid { path: self.folder.join(name), what }
    }

    /// When the root begins.
    fn root_from(&self) -> Option<Timestamp> {
        let (_, parsed) = X509Certificate::from_der(&self.root).ok()?;
        Timestamp::from_second(parsed.validity().not_before.timestamp()).ok()
    }

    fn describe(&self, leaf: CertificateDer<'static>, key: PrivateKeyDer<'static>) -> Option<Leaf> {
        let (_, parsed) = X509Certificate::from_der(&leaf).ok()?;
        let renew_at = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()? - LEAF_LIFE / 3;
        let names = parsed.subject_alternative_name().ok()??.value.general_names.iter().filter_map(text_of).collect();
        let chain = vec![leaf.clone(), self.root.clone()];
        Some(Leaf { chain, key, renew_at, names })
    }
}

fn root_params(provider: &str, random: &Random, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Do'BaaS root, {provider}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(serial(random));
    (params.not_before, params.not_after) = (date(now - BEFORE), date(now + ROOT_LIFE));
    params
}

/// 127 random bits: positive, and as long as RFC 5280 allows for.
fn serial(random: &Random) -> SerialNumber {
    let mut bytes: [u8; 16] = random.bytes();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn date(at: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(at.as_second()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

fn text_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(normal(name)),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|octets| std::net::IpAddr::from(octets).to_string()),
        },
        _ => None,
    }
}

/// A host name in lower case, or an address in its usual form.
fn normal(name: &str) -> String {
    name.parse::<std::net::IpAddr>().map_or_else(|_| name.to_ascii_lowercase(), |address| address.to_string())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, IdentityError> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|source| IdentityError::Read { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> Random {
        Random::new(|bytes| bytes.fill(9))
    }

    #[test]
    fn an_identity_is_read_back_and_its_leaf_renews_at_two_thirds_or_for_other_names() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let made = Identity::create(folder.path(), "Lyon", &random(), now).unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let first = made.leaf(&names, &random(), now).unwrap();
        let loaded = Identity::load(folder.path()).unwrap();
        assert_eq!(loaded.fingerprint(), made.fingerprint());
        assert_eq!(loaded.fingerprint().len(), 64);
        let days = |days: i64| now + SignedDuration::from_hours(24 * days);
        assert_eq!(loaded.leaf(&names, &random(), days(59)).unwrap().chain, first.chain);
        let second = loaded.leaf(&names, &random(), days(61)).unwrap();
        assert_ne!(second.chain[0], first.chain[0]);
        assert_eq!(second.chain[1], first.chain[1]);
        let other = loaded.leaf(&["backup.example".to_owned()], &random(), days(61)).unwrap();
        assert_ne!(other.chain[0], second.chain[0]);
        assert!(other.names.contains("backup.example"));
    }

    #[test]
    fn a_leaf_that_was_made_by_a_wrong_clock_is_good_by_the_right_one() {
        let folder = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-22T08:00:00Z".parse().unwrap();
        let days = |days: i64| now + SignedDuration::from_hours(24 * days);
        let identity = Identity::create(folder.path(), "Lyon", &random(), now).unwrap();
        let names = |name: &str| [name.to_owned()];
        for (name, made) in [("a", -3_650), ("b", 0), ("c", 1), ("d", 365), ("e", 3_650)] {
            let leaf = identity.leaf(&names(name), &random(), days(made)).unwrap();
            let (_, parsed) = X509Certificate::from_der(&leaf.chain[0]).unwrap();
            for right in [0, 1, 30] {
                let at = x509_parser::time::ASN1Time::from_timestamp(days(right).as_second()).unwrap();
                assert!(parsed.validity().is_valid_at(at), "made on day {made}, used on day {right}");
                assert_eq!(identity.leaf(&names(name), &random(), days(right)).unwrap().chain, leaf.chain);
            }
        }
    }

    #[test]
    fn a_receipt_key_that_the_root_did_not_certify_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = Timestamp::UNIX_EPOCH;
        Identity::create(one.path(), "a", &random(), now).unwrap();
        Identity::create(other.path(), "b", &Random::new(|bytes| bytes.fill(8)), now).unwrap();
        std::fs::copy(other.path().join("receipt.key"), one.path().join("receipt.key")).unwrap();
        assert!(matches!(Identity::load(one.path()), Err(IdentityError::Invalid { .. })));
    }
}
