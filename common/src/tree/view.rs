//! Entries read where they lie in a leaf, without copying: comparing a tree with a file system allocates nothing per entry.
//!
//! It checks the fixed parts at once and the rest (content, link targets, attributes) when [`EntryView::to_entry`] decodes it.
//!
//! Invariant: whatever the bytes are, the answer is a value or an error, never a panic.

use crate::id::ChunkId;
use crate::limits::{ENTRY_BYTES_MAX, OWNER_NAME_BYTES_MAX, PATH_BYTES_MAX, XATTRS_INLINE_BYTES_MAX};
use crate::tree::content::{Content, parse_extents};
use crate::tree::entry::{
    DeviceNumber, Entry, EntryKind, FUZZY, FileContent, OWNER_AS_BEFORE, Owner, XATTRS_EXTENTS, XATTRS_INLINE,
};
use crate::tree::path::EntryKey;
use crate::tree::wire::{Malformed, Reader};
use crate::tree::xattrs::{Xattrs, decode_xattrs};

/// An entry as it lies in a leaf, nothing copied; the parts that need allocation are decoded by [`Self::to_entry`].
#[derive(Debug, Clone, Copy)]
pub struct EntryView<'a> {
    tag: u8,
    /// Permission bits.
    pub mode: u16,
    /// Last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Whose it is.
    pub owner: OwnerView<'a>,
    file: Option<(u64, &'a [u8; 32])>,
    tail: &'a [u8],
}

/// An owner as it lies in a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerView<'a> {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name.
    pub user: &'a [u8],
    /// Group name.
    pub group: &'a [u8],
}

impl OwnerView<'_> {
    fn to_owner(self) -> Owner {
        Owner { uid: self.uid, gid: self.gid, user: self.user.to_vec(), group: self.group.to_vec() }
    }
}

impl<'a> EntryView<'a> {
    /// Reads the bytes of one entry that follows one of `owner_before`.
    pub(crate) fn parse(bytes: &'a [u8], owner_before: Option<OwnerView<'a>>) -> Result<Self, Malformed> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(Malformed("entry too long"));
        }
        let mut reader = Reader::new(bytes);
        let tag = reader.u8()?;
        let kind = tag & 7;
        let both_xattrs = tag & (XATTRS_INLINE | XATTRS_EXTENTS) == XATTRS_INLINE | XATTRS_EXTENTS;
        if tag & 8 != 0 || both_xattrs || (tag & FUZZY != 0 && kind != 0) {
            return Err(Malformed("unknown entry flags"));
        }
        let mode = u16::from_le_bytes(*reader.array()?);
        if mode > 0o7777 {
            return Err(Malformed("mode out of range"));
        }
        let mtime_ns = i64::from_le_bytes(*reader.array()?);
        let owner = parse_owner(&mut reader, tag & OWNER_AS_BEFORE != 0, owner_before)?;
        let file = if kind == 0 { Some((u64::from_le_bytes(*reader.array()?), reader.array()?)) } else { None };
        Ok(Self { tag, mode, mtime_ns, owner, file, tail: reader.rest() })
    }

    /// True for a regular file.
    pub const fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// True for a directory.
    pub const fn is_directory(&self) -> bool {
        self.tag & 7 == 1
    }

    /// Bytes of its content; 0 unless it is a file.
    pub fn size(&self) -> u64 {
        self.file.map_or(0, |(size, _)| size)
    }

    /// Content digest, if it is a file.
    pub fn digest(&self) -> Option<&'a [u8; 32]> {
        self.file.map(|(_, digest)| digest)
    }

    /// True if it is a file that changed while it was being read.
    pub const fn is_fuzzy(&self) -> bool {
        self.tag & FUZZY != 0
    }

    /// Decodes everything; `children` are those of the leaf.
    ///
    /// # Errors
    /// If any part is not as this program writes it.
    pub fn to_entry(&self, children: &[ChunkId]) -> Result<Entry, Malformed> {
        let mut reader = Reader::new(self.tail);
        let kind = match (self.tag & 7, self.file) {
            (0, Some((size, digest))) => {
                let content = Content::parse(&mut reader, size, children)?;
                EntryKind::File(FileContent { size, digest: *digest, fuzzy: self.is_fuzzy(), content })
            }
            (code, _) => parse_other(code, &mut reader)?,
        };
        let xattrs = if self.tag & XATTRS_EXTENTS != 0 {
            let extents = parse_extents(&mut reader, children)?;
            if extents.is_empty() { Err(Malformed("xattrs without extents")) } else { Ok(Xattrs::Extents(extents)) }
        } else if self.tag & XATTRS_INLINE != 0 {
            let bytes = reader.take(reader.rest().len())?;
            let fits = !bytes.is_empty() && bytes.len() <= XATTRS_INLINE_BYTES_MAX;
            if fits { decode_xattrs(bytes).map(Xattrs::Inline) } else { Err(Malformed("xattrs of a wrong length")) }
        } else {
            Ok(Xattrs::none())
        }?;
        if !reader.is_empty() {
            return Err(Malformed("bytes after the entry"));
        }
        Ok(Entry { kind, mode: self.mode, owner: self.owner.to_owner(), mtime_ns: self.mtime_ns, xattrs })
    }
}

fn parse_owner<'a>(
    reader: &mut Reader<'a>,
    as_before: bool,
    before: Option<OwnerView<'a>>,
) -> Result<OwnerView<'a>, Malformed> {
    if as_before {
        return before.ok_or(Malformed("no owner before"));
    }
    let uid = u32::try_from(reader.varint()?).map_err(|_| Malformed("owner out of range"))?;
    let gid = u32::try_from(reader.varint()?).map_err(|_| Malformed("owner out of range"))?;
    let user = reader.bytes(OWNER_NAME_BYTES_MAX)?;
    let group = reader.bytes(OWNER_NAME_BYTES_MAX)?;
    let owner = OwnerView { uid, gid, user, group };
    if before == Some(owner) { Err(Malformed("owner said twice")) } else { Ok(owner) }
}

fn parse_other(code: u8, reader: &mut Reader<'_>) -> Result<EntryKind, Malformed> {
    let mut device = || {
        let major = u32::try_from(reader.varint()?).map_err(|_| Malformed("device number out of range"))?;
        let minor = u32::try_from(reader.varint()?).map_err(|_| Malformed("device number out of range"))?;
        Ok(DeviceNumber { major, minor })
    };
    Ok(match code {
        1 => EntryKind::Directory,
        2 => match reader.bytes(PATH_BYTES_MAX)? {
            [] => return Err(Malformed("empty link target")),
            target => EntryKind::Symlink { target: target.to_vec() },
        },
        3 => {
            let to = reader.bytes(PATH_BYTES_MAX)?;
            EntryKind::HardLink { to: EntryKey::from_encoded(to).map_err(|_| Malformed("hard link to no path"))? }
        }
        4 => EntryKind::Fifo,
        5 => EntryKind::Socket,
        6 => EntryKind::CharDevice(device()?),
        7 => EntryKind::BlockDevice(device()?),
        _ => return Err(Malformed("unknown kind of entry")),
    })
}
