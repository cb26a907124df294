//! Receipt keys: taken only with the signature of the provider's root, which was pinned at setup.
//!
//! It does not verify receipts; `common::receipt` does, with the keys that come out of here.
//!
//! Invariant: a key enters the identity only if the pinned root signed `"dobaas signer v1" ‖ key`.

use common::receipt::is_certified;

use super::RemoteError;
use super::account::ClaimedSigner;
use crate::state::identity::Signer;

/// The claimed keys that the root signed.
///
/// # Errors
/// [`RemoteError::Tls`] if the root cannot be read or one key is not signed by it.
pub fn certified(root_pem: &str, claimed: &[ClaimedSigner]) -> Result<Vec<Signer>, RemoteError> {
    let unusable = |reason: &str| RemoteError::Tls(format!("the provider's root certificate cannot be used: {reason}"));
    let (_, pem) = x509_parser::pem::parse_x509_pem(root_pem.as_bytes()).map_err(|_| unusable("it is not PEM"))?;
    let root = pem.parse_x509().map_err(|_| unusable("it is not a certificate"))?;
    let key = &root.public_key().subject_public_key.data;
    claimed
        .iter()
        .map(|signer| {
            let refused = || RemoteError::Tls("a receipt key is not certified by the provider's root".into());
            let public_key: [u8; 32] = signer.public_key[..].try_into().map_err(|_| refused())?;
            is_certified(&public_key, &signer.certificate, key).then_some(Signer { public_key }).ok_or_else(refused)
        })
        .collect()
}
