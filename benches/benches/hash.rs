//! How fast are chunks named, by size?
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;

use benches::limit::{measure, rate};
use benches::sample::noise;
use benches::table::{Against, print_bytes, print_limits};
use common::keys::{ChunkKind, ScopeSecret};

fn main() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let limits = measure(scratch.path())?;
    print_limits(&limits);
    let keys = ScopeSecret::new([1; 32]).keys();
    let bytes = noise(1, 64 << 20);
    let against = Against::new("BLAKE3 keyed, 256 KiB", limits.blake3);
    for piece_bytes in [4 << 10, 64 << 10, 256 << 10, 1 << 20, 2 << 20] {
        let per_second = rate(bytes.len(), || {
            for piece in bytes.chunks(piece_bytes) {
                black_box(keys.id.chunk_id(ChunkKind::Data, &[], piece));
            }
        });
        print_bytes(&format!("chunk ids, {} KiB", piece_bytes >> 10), per_second, against);
    }
    let pages = rate(bytes.len(), || {
        for page in bytes.chunks(4 << 10) {
            black_box(keys.memory.short_hash(page));
        }
    });
    print_bytes("page hashes, 4 KiB", pages, against);
    Ok(())
}
