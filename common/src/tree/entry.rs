//! Entries: what a snapshot knows of one path, and its bytes inside a leaf.
//!
//! ```text
//! tag u8: kind in bits 0-2 | bit 3 zero | 0x10 owner as before | 0x20 xattrs inline | 0x40 xattrs in extents | 0x80 fuzzy
//! mode u16 | mtime_ns i64 | [uid, gid varints; user, group names] | by kind:
//!   file       size u64 | digest 32 | content        symlink    target
//!   hard link  key                                   devices    major, minor varints
//! [xattrs: inline to the end, or extents]
//! ```
//! Content and extents are those of `content`. //! Times and sizes have fixed width, so that a change of them moves no node boundary. The bytes stand inside a leaf: they refer
//! to its children by index and to the owner of the entry before. `view` reads them.
//! It does not read file systems, and does not know the key that leads here.
//!
//! Invariant: an entry has one encoding; decoding refuses every other.

use crate::limits::{ENTRY_BYTES_MAX, OWNER_NAME_BYTES_MAX, PATH_BYTES_MAX};
use crate::tree::content::{ChildTable, Content};
use crate::tree::path::EntryKey;
use crate::tree::wire::{put_bytes, put_varint};
use crate::tree::xattrs::Xattrs;

pub(crate) const OWNER_AS_BEFORE: u8 = 0x10;
pub(crate) const XATTRS_INLINE: u8 = 0x20;
pub(crate) const XATTRS_EXTENTS: u8 = 0x40;
pub(crate) const FUZZY: u8 = 0x80;

/// Everything that a snapshot keeps of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is, with what only that kind has.
    pub kind: EntryKind,
    /// Permission bits, set-user-id, set-group-id and sticky: at most `0o7777`.
    pub mode: u16,
    /// Whose it is.
    pub owner: Owner,
    /// Last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Extended attributes, POSIX ACLs among them.
    pub xattrs: Xattrs,
}

/// The kinds of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File(FileContent),
    /// A directory; its entries stand under their own keys.
    Directory,
    /// A symbolic link.
    Symlink {
        /// The bytes that it holds.
        target: Vec<u8>,
    },
    /// One more name of a file that stands earlier in the tree.
    HardLink {
        /// The file.
        to: EntryKey,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
}

/// Number of a device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which device of it.
    pub minor: u32,
}

/// Digest of a carried file: chunks that wait until a file is whole, and no file that anybody had. No keyed hash is ever this.
pub const CARRIED_DIGEST: [u8; 32] = [0; 32];

/// Content of a regular file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// Length in bytes, holes included.
    pub size: u64,
    /// Keyed BLAKE3 of everything ([`crate::keys::IdKey::content_hasher`]).
    pub digest: [u8; 32],
    /// True if the file changed while it was being read.
    pub fuzzy: bool,
    /// Where its bytes are.
    pub content: Content,
}

/// Who owns an entry, by number and by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// User name, empty if unknown.
    pub user: Vec<u8>,
    /// Group name, empty if unknown.
    pub group: Vec<u8>,
}

/// Why an entry cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEntry {
    /// A number or text beyond its limit.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// The extents do not cover the file.
    #[error("extents do not cover the file")]
    Extents,
    /// Extended attributes that are not sorted, or too large to be inline.
    #[error("extended attributes are not sorted, or too large to be inline")]
    Xattrs,
}

impl Entry {
    /// True if it is no file that anybody had, but chunks that wait for one: people are not shown it.
    pub fn is_carried(&self) -> bool {
        matches!(&self.kind, EntryKind::File(file) if file.digest == CARRIED_DIGEST)
    }

    /// Bytes of its content; 0 unless it is a file.
    pub const fn size(&self) -> u64 {
        match &self.kind {
            EntryKind::File(file) => file.size,
            _ => 0,
        }
    }

    /// Appends the entry as it stands in a leaf after an entry of `owner_before`.
    ///
    /// # Errors
    /// [`InvalidEntry`]; what was appended by then is to be dropped.
    pub(crate) fn encode(
        &self,
        owner_before: Option<&Owner>,
        children: &mut ChildTable,
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidEntry> {
        let start = out.len();
        let owner_as_before = owner_before == Some(&self.owner);
        let mut tag = self.kind.code();
        tag |= if owner_as_before { OWNER_AS_BEFORE } else { 0 };
        tag |= match &self.xattrs {
            Xattrs::Inline(xattrs) if xattrs.is_empty() => 0,
            Xattrs::Inline(_) => XATTRS_INLINE,
            Xattrs::Extents(_) => XATTRS_EXTENTS,
        };
        tag |= if matches!(&self.kind, EntryKind::File(file) if file.fuzzy) { FUZZY } else { 0 };
        out.push(tag);
        if self.mode > 0o7777 {
            return Err(InvalidEntry::OutOfRange("mode"));
        }
        out.extend_from_slice(&self.mode.to_le_bytes());
        out.extend_from_slice(&self.mtime_ns.to_le_bytes());
        if !owner_as_before {
            self.owner.encode(out)?;
        }
        self.kind.encode(children, out)?;
        self.xattrs.encode(children, out)?;
        if out.len() - start > ENTRY_BYTES_MAX { Err(InvalidEntry::OutOfRange("entry")) } else { Ok(()) }
    }
}

impl Owner {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), InvalidEntry> {
        put_varint(out, self.uid.into());
        put_varint(out, self.gid.into());
        for name in [&self.user, &self.group] {
            if name.len() > OWNER_NAME_BYTES_MAX {
                return Err(InvalidEntry::OutOfRange("owner name"));
            }
            put_bytes(out, name);
        }
        Ok(())
    }
}

impl EntryKind {
    const fn code(&self) -> u8 {
        match self {
            Self::File(_) => 0,
            Self::Directory => 1,
            Self::Symlink { .. } => 2,
            Self::HardLink { .. } => 3,
            Self::Fifo => 4,
            Self::Socket => 5,
            Self::CharDevice(_) => 6,
            Self::BlockDevice(_) => 7,
        }
    }

    fn encode(&self, children: &mut ChildTable, out: &mut Vec<u8>) -> Result<(), InvalidEntry> {
        match self {
            Self::File(file) => {
                out.extend_from_slice(&file.size.to_le_bytes());
                out.extend_from_slice(&file.digest);
                file.content.encode(file.size, children, out)?;
            }
            Self::Symlink { target } if target.is_empty() || target.len() > PATH_BYTES_MAX => {
                return Err(InvalidEntry::OutOfRange("link target"));
            }
            Self::Symlink { target } => put_bytes(out, target),
            Self::HardLink { to } => put_bytes(out, to.as_bytes()),
            Self::CharDevice(number) | Self::BlockDevice(number) => {
                put_varint(out, number.major.into());
                put_varint(out, number.minor.into());
            }
            Self::Directory | Self::Fifo | Self::Socket => {}
        }
        Ok(())
    }
}
