//! Metadata of one item: what `statx` gives, its extended attributes, the names of its owners.
//!
//! It keeps what is compared (ctime, inode, device) beside what is stored; which is which is decided in `backup`.

use std::collections::HashMap;
use std::ffi::CStr;
use std::os::fd::AsFd;
use std::path::Path;

use common::tree::xattrs::Xattr;
use rustix::buffer::{SpareCapacity, spare_capacity};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp};
use rustix::io::Errno;

const XATTR_NAMES_BYTES_MAX: usize = 64 << 10;
const XATTR_VALUE_BYTES_MAX: usize = 64 << 10;

/// Type of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

/// What `statx` says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Type.
    pub kind: FileKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Number of names.
    pub links: u32,
    /// Inode number.
    pub inode: u64,
    /// Device of the file system, major and minor in one.
    pub device: u64,
    /// Major and minor number of a device file.
    pub rdev: (u32, u32),
    /// Length in bytes.
    pub size: u64,
    /// Allocated bytes.
    pub allocated_bytes: u64,
    /// Last change of the content, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of anything, nanoseconds since 1970.
    pub ctime_ns: i64,
}

impl Stat {
    /// Asks for an item of a directory without following links; an empty name asks for the handle itself.
    ///
    /// # Errors
    /// Those of `statx`.
    pub fn at(directory: impl AsFd, name: &CStr) -> std::io::Result<Self> {
        let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::STATX_DONT_SYNC;
        if name.is_empty() {
            flags |= AtFlags::EMPTY_PATH;
        }
        let statx = rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS)?;
        Self::from_statx(&statx)
    }

    fn from_statx(statx: &Statx) -> std::io::Result<Self> {
        let kind = match FileType::from_raw_mode(u32::from(statx.stx_mode)) {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Directory,
            FileType::Symlink => FileKind::Symlink,
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharDevice,
            FileType::BlockDevice => FileKind::BlockDevice,
            FileType::Unknown => return Err(std::io::ErrorKind::Unsupported.into()),
        };
        Ok(Self {
            kind,
            mode: u32::from(statx.stx_mode) & 0o7777,
            uid: statx.stx_uid,
            gid: statx.stx_gid,
            links: statx.stx_nlink,
            inode: statx.stx_ino,
            device: u64::from(statx.stx_dev_major) << 32 | u64::from(statx.stx_dev_minor),
            rdev: (statx.stx_rdev_major, statx.stx_rdev_minor),
            size: statx.stx_size,
            allocated_bytes: statx.stx_blocks.saturating_mul(512),
            mtime_ns: nanoseconds(&statx.stx_mtime),
            ctime_ns: nanoseconds(&statx.stx_ctime),
        })
    }

    /// True if nothing says that the content or the metadata changed between the two.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.size == other.size
            && self.mtime_ns == other.mtime_ns
            && self.ctime_ns == other.ctime_ns
            && self.inode == other.inode
            && self.device == other.device
            && self.kind == other.kind
    }

    /// True if the file may have holes.
    pub fn may_have_holes(&self) -> bool {
        self.kind == FileKind::File && self.allocated_bytes < self.size
    }
}

fn nanoseconds(time: &StatxTimestamp) -> i64 {
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(i64::from(time.tv_nsec))
}

/// Extended attributes of an open file or directory, sorted by name; ACLs are among them.
///
/// # Errors
/// Those of `flistxattr` and `fgetxattr`; a file system without attributes has none.
pub fn xattrs_of_handle(handle: impl AsFd) -> std::io::Result<Vec<Xattr>> {
    let handle = handle.as_fd();
    collect(|names| rustix::fs::flistxattr(handle, names), |name, value| rustix::fs::fgetxattr(handle, name, value))
}

/// Extended attributes of what a path names, without following a link at its end, sorted by name.
///
/// # Errors
/// Those of `llistxattr` and `lgetxattr`.
pub fn xattrs_of_path(path: &Path) -> std::io::Result<Vec<Xattr>> {
    collect(|names| rustix::fs::llistxattr(path, names), |name, value| rustix::fs::lgetxattr(path, name, value))
}

fn collect(
    list: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], SpareCapacity<'_, u8>) -> rustix::io::Result<usize>,
) -> std::io::Result<Vec<Xattr>> {
    // Most items have no attribute or one ACL: a small buffer on the stack answers without an allocation.
    let mut small = [0u8; 256];
    let mut large = Vec::new();
    let names: &[u8] = match list(&mut small) {
        Ok(0) | Err(Errno::OPNOTSUPP | Errno::NODATA) => return Ok(Vec::new()),
        Ok(bytes) => &small[..bytes],
        Err(Errno::RANGE) => {
            large.resize(XATTR_NAMES_BYTES_MAX, 0);
            let bytes = list(&mut large)?;
            &large[..bytes]
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = Vec::with_capacity(XATTR_VALUE_BYTES_MAX);
        match get(name, spare_capacity(&mut value)) {
            Ok(_) => found.push(Xattr { name: name.to_vec(), value: value.as_slice().to_vec() }),
            Err(Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        }
    }
    found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Names of users and groups by number, read once from the system's files.
///
/// Numbers without a name there (directory services) are stored without a name.
#[derive(Debug, Default)]
pub struct Owners {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
}

impl Owners {
    /// Reads `/etc/passwd` and `/etc/group`; a file that cannot be read gives no names.
    pub fn of_this_system() -> Self {
        Self {
            users: names_by_number(&std::fs::read("/etc/passwd").unwrap_or_default()),
            groups: names_by_number(&std::fs::read("/etc/group").unwrap_or_default()),
        }
    }

    /// Name of a user, or empty.
    pub fn user(&self, uid: u32) -> &[u8] {
        self.users.get(&uid).map_or(&[], Vec::as_slice)
    }

    /// Name of a group, or empty.
    pub fn group(&self, gid: u32) -> &[u8] {
        self.groups.get(&gid).map_or(&[], Vec::as_slice)
    }
}

/// Lines of `name:password:number:…`; the first line of a number counts.
fn names_by_number(file: &[u8]) -> HashMap<u32, Vec<u8>> {
    let mut names = HashMap::new();
    for line in file.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(_), Some(number)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let Some(number) = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()) else { continue };
        names.entry(number).or_insert_with(|| name.to_vec());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_named_by_the_first_line_of_their_number() {
        let names = names_by_number(b"root:x:0:0::/root:/bin/sh\nbroken\ntoor:x:0:0::\nmarie:x:1000:1000\n+nis::\n");
        assert_eq!(names.get(&0).map(Vec::as_slice), Some(&b"root"[..]));
        assert_eq!(names.get(&1000).map(Vec::as_slice), Some(&b"marie"[..]));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn a_stat_of_a_file_says_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join("f")).unwrap().set_len(1 << 20).unwrap();
        let handle = std::fs::File::open(folder.path()).unwrap();
        let stat = Stat::at(&handle, c"f").unwrap();
        assert_eq!((stat.kind, stat.size, stat.links), (FileKind::File, 1 << 20, 1));
        assert!(stat.may_have_holes());
        assert_eq!(Stat::at(&handle, c"").unwrap().kind, FileKind::Directory);
        assert!(xattrs_of_handle(&handle).unwrap().iter().all(|xattr| xattr.name != b"user.x"));
    }
}
