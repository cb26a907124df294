//! The frame: a chunk as it is stored and sent, compressed, sealed, describing itself.
//!
//! Layout (little-endian), version 1:
//! ```text
//! magic "DBF" | version u8 | kind u8 | codec u8 | key u8 | plain_bytes u32 | sealed_bytes u32
//! id 32 | session 16 | salt 16 | child_count u32 | children child_count × 32 | ciphertext | tag 16
//! ```
//! `sealed_bytes` counts ciphertext and tag. The additional data of the AEAD is everything before the ciphertext.
//! It does not decide what is compressed, and never touches the network or a file.
//!
//! Invariant: I1 — a frame is named by the keyed hash of its plaintext, checked again at each opening.
//! Invariant: I10 — magic and version first; an unknown version is an error.
//! Invariant: no length from outside is used before it was checked against `limits`.

use crate::id::{ChunkId, SessionId, SubscriptionId};
use crate::keys::{ChunkKind, IdKey, Purpose, SessionKey, TreeKey, aead_key, aead_open, aead_seal};
use crate::limits::{FRAME_PLAIN_BYTES_MAX, FRAME_SEAL_OVERHEAD_BYTES_MAX, NODE_BYTES_MAX, NODE_CHILDREN_MAX};

const MAGIC: [u8; 3] = *b"DBF";
const VERSION: u8 = 1;
const TAG_BYTES: usize = 16;
/// Bytes of a frame before its children.
pub const FIXED_HEADER_BYTES: usize = 83;

/// How the plaintext was packed before sealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    Raw,
    /// One zstd frame.
    Zstd,
}

/// Why bytes are not the frame that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Too short, too long, or lengths that contradict each other.
    #[error("frame is malformed: {0}")]
    Malformed(&'static str),
    /// Written by a version that this program does not know.
    #[error("frame has unknown version {0}")]
    UnknownVersion(u8),
    /// The tag, the compression or the id does not match: at least one bit is wrong.
    #[error("chunk {0} is damaged")]
    Damaged(ChunkId),
    /// The key of this session or scope is not at hand.
    #[error("key for chunk {id} of session {session} is missing")]
    KeyMissing {
        /// The chunk.
        id: ChunkId,
        /// The session whose key would open it.
        session: SessionId,
    },
}

/// What a frame says of itself, readable without any key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the chunk holds.
    pub kind: ChunkKind,
    /// How it was packed.
    pub codec: Codec,
    /// Plaintext length, in bytes.
    pub plain_bytes: u32,
    /// Ciphertext and tag, in bytes.
    pub sealed_bytes: u32,
    /// Name of the chunk.
    pub id: ChunkId,
    /// Session that sealed it.
    pub session: SessionId,
    /// Salt of its key.
    pub salt: [u8; 16],
    /// Chunks that a node refers to, unique, in order of first use; empty for data.
    pub children: Vec<ChunkId>,
}

impl FrameHeader {
    /// Length before the ciphertext, in bytes.
    pub fn header_bytes(&self) -> usize {
        FIXED_HEADER_BYTES + self.children.len() * ChunkId::BYTES
    }

    /// Length of the whole frame, in bytes.
    pub fn frame_bytes(&self) -> usize {
        self.header_bytes() + self.sealed_bytes as usize
    }

