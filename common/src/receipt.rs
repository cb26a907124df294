//! Receipts: what the server signs once a snapshot is durable, and what an agent holds against it ever after.
//!
//! It does not keep keys or receipts; it makes and checks the bytes.
//!
//! Invariant: a receipt names the one before it of the same source, so a server that lost one shows.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use prost::Message;

use crate::id::SignerId;
use crate::limits::RECORD_BYTES_MAX;
use crate::stored::{Receipt, RecordError, SignedReceipt, check_version, decode_strict};

const RECORD: &str = "receipt";
const CONTEXT: &[u8] = b"dobaas receipt v1";
const SIGNER_CONTEXT: &[u8] = b"dobaas signer v1";

/// Names a signing key: the first 16 bytes of the BLAKE3 of its public key.
pub fn signer_id(public_key: &[u8]) -> SignerId {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(public_key).as_bytes()[..16]);
    SignerId::new(id)
}

/// Signs `receipt` after naming the signer in it; the stored bytes.
pub fn sign(mut receipt: Receipt, key: &Ed25519KeyPair) -> Vec<u8> {
    receipt.version = 1;
    receipt.signer = signer_id(key.public_key().as_ref()).as_bytes().to_vec();
    let receipt = receipt.encode_to_vec();
    let signature = key.sign(&message(&receipt)).as_ref().to_vec();
    SignedReceipt { receipt, signature }.encode_to_vec()
}

/// Reads a signed receipt and checks it against the signer's public key.
///
/// # Errors
/// [`RecordError::NotAuthentic`] for a wrong signature or another signer, or as [`decode_strict`].
pub fn verify(signed: &[u8], public_key: &[u8]) -> Result<Receipt, RecordError> {
    let outer: SignedReceipt = decode_strict(RECORD, signed, RECORD_BYTES_MAX)?;
    let receipt: Receipt = decode_strict(RECORD, &outer.receipt, RECORD_BYTES_MAX)?;
    check_version(RECORD, receipt.version, 1)?;
    let authentic = receipt.signer == signer_id(public_key).as_bytes()
        && UnparsedPublicKey::new(&ED25519, public_key).verify(&message(&outer.receipt), &outer.signature).is_ok();
    if authentic { Ok(receipt) } else { Err(RecordError::NotAuthentic { record: RECORD }) }
}

/// What the provider's root key signs to certify a receipt key.
pub fn signer_message(public_key: &[u8]) -> Vec<u8> {
    [SIGNER_CONTEXT, public_key].concat()
}

/// True if `certificate` is the root's signature of a receipt key; `root_point` is the uncompressed P-256 point of the
/// root certificate's public key.
pub fn is_certified(public_key: &[u8], certificate: &[u8], root_point: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, root_point).verify(&signer_message(public_key), certificate).is_ok()
}

/// What the next receipt of the same source names as its previous one.
pub fn digest(signed: &[u8]) -> [u8; 32] {
    *blake3::hash(signed).as_bytes()
}

fn message(receipt: &[u8]) -> Vec<u8> {
    [CONTEXT, receipt].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_verifies_and_each_wrong_bit_shows() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let other = Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap();
        let signed = sign(Receipt { sequence: 3, snapshot: vec![4; 32], ..Receipt::default() }, &key);
        assert_eq!(verify(&signed, key.public_key().as_ref()).unwrap().sequence, 3);
        assert!(verify(&signed, other.public_key().as_ref()).is_err());
        for at in 0..signed.len() {
            let mut wrong = signed.clone();
            wrong[at] ^= 1;
            assert!(verify(&wrong, key.public_key().as_ref()).is_err(), "byte {at}");
        }
    }
}
