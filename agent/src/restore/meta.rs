//! Metadata put back: owner by name then by number, mode, extended attributes and ACLs, times.
//!
//! It works on handles, or on one name relative to a directory handle, never on paths. It reads no content.
//!
//! Order: owner (which drops set-user-id and capabilities), inherited ACL, mode, attributes, times last.
//!
//! Invariant: set-user-id, set-group-id and capabilities come back only when asked for, and only if the owner is right.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use common::tree::entry::Owner;
use common::tree::xattrs::Xattr;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;

use super::outcome::Problem;
use super::target::{Directory, modified_at};

const PRIVILEGE_BITS: u16 = 0o6000;
const CAPABILITY: &[u8] = b"security.capability";
const ACCESS_ACL: &std::ffi::CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &std::ffi::CStr = c"system.posix_acl_default";

/// What an entry's metadata is, ready to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, at most `0o7777`.
    pub mode: u16,
    /// Whose it is; shared between neighbours.
    pub owner: Arc<Owner>,
    /// Last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Extended attributes.
    pub xattrs: Vec<Xattr>,
}

/// The users and groups of this system, by name.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: HashMap<Vec<u8>, u32>,
    groups: HashMap<Vec<u8>, u32>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group`; accounts that live elsewhere (a directory service) are found by number.
    pub fn of_this_system() -> Self {
        let read = |path| std::fs::read(path).map_or_else(|_| HashMap::new(), |bytes| parse_accounts(&bytes));
        Self { users: read("/etc/passwd"), groups: read("/etc/group") }
    }

    fn resolve(&self, owner: &Owner) -> (u32, u32) {
        let uid = self.users.get(&owner.user).copied().unwrap_or(owner.uid);
        (uid, self.groups.get(&owner.group).copied().unwrap_or(owner.gid))
    }
}

fn parse_accounts(file: &[u8]) -> HashMap<Vec<u8>, u32> {
    let account = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        (!name.is_empty()).then(|| (name.to_vec(), number))
    };
    file.split(|byte| *byte == b'\n').filter_map(account).collect()
}

/// How metadata is put back on this system.
pub struct MetaRules {
    /// Set-user-id, set-group-id and capabilities come back.
    pub privileges: bool,
    /// Who is who here; empty to go by number.
    pub accounts: Accounts,
    uid: u32,
    gid: u32,
}

/// What came with the creation of a file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Created {
    /// It has the wanted permission bits already.
    pub mode_is_right: bool,
    /// Its directory passes a group or an ACL on.
    pub inherits: bool,
}

impl MetaRules {
    /// For the user that this process runs as.
    pub fn new(privileges: bool, accounts: Accounts) -> Self {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Self { privileges, accounts, uid, gid }
    }

    /// True if nothing but `created` and the time is to be set: the common case of many small files.
    fn is_plain(&self, meta: &Meta, created: Created, owner: (u32, u32)) -> bool {
        created.mode_is_right && !created.inherits && owner == (self.uid, self.gid) && meta.xattrs.is_empty()
    }

    /// Puts everything back on an open file.
    ///
    /// # Errors
    /// If mode or time cannot be set; what this system cannot hold is a notice in the answer.
    pub fn apply(&self, file: BorrowedFd<'_>, meta: &Meta, created: Created) -> io::Result<Vec<Problem>> {
        let mut problems = Vec::new();
        let owner = self.accounts.resolve(&meta.owner);
        if !self.is_plain(meta, created, owner) {
            let owned = self.set_owner(owner, created.inherits, &mut problems, |uid, gid| {
                rustix::fs::fchown(file, Some(uid), Some(gid))
            });
            if created.inherits {
                remove_inherited(file, meta);
            }
            let mode = self.mode_to_set(meta, owned, &mut problems);
            rustix::fs::fchmod(file, mode)?;
            self.set_xattrs(meta, owned, &mut problems, |name, value| {
                rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
            });
        }
        rustix::fs::futimens(file, &modified_at(meta.mtime_ns))?;
        Ok(problems)
    }

    /// Puts everything back on a link, pipe or device that was just made; a link has no mode of its own.
    ///
    /// # Errors
    /// If mode or time cannot be set.
    pub fn apply_by_name(
        &self,
        folder: &Directory,
        name: &[u8],
        meta: &Meta,
        is_link: bool,
    ) -> io::Result<Vec<Problem>> {
        let mut problems = Vec::new();
        let (at, no_follow) = (folder.handle(), AtFlags::SYMLINK_NOFOLLOW);
        let owned = self.set_owner(self.accounts.resolve(&meta.owner), true, &mut problems, |uid, gid| {
            rustix::fs::chownat(at, name, Some(uid), Some(gid), no_follow)
        });
        if !is_link {
            // A handle on the name itself: should somebody swap it for a link, the link's target is not touched.
            let node = rustix::fs::openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
            let mode = self.mode_to_set(meta, owned, &mut problems);
            rustix::fs::chmod(through_proc(node.as_fd(), b""), mode)?;
        }
        self.set_xattrs(meta, owned, &mut problems, |key, value| {
            rustix::fs::lsetxattr(through_proc(at, name), key, value, XattrFlags::empty())
        });
        rustix::fs::utimensat(at, name, &modified_at(meta.mtime_ns), no_follow)?;
        Ok(problems)
    }

    /// True if the item ends up with the wanted owner.
    fn set_owner(
        &self,
        (uid, gid): (u32, u32),
        unsure: bool,
        problems: &mut Vec<Problem>,
        chown: impl FnOnce(Uid, Gid) -> Result<(), Errno>,
    ) -> bool {
        if !unsure && (uid, gid) == (self.uid, self.gid) {
            return true;
        }
        // All bits set means "leave it" to the kernel and names nobody.
        let nameable = uid != u32::MAX && gid != u32::MAX;
        let owned = nameable && chown(Uid::from_raw(uid), Gid::from_raw(gid)).is_ok();
        if !owned {
            problems.push(Problem::Owner);
        }
        owned
    }

    fn mode_to_set(&self, meta: &Meta, owned: bool, problems: &mut Vec<Problem>) -> Mode {
        let mut mode = meta.mode & 0o7777;
        if mode & PRIVILEGE_BITS != 0 && !(self.privileges && owned) {
            mode &= !PRIVILEGE_BITS;
            problems.push(Problem::Privilege);
        }
        Mode::from_bits_truncate(mode.into())
    }

    fn set_xattrs(
        &self,
        meta: &Meta,
        owned: bool,
        problems: &mut Vec<Problem>,
        mut set: impl FnMut(&[u8], &[u8]) -> Result<(), Errno>,
    ) {
        let mut refused = false;
        for Xattr { name, value } in &meta.xattrs {
            if name == CAPABILITY && !(self.privileges && owned) {
                problems.push(Problem::Privilege);
            } else {
                refused |= set(name, value).is_err();
            }
        }
        if refused {
            problems.push(Problem::Attribute);
        }
    }
}

/// Takes away the ACLs that the directory passed on and the snapshot does not have. Absent ones are the aim.
fn remove_inherited(file: BorrowedFd<'_>, meta: &Meta) {
    for acl in [ACCESS_ACL, DEFAULT_ACL] {
        if !meta.xattrs.iter().any(|xattr| xattr.name == acl.to_bytes()) {
            let _ = rustix::fs::fremovexattr(file, acl);
        }
    }
}

/// The kernel's own path to a handle: the only one for what has no call on handles. Nothing in it can be swapped.
fn through_proc(handle: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}", handle.as_raw_fd()).into_bytes();
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_name_before_number() {
        let accounts = Accounts {
            users: parse_accounts(b"root:x:0:0::/:/bin/sh\nmarie:x:1042:1042::/home/marie:\nbroken\n:x:7:\n"),
            groups: parse_accounts(b"wheel:x:10:\ncompta:x:2001:marie\n"),
        };
        let owner = |user: &[u8], group: &[u8]| Owner { uid: 500, gid: 501, user: user.into(), group: group.into() };
        assert_eq!(accounts.resolve(&owner(b"marie", b"compta")), (1042, 2001));
        assert_eq!(accounts.resolve(&owner(b"paul", b"")), (500, 501));
        assert_eq!(accounts.users.len(), 2);
    }
}
