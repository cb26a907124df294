//! The recovery key: 256 random bits on paper, the last way back into a keyring.
//!
//! ```text
//! 32 bytes of key ‖ 3 bytes of checksum  →  56 digits of base 32 (0-9 A-Z without I L O U), 14 groups of 4
//! ```
//! It does not choose the bits nor open anything: `keyring` wraps the reading keys for it, as an age file whose passphrase is
//! exactly the text shown, dashes included, so that the age program opens it too.
//!
//! Invariant: a text with one wrong, missing or exchanged digit is an error that says which of the three it looks like.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHECKSUM_BYTES: usize = 3;
const TEXT_DIGITS: usize = (32 + CHECKSUM_BYTES) * 8 / 5;
const GROUP_DIGITS: usize = 4;
const CHECKSUM_CONTEXT: &str = "dobaas v1 recovery key checksum";

/// A recovery key; wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct RecoveryKey([u8; 32]);

/// Why a typed text is not a recovery key. Never holds what was typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryKeyError {
    /// Digits are missing or too many.
    #[error("a recovery key has {wanted} characters, not {found}")]
    Length {
        /// How many there must be.
        wanted: usize,
        /// How many were typed.
        found: usize,
    },
    /// A character that no recovery key contains.
    #[error("character {position} is none of a recovery key's")]
    Character {
        /// Its position, from 1, spaces and dashes not counted.
        position: usize,
    },
    /// The right length, but something was mistyped.
    #[error("the checksum of the recovery key does not match")]
    Checksum,
}

impl RecoveryKey {
    /// Takes 32 random bytes.
    pub fn new(random: [u8; 32]) -> Self {
        Self(random)
    }

    /// The text to print: 14 groups of 4 digits, checksum included.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; 32 + CHECKSUM_BYTES]);
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&checksum(&self.0));
        let mut text = Zeroizing::new(String::with_capacity(TEXT_DIGITS + TEXT_DIGITS / GROUP_DIGITS));
        for (position, digit) in digits(&bytes).enumerate() {
            if position > 0 && position % GROUP_DIGITS == 0 {
                text.push('-');
            }
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
        text
    }

    /// Reads a typed text; case, spaces and dashes do not matter, I and L pass for 1, O for 0.
    ///
    /// # Errors
    /// Any [`RecoveryKeyError`].
    pub fn parse(text: &str) -> Result<Self, RecoveryKeyError> {
        let typed = || text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '–' | '—' | '_'));
        let mut values = Zeroizing::new(Vec::with_capacity(TEXT_DIGITS));
        for (position, character) in typed().take(TEXT_DIGITS).enumerate() {
            values.push(value(character).ok_or(RecoveryKeyError::Character { position: position + 1 })?);
        }
        let found = typed().take(TEXT_DIGITS * 2).count();
        if found != TEXT_DIGITS {
            return Err(RecoveryKeyError::Length { wanted: TEXT_DIGITS, found });
        }
        let mut bytes = Zeroizing::new([0u8; 32 + CHECKSUM_BYTES]);
        for (position, digit) in values.iter().enumerate() {
            for bit in 0..5 {
                let at = position * 5 + bit;
                bytes[at / 8] |= (digit >> (4 - bit) & 1) << (7 - at % 8);
            }
        }
        let mut key = Self([0; 32]);
        key.0.copy_from_slice(&bytes[..32]);
        if bytes[32..] == checksum(&key.0) { Ok(key) } else { Err(RecoveryKeyError::Checksum) }
    }
}

fn checksum(key: &[u8; 32]) -> [u8; CHECKSUM_BYTES] {
    let mut short = [0; CHECKSUM_BYTES];
    short.copy_from_slice(&blake3::derive_key(CHECKSUM_CONTEXT, key)[..CHECKSUM_BYTES]);
    short
}

/// Groups of five bits, most significant first.
fn digits(bytes: &[u8; 32 + CHECKSUM_BYTES]) -> impl Iterator<Item = u8> + '_ {
    (0..TEXT_DIGITS)
        .map(|digit| (digit * 5..digit * 5 + 5).fold(0, |value, at| value << 1 | (bytes[at / 8] >> (7 - at % 8) & 1)))
}

fn value(character: char) -> Option<u8> {
    let digit = match character.to_ascii_uppercase() {
        'I' | 'L' => '1',
        'O' => '0',
        other => other,
    };
    DIGITS.iter().position(|known| char::from(*known) == digit).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> RecoveryKey {
        RecoveryKey::new(std::array::from_fn(|i| u8::try_from(i * 37 % 256).unwrap()))
    }

    #[test]
    fn the_text_is_fourteen_groups_and_comes_back() {
        let text = key().to_text();
        assert_eq!(text.as_str(), GOLDEN);
        assert_eq!(text.split('-').count(), 14);
        assert!(RecoveryKey::parse(&text).unwrap().0 == key().0);
    }

    const GOLDEN: &str = "00JM-MVWM-Q7F0-6A2D-EABV-SR86-5D87-B6NZ-WG4J-WMVR-KQ1E-E31H-ASXG-DKTN";

    #[test]
    fn typing_is_forgiven_case_spaces_dashes_and_look_alikes() {
        let text = RecoveryKey::new([0x08; 32]).to_text();
        assert!(text.contains('1') && text.contains('0'), "{}", text.as_str());
        for typed in [
            text.to_lowercase(),
            text.replace('-', " "),
            text.replace('-', ""),
            text.replace('1', "l").replace('0', "o"),
            text.replace('1', "I").replace('0', "O"),
            format!("  {}\n", text.as_str()),
        ] {
            assert!(RecoveryKey::parse(&typed).unwrap().0 == [0x08; 32], "{typed}");
        }
    }

    #[test]
    fn every_wrong_or_exchanged_digit_is_found() {
        let text = key().to_text();
        let typed: Vec<char> = text.chars().collect();
        for at in (0..typed.len()).filter(|at| typed[*at] != '-') {
            let mut wrong = typed.clone();
            wrong[at] = if typed[at] == '7' { '8' } else { '7' };
            let wrong: String = wrong.into_iter().collect();
            assert_eq!(RecoveryKey::parse(&wrong).err(), Some(RecoveryKeyError::Checksum), "{at}");
        }
        let mut exchanged = typed.clone();
        exchanged.swap(0, 1);
        assert_eq!(
            RecoveryKey::parse(&exchanged.iter().collect::<String>()).err(),
            (typed[0] != typed[1]).then_some(RecoveryKeyError::Checksum)
        );
    }

    #[test]
    fn a_wrong_length_or_character_says_so() {
        let text = key().to_text();
        let length = |found| Some(RecoveryKeyError::Length { wanted: 56, found });
        assert_eq!(RecoveryKey::parse("").err(), length(0));
        assert_eq!(RecoveryKey::parse(&text[..text.len() - 1]).err(), length(55));
        assert_eq!(RecoveryKey::parse(&format!("{}0", text.as_str())).err(), length(57));
        assert_eq!(RecoveryKey::parse("ABU").err(), Some(RecoveryKeyError::Character { position: 3 }));
        assert_eq!(RecoveryKey::parse("é").err(), Some(RecoveryKeyError::Character { position: 1 }));
    }
}
