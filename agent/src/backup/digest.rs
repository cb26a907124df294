//! Content digests of large files, made from the chaining values of their pages in one pass.
//!
//! A digest is keyed BLAKE3 over the whole content ([`IdKey::content_hasher`]). BLAKE3 is a binary tree over chunks of 1 KiB, so an
//! aligned page is a subtree of it: its chaining value serves as page hash, those of a window's pages merge into the window's, and
//! those of the windows into the digest (BLAKE3 paper, section 2.1; `blake3::hazmat`). A window that is known to be unchanged
//! need not be hashed again. It reads nothing.
//!
//! Invariant: the digest is the one of `content_hasher` over the same bytes.

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use common::keys::IdKey;
use common::limits::{PAGE_BYTES, WINDOW_BYTES};

/// A subtree's chaining value.
pub type ChainingValue = [u8; 32];

/// Chaining values of neighboring subtrees of one length, merged as they come; only the last may be shorter.
#[derive(Debug, Default, Clone)]
pub struct Subtrees {
    stack: Vec<ChainingValue>,
    count: u64,
}

impl Subtrees {
    /// Adds the next subtree.
    pub fn push(&mut self, key: &IdKey, value: ChainingValue) {
        // Something follows what is here: every whole pair may be merged now, the root never is.
        for _ in 0..self.count.trailing_zeros() {
            self.merge(key);
        }
        self.stack.push(value);
        self.count += 1;
    }

    /// The chaining value of all of them, as part of a larger tree; zeros if there are none.
    pub fn value(mut self, key: &IdKey) -> ChainingValue {
        while self.stack.len() > 1 {
            self.merge(key);
        }
        self.stack.pop().unwrap_or_default()
    }

    /// The hash of all of them as a whole content; `None` of fewer than two, whose hash is no merger.
    pub fn root(mut self, key: &IdKey) -> Option<[u8; 32]> {
        while self.stack.len() > 2 {
            self.merge(key);
        }
        let [left, right] = self.stack.as_slice() else { return None };
        Some(*merge_subtrees_root(left, right, Mode::KeyedHash(key.expose())).as_bytes())
    }

    fn merge(&mut self, key: &IdKey) {
        if let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) {
            self.stack.push(merge_subtrees_non_root(&left, &right, Mode::KeyedHash(key.expose())));
        }
    }
}

/// The chaining values of the pages of one window that starts at `at` in its file, appended to `pages`; the window's own.
///
/// `window` has at least one byte and at most [`WINDOW_BYTES`]; `at` is a multiple of that.
pub fn hash_window(key: &IdKey, at: u64, window: &[u8], pages: &mut Vec<ChainingValue>) -> ChainingValue {
    debug_assert!(window.len() <= WINDOW_BYTES && at.is_multiple_of(WINDOW_BYTES as u64), "one window");
    let mut merged = Subtrees::default();
    let mut position = at;
    for page in window.chunks(PAGE_BYTES) {
        let value = hash_page(key, position, page);
        pages.push(value);
        merged.push(key, value);
        position += page.len() as u64;
    }
    merged.value(key)
}

/// The chaining value of the page that starts at `at` in its file.
pub fn hash_page(key: &IdKey, at: u64, page: &[u8]) -> ChainingValue {
    key.content_hasher().set_input_offset(at).update(page).finalize_non_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_windows_is_that_of_the_whole_content() {
        let key = IdKey::new([7; 32]);
        let mut bytes = vec![0; 9 * WINDOW_BYTES + 12_345];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let w = WINDOW_BYTES;
        for length in [1, 2, 3, 4, 5, 7, 8, 9].into_iter().flat_map(|n| [n * w + 1, n * w + w - 1, (n + 1) * w]) {
            let (mut windows, mut pages) = (Subtrees::default(), Vec::new());
            for (number, window) in bytes[..length.min(bytes.len())].chunks(w).enumerate() {
                let value = hash_window(&key, (number * w) as u64, window, &mut pages);
                windows.push(&key, value);
            }
            let length = length.min(bytes.len());
            assert_eq!(pages.len(), length.div_ceil(PAGE_BYTES));
            let whole = *key.content_hasher().update(&bytes[..length]).finalize().as_bytes();
            assert_eq!(windows.root(&key), Some(whole), "{length}");
        }
    }

    #[test]
    fn one_subtree_has_no_root() {
        let key = IdKey::new([7; 32]);
        let mut one = Subtrees::default();
        one.push(&key, [1; 32]);
        assert_eq!((one.clone().root(&key), one.value(&key)), (None, [1; 32]));
        assert_eq!(Subtrees::default().root(&key), None);
    }
}
