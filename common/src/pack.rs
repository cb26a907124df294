//! The pack: many frames in one object, with a directory, the sessions that sealed them, and a trailer.
//!
//! Layout (little-endian), version 1:
//! ```text
//! header     magic "DBP" | version u8 | pack kind u8 (0 data, 1 nodes) | subscription 16 | salt 16
//! frames     end to end
//! directory  per frame: id 32 | kind u8 | class u8 | offset u32 | frame_bytes u32 | plain_bytes u32 | checksum 16
//! sessions   per session: length u32 | PackSession record
//! trailer    frame_count u32 | session_count u32 | tail_bytes u32 (directory and sessions) | version u8 | magic "DBP"
//! ```
//! `offset` counts from the start of the pack, `frame_bytes` is the whole frame. A pack's name is the BLAKE3 of all its bytes.
//! It does not read or write files: the server's `store` does.
//!
//! Invariant: I10 — magic and version first and last; an unknown version is an error.
//! Invariant: frames stand end to end from the header to the directory, so every byte of a pack belongs to a named part.
//! Invariant: a pack without its tail can be salvaged, because frames describe themselves.

use prost::Message;

use crate::frame::{FIXED_HEADER_BYTES, FrameHeader};
use crate::id::{ChunkId, PackId, SubscriptionId};
use crate::keys::ChunkKind;
use crate::limits::{
    ENVELOPE_BYTES_MAX, FRAME_PLAIN_BYTES_MAX, PACK_BYTES_MAX, PACK_FRAMES_MAX, PACK_SESSIONS_MAX, RECORD_BYTES_MAX,
};
use crate::stored::{PackSession, decode_strict};

const MAGIC: [u8; 3] = *b"DBP";
const VERSION: u8 = 1;
const FRAME_MAGIC: &[u8] = b"DBF\x01";
/// Length of the header, in bytes.
pub const HEADER_BYTES: usize = 37;
/// Length of the trailer, in bytes.
pub const TRAILER_BYTES: usize = 16;
/// Length of one directory entry, in bytes.
pub const ENTRY_BYTES: usize = 62;
/// Longest directory with its sessions, in bytes.
pub const TAIL_BYTES_MAX: usize =
    PACK_FRAMES_MAX * ENTRY_BYTES + PACK_SESSIONS_MAX * (4 + SESSION_BYTES_MAX) + TRAILER_BYTES;
const SESSION_BYTES_MAX: usize = ENVELOPE_BYTES_MAX + 128;

/// Why bytes are not the pack, or part of a pack, that they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Too short, too long, or parts that contradict each other.
    #[error("pack is malformed: {0}")]
    Malformed(&'static str),
    /// Written by a version that this program does not know.
    #[error("pack has unknown version {0}")]
    UnknownVersion(u8),
}

/// What the frames of a pack hold; nodes are kept apart so that browsing reads little.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackKind {
    /// Data frames.
    Data,
    /// Node frames.
    Nodes,
}

impl PackKind {
    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Nodes => 1,
        }
    }

    /// The kind that a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::Nodes),
            _ => None,
        }
    }

    /// The kind of pack that a frame belongs into.
    pub const fn of(kind: ChunkKind) -> Self {
        if kind.is_node() { Self::Nodes } else { Self::Data }
    }
}

/// Why a frame was sent; the day ledger counts each apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameClass {
    /// New content.
    Changed,
    /// Known content laid again to bound decay.
    Relaid,
    /// Content laid whole because page hashes were lost.
    Reseed,
}

impl FrameClass {
    /// The byte that stands for it.
    pub const fn code(self) -> u8 {
        match self {
            Self::Changed => 1,
            Self::Relaid => 2,
            Self::Reseed => 3,
        }
    }

    /// The class that a byte stands for.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Changed),
            2 => Some(Self::Relaid),
            3 => Some(Self::Reseed),
            _ => None,
        }
    }
}

/// The first bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackHeader {
    /// What its frames hold.
    pub kind: PackKind,
    /// Whose it is.
    pub subscription: SubscriptionId,
    /// Random bytes that make every pack unique and tell one from another before it has a name.
    pub salt: [u8; 16],
}

