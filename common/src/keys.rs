//! Secrets and what is derived from them: scope keys, session keys, frame keys, chunk ids.
//!
//! It does not read files, ask for passphrases or choose random bytes; `keyring` wraps these secrets for their holders.
//!
//! Invariant: no secret has `Debug`, `Display` or `Serialize`; each is wiped when dropped.
//! Invariant: one frame key seals one frame (a fresh salt each time), so the nonce may be 0.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::{ChunkId, ScopeId, SubscriptionId};

/// What a chunk holds; part of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChunkKind {
    /// Contents of files.
    Data,
    /// Entries of the snapshot tree.
    Leaf,
    /// Inner node of the snapshot tree.
    Branch,
    /// Extents of one file that has too many for its entry.
    Extents,
}

impl ChunkKind {
    /// The byte that stands for it in a frame, in an id and in a catalog.
    pub const fn code(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Leaf => 1,
            Self::Branch => 2,
            Self::Extents => 3,
        }
    }

    /// The kind that a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::Leaf),
            2 => Some(Self::Branch),
            3 => Some(Self::Extents),
            _ => None,
        }
    }

    /// Nodes have children and are sealed with the tree key; data has neither.
    pub const fn is_node(self) -> bool {
        !matches!(self, Self::Data)
    }
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes: random ones, or those of [`Self::expose`] read back.
            pub fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, to be wrapped or stored with mode 0600. Never to be shown or logged.
            pub fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }
    };
}

secret!(
    /// Secret of a keyring generation: every scope secret is derived from it.
    WritingSecret
);
secret!(
    /// Secret of one dedup scope; the only one, with the recipients, that an agent is given.
    ScopeSecret
);
secret!(
    /// Seals the data frames of one session.
    SessionKey
);
secret!(
    /// Seals the node frames of one scope.
    TreeKey
);
secret!(
    /// Names the chunks of one scope.
    IdKey
);
secret!(
    /// Decides where nodes and solid groups end.
    BoundaryKey
);
secret!(
    /// Authenticates the snapshot objects of one scope.
    SnapshotMacKey
);

impl WritingSecret {
    /// The secret of a scope.
    pub fn scope_secret(&self, scope: &ScopeId) -> ScopeSecret {
        let mut material = [0; 48];
        material[..32].copy_from_slice(&self.0);
        material[32..].copy_from_slice(scope.as_bytes());
        let secret = ScopeSecret(blake3::derive_key("dobaas v1 scope secret", &material));
        material.zeroize();
        secret
    }

    /// Seed of the Ed25519 key that signs the next keyring generation.
    pub fn keyring_seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(blake3::derive_key("dobaas v1 keyring signature", &self.0))
    }
}

/// Everything that is derived from a scope secret.
pub struct ScopeKeys {
    /// Names chunks.
    pub id: IdKey,
    /// Decides boundaries.
    pub boundary: BoundaryKey,
    /// Seals nodes.
    pub tree: TreeKey,
    /// Authenticates snapshot objects.
    pub snapshot_mac: SnapshotMacKey,
    /// Keys the page hashes and content lookups of the agent's memory.
    pub memory: IdKey,
    gear: [u8; 32],
}

impl ScopeSecret {
    /// Derives the keys of the scope.
    pub fn keys(&self) -> ScopeKeys {
        ScopeKeys {
            id: IdKey(blake3::derive_key("dobaas v1 id key", &self.0)),
            boundary: BoundaryKey(blake3::derive_key("dobaas v1 boundary key", &self.0)),
            tree: TreeKey(blake3::derive_key("dobaas v1 tree key", &self.0)),
            snapshot_mac: SnapshotMacKey(blake3::derive_key("dobaas v1 snapshot mac key", &self.0)),
            memory: IdKey(blake3::derive_key("dobaas v1 memory key", &self.0)),
            gear: blake3::derive_key("dobaas v1 gear table", &self.0),
        }
    }
}

impl ScopeKeys {
    /// The gear table of the scope's splitter: 256 words, from the output stream of BLAKE3.
    pub fn gear_table(&self) -> Box<[u64; 256]> {
        let mut bytes = [0u8; 256 * 8];
        blake3::Hasher::new_keyed(&self.gear).finalize_xof().fill(&mut bytes);
        let mut table = Box::new([0u64; 256]);
        for (word, bytes) in table.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().expect("chunks of eight bytes"));
        }
        bytes.zeroize();
        table
    }
}

impl Drop for ScopeKeys {
    fn drop(&mut self) {
        self.gear.zeroize();
    }
}

impl IdKey {
    /// Names a chunk: `BLAKE3-keyed(kind ‖ child count ‖ children ‖ plaintext)`.
    ///
    /// `children` is empty for data; at most [`crate::limits::NODE_CHILDREN_MAX`] otherwise.
    pub fn chunk_id(&self, kind: ChunkKind, children: &[ChunkId], plaintext: &[u8]) -> ChunkId {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let count = u32::try_from(children.len()).unwrap_or(u32::MAX);
        let mut head = [0; 5];
        head[0] = kind.code();
        head[1..].copy_from_slice(&count.to_le_bytes());
        hasher.update(&head);
        for child in children {
            hasher.update(child.as_bytes());
        }
        hasher.update(plaintext);
        ChunkId::new(*hasher.finalize().as_bytes())
    }

