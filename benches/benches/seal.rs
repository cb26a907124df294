//! How fast are chunks sealed into frames and opened again, with and without compression?
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;

use benches::limit::{Limits, measure, rate};
use benches::sample::{noise, text};
use benches::table::{Against, print_bytes, print_limits};
use common::frame::{Chunk, FrameHeader, Opener, Sealer};
use common::id::{ChunkId, SessionId, SubscriptionId};
use common::keys::{ChunkKind, IdKey, ScopeKeys, ScopeSecret, SessionKey};

const CHUNK_BYTES: usize = 512 << 10;
const ALL_BYTES: usize = 32 << 20;
const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const SECRET: [u8; 32] = [4; 32];

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    let keys = ScopeSecret::new([3; 32]).keys();
    bench("noise, raw", &noise(1, ALL_BYTES), None, &keys, &limits)?;
    for level in [1, 3] {
        bench(&format!("text, zstd {level}"), &text(1, ALL_BYTES), Some(level), &keys, &limits)?;
    }
    Ok(())
}

fn bench(what: &str, bytes: &[u8], level: Option<i32>, keys: &ScopeKeys, limits: &Limits) -> anyhow::Result<()> {
    let session_key = SessionKey::new(SECRET);
    let session = SessionId::new([2; 16]);
    let mut sealer = Sealer::new(SUBSCRIPTION, session, session_key, keys.tree.clone(), level.unwrap_or(1))?;
    let chunks: Vec<(ChunkId, &[u8])> =
        bytes.chunks(CHUNK_BYTES).map(|piece| (keys.id.chunk_id(ChunkKind::Data, &[], piece), piece)).collect();
    let mut frames = Vec::new();
    let mut ends = Vec::new();
    let sealed = rate(bytes.len(), || {
        frames.clear();
        ends.clear();
        for (number, (id, plaintext)) in chunks.iter().enumerate() {
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&(number as u64).to_le_bytes());
            let chunk = Chunk { kind: ChunkKind::Data, id: *id, children: &[], plaintext };
            sealer.seal(&chunk, salt, level.is_some(), &mut frames);
            ends.push(frames.len());
        }
    });
    let mut opener = Opener::new(SUBSCRIPTION, IdKey::new(*keys.id.expose()))?;
    let opened = rate(bytes.len(), || {
        let mut start = 0;
        for end in &ends {
            let frame = &frames[start..*end];
            let header = FrameHeader::parse_whole(frame).expect("the frame was just made");
            black_box(opener.open(&header, frame, &SECRET).expect("the frame was just made"));
            start = *end;
        }
    });
    let (pack, unpack) = codec_limits(bytes, level, limits)?;
    print_bytes(&format!("seal {what} ({} % left)", 100 * frames.len() / bytes.len()), sealed, pack);
    print_bytes(&format!("open {what}, id checked"), opened, unpack);
    Ok(())
}

/// What bounds sealing and opening: zstd alone on the same chunks, or AES-GCM where nothing is compressed.
fn codec_limits(bytes: &[u8], level: Option<i32>, limits: &Limits) -> anyhow::Result<(Against, Against)> {
    let Some(level) = level else {
        let aes = Against::new("AES-256-GCM", limits.aes_gcm);
        return Ok((aes, aes));
    };
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    let mut packed = Vec::new();
    let pack = rate(bytes.len(), || {
        packed = bytes.chunks(CHUNK_BYTES).map(|piece| compressor.compress(piece).expect("zstd compresses")).collect();
    });
    let mut decompressor = zstd::bulk::Decompressor::new()?;
    let unpack = rate(bytes.len(), || {
        for piece in &packed {
            black_box(decompressor.decompress(piece, CHUNK_BYTES).expect("the piece was just made"));
        }
    });
    Ok((Against::new("zstd alone", pack), Against::new("zstd alone", unpack)))
}