impl PackHeader {
    /// The bytes to write.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..3].copy_from_slice(&MAGIC);
        bytes[3] = VERSION;
        bytes[4] = self.kind.code();
        bytes[5..21].copy_from_slice(self.subscription.as_bytes());
        bytes[21..].copy_from_slice(&self.salt);
        bytes
    }

    /// Reads the header at the start of `bytes`, which may go on after it.
    ///
    /// # Errors
    /// [`PackError::Malformed`] or [`PackError::UnknownVersion`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PackError> {
        let mut reader = Reader { bytes };
        if reader.take::<3>()? != MAGIC {
            return Err(PackError::Malformed("no magic"));
        }
        let [version, kind] = reader.take::<2>()?;
        if version != VERSION {
            return Err(PackError::UnknownVersion(version));
        }
        let kind = PackKind::from_code(kind).ok_or(PackError::Malformed("unknown pack kind"))?;
        Ok(Self { kind, subscription: SubscriptionId::new(reader.take()?), salt: reader.take()? })
    }
}

/// One line of a pack's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackEntry {
    /// Name of the chunk.
    pub id: ChunkId,
    /// What it holds.
    pub kind: ChunkKind,
    /// Why it was sent.
    pub class: FrameClass,
    /// Where its frame starts, in bytes from the start of the pack.
    pub offset: u32,
    /// Length of the whole frame, in bytes.
    pub frame_bytes: u32,
    /// Length of its plaintext, in bytes.
    pub plain_bytes: u32,
    /// First 16 bytes of the BLAKE3 of the frame.
    pub checksum: [u8; 16],
}

impl PackEntry {
    /// First byte after the frame.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.frame_bytes)
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&[self.kind.code(), self.class.code()]);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.frame_bytes.to_le_bytes());
        out.extend_from_slice(&self.plain_bytes.to_le_bytes());
        out.extend_from_slice(&self.checksum);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, PackError> {
        let id = ChunkId::new(reader.take()?);
        let [kind, class] = reader.take::<2>()?;
        let entry = Self {
            id,
            kind: ChunkKind::from_code(kind).ok_or(PackError::Malformed("unknown kind"))?,
            class: FrameClass::from_code(class).ok_or(PackError::Malformed("unknown class"))?,
            offset: reader.u32()?,
            frame_bytes: reader.u32()?,
            plain_bytes: reader.u32()?,
            checksum: reader.take()?,
        };
        if (entry.frame_bytes as usize) < FIXED_HEADER_BYTES || entry.plain_bytes as usize > FRAME_PLAIN_BYTES_MAX {
            return Err(PackError::Malformed("frame length out of range"));
        }
        Ok(entry)
    }
}

/// The fixed end of a pack, which tells how long the directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    frame_count: usize,
    session_count: usize,
    tail_bytes: usize,
}

impl Trailer {
    /// Reads the last [`TRAILER_BYTES`] of a pack of `pack_bytes`.
    ///
    /// # Errors
    /// [`PackError`] if they cannot be those of a pack of that length.
    pub fn parse(bytes: &[u8; TRAILER_BYTES], pack_bytes: u64) -> Result<Self, PackError> {
        let mut reader = Reader { bytes };
        let (frame_count, session_count, tail_bytes) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let [version] = reader.take::<1>()?;
        if reader.take::<3>()? != MAGIC {
            return Err(PackError::Malformed("no magic at the end"));
        }
        if version != VERSION {
            return Err(PackError::UnknownVersion(version));
        }
        let trailer = Self {
            frame_count: frame_count as usize,
            session_count: session_count as usize,
            tail_bytes: tail_bytes as usize,
        };
        if pack_bytes > PACK_BYTES_MAX {
            return Err(PackError::Malformed("too long"));
        }
        if trailer.frame_count > PACK_FRAMES_MAX || trailer.session_count > PACK_SESSIONS_MAX {
            return Err(PackError::Malformed("too many frames or sessions"));
        }
        let parts_bytes = (HEADER_BYTES + TRAILER_BYTES) as u64 + trailer.tail_bytes as u64;
        if parts_bytes > pack_bytes || trailer.tail_bytes < trailer.frame_count * ENTRY_BYTES {
            return Err(PackError::Malformed("directory length out of range"));
        }
        Ok(trailer)
    }

    /// Length of directory and sessions together, in bytes: they stand right before the trailer.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }
}

/// What stands after the frames: which there are, and who sealed them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PackTail {
    /// One entry per frame, in the order of the frames.
    pub entries: Vec<PackEntry>,
    /// One record per session present.
    pub sessions: Vec<PackSession>,
}

