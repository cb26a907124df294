//! Bytes to measure with, always the same ones for a seed.
//!
//! Invariant: nothing here depends on the machine or the moment, so counts of two runs compare.

/// Bytes that do not compress.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out
}

/// Text that compresses about as source code does: words of a small vocabulary, seldom ones more seldom.
pub fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let words: Vec<String> = (0..4_096).map(word).collect();
    let dice = noise(seed, bytes / 2 + 4);
    let mut out = Vec::with_capacity(bytes + 16);
    for pair in dice.chunks_exact(2) {
        let (high, low) = (usize::from(pair[0]), usize::from(pair[1]));
        out.extend_from_slice(words[high * low / 16].as_bytes());
        out.push(if low % 11 == 0 { b'\n' } else { b' ' });
        if out.len() >= bytes {
            break;
        }
    }
    out.truncate(bytes);
    out
}

fn word(number: usize) -> String {
    let syllables =
        ["sta", "re", "ver", "_", "int", "ptr", "lo", "ck", "bu", "f", "get", "er", "(", ");", "->", "struct "];
    let parts = [number & 15, number >> 4 & 15, number >> 8 & 15];
    parts.iter().take(2 + number % 2).map(|part| syllables[*part]).collect()
}
