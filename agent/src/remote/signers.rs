//! Receipt keys: taken only with the signature of the provider's root, which was pinned at setup.
//!
//! It does not verify receipts; `common::receipt` does, with the keys that come out of here.
//!
//! Invariant: a key enters the identity only if the pinned root signed `"dobaas signer v1" ‖ key`.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry::{OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ED25519};

use super::RemoteError;
use super::account::ClaimedSigner;
use crate::state::identity::Signer;

const CONTEXT: &[u8] = b"dobaas signer v1";

/// The claimed keys that the root signed.
///
/// # Errors
/// [`RemoteError::Tls`] if the root cannot be read or one key is not signed by it.
pub fn certified(root_pem: &str, claimed: &[ClaimedSigner]) -> Result<Vec<Signer>, RemoteError> {
    let unusable = |reason: &str| RemoteError::Tls(format!("the provider's root certificate cannot be used: {reason}"));
    let (_, pem) = x509_parser::pem::parse_x509_pem(root_pem.as_bytes()).map_err(|_| unusable("it is not PEM"))?;
    let root = pem.parse_x509().map_err(|_| unusable("it is not a certificate"))?;
    let key = root.public_key();
    let algorithm: &'static dyn VerificationAlgorithm = match &key.algorithm.algorithm {
        oid if *oid == OID_SIG_ED25519 => &ED25519,
        oid if *oid == OID_KEY_TYPE_EC_PUBLIC_KEY => &ECDSA_P256_SHA256_ASN1,
        _ => return Err(unusable("its key is of an unknown kind")),
    };
    let key = UnparsedPublicKey::new(algorithm, key.subject_public_key.data.as_ref());
    claimed
        .iter()
        .map(|signer| {
            let refused = || RemoteError::Tls("a receipt key is not certified by the provider's root".into());
            let public_key: [u8; 32] = signer.public_key[..].try_into().map_err(|_| refused())?;
            key.verify(&[CONTEXT, &public_key[..]].concat(), &signer.certificate).map_err(|_| refused())?;
            Ok(Signer { public_key })
        })
        .collect()
}
