//! Tests of the keyring: holders, chains, and what a hostile server could offer.

use age::scrypt;
use age::secrecy::SecretString;

use super::holder::{Lock, Passphrase};
use super::*;
use crate::envelope::encrypt;
use crate::limits::PASSPHRASE_BYTES_MAX;
use crate::recovery::RecoveryKey;

const LOG_N: u8 = 2;

fn passphrase(text: &str) -> NewHolder {
    NewHolder { label: "phrase secrète".into(), lock: Lock::Passphrase(Passphrase::chosen(text).unwrap(), LOG_N) }
}

fn recovery(byte: u8) -> NewHolder {
    NewHolder { label: "clé de secours".into(), lock: Lock::Recovery(RecoveryKey::new([byte; 32])) }
}

fn typed(text: &str) -> Passphrase {
    Passphrase::typed(text).unwrap()
}

fn opens(keyring: &Keyring, text: &str) -> bool {
    keyring.open(&Opener::Passphrase(&typed(text))).is_ok()
}

const FIRST: &str = "correct cheval pile";
const SECOND: &str = "une autre phrase";

#[test]
fn each_holder_opens_the_same_secrets() {
    let provider = ReadingIdentity::generate();
    let holders = [
        passphrase(FIRST),
        recovery(9),
        NewHolder { label: "prestataire".into(), lock: Lock::Provider(provider.recipient()) },
    ];
    let (bytes, keys) = create(WritingSecret::new([1; 32]), &holders).unwrap();
    let keyring = Keyring::verify(&[bytes], None).unwrap();
    let phrase = typed(&format!("{FIRST}\n"));
    for opener in
        [Opener::Passphrase(&phrase), Opener::Recovery(&RecoveryKey::new([9; 32])), Opener::Provider(&provider)]
    {
        let opened = keyring.open(&opener).unwrap();
        assert_eq!(opened.writing.expose(), keys.writing.expose());
        assert_eq!(opened.identities[0].recipient(), keys.identities[0].recipient());
    }
    assert!(!opens(&keyring, SECOND));
    assert!(keyring.open(&Opener::Recovery(&RecoveryKey::new([8; 32]))).is_err());
    assert!(keyring.open(&Opener::Provider(&ReadingIdentity::generate())).is_err());
    assert_eq!(keyring.recipients(), [keys.identities[0].recipient()]);
    assert_eq!(
        keyring.holders().map(|(kind, _)| kind).collect::<Vec<_>>(),
        [HolderKind::Passphrase, HolderKind::RecoveryKey, HolderKind::Provider]
    );
}

#[test]
fn a_changed_passphrase_closes_the_old_one_and_keeps_the_secrets() {
    let (first, keys) = create(WritingSecret::new([1; 32]), &[passphrase(FIRST)]).unwrap();
    let keyring = Keyring::verify(std::slice::from_ref(&first), None).unwrap();
    let pin = keyring.pin();
    let (second, _) = keyring.change(&keys, &[passphrase(SECOND)], Rotation::Keep).unwrap();
    let chain = [first.clone(), second];
    let keyring = Keyring::verify(&chain, Some(&pin)).unwrap();
    assert!(opens(&keyring, SECOND) && !opens(&keyring, FIRST));
    assert_eq!(keyring.pin(), Pin { generation: 1, ..pin });

    let (third, rotated) = keyring.change(&keys, &[passphrase(SECOND)], Rotation::NewIdentity).unwrap();
    let newest = Keyring::verify(&[&chain[..], &[third]].concat(), Some(&keyring.pin())).unwrap();
    assert_eq!(rotated.identities.len(), 2);
    assert_eq!(newest.recipients(), [rotated.identities[0].recipient()]);
    assert_ne!(newest.recipients(), keyring.recipients());
    assert_eq!(newest.open(&Opener::Passphrase(&typed(SECOND))).unwrap().identities.len(), 2);
    assert_eq!(Keyring::verify(&chain[..1], Some(&newest.pin())).err(), Some(KeyringError::NotPinned), "rolled back");
}

#[test]
fn another_keyring_never_passes_for_the_pinned_one() {
    let (ours, keys) = create(WritingSecret::new([1; 32]), &[passphrase(FIRST)]).unwrap();
    let (theirs, _) = create(WritingSecret::new([2; 32]), &[passphrase(FIRST)]).unwrap();
    let keyring = Keyring::verify(std::slice::from_ref(&ours), None).unwrap();
    assert_eq!(
        Keyring::verify(std::slice::from_ref(&theirs), Some(&keyring.pin())).err(),
        Some(KeyringError::NotPinned)
    );
    assert_eq!(Keyring::verify(&[], None).err(), Some(KeyringError::Empty));
    let other = Keyring::verify(std::slice::from_ref(&theirs), None).unwrap();
    assert_eq!(other.change(&keys, &[passphrase(FIRST)], Rotation::Keep).err(), Some(KeyringError::WrongSecret));
    let (next, _) = keyring.change(&keys, &[passphrase(FIRST)], Rotation::Keep).unwrap();
    assert_eq!(Keyring::verify(&[theirs, next.clone()], None).err(), Some(KeyringError::Broken { number: 1 }));
    assert_eq!(Keyring::verify(&[next], None).err(), Some(KeyringError::Broken { number: 0 }));
}

