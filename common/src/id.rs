//! Identifiers: fixed-size, opaque, shown in lower-case hexadecimal.
//!
//! It does not make random ones: randomness comes from the callers that own it (I8).

use std::fmt;
use std::str::FromStr;

/// A text or byte string that is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} id needs {wanted_bytes} bytes in hexadecimal")]
pub struct InvalidId {
    /// Which identifier was wanted.
    pub kind: &'static str,
    /// Its length in bytes.
    pub wanted_bytes: usize,
}

/// Writes bytes in lower-case hexadecimal.
pub fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// Reads exactly `out.len()` bytes of hexadecimal; false if `text` is anything else.
pub fn read_hex(text: &str, out: &mut [u8]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return false;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    true
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Length in bytes.
            pub const BYTES: usize = $bytes;

            /// Takes the bytes as they are.
            pub const fn new(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The first eight hexadecimal digits, for people.
            pub fn short(&self) -> String {
                self.to_string()[..8].to_owned()
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = InvalidId;
            fn try_from(bytes: &[u8]) -> Result<Self, InvalidId> {
                bytes.try_into().map(Self).map_err(|_| InvalidId { kind: $kind, wanted_bytes: $bytes })
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $bytes];
                if read_hex(text, &mut bytes) { Ok(Self(bytes)) } else { Err(InvalidId { kind: $kind, wanted_bytes: $bytes }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }
    };
}

id!(
    /// Name of a chunk: keyed BLAKE3 of its kind, children and plaintext (formats.md, Chunk ids).
    ChunkId, 32, "chunk"
);
id!(
    /// Name of a pack: BLAKE3 of all its bytes.
    PackId, 32, "pack"
);
id!(
    /// A backup session, made by the agent; once committed, also the name of the snapshot.
    SessionId, 16, "session"
);
id!(
    /// A subscription: the unit of history, quota, keys and placement.
    SubscriptionId, 16, "subscription"
);
id!(
    /// A dedup domain inside a subscription.
    ScopeId, 16, "scope"
);
id!(
    /// An enrolled agent.
    AgentId, 16, "agent"
);
id!(
    /// A contracted source.
    SourceId, 16, "source"
);
id!(
    /// Name of a fact beside the packs: the first bytes of the BLAKE3 of its bytes.
    FactId, 16, "fact"
);
id!(
    /// A key of the server that signs receipts: the first bytes of the BLAKE3 of its public key.
    SignerId, 16, "signer"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_comes_back_and_anything_else_is_refused() {
        let id = SessionId::new([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        for bad in ["", "ab", &"g".repeat(32), &"a".repeat(33)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
        assert!(SessionId::try_from(&[0u8; 15][..]).is_err());
    }
}
