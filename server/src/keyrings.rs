//! Keyrings of subscriptions as stored objects: read whole, extended by exactly one generation at a time.
//!
//! It cannot open a keyring; it checks that generations follow one another and are signed.
//!
//! Invariant: a generation is published without replacing, so of two appended at once one is refused.

use common::id::SubscriptionId;
use common::keyring::Keyring;
use common::limits::{KEYRING_BYTES_MAX, UNARY_MESSAGE_BYTES_MAX};
use proto::code::{ErrorCode, Failure};

use crate::grpc::status;
use crate::store::error::StoreError;
use crate::store::name::{Folder, ObjectName};
use crate::store::objects::Objects;

/// What the generations may take together: they travel in one message.
const ALL_BYTES_MAX: usize = UNARY_MESSAGE_BYTES_MAX - (4 << 10);

/// Every generation, oldest first. Blocks on the disk.
///
/// # Errors
/// The failure to answer with.
pub fn read(objects: &Objects, subscription: &SubscriptionId) -> Result<Vec<Vec<u8>>, Failure> {
    let names = objects.list(subscription, Folder::Keyring).map_err(|error| status::of_store(&error))?;
    names
        .iter()
        .zip(0..)
        .map(|(name, number)| {
            if *name != ObjectName::Keyring(number) {
                return Err(Failure::new(ErrorCode::Damaged).with("object", ObjectName::Keyring(number)));
            }
            objects.read(subscription, name, KEYRING_BYTES_MAX).map_err(|error| status::of_store(&error))
        })
        .collect()
}

/// Adds a generation; its number. `first_only`: the caller may only add the first one. Blocks on the disk.
///
/// # Errors
/// The failure to answer with.
pub fn append(
    objects: &Objects,
    subscription: &SubscriptionId,
    generation: &[u8],
    first_only: bool,
) -> Result<u64, Failure> {
    if generation.len() > KEYRING_BYTES_MAX {
        return Err(Failure::new(ErrorCode::LimitExceeded).with("limit", "keyring").with("max", KEYRING_BYTES_MAX));
    }
    let mut chain = read(objects, subscription)?;
    let number = chain.len() as u64;
    if first_only && number > 0 {
        return Err(Failure::new(ErrorCode::PermissionDenied).with("role", "admin"));
    }
    chain.push(generation.to_vec());
    if chain.iter().map(Vec::len).sum::<usize>() > ALL_BYTES_MAX {
        return Err(Failure::new(ErrorCode::LimitExceeded).with("limit", "keyring").with("max", ALL_BYTES_MAX));
    }
    Keyring::verify(&chain, None).map_err(|_| refused(number))?;
    match objects.publish(subscription, &ObjectName::Keyring(number), generation) {
        Ok(()) => Ok(number),
        Err(StoreError::AlreadyExists(_)) => Err(conflict(number)),
        Err(error) => Err(status::of_store(&error)),
    }
}

/// A generation that does not follow: somebody was faster, or it is none.
fn refused(number: u64) -> Failure {
    number.checked_sub(1).map_or_else(|| status::invalid("generation", "keyring"), conflict)
}

fn conflict(newest: u64) -> Failure {
    Failure::new(ErrorCode::KeyringConflict).with("number", newest)
}

#[cfg(test)]
mod tests {
    use common::keyring::holder::{Lock, NewHolder, Opener, Passphrase};
    use common::keyring::{Rotation, create};
    use common::keys::WritingSecret;

    use super::*;

    fn holder() -> NewHolder {
        let passphrase = Passphrase::chosen("phrase assez longue").unwrap();
        NewHolder { label: "phrase secrète".into(), lock: Lock::Passphrase(passphrase, 2) }
    }

    #[test]
    fn generations_follow_one_another_and_the_first_one_is_anybodys() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::open(folder.path(), 0).unwrap();
        let subscription = SubscriptionId::new([1; 16]);
        let (first, keys) = create(WritingSecret::new([5; 32]), &[holder()]).unwrap();
        assert_eq!(read(&objects, &subscription), Ok(vec![]));
        assert_eq!(append(&objects, &subscription, b"nonsense", true), Err(status::invalid("generation", "keyring")));
        assert_eq!(append(&objects, &subscription, &first, true), Ok(0));
        assert_eq!(append(&objects, &subscription, &first, false), Err(conflict(0)));
        let keyring = Keyring::verify(std::slice::from_ref(&first), None).unwrap();
        let opener = Passphrase::typed("phrase assez longue").unwrap();
        assert!(keyring.open(&Opener::Passphrase(&opener)).is_ok());
        let (second, _) = keyring.change(&keys, &[holder()], Rotation::Keep).unwrap();
        let denied = append(&objects, &subscription, &second, true).unwrap_err();
        assert_eq!(denied.code, ErrorCode::PermissionDenied);
        let (other, _) = create(WritingSecret::new([6; 32]), &[holder()]).unwrap();
        assert_eq!(append(&objects, &subscription, &other, false), Err(conflict(0)));
        assert_eq!(append(&objects, &subscription, &second, false), Ok(1));
        assert_eq!(read(&objects, &subscription), Ok(vec![first, second]));
    }
}
