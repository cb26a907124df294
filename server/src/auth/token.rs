//! Tokens: 256 random bits with a prefix that tells what they are; the server keeps digests only.
//!
//! Invariant: a token is never stored, logged or compared; its BLAKE3 digest is looked up (random, so a fast hash is enough).

use common::id::{read_hex, write_hex};
use std::fmt;

use crate::clock::Random;

/// What a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// The login of a person or an operator.
    Login,
    /// An enrolled agent.
    Agent,
    /// One enrolment.
    Enrolment,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Login => "dbl_",
            Self::Agent => "dba_",
            Self::Enrolment => "dbe_",
        }
    }
}

/// A token's kind and digest: what the server works with.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenDigest {
    /// What it stands for.
    pub kind: TokenKind,
    /// BLAKE3 of its bytes.
    pub digest: [u8; 32],
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, self.0)
    }
}

/// Makes a token: its text, to be shown or sent once, and its digest.
pub fn make(kind: TokenKind, random: &Random) -> (String, [u8; 32]) {
    let secret: [u8; 32] = random.bytes();
    (format!("{}{}", kind.prefix(), Hex(&secret)), digest(&secret))
}

/// Reads a token; `None` if it is not of our making.
pub fn parse(text: &str) -> Option<TokenDigest> {
    let kinds = [TokenKind::Login, TokenKind::Agent, TokenKind::Enrolment];
    let kind = kinds.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
    let mut secret = [0; 32];
    read_hex(&text[kind.prefix().len()..], &mut secret).then(|| TokenDigest { kind, digest: digest(&secret) })
}

fn digest(secret: &[u8; 32]) -> [u8; 32] {
    *blake3::hash(secret).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_to_its_digest_and_nothing_else_is() {
        let random = Random::new(|bytes| bytes.fill(7));
        for kind in [TokenKind::Login, TokenKind::Agent, TokenKind::Enrolment] {
            let (text, digest) = make(kind, &random);
            assert!(parse(&text) == Some(TokenDigest { kind, digest }));
            assert!(parse(&text[1..]).is_none());
            assert!(parse(&text[..text.len() - 1]).is_none());
        }
        for bad in ["", "dbl_", "dbx_00", "dbl_é"] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
