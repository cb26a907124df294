//! The hot kernels on fixed bytes. What is prepared before is the same for every number of rounds, so that a difference of two runs is the
//! kernel alone.

use std::convert::Infallible;
use std::hint::black_box;

use agent::backup::split::{ChunkParams, Splitter};
use anyhow::bail;
use benches::sample::{noise, text};
use common::frame::{Chunk, FrameHeader, Opener, Sealer};
use common::id::{ChunkId, SessionId, SubscriptionId};
use common::keys::{ChunkKind, IdKey, ScopeKeys, ScopeSecret, SessionKey};
use common::tree::builder::TreeBuilder;
use common::tree::content::{Content, Extent};
use common::tree::entry::{Entry, EntryKind, FileContent, Owner};
use common::tree::node::Node;
use common::tree::path::EntryKey;
use common::tree::xattrs::Xattrs;

const BYTES: usize = 4 << 20;
const CHUNK_BYTES: usize = 512 << 10;
const ENTRIES: usize = 10_000;
const SUBSCRIPTION: SubscriptionId = SubscriptionId::new([1; 16]);
const SECRET: [u8; 32] = [4; 32];

/// What one round of a kernel works on: bytes, or entries of a tree.
pub fn units(kernel: &str) -> usize {
    if kernel == "tree write" { ENTRIES } else { BYTES }
}

/// Runs a kernel so many times.
///
/// # Errors
/// If there is none of that name.
pub fn run(kernel: &str, rounds: usize) -> anyhow::Result<()> {
    let keys = ScopeSecret::new([1; 32]).keys();
    match kernel {
        "split" => {
            let (splitter, bytes) = (Splitter::new(&keys, ChunkParams::V1)?, noise(1, BYTES));
            repeat(rounds, || {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    rest = &rest[black_box(splitter.cut(rest))..];
                }
            });
        }
        "chunk id" => {
            let bytes = noise(1, BYTES);
            repeat(rounds, || {
                bytes.chunks(CHUNK_BYTES).for_each(|piece| {
                    black_box(keys.id.chunk_id(ChunkKind::Data, &[], piece));
                })
            });
        }
        "page hashes" => {
            let bytes = noise(1, BYTES);
            repeat(rounds, || {
                bytes.chunks(4 << 10).for_each(|page| {
                    black_box(keys.memory.short_hash(page));
                })
            });
        }
        "seal noise" => sealing(&keys, &noise(1, BYTES), rounds, 0)?,
        "seal text" => sealing(&keys, &text(1, BYTES), rounds, 0)?,
        "open text" => sealing(&keys, &text(1, BYTES), 1, rounds)?,
        "tree write" => {
            let entries: Vec<(EntryKey, Entry)> = (0..ENTRIES).map(entry).collect();
            repeat(rounds, || {
                let mut builder = TreeBuilder::new(&keys.id, &keys.boundary, |node: Node| {
                    black_box(node);
                    Ok::<(), Infallible>(())
                });
                entries.iter().for_each(|(key, entry)| builder.push(key, entry).expect("in order"));
                black_box(builder.finish().expect("in order"));
            });
        }
        _ => bail!("there is no kernel {kernel}"),
    }
    Ok(())
}

fn repeat(rounds: usize, mut work: impl FnMut()) {
    (0..rounds).for_each(|_| work());
}

/// Seals `bytes` so many times, then opens the frames so many times.
fn sealing(keys: &ScopeKeys, bytes: &[u8], seals: usize, opens: usize) -> anyhow::Result<()> {
    let session = SessionId::new([2; 16]);
    let mut sealer = Sealer::new(SUBSCRIPTION, session, SessionKey::new(SECRET), keys.tree.clone(), 1)?;
    let mut opener = Opener::new(SUBSCRIPTION, IdKey::new(*keys.id.expose()))?;
    let chunks: Vec<(ChunkId, &[u8])> =
        bytes.chunks(CHUNK_BYTES).map(|piece| (keys.id.chunk_id(ChunkKind::Data, &[], piece), piece)).collect();
    let (mut frames, mut ends) = (Vec::with_capacity(BYTES + (BYTES >> 4)), Vec::new());
    repeat(seals, || {
        frames.clear();
        ends.clear();
        for (id, plaintext) in &chunks {
            let chunk = Chunk { kind: ChunkKind::Data, id: *id, children: &[], plaintext };
            sealer.seal(&chunk, [7; 16], true, &mut frames);
            ends.push(frames.len());
        }
    });
    repeat(opens, || {
        let mut start = 0;
        for end in &ends {
            let frame = &frames[start..*end];
            let header = FrameHeader::parse_whole(frame).expect("the frame was just made");
            black_box(opener.open(&header, frame, &SECRET).expect("the frame was just made"));
            start = *end;
        }
    });
    Ok(())
}

fn entry(number: usize) -> (EntryKey, Entry) {
    let path = format!("usr/src/linux/d{:03}/file_{number:05}.c", number / 16);
    let mut chunk = [7; 32];
    chunk[..8].copy_from_slice(&(number / 40).to_le_bytes());
    let offset = u32::try_from(number % 40 * 13_000).expect("under a megabyte");
    let extents = vec![Extent { chunk: Some(ChunkId::new(chunk)), offset, bytes: 13_000 }];
    let file = FileContent { size: 13_000, digest: [3; 32], fuzzy: false, content: Content::Inline(extents) };
    let owner = Owner { uid: 0, gid: 0, user: b"root".to_vec(), group: b"root".to_vec() };
    let kind = EntryKind::File(file);
    let entry = Entry { kind, mode: 0o644, owner, mtime_ns: 1_670_000_000_000_000_000, xattrs: Xattrs::none() };
    (EntryKey::from_path(path.as_bytes()).expect("a path of names"), entry)
}