/// The server has the real holder files; it signs with a key of its own and names a recipient that it can open.
#[test]
fn real_holder_files_around_foreign_recipients_are_refused() {
    let (ours, _) = create(WritingSecret::new([1; 32]), &[passphrase(FIRST)]).unwrap();
    let outer = SignedKeyring::decode(&ours[..]).unwrap();
    let mut generation = KeyringGeneration::decode(&outer.generation[..]).unwrap();
    let evil = Ed25519KeyPair::from_seed_unchecked(&[6; 32]).unwrap();
    generation.recipients = vec![ReadingIdentity::generate().recipient().to_string()];
    let sign = |generation: &KeyringGeneration| {
        let generation = generation.encode_to_vec();
        let signature = evil.sign(&message(&generation)).as_ref().to_vec();
        SignedKeyring { generation, signature }.encode_to_vec()
    };
    assert!(Keyring::verify(&[sign(&generation)], None).is_err(), "the real verifying key did not sign it");
    generation.verifying_key = evil.public_key().as_ref().to_vec();
    let keyring = Keyring::verify(&[sign(&generation)], None).unwrap();
    assert_eq!(keyring.open(&Opener::Passphrase(&typed(FIRST))).err(), Some(KeyringError::WrongSecret));
}

#[test]
fn every_flipped_byte_is_refused() {
    let (bytes, _) = create(WritingSecret::new([1; 32]), &[passphrase(FIRST)]).unwrap();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 0x04;
        assert!(Keyring::verify(&[wrong], None).is_err(), "byte {at}");
        assert!(Keyring::verify(&[bytes[..at].to_vec()], None).is_err(), "cut at {at}");
    }
}

#[test]
fn work_that_a_reader_would_not_do_is_refused_before_it_starts() {
    let mut recipient = scrypt::Recipient::new(SecretString::from(FIRST.to_owned()));
    recipient.set_work_factor(4);
    let file = encrypt([&recipient as &dyn age::Recipient].into_iter(), b"x").unwrap();
    let text = String::from_utf8_lossy(&file).into_owned();
    let end = text.find('\n').unwrap() + text[text.find('\n').unwrap() + 1..].find('\n').unwrap() + 1;
    assert!(text[..end].ends_with(" 4"));
    let costly = [&file[..end - 1], b"40", &file[end..]].concat();
    let phrase = typed(FIRST);
    assert!(unwrap(&file, &Opener::Passphrase(&phrase)).is_some());
    assert!(unwrap(&costly, &Opener::Passphrase(&phrase)).is_none());
}

#[test]
fn limits_are_enforced() {
    let many: Vec<_> = (0..=KEYRING_HOLDERS_MAX).map(|_| recovery(3)).collect();
    assert!(matches!(create(WritingSecret::new([1; 32]), &many), Err(KeyringError::TooMany { .. })));
    assert_eq!(create(WritingSecret::new([1; 32]), &[]).err(), Some(KeyringError::Empty));
    let mut long = recovery(3);
    long.label = "x".repeat(HOLDER_LABEL_BYTES_MAX + 1);
    assert!(create(WritingSecret::new([1; 32]), &[long]).is_err());
    assert_eq!(Passphrase::chosen("onze lettre").err(), Some(KeyringError::ShortPassphrase { min: 12 }));
    assert!(Passphrase::typed(&"x".repeat(PASSPHRASE_BYTES_MAX + 1)).is_err());
}

#[test]
fn the_golden_generations_still_open() {
    let chain = [
        include_bytes!("../../tests/golden/keyring-0-v1.bin").to_vec(),
        include_bytes!("../../tests/golden/keyring-1-v1.bin").to_vec(),
    ];
    let first = Keyring::verify(&chain[..1], None).unwrap();
    assert!(opens(&first, FIRST) && !opens(&first, SECOND));
    let newest = Keyring::verify(&chain, Some(&first.pin())).unwrap();
    assert!(opens(&newest, SECOND) && !opens(&newest, FIRST));
    let keys = newest.open(&Opener::Recovery(&RecoveryKey::new([9; 32]))).unwrap();
    assert_eq!(keys.writing.expose(), &[1; 32]);
}
