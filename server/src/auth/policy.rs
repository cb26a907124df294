//! Which passwords a person may choose: long, not the default, not the identifier, not a common one or a simple
//! derivation of one.
//!
//! Invariant: pure; the same password gets the same answer.

use common::limits::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};

/// Stems of passwords of twelve characters and more that people choose first, in lower case, letters only.
const COMMON: &str = include_str!("common_passwords.txt");
/// Rows of keyboards and other sequences, in both directions when compared.
const SEQUENCES: [&str; 9] = [
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertyuiopasdfghjklzxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "aqwzsxedcrfvtgbyhnujmikolp",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1aqw2zsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qwertzuiopasdfghjklyxcvbnm",
    "1q2w3e4r5t6y7u8i9o0p",
];
/// Fewest different characters.
const DISTINCT_MIN: usize = 5;
/// Shortest identifier, or part of one, that a password may not be built on.
const IDENTIFIER_PART_MIN: usize = 4;

/// Why a password is refused; the `reason` of `WEAK_PASSWORD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakness {
    /// Fewer than twelve characters, or more than are hashed.
    Short,
    /// It is the default password.
    Default,
    /// It is built on the identifier.
    Identifier,
    /// It is common, or simply derived from what is.
    Common,
}

impl Weakness {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Default => "default",
            Self::Identifier => "identifier",
            Self::Common => "common",
        }
    }
}

/// Judges a password that the owner of `identifier` wants; `is_default` if it is one that the provider made.
///
/// # Errors
/// The first weakness.
pub fn check(password: &str, identifier: &str, is_default: bool) -> Result<(), Weakness> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        return Err(Weakness::Short);
    }
    if is_default {
        return Err(Weakness::Default);
    }
    let plain = password.to_lowercase();
    if is_built_on_identifier(&plain, &identifier.to_lowercase()) {
        return Err(Weakness::Identifier);
    }
    if is_common(&plain) { Err(Weakness::Common) } else { Ok(()) }
}

/// What is left of the password without the identifier is too little to be one.
fn is_built_on_identifier(password: &str, identifier: &str) -> bool {
    let name = identifier.split('@').next().unwrap_or(identifier);
    let parts = [identifier, name].into_iter().chain(name.split(|letter: char| !letter.is_alphanumeric()));
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    parts.filter(|part| part.chars().count() >= IDENTIFIER_PART_MIN).any(|part| {
        [part.to_owned(), reversed(part)]
            .iter()
            .any(|part| password.contains(part) && password.replace(part, "").chars().count() < PASSWORD_CHARS_MIN / 2)
    })
}

fn is_common(password: &str) -> bool {
    let distinct: std::collections::BTreeSet<char> = password.chars().collect();
    if distinct.len() < DISTINCT_MIN || is_sequence(password) {
        return true;
    }
    let letters = |text: &str| text.chars().filter(|letter| letter.is_alphabetic()).collect::<String>();
    let unmasked = |text: &str| text.chars().map(unmask).collect::<String>();
    // Digits and signs at the ends are decoration; inside, they are letters in disguise.
    let core = password.trim_matches(|letter: char| !letter.is_alphabetic());
    let stems = [letters(password), letters(&unmasked(core)), letters(&unmasked(password))];
    COMMON.lines().any(|common| stems.iter().any(|stem| stem == common || *stem == common.repeat(2)))
}

/// Letters as people mask them.
const fn unmask(letter: char) -> char {
    match letter {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' | '€' | 'é' | 'è' | 'ê' => 'e',
        '4' | '@' | 'à' | 'â' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        'ç' => 'c',
        other => other,
    }
}

/// Nearly all of it runs along a keyboard row, the alphabet or the digits.
fn is_sequence(password: &str) -> bool {
    let letters: Vec<char> = password.chars().collect();
    let follows = |pair: &[char]| {
        let forward: String = pair.iter().collect();
        let backward: String = pair.iter().rev().collect();
        pair[0] == pair[1] || SEQUENCES.iter().any(|row| row.contains(&forward) || row.contains(&backward))
    };
    let breaks = letters.windows(2).filter(|pair| !follows(pair)).count();
    breaks * 5 <= letters.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_with_their_reason() {
        let rows = [
            ("court", Weakness::Short),
            ("onze lettre", Weakness::Short),
            ("motdepasse123", Weakness::Common),
            ("M0tDeP@sse2026!", Weakness::Common),
            ("Password2026!", Weakness::Common),
            ("azertyuiop12", Weakness::Common),
            ("1q2w3e4r5t6y", Weakness::Common),
            ("123456789012", Weakness::Common),
            ("aaaaaaaaaaaa", Weakness::Common),
            ("abababababab", Weakness::Common),
            ("motdepassemotdepasse", Weakness::Common),
            ("jean.dupont2026", Weakness::Identifier),
            ("tnopud.naej12", Weakness::Identifier),
            ("Jean.Dupont@acme.fr", Weakness::Identifier),
        ];
        for (password, weakness) in rows {
            assert_eq!(check(password, "jean.dupont@acme.fr", false), Err(weakness), "{password}");
        }
        assert_eq!(check("a long fair passphrase", "jean", true), Err(Weakness::Default));
        assert_eq!(check(&"é".repeat(600), "jean", false), Err(Weakness::Short));
    }

    #[test]
    fn passwords_with_substance_are_accepted() {
        let good = [
            "cheval pile agrafe correct",
            "Vu8kPq2Rz7Wm",
            "le petit chat dort sous la table",
            "dupont aime les grandes marées d'équinoxe",
            "tr0mbone-lilas-42-virage",
        ];
        for password in good {
            assert_eq!(check(password, "jean.dupont@acme.fr", false), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_common_list_is_lower_case_letters_and_has_no_duplicate() {
        let mut seen = std::collections::BTreeSet::new();
        for line in COMMON.lines() {
            assert!(!line.is_empty() && line.chars().all(|letter| letter.is_lowercase()), "{line}");
            assert!(seen.insert(line), "{line}");
        }
    }
}
