//! Content digests: whole, and merged from windows that were hashed apart.

use blake3::hazmat::{HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root};
use common::keys::IdKey;
use common::limits::WINDOW_BYTES;

/// The chaining value of a stretch that starts at `offset`: one window as it is hashed alone, more of them merged.
fn chaining_value(key: &IdKey, bytes: &[u8], offset: usize) -> [u8; 32] {
    if bytes.len() <= WINDOW_BYTES {
        return key.content_hasher().set_input_offset(offset as u64).update(bytes).finalize_non_root();
    }
    let (left, right) = bytes.split_at(left_subtree_len(bytes.len() as u64) as usize);
    let values = (chaining_value(key, left, offset), chaining_value(key, right, offset + left.len()));
    merge_subtrees_non_root(&values.0, &values.1, Mode::KeyedHash(key.expose()))
}

#[test]
fn a_digest_merged_from_windows_is_the_digest_of_the_whole() {
    let key = IdKey::new([7; 32]);
    let mut bytes = vec![0; 5 * WINDOW_BYTES + 12_345];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    for length in [WINDOW_BYTES + 1, 2 * WINDOW_BYTES, 3 * WINDOW_BYTES + 1_023, 4 * WINDOW_BYTES, bytes.len()] {
        let whole = key.content_hasher().update(&bytes[..length]).finalize();
        let (left, right) = bytes[..length].split_at(left_subtree_len(length as u64) as usize);
        let values = (chaining_value(&key, left, 0), chaining_value(&key, right, left.len()));
        let merged = merge_subtrees_root(&values.0, &values.1, Mode::KeyedHash(key.expose()));
        assert_eq!(merged, whole, "{length}");
        assert_eq!(whole, blake3::keyed_hash(key.expose(), &bytes[..length]));
    }
}