impl PackTail {
    /// Directory, sessions and trailer, to be written right after the last frame.
    ///
    /// The caller keeps the bounds [`PACK_FRAMES_MAX`] and [`PACK_SESSIONS_MAX`] while it fills the pack.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.entries.len() * ENTRY_BYTES + TRAILER_BYTES + 1_024);
        self.entries.iter().for_each(|entry| entry.write(&mut out));
        for session in &self.sessions {
            let record = session.encode_to_vec();
            out.extend_from_slice(&length(record.len()).to_le_bytes());
            out.extend_from_slice(&record);
        }
        let tail_bytes = length(out.len());
        out.extend_from_slice(&length(self.entries.len()).to_le_bytes());
        out.extend_from_slice(&length(self.sessions.len()).to_le_bytes());
        out.extend_from_slice(&tail_bytes.to_le_bytes());
        out.push(VERSION);
        out.extend_from_slice(&MAGIC);
        out
    }

    /// Reads directory and sessions of a pack of `pack_bytes` whose trailer was read before.
    ///
    /// # Errors
    /// [`PackError::Malformed`] for anything that [`Self::encode`] would not have written for such a pack.
    pub fn decode(trailer: &Trailer, tail: &[u8], pack_bytes: u64) -> Result<Self, PackError> {
        if tail.len() != trailer.tail_bytes {
            return Err(PackError::Malformed("directory is cut"));
        }
        let mut reader = Reader { bytes: tail };
        let mut entries = Vec::with_capacity(trailer.frame_count);
        let mut end = HEADER_BYTES as u64;
        for _ in 0..trailer.frame_count {
            let entry = PackEntry::read(&mut reader)?;
            if u64::from(entry.offset) != end {
                return Err(PackError::Malformed("frames do not stand end to end"));
            }
            end = entry.end();
            entries.push(entry);
        }
        if end + (trailer.tail_bytes + TRAILER_BYTES) as u64 != pack_bytes {
            return Err(PackError::Malformed("frames and directory do not meet"));
        }
        let mut sessions = Vec::with_capacity(trailer.session_count.min(64));
        for _ in 0..trailer.session_count {
            let record = {
                let bytes = reader.u32()? as usize;
                reader.slice(bytes.min(RECORD_BYTES_MAX))?
            };
            let session = decode_strict("pack session", record, SESSION_BYTES_MAX);
            sessions.push(session.map_err(|_| PackError::Malformed("session record"))?);
        }
        if reader.bytes.is_empty() {
            Ok(Self { entries, sessions })
        } else {
            Err(PackError::Malformed("too long a tail"))
        }
    }
}

/// Reads a whole pack: header, and tail with all its bounds. Frames are not opened; [`PackEntry::checksum`] tells which is bad.
///
/// # Errors
/// [`PackError`] if the parts contradict each other.
pub fn parse(bytes: &[u8]) -> Result<(PackHeader, PackTail), PackError> {
    let header = PackHeader::parse(bytes)?;
    let (rest, trailer) = bytes.split_last_chunk().ok_or(PackError::Malformed("too short"))?;
    let trailer = Trailer::parse(trailer, bytes.len() as u64)?;
    let tail = &rest[rest.len() - trailer.tail_bytes..];
    Ok((header, PackTail::decode(&trailer, tail, bytes.len() as u64)?))
}

/// Computes a pack's name while it is written.
#[derive(Clone, Default)]
pub struct PackNamer(blake3::Hasher);

impl PackNamer {
    /// Takes the next bytes of the pack.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The name of the bytes taken so far.
    pub fn name(&self) -> PackId {
        PackId::new(*self.0.finalize().as_bytes())
    }
}

/// The name of a whole pack.
pub fn name(bytes: &[u8]) -> PackId {
    PackId::new(*blake3::hash(bytes).as_bytes())
}

/// Finds the frames of a pack whose tail is lost, by what they say of themselves.
///
/// Class and checksum are lost with the directory: the class is taken as [`FrameClass::Changed`], the checksum is of the bytes
/// as they are. Only a key holder can tell a good frame from one whose ciphertext is damaged. Bytes that are no frame are skipped.
pub fn salvage(bytes: &[u8]) -> Vec<PackEntry> {
    let mut entries = Vec::new();
    let mut at = HEADER_BYTES.min(bytes.len());
    while entries.len() < PACK_FRAMES_MAX {
        let rest = &bytes[at..];
        if let Some(entry) = salvage_frame(rest, at) {
            at += entry.frame_bytes as usize;
            entries.push(entry);
            continue;
        }
        let next =
            rest.get(1..).and_then(|rest| rest.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC));
        match next {
            Some(skipped) => at += 1 + skipped,
            None => break,
        }
    }
    entries
}

