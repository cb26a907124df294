//! The machine's own limits: how fast its memory copies, hashes and encrypts, and how fast its disk reads and makes durable.
//!
//! One core, warm caches, median of five. The disk is the one of the folder that is given.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::sample::noise;

/// Bytes per second of each limit.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Copying memory, 64 MiB at a time.
    pub memcpy: f64,
    /// Keyed BLAKE3 of 256 KiB pieces.
    pub blake3: f64,
    /// AES-256-GCM of 256 KiB pieces, a new key for each.
    pub aes_gcm: f64,
    /// Reading a cached file, 1 MiB at a time.
    pub pread: f64,
    /// Writing 32 MiB files, each made durable.
    pub durable_write: f64,
}

/// Small writes made durable one after the other, per second.
#[derive(Debug, Clone, Copy)]
pub struct DurableCalls(pub f64);

const PIECE_BYTES: usize = 256 << 10;
const ALL_BYTES: usize = 64 << 20;
const ROUNDS: usize = 5;

/// Measures the limits; `scratch` is a folder on the disk in question.
pub fn measure(scratch: &Path) -> std::io::Result<Limits> {
    let source = noise(1, ALL_BYTES);
    let mut target = vec![0; ALL_BYTES];
    let memcpy = rate(ALL_BYTES, || black_box(&mut target).copy_from_slice(black_box(&source)));
    let blake3 = rate(ALL_BYTES, || {
        for piece in source.chunks(PIECE_BYTES) {
            black_box(blake3::keyed_hash(&[7; 32], piece));
        }
    });
    let aes_gcm = rate(ALL_BYTES, || seal_pieces(&mut target));
    let path = scratch.join("limit");
    let durable_write = rate(32 << 20, || write_durably(&path, &source[..32 << 20]));
    let file = File::open(&path)?;
    let pread = rate(32 << 20, || {
        for (at, piece) in (0u64..).zip(target[..32 << 20].chunks_mut(1 << 20)) {
            file.read_exact_at(piece, at << 20).expect("the file is as long as it was written");
        }
    });
    std::fs::remove_file(&path)?;
    Ok(Limits { memcpy, blake3, aes_gcm, pread, durable_write })
}

/// Measures durable calls; `scratch` is a folder on the disk in question.
pub fn durable_calls(scratch: &Path) -> std::io::Result<DurableCalls> {
    let path = scratch.join("limit");
    let file = File::create(&path)?;
    let page = noise(2, 4 << 10);
    let count = 200;
    let rate = rate(count, || {
        for at in 0..count as u64 {
            file.write_all_at(&page, at * 4096).and_then(|()| file.sync_data()).expect("the disk takes 800 KiB");
        }
    });
    std::fs::remove_file(&path)?;
    Ok(DurableCalls(rate))
}

/// Median of how many `units` a second one call of `work` does.
pub fn rate(units: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    units as f64 / seconds[ROUNDS / 2]
}

fn seal_pieces(buffer: &mut [u8]) {
    for (number, piece) in buffer.chunks_mut(PIECE_BYTES).enumerate() {
        let mut secret = [9; 32];
        secret[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let key = UnboundKey::new(&AES_256_GCM, &secret).expect("32 bytes are a key");
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let tag = LessSafeKey::new(key).seal_in_place_separate_tag(nonce, Aad::empty(), piece);
        let _ = black_box(tag.expect("256 KiB seal"));
    }
}

fn write_durably(path: &Path, bytes: &[u8]) {
    let written = File::create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()));
    written.expect("the disk takes 32 MiB");
}
