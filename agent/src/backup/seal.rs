//! Sealing chunks: whether to compress, the frame, and opening it again as a guard against one's own memory.
//!
//! One [`Press`] per thread. It does not decide which chunks are sent.
//!
//! Invariant: every node frame, and one data frame in [`CHECK_ONE_IN`] (all of them by option), is opened again and compared with
//! its plaintext before it leaves.

use bytes::Bytes;
use common::frame::{Chunk, FrameError, FrameHeader, Opener, Sealer};
use common::id::{ChunkId, SessionId, SubscriptionId};
use common::keys::{ChunkKind, IdKey, SessionKey, TreeKey};

/// One data frame in this many is opened again.
pub const CHECK_ONE_IN: u64 = 16;
/// Bytes of one sample of [`is_worth_compressing`].
const SAMPLE_BYTES: usize = 4 << 10;

/// What one run seals with.
#[derive(Clone)]
pub struct SealingKeys {
    /// Whose frames.
    pub subscription: SubscriptionId,
    /// Which session.
    pub session: SessionId,
    /// For data.
    pub session_key: SessionKey,
    /// For nodes.
    pub tree_key: TreeKey,
    /// Names chunks.
    pub id_key: IdKey,
    /// Random bytes of this run: the salts come from them.
    pub salt_seed: [u8; 32],
}

/// A frame that does not open to what was sealed: this machine's memory or processor is at fault.
#[derive(Debug, thiserror::Error)]
#[error("frame of chunk {id} does not open to what was sealed")]
pub struct SelfCheckFailed {
    /// The chunk.
    pub id: ChunkId,
    /// What opening it gave.
    #[source]
    pub source: Option<FrameError>,
}

/// How frames are made.
#[derive(Debug, Clone, Copy)]
pub struct SealOptions {
    /// zstd level.
    pub level: i32,
    /// True: every data frame is opened again, not one in 16.
    pub check_all: bool,
}

/// Makes frames on one thread.
pub struct Press {
    sealer: Sealer,
    opener: Opener,
    keys: SealingKeys,
    check_all: bool,
    /// Distinguishes the salts of this thread from those of the others.
    lane: u64,
    sealed: u64,
    scratch: Vec<u8>,
}

impl Press {
    /// `lane` is unique per press in a run.
    ///
    /// # Errors
    /// If zstd cannot make its contexts (out of memory).
    pub fn new(keys: &SealingKeys, options: SealOptions, lane: u64) -> std::io::Result<Self> {
        let (session_key, tree_key) = (keys.session_key.clone(), keys.tree_key.clone());
        let sealer = Sealer::new(keys.subscription, keys.session, session_key, tree_key, options.level)?;
        let opener = Opener::new(keys.subscription, keys.id_key.clone())?;
        let check_all = options.check_all;
        Ok(Self { sealer, opener, keys: keys.clone(), check_all, lane, sealed: 0, scratch: Vec::new() })
    }

    /// The frame of a chunk.
    ///
    /// # Errors
    /// [`SelfCheckFailed`]: the run must stop, nothing that this machine computes can be trusted.
    pub fn seal(&mut self, chunk: &Chunk<'_>) -> Result<Bytes, SelfCheckFailed> {
        let salt = self.next_salt();
        let compress = chunk.kind.is_node() || is_worth_compressing(chunk.plaintext);
        self.scratch.clear();
        self.sealer.seal(chunk, salt, compress, &mut self.scratch);
        if chunk.kind.is_node() || self.check_all || self.sealed.is_multiple_of(CHECK_ONE_IN) {
            self.check(chunk)?;
        }
        // An exact copy: a frame waits for its acknowledgement in as many bytes as it has.
        Ok(Bytes::copy_from_slice(&self.scratch))
    }

    fn check(&mut self, chunk: &Chunk<'_>) -> Result<(), SelfCheckFailed> {
        let failed = |source| SelfCheckFailed { id: chunk.id, source };
        let header = FrameHeader::parse_whole(&self.scratch).map_err(|error| failed(Some(error)))?;
        let key = match chunk.kind {
            ChunkKind::Data => self.keys.session_key.expose(),
            _ => self.keys.tree_key.expose(),
        };
        let opened = self.opener.open(&header, &self.scratch, key).map_err(|error| failed(Some(error)))?;
        let same = header.id == chunk.id && header.children == chunk.children && opened == chunk.plaintext;
        if same { Ok(()) } else { Err(failed(None)) }
    }

    /// Salts never repeat in a run: they are a keyed hash of lane and count under fresh random bytes.
    fn next_salt(&mut self) -> [u8; 16] {
        self.sealed += 1;
        let mut counter = [0; 16];
        counter[..8].copy_from_slice(&self.lane.to_le_bytes());
        counter[8..].copy_from_slice(&self.sealed.to_le_bytes());
        let mut salt = [0; 16];
        salt.copy_from_slice(&blake3::keyed_hash(&self.keys.salt_seed, &counter).as_bytes()[..16]);
        salt
    }
}

/// False if four samples all look like noise: pairs of equal bytes are hardly more frequent than by chance.
pub fn is_worth_compressing(plaintext: &[u8]) -> bool {
    if plaintext.len() < 4 * SAMPLE_BYTES {
        return true;
    }
    let last = plaintext.len() - SAMPLE_BYTES;
    (0..4).any(|sample| {
        let at = last / 3 * sample;
        let mut counts = [0u32; 256];
        plaintext[at..at + SAMPLE_BYTES].iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        let pairs: u64 = counts.iter().map(|count| u64::from(*count) * u64::from(*count)).sum();
        // By chance: n + n² ÷ 256. An eighth more is about 0.17 bit per byte.
        let n = SAMPLE_BYTES as u64;
        pairs > n + n * n / 256 * 9 / 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SealingKeys {
        SealingKeys {
            subscription: SubscriptionId::new([1; 16]),
            session: SessionId::new([2; 16]),
            session_key: SessionKey::new([3; 32]),
            tree_key: TreeKey::new([4; 32]),
            id_key: IdKey::new([5; 32]),
            salt_seed: [6; 32],
        }
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    #[test]
    fn noise_is_not_compressed_and_anything_else_is() {
        let noise = noise(1 << 20);
        assert!(!is_worth_compressing(&noise));
        assert!(is_worth_compressing(&noise[..1_000]), "too short to judge");
        let mut mixed = noise;
        let end = mixed.len();
        mixed[end - 100_000..].fill(b'x');
        assert!(is_worth_compressing(&mixed));
        assert!(is_worth_compressing(&b"int main(void) { return 0; }\n".repeat(1_000)));
    }

    #[test]
    fn salts_of_all_presses_differ() {
        let options = SealOptions { level: 1, check_all: false };
        let mut seen = std::collections::HashSet::new();
        for lane in 0..3 {
            let mut press = Press::new(&keys(), options, lane).unwrap();
            for _ in 0..100 {
                assert!(seen.insert(press.next_salt()));
            }
        }
    }

    #[test]
    fn a_wrong_id_is_found_before_the_frame_leaves() {
        let options = SealOptions { level: 1, check_all: true };
        let mut press = Press::new(&keys(), options, 0).unwrap();
        let plaintext = noise(100);
        let id = keys().id_key.chunk_id(ChunkKind::Data, &[], &plaintext);
        let chunk = |id| Chunk { kind: ChunkKind::Data, id, children: &[], plaintext: &plaintext };
        assert!(press.seal(&chunk(id)).is_ok());
        assert!(press.seal(&chunk(ChunkId::new([0; 32]))).is_err());
    }
}