fn salvage_frame(rest: &[u8], at: usize) -> Option<PackEntry> {
    let header = FrameHeader::parse(rest).ok()?;
    let frame = rest.get(..header.frame_bytes())?;
    Some(PackEntry {
        id: header.id,
        kind: header.kind,
        class: FrameClass::Changed,
        offset: u32::try_from(at).ok()?,
        frame_bytes: u32::try_from(frame.len()).ok()?,
        plain_bytes: header.plain_bytes,
        checksum: crate::frame::checksum(frame),
    })
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a tail is bounded far below 4 GiB by the limits on frames and sessions")
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PackError> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(PackError::Malformed("too short"))?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, PackError> {
        self.take().map(u32::from_le_bytes)
    }

    fn slice(&mut self, bytes: usize) -> Result<&'a [u8], PackError> {
        let (head, rest) = self.bytes.split_at_checked(bytes).ok_or(PackError::Malformed("too short"))?;
        self.bytes = rest;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::checksum;
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    /// The bytes of a data frame with this body; its ciphertext is not a real one.
    fn frame(seed: u8, body: &[u8]) -> Vec<u8> {
        let mut out = b"DBF\x01\x00\x00\x00".to_vec();
        let plain = u32::try_from(body.len()).unwrap();
        out.extend(plain.to_le_bytes());
        out.extend((plain + 16).to_le_bytes());
        out.extend([seed; 32]);
        out.extend([seed; 16]);
        out.extend([seed; 16]);
        out.extend(0u32.to_le_bytes());
        out.extend(body);
        out.extend([seed; 16]);
        out
    }

    fn pack(bodies: &[Vec<u8>]) -> Vec<u8> {
        let header = PackHeader { kind: PackKind::Data, subscription: SubscriptionId::new([1; 16]), salt: [2; 16] };
        let mut out = header.encode().to_vec();
        let mut tail = PackTail::default();
        for (seed, body) in (0..).zip(bodies) {
            let frame = frame(seed, body);
            tail.entries.push(PackEntry {
                id: ChunkId::new([seed; 32]),
                kind: ChunkKind::Data,
                class: FrameClass::Changed,
                offset: u32::try_from(out.len()).unwrap(),
                frame_bytes: u32::try_from(frame.len()).unwrap(),
                plain_bytes: u32::try_from(body.len()).unwrap(),
                checksum: checksum(&frame),
            });
            out.extend(frame);
        }
        tail.sessions.push(PackSession { session: vec![7; 16], envelope: vec![8; 100], ..PackSession::default() });
        out.extend(tail.encode());
        out
    }

    proptest! {
        #[test]
        fn a_pack_comes_back_and_without_its_tail_its_frames_are_found(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8)
        ) {
            let bytes = pack(&bodies);
            let (header, tail) = parse(&bytes).unwrap();
            prop_assert_eq!(header.kind, PackKind::Data);
            prop_assert_eq!(tail.entries.len(), bodies.len());
            for entry in &tail.entries {
                let range = entry.offset as usize..usize::try_from(entry.end()).unwrap();
                prop_assert_eq!(checksum(&bytes[range]), entry.checksum);
            }
            prop_assert_eq!(salvage(&bytes), tail.entries);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..600) {
            let mut wrong = pack(&[vec![1; 50], vec![2; 70]]);
            let at = at % wrong.len();
            wrong.truncate(at);
            wrong.extend(&bytes);
            let _ = parse(&wrong);
            let _ = parse(&bytes);
            let _ = salvage(&wrong);
            prop_assert!(salvage(&bytes).len() <= bytes.len());
        }
    }

    #[test]
    fn every_flipped_bit_changes_the_name_and_is_seen_in_the_directory_or_a_checksum() {
        let good = pack(&[vec![1; 40], vec![2; 30]]);
        let (header, tail) = parse(&good).unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut wrong = good.clone();
                wrong[at] ^= 1 << bit;
                assert_ne!(name(&wrong), name(&good));
                let Ok(parsed) = parse(&wrong) else { continue };
                let bad_frame = parsed.1.entries.iter().any(|entry| {
                    checksum(&wrong[entry.offset as usize..usize::try_from(entry.end()).unwrap()]) != entry.checksum
                });
                assert!(bad_frame || parsed != (header, tail.clone()), "bit {bit} of byte {at}");
            }
            assert!(parse(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_damaged_frame_does_not_hide_those_after_it() {
        let mut bytes = pack(&[vec![1; 40], vec![2; 30], vec![3; 20]]);
        bytes[HEADER_BYTES + 1] ^= 0xff;
        let found: Vec<_> = salvage(&bytes).iter().map(|entry| entry.id.as_bytes()[0]).collect();
        assert_eq!(found, [1, 2]);
    }

    #[test]
    fn a_name_computed_while_writing_is_the_name_of_the_whole() {
        let bytes = pack(&[vec![9; 1_000]]);
        let mut namer = PackNamer::default();
        bytes.chunks(77).for_each(|part| namer.update(part));
        assert_eq!(namer.name(), name(&bytes));
    }
}