    /// Reads the header at the start of `bytes`, which may go on after the frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] or [`FrameError::UnknownVersion`]; `bytes` need not hold the ciphertext.
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let mut reader = Reader { bytes };
        if reader.take::<3>()? != MAGIC {
            return Err(FrameError::Malformed("no magic"));
        }
        let [version, kind, codec, key] = reader.take::<4>()?;
        if version != VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        let kind = ChunkKind::from_code(kind).ok_or(FrameError::Malformed("unknown kind"))?;
        let codec = match codec {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            _ => return Err(FrameError::Malformed("unknown codec")),
        };
        if key != u8::from(kind.is_node()) {
            return Err(FrameError::Malformed("key does not fit the kind"));
        }
        let plain_bytes = u32::from_le_bytes(reader.take()?);
        let sealed_bytes = u32::from_le_bytes(reader.take()?);
        let id = ChunkId::new(reader.take()?);
        let session = SessionId::new(reader.take()?);
        let salt = reader.take()?;
        let child_count = u32::from_le_bytes(reader.take()?) as usize;
        check_lengths(kind, plain_bytes as usize, sealed_bytes as usize, child_count)?;
        let children = (0..child_count).map(|_| reader.take().map(ChunkId::new)).collect::<Result<_, _>>()?;
        Ok(Self { kind, codec, plain_bytes, sealed_bytes, id, session, salt, children })
    }

    /// Reads the header of exactly one frame and checks that `frame` has its length.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_whole(frame: &[u8]) -> Result<Self, FrameError> {
        let header = Self::parse(frame)?;
        if header.frame_bytes() == frame.len() { Ok(header) } else { Err(FrameError::Malformed("wrong length")) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let codec = match self.codec {
            Codec::Raw => 0,
            Codec::Zstd => 1,
        };
        out.extend_from_slice(&[VERSION, self.kind.code(), codec, u8::from(self.kind.is_node())]);
        out.extend_from_slice(&self.plain_bytes.to_le_bytes());
        out.extend_from_slice(&self.sealed_bytes.to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(self.session.as_bytes());
        out.extend_from_slice(&self.salt);
        let count = u32::try_from(self.children.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        for child in &self.children {
            out.extend_from_slice(child.as_bytes());
        }
    }
}

fn check_lengths(kind: ChunkKind, plain: usize, sealed: usize, children: usize) -> Result<(), FrameError> {
    let malformed = |what| Err(FrameError::Malformed(what));
    if plain > FRAME_PLAIN_BYTES_MAX {
        return malformed("plaintext too long");
    }
    if sealed < TAG_BYTES || sealed > plain + FRAME_SEAL_OVERHEAD_BYTES_MAX {
        return malformed("sealed length out of range");
    }
    if !kind.is_node() && children > 0 {
        return malformed("data has children");
    }
    if children > NODE_CHILDREN_MAX || (kind.is_node() && plain + children * ChunkId::BYTES > NODE_BYTES_MAX) {
        return malformed("node too large");
    }
    Ok(())
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(FrameError::Malformed("too short"))?;
        self.bytes = rest;
        Ok(*head)
    }
}

/// A chunk to be sealed.
pub struct Chunk<'a> {
    /// What it holds.
    pub kind: ChunkKind,
    /// Its name, already computed.
    pub id: ChunkId,
    /// For nodes, what it refers to.
    pub children: &'a [ChunkId],
    /// Its plaintext, at most [`FRAME_PLAIN_BYTES_MAX`] bytes.
    pub plaintext: &'a [u8],
}

/// Seals the chunks of one session; owns a compression context, so one per thread.
pub struct Sealer {
    subscription: SubscriptionId,
    session: SessionId,
    session_key: SessionKey,
    tree_key: TreeKey,
    compressor: zstd::bulk::Compressor<'static>,
    level: i32,
}

impl Sealer {
    /// `level` is a zstd level; it may change from frame to frame and is never part of an id.
    ///
    /// # Errors
    /// If zstd cannot make a context (out of memory).
    pub fn new(
        subscription: SubscriptionId,
        session: SessionId,
        session_key: SessionKey,
        tree_key: TreeKey,
        level: i32,
    ) -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(level)?;
        Ok(Self { subscription, session, session_key, tree_key, compressor, level })
    }

    /// Changes the zstd level from the next frame on.
    ///
    /// # Errors
    /// If zstd refuses the level.
    pub fn set_level(&mut self, level: i32) -> std::io::Result<()> {
        if level != self.level {
            self.compressor.set_compression_level(level)?;
            self.level = level;
        }
        Ok(())
    }

    /// Appends the frame of `chunk` to `out`. `salt` is fresh random bytes. `compress` false skips zstd, for content that is
    /// known not to shrink; a result that is not smaller is stored raw anyway.
    pub fn seal(&mut self, chunk: &Chunk<'_>, salt: [u8; 16], compress: bool, out: &mut Vec<u8>) {
        let plain_bytes = u32::try_from(chunk.plaintext.len()).unwrap_or(u32::MAX);
        assert!(chunk.plaintext.len() <= FRAME_PLAIN_BYTES_MAX, "a chunk is at most 4 MiB: the splitter's invariant");
        let mut header = FrameHeader {
            kind: chunk.kind,
            codec: Codec::Raw,
            plain_bytes,
            sealed_bytes: 0,
            id: chunk.id,
            session: self.session,
            salt,
            children: chunk.children.to_vec(),
        };
        let start = out.len();
        let body_at = start + header.header_bytes();
        out.resize(body_at, 0);
        if compress && self.compress_into(chunk.plaintext, out) {
            header.codec = Codec::Zstd;
        } else {
            out.truncate(body_at);
            out.extend_from_slice(chunk.plaintext);
        }
        header.sealed_bytes = u32::try_from(out.len() - body_at + TAG_BYTES).unwrap_or(u32::MAX);
        let mut head = Vec::with_capacity(header.header_bytes());
        header.write(&mut head);
        out[start..body_at].copy_from_slice(&head);
        let secret = if chunk.kind.is_node() { self.tree_key.expose() } else { self.session_key.expose() };
        let purpose = Purpose::Frame { subscription: &self.subscription, kind: chunk.kind, id: &chunk.id };
        let tag = aead_seal(&aead_key(secret, &salt, purpose), &head, &mut out[body_at..]);
        out.extend_from_slice(&tag);
    }

    /// Appends the compressed plaintext; false (and nothing usable appended) if it does not become smaller.
    fn compress_into(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> bool {
        let at = out.len();
        out.resize(at + plaintext.len(), 0);
        match self.compressor.compress_to_buffer(plaintext, &mut out[at..]) {
            Ok(bytes) if bytes < plaintext.len() => {
                out.truncate(at + bytes);
                true
            }
            _ => false,
        }
    }
}

