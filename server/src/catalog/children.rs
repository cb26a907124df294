//! The children of a node as one blob: row numbers in order, each as a base-128 varint, least significant group first.
//!
//! Invariant: a blob that was not written here is an error, never a panic.

use crate::catalog::error::CatalogError;
use common::limits::NODE_CHILDREN_MAX;

/// Writes row numbers.
pub fn encode(rows: &[u32]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(rows.len() * 3);
    for &row in rows {
        let mut rest = row;
        while rest >= 0x80 {
            blob.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        blob.push(rest.to_le_bytes()[0]);
    }
    blob
}

/// Reads row numbers.
///
/// # Errors
/// [`CatalogError::Inconsistent`].
pub fn decode(blob: &[u8]) -> Result<Vec<u32>, CatalogError> {
    let wrong = CatalogError::Inconsistent("children of a node are malformed");
    let (mut rows, mut row, mut shift) = (Vec::new(), 0u64, 0);
    for byte in blob {
        row |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            rows.push(u32::try_from(row).map_err(|_| CatalogError::Inconsistent("a child has no row number"))?);
            (row, shift) = (0, 0);
        } else if shift > 28 {
            return Err(wrong);
        }
    }
    if shift != 0 || rows.len() > NODE_CHILDREN_MAX { Err(wrong) } else { Ok(rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn rows_come_back(rows in prop::collection::vec(any::<u32>(), 0..50)) {
            prop_assert_eq!(decode(&encode(&rows)).unwrap(), rows);
        }

        #[test]
        fn any_blob_is_read_or_refused(blob in prop::collection::vec(any::<u8>(), 0..50)) {
            let _ = decode(&blob);
        }
    }
}