    /// Hashes the whole content of a file, piece by piece, into its content digest (32 bytes).
    ///
    /// Plain keyed BLAKE3, so that digests of aligned windows can be merged (`blake3::hazmat`). A content digest is never
    /// used as a chunk id.
    pub fn content_hasher(&self) -> blake3::Hasher {
        blake3::Hasher::new_keyed(&self.0)
    }

    /// A keyed 16-byte hash, for page hashes and lookups that never leave the agent.
    pub fn short_hash(&self, bytes: &[u8]) -> [u8; 16] {
        let mut short = [0; 16];
        short.copy_from_slice(&blake3::keyed_hash(&self.0, bytes).as_bytes()[..16]);
        short
    }
}

impl BoundaryKey {
    /// The 32-bit keyed hash that boundary rules compare: `level ‖ parts`, each part preceded by its length.
    pub fn hash(&self, level: u8, parts: &[&[u8]]) -> u32 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&[level]);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let mut word = [0; 4];
        word.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
        u32::from_le_bytes(word)
    }
}

impl SnapshotMacKey {
    /// Mac over the exact stored bytes of a snapshot object's two customer parts, each preceded by its length.
    pub fn mac(&self, agent_part: &[u8], sealed_part: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [agent_part, sealed_part] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// True if `mac` is the one of these parts; constant time.
    pub fn verify(&self, agent_part: &[u8], sealed_part: &[u8], mac: &[u8]) -> bool {
        let Ok(mac) = <[u8; 32]>::try_from(mac) else { return false };
        blake3::Hash::from_bytes(mac) == blake3::Hash::from_bytes(self.mac(agent_part, sealed_part))
    }
}

/// What an AEAD key is for; part of its derivation, so that no object can pass for another.
#[derive(Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// One frame of one subscription.
    Frame { subscription: &'a SubscriptionId, kind: ChunkKind, id: &'a ChunkId },
    /// The sealed part of a snapshot object.
    Snapshot { subscription: &'a SubscriptionId },
}

/// AES-256-GCM under `HKDF-SHA-256(secret, salt, purpose)`, nonce 0: one key, one message.
pub(crate) fn aead_key(secret: &[u8; 32], salt: &[u8; 16], purpose: Purpose<'_>) -> LessSafeKey {
    let prk = Salt::new(HKDF_SHA256, salt).extract(secret);
    let fill = |info: &[&[u8]]| {
        let okm = prk.expand(info, &AES_256_GCM).expect("an AES key is shorter than HKDF's longest output");
        LessSafeKey::new(UnboundKey::from(okm))
    };
    match purpose {
        Purpose::Frame { subscription, kind, id } => {
            fill(&[b"dobaas frame v1", subscription.as_bytes(), &[kind.code()], id.as_bytes()])
        }
        Purpose::Snapshot { subscription } => fill(&[b"dobaas snapshot v1", subscription.as_bytes()]),
    }
}

/// Encrypts `buffer[from..]` in place and appends the tag.
pub(crate) fn aead_seal(key: &LessSafeKey, aad: &[u8], buffer: &mut [u8]) -> [u8; 16] {
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(aad), buffer)
        .expect("AES-GCM seals any message of at most 4 MiB");
    let mut bytes = [0; 16];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}

/// Decrypts `buffer` (ciphertext then tag) in place; the plaintext, or `None` if one bit is wrong.
pub(crate) fn aead_open<'a>(key: &LessSafeKey, aad: &[u8], buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
    key.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::from(aad), buffer).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_one_writing_secret_share_nothing() {
        let secret = WritingSecret::new([7; 32]);
        let (a, b) =
            (secret.scope_secret(&ScopeId::new([1; 16])).keys(), secret.scope_secret(&ScopeId::new([2; 16])).keys());
        assert_ne!(a.id.expose(), b.id.expose());
        assert_ne!(a.tree.expose(), b.tree.expose());
        assert_ne!(a.gear_table(), b.gear_table());
        assert_ne!(a.id.expose(), a.memory.expose());
    }

    #[test]
    fn an_id_depends_on_kind_children_and_plaintext() {
        let key = IdKey::new([3; 32]);
        let child = ChunkId::new([9; 32]);
        let ids = [
            key.chunk_id(ChunkKind::Data, &[], b"x"),
            key.chunk_id(ChunkKind::Leaf, &[], b"x"),
            key.chunk_id(ChunkKind::Leaf, &[child], b"x"),
            key.chunk_id(ChunkKind::Data, &[], b"y"),
            IdKey::new([4; 32]).chunk_id(ChunkKind::Data, &[], b"x"),
        ];
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
    }

    #[test]
    fn parts_of_a_mac_or_boundary_cannot_slide_into_each_other() {
        let mac = SnapshotMacKey::new([1; 32]);
        assert_ne!(mac.mac(b"ab", b"c"), mac.mac(b"a", b"bc"));
        assert!(mac.verify(b"ab", b"c", &mac.mac(b"ab", b"c")));
        assert!(!mac.verify(b"ab", b"c", &[0; 32]));
        assert!(!mac.verify(b"ab", b"c", b"short"));
        let boundary = BoundaryKey::new([1; 32]);
        assert_ne!(boundary.hash(0, &[b"ab", b"c"]), boundary.hash(0, &[b"a", b"bc"]));
    }
}