/// Opens frames; owns a decompression context, so one per thread.
pub struct Opener {
    subscription: SubscriptionId,
    id_key: IdKey,
    decompressor: zstd::bulk::Decompressor<'static>,
}

impl Opener {
    /// `id_key` is the one of the scope whose frames will be opened.
    ///
    /// # Errors
    /// If zstd cannot make a context (out of memory).
    pub fn new(subscription: SubscriptionId, id_key: IdKey) -> std::io::Result<Self> {
        Ok(Self { subscription, id_key, decompressor: zstd::bulk::Decompressor::new()? })
    }

    /// Opens one frame with the secret that its kind asks for (session key for data, tree key for nodes), decompresses into
    /// exactly the declared length, and recomputes the id.
    ///
    /// # Errors
    /// [`FrameError::Damaged`] names the chunk if any bit is wrong.
    pub fn open(&mut self, header: &FrameHeader, frame: &[u8], secret: &[u8; 32]) -> Result<Vec<u8>, FrameError> {
        let damaged = || FrameError::Damaged(header.id);
        if frame.len() != header.frame_bytes() {
            return Err(FrameError::Malformed("wrong length"));
        }
        let (head, body) = frame.split_at(header.header_bytes());
        let purpose = Purpose::Frame { subscription: &self.subscription, kind: header.kind, id: &header.id };
        let key = aead_key(secret, &header.salt, purpose);
        let mut body = body.to_vec();
        let packed_bytes = aead_open(&key, head, &mut body).ok_or_else(damaged)?.len();
        body.truncate(packed_bytes);
        let plaintext = match header.codec {
            Codec::Raw => body,
            Codec::Zstd => self.decompressor.decompress(&body, header.plain_bytes as usize).map_err(|_| damaged())?,
        };
        let fits = plaintext.len() == header.plain_bytes as usize;
        if fits && self.id_key.chunk_id(header.kind, &header.children, &plaintext) == header.id {
            Ok(plaintext)
        } else {
            Err(damaged())
        }
    }
}

