//! Extended attributes (POSIX ACLs among them), inside an entry or, when they are large, laid in chunks like a file.
//!
//! It does not know what any attribute means.
//!
//! Invariant: names are in strict order, so that equal attributes have equal bytes.

use crate::limits::{XATTRS_BYTES_MAX, XATTRS_INLINE_BYTES_MAX};
use crate::tree::content::{ChildTable, Extent, put_extents};
use crate::tree::entry::InvalidEntry;
use crate::tree::wire::{Malformed, Reader, put_bytes};

/// One extended attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Xattr {
    /// Its full name, `user.` and the like included.
    pub name: Vec<u8>,
    /// Its value, any bytes.
    pub value: Vec<u8>,
}

/// Extended attributes of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Xattrs {
    /// Sorted by name; at most [`XATTRS_INLINE_BYTES_MAX`] when encoded.
    Inline(Vec<Xattr>),
    /// Larger ones: the extents of what [`encode_xattrs`] gives, laid like the content of a file.
    Extents(Vec<Extent>),
}

impl Xattrs {
    /// No attributes.
    pub const fn none() -> Self {
        Self::Inline(Vec::new())
    }

    pub(crate) fn encode(&self, children: &mut ChildTable, out: &mut Vec<u8>) -> Result<(), InvalidEntry> {
        match self {
            Self::Inline(xattrs) => {
                let encoded = encode_xattrs(xattrs);
                if encoded.len() > XATTRS_INLINE_BYTES_MAX || decode_xattrs(&encoded).is_err() {
                    return Err(InvalidEntry::Xattrs);
                }
                out.extend_from_slice(&encoded);
                Ok(())
            }
            Self::Extents(extents) if extents.is_empty() => Err(InvalidEntry::Xattrs),
            Self::Extents(extents) => put_extents(extents, children, out),
        }
    }
}

/// The bytes of extended attributes, as they stand in an entry or, when larger than [`XATTRS_INLINE_BYTES_MAX`], in chunks.
pub fn encode_xattrs(xattrs: &[Xattr]) -> Vec<u8> {
    let mut out = Vec::new();
    for Xattr { name, value } in xattrs {
        put_bytes(&mut out, name);
        put_bytes(&mut out, value);
    }
    out
}

/// Reads what [`encode_xattrs`] made.
///
/// # Errors
/// If the bytes are anything else, or the names are not in strict order.
pub fn decode_xattrs(bytes: &[u8]) -> Result<Vec<Xattr>, Malformed> {
    if bytes.len() > XATTRS_BYTES_MAX {
        return Err(Malformed("xattrs too large"));
    }
    let (mut reader, mut xattrs) = (Reader::new(bytes), Vec::<Xattr>::new());
    while !reader.is_empty() {
        let name = reader.bytes(XATTRS_BYTES_MAX)?;
        let value = reader.bytes(XATTRS_BYTES_MAX)?;
        if name.is_empty() || xattrs.last().is_some_and(|last| last.name.as_slice() >= name) {
            return Err(Malformed("xattrs out of order"));
        }
        xattrs.push(Xattr { name: name.to_vec(), value: value.to_vec() });
    }
    Ok(xattrs)
}