/// The 16-byte BLAKE3 of a frame that travels and is stored beside it, checked without any key.
pub fn checksum(frame: &[u8]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(frame).as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);

    fn sealed(kind: ChunkKind, children: &[ChunkId], plaintext: &[u8], compress: bool) -> Vec<u8> {
        let id = IdKey::new([2; 32]).chunk_id(kind, children, plaintext);
        let session = SessionId::new([3; 16]);
        let mut sealer =
            Sealer::new(SUBSCRIPTION, session, SessionKey::new([4; 32]), TreeKey::new([5; 32]), 3).unwrap();
        let mut out = Vec::new();
        sealer.seal(&Chunk { kind, id, children, plaintext }, [6; 16], compress, &mut out);
        out
    }

    fn opened(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
        let header = FrameHeader::parse_whole(frame)?;
        let secret = if header.kind.is_node() { [5; 32] } else { [4; 32] };
        Opener::new(SUBSCRIPTION, IdKey::new([2; 32])).unwrap().open(&header, frame, &secret)
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_to_the_same(plain in prop::collection::vec(any::<u8>(), 0..5_000), node in any::<bool>(), compress in any::<bool>()) {
            let children = [ChunkId::new([8; 32]), ChunkId::new([9; 32])];
            let (kind, children) = if node { (ChunkKind::Leaf, &children[..]) } else { (ChunkKind::Data, &[][..]) };
            prop_assert_eq!(opened(&sealed(kind, children, &plain, compress)).unwrap(), plain);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut hostile = b"DBF\x01".to_vec();
            hostile.extend(&bytes);
            let _ = opened(&bytes);
            let _ = opened(&hostile);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_an_error() {
        let frame = sealed(ChunkKind::Leaf, &[ChunkId::new([8; 32])], &b"many times the same words ".repeat(8), true);
        for at in 0..frame.len() {
            for bit in 0..8 {
                let mut wrong = frame.clone();
                wrong[at] ^= 1 << bit;
                assert!(opened(&wrong).is_err(), "bit {bit} of byte {at}");
            }
            assert!(opened(&frame[..at]).is_err(), "cut at {at}");
        }
        let mut longer = frame;
        longer.push(0);
        assert!(opened(&longer).is_err());
    }

    #[test]
    fn a_declared_length_that_is_too_large_is_refused_before_anything_is_allocated() {
        let mut frame = sealed(ChunkKind::Data, &[], b"x", false);
        frame[7..11].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(FrameHeader::parse(&frame), Err(FrameError::Malformed("plaintext too long")));
    }

    /// A frame by somebody who has the keys: its length and its packed bytes have nothing to do with each other.
    fn crafted(plain_bytes: usize, packed: &[u8]) -> Vec<u8> {
        let (id, salt) = (IdKey::new([2; 32]).chunk_id(ChunkKind::Data, &[], packed), [6; 16]);
        let header = FrameHeader {
            kind: ChunkKind::Data,
            codec: Codec::Zstd,
            plain_bytes: u32::try_from(plain_bytes).unwrap(),
            sealed_bytes: u32::try_from(packed.len() + TAG_BYTES).unwrap(),
            id,
            session: SessionId::new([3; 16]),
            salt,
            children: Vec::new(),
        };
        let mut frame = Vec::new();
        header.write(&mut frame);
        let head = frame.clone();
        frame.extend_from_slice(packed);
        let purpose = Purpose::Frame { subscription: &SUBSCRIPTION, kind: ChunkKind::Data, id: &id };
        let tag = aead_seal(&aead_key(&[4; 32], &salt, purpose), &head, &mut frame[head.len()..]);
        frame.extend_from_slice(&tag);
        frame
    }

    #[test]
    fn what_unpacks_to_another_length_than_declared_is_damaged() {
        let zeros = vec![0; 64 << 20];
        let bomb = zstd::bulk::compress(&zeros, 19).unwrap();
        let mut unsized_bomb = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        std::io::copy(&mut &zeros[..], &mut unsized_bomb).unwrap();
        // Asks for a window of 2 GiB.
        let mut wide = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        wide.window_log(31).unwrap();
        std::io::copy(&mut &zeros[..], &mut wide).unwrap();
        let small = zstd::bulk::compress(&zeros[..FRAME_PLAIN_BYTES_MAX], 3).unwrap();
        let packed =
            [&bomb[..], &unsized_bomb.finish().unwrap(), &wide.finish().unwrap(), &small.repeat(5), &bomb[..9]];
        for (number, packed) in packed.into_iter().enumerate() {
            for declared in [0, 1, 100, FRAME_PLAIN_BYTES_MAX] {
                // Some are refused for their sealed length already.
                assert!(opened(&crafted(declared, packed)).is_err(), "bomb {number} as {declared} bytes");
            }
        }
    }

    #[test]
    fn another_subscriptions_key_opens_nothing() {
        let frame = sealed(ChunkKind::Data, &[], b"secret", false);
        let header = FrameHeader::parse_whole(&frame).unwrap();
        let mut other = Opener::new(SubscriptionId::new([2; 16]), IdKey::new([2; 32])).unwrap();
        assert_eq!(other.open(&header, &frame, &[4; 32]), Err(FrameError::Damaged(header.id)));
    }
}
